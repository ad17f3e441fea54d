"""A TCP way to the server that is cut at the worst moment: the statement was sent, the answer never comes."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skeldir_huey.db.sqlfile import sql

# Where a connection can be cut: at a COMMIT, or at a statement that is a transaction by itself, prepared or not.
PLACES = ("commit", "claim", "batch", "enqueue")
_STATEMENTS = {"claim": "claim", "batch": "settle_done", "enqueue": "enqueue"}
_FIRST_LINES = {place: sql("queue", name).splitlines()[0].encode() for place, name in _STATEMENTS.items()}
# A kept plan carries a part of its text's hash in its name.
_PLANS = {place: re.compile(rb"execute %s(_[0-9a-f]+)?[( ]" % name.encode()) for place, name in _STATEMENTS.items()}
READY = b"Z\0\0\0\5"  # ReadyForQuery: the server has done all of it, its commit too


def place_of(body: bytes) -> str | None:
    """Return at which of the places a simple query is, if at any."""
    if body.lower() == b"commit\0":
        return "commit"
    for place in _STATEMENTS:
        alone = _FIRST_LINES[place] in body and not body.startswith(b"prepare")
        if alone or _PLANS[place].search(body):
            return place
    return None


@dataclass(frozen=True)
class Cut:
    """One connection that was cut."""

    place: str
    answered: bool  # the server had done it; else it never got it
    application: str
    at: float


class Proxy(socketserver.ThreadingTCPServer):
    """Listens on 127.0.0.1 and passes everything on to a server's socket."""

    request_queue_size = 128

    def __init__(self, upstream: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Link)
        self.upstream = upstream
        self.cuts: list[Cut] = []
        self.seen: Counter[str] = Counter()
        self.port: int = self.server_address[1]
        self._armed: dict[str, deque[bool]] = {place: deque() for place in PLACES}
        self._clients: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="chaos-proxy", daemon=True)
        self._thread.start()

    def cut_next(self, place: str, answered: bool) -> None:
        """Cut the next connection of a consumer that sends this: after the server did it, or before it hears of it."""
        self._armed[place].append(answered)

    def close(self) -> None:
        """Hang up on everybody, and wait until that is done."""
        self.shutdown()
        self._thread.join()
        for client in tuple(self._clients):
            hang_up(client)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        client, address = super().get_request()
        self._clients.add(client)
        return client, address

    def shutdown_request(self, request: Any) -> None:
        self._clients.discard(request)
        super().shutdown_request(request)

    def wanted(self, application: str, body: bytes) -> tuple[str, bool] | None:
        """Say whether a connection that sends this is to be cut now, and whether after the server did it."""
        place = place_of(body) if application.startswith("skeldir:") else None
        if place is None:
            return None
        self.seen[place] += 1
        try:
            return place, self._armed[place].popleft()
        except IndexError:
            return None


def hang_up(end: socket.socket) -> None:
    """End both directions, so that whoever reads from it goes on."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


class _Link(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Proxy
    application = ""
    swallow: str | None = None  # the place at which the answer is to be withheld

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as self.upstream, contextlib.suppress(OSError):
            self.upstream.connect(str(self.server.upstream))
            answers = threading.Thread(target=self._way, args=(self._back,))
            answers.start()
            self._way(self._forth)
            answers.join()

    def _way(self, pass_on: Callable[[], None]) -> None:
        """Pass on until one side ends or the connection is cut; then both ends are."""
        try:
            with contextlib.suppress(OSError):
                pass_on()
        finally:
            hang_up(self.connection)
            hang_up(self.upstream)

    def _forth(self) -> None:
        """Pass on what the client says, message by message."""
        start = self._message(b"")
        fields = start[8:].split(b"\0")
        if b"application_name" in fields:
            self.application = fields[fields.index(b"application_name") + 1].decode()
        self.upstream.sendall(start)
        while kind := self.rfile.read(1):
            message = self._message(kind)
            cut = self.server.wanted(self.application, message[5:]) if kind == b"Q" else None
            if cut is not None and not cut[1]:
                self._note(cut[0], answered=False)
                return
            self.swallow = cut[0] if cut is not None else None
            self.upstream.sendall(message)

    def _back(self) -> None:
        """Pass on what the server says, unless the connection is being cut."""
        tail = b""
        while data := self.upstream.recv(65536):
            if self.swallow is None:
                self.connection.sendall(data)
                continue
            tail = (tail + data)[-6:]
            if tail.startswith(READY):
                self._note(self.swallow, answered=True)
                return

    def _message(self, kind: bytes) -> bytes:
        """Return the rest of a message, whose size counts itself but not its kind."""
        size = self._exactly(4)
        return kind + size + self._exactly(int.from_bytes(size, "big") - 4)

    def _exactly(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionError("the client has ended within a message")
        return data

    def _note(self, place: str, answered: bool) -> None:
        self.server.cuts.append(Cut(place, answered, self.application, time.time()))
