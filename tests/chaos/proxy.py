"""A TCP way to the server that is cut at the worst moment: the statement was sent, the answer never comes."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path

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


class Proxy(threading.Thread):
    """Listens on 127.0.0.1 and passes everything on to a server's socket."""

    def __init__(self, upstream: Path) -> None:
        super().__init__(name="chaos-proxy", daemon=True)
        self.cuts: list[Cut] = []
        self.seen: Counter[str] = Counter()
        self.port = 0
        self._upstream = upstream
        self._armed: dict[str, deque[bool]] = {place: deque() for place in PLACES}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self.start()
        self._ready.wait(10)

    def cut_next(self, place: str, answered: bool) -> None:
        """Cut the next connection of a consumer that sends this: after the server did it, or before it hears of it."""
        self._armed[place].append(answered)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(5)

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        links = asyncio.all_tasks(self._loop)
        for link in links:
            link.cancel()
        self._loop.run_until_complete(asyncio.gather(*links, return_exceptions=True))
        self._loop.close()

    async def _serve(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        try:
            server_in, server_out = await asyncio.open_unix_connection(str(self._upstream))
        except OSError:
            client_out.transport.abort()
            return
        link = _Link(self, client_in, client_out, server_in, server_out)
        ways = [asyncio.ensure_future(link.forth()), asyncio.ensure_future(link.back())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # the end of the run; raised again, asyncio would print it
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            client_out.transport.abort()
            server_out.transport.abort()

    def wanted(self, application: str, body: bytes) -> tuple[str, bool] | None:
        """Say whether a connection that sends this is to be cut now, and whether after the server did it."""
        place = place_of(body) if application.startswith("skeldir:") else None
        if place is None:
            return None
        self.seen[place] += 1
        return (place, self._armed[place].popleft()) if self._armed[place] else None


class _Link:
    def __init__(
        self,
        proxy: Proxy,
        client_in: asyncio.StreamReader,
        client_out: asyncio.StreamWriter,
        server_in: asyncio.StreamReader,
        server_out: asyncio.StreamWriter,
    ) -> None:
        self.proxy, self.client_in, self.client_out = proxy, client_in, client_out
        self.server_in, self.server_out = server_in, server_out
        self.application = ""
        self.swallow: str | None = None  # the place at which the answer is to be withheld

    async def forth(self) -> None:
        """Pass on what the client says, message by message."""
        try:
            size = await self.client_in.readexactly(4)
            start = await self.client_in.readexactly(int.from_bytes(size, "big") - 4)
            fields = start[4:].split(b"\0")
            if b"application_name" in fields:
                self.application = fields[fields.index(b"application_name") + 1].decode()
            await self._send(size + start)
            while True:
                head = await self.client_in.readexactly(5)
                body = await self.client_in.readexactly(int.from_bytes(head[1:], "big") - 4)
                cut = self.proxy.wanted(self.application, body) if head[:1] == b"Q" else None
                if cut is not None and not cut[1]:
                    self._note(cut[0], answered=False)
                    return
                self.swallow = cut[0] if cut is not None else None
                await self._send(head + body)
        except (asyncio.IncompleteReadError, OSError):
            pass

    async def back(self) -> None:
        """Pass on what the server says, unless the connection is being cut."""
        tail = b""
        try:
            while data := await self.server_in.read(65536):
                if self.swallow is None:
                    self.client_out.write(data)
                    await self.client_out.drain()
                    continue
                tail = (tail + data)[-6:]
                if tail.startswith(READY):
                    self._note(self.swallow, answered=True)
                    return
        except OSError:
            pass

    async def _send(self, data: bytes) -> None:
        self.server_out.write(data)
        await self.server_out.drain()

    def _note(self, place: str, answered: bool) -> None:
        self.proxy.cuts.append(Cut(place, answered, self.application, time.time()))
