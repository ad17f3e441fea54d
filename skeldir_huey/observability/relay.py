"""From the children of a consumer to their parent: what they counted, and whether their task is past its timeout.

With `-k process` each worker is a process, but only the parent listens on a port. Each half second a child sends what
it counted since, over a socket that it inherited; the parent adds it to its own. Nothing is left on disk, what a child
counted stays when it dies (but for its last half second), and a scrape of the parent shows every child's jobs.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import util

from skeldir_huey import metrics
from skeldir_huey.log import get_log

log = get_log("observability.relay")

EVERY_S = 0.5
DELTAS = 12  # of one datagram; the longest is about 150 bytes


class Relay:
    """Made by the parent before it forks. Each datagram is whole: any number of children may send at once.

    Args:
        stuck: returns how many tasks of the asking process are past their timeout.
    """

    def __init__(self, stuck: Callable[[], int]) -> None:
        self._stuck = stuck
        self._here, self._there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._there.setblocking(False)
        self._unsent: list[bytes] = []
        self._heard: dict[int, tuple[float, bool]] = {}
        self._sending = threading.Lock()
        util.register_after_fork(self, Relay._in_child)
        threading.Thread(target=self._listen, name="skeldir-relay", daemon=True).start()

    def heard_of(self, pid: int) -> tuple[float, bool]:
        """Return when a child last spoke (seconds of the monotonic clock), and whether its task is past its timeout."""
        return self._heard.setdefault(pid, (time.monotonic(), False))

    # -- in the parent ------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while True:
            try:
                self._hear(self._here.recv(65536))
            except OSError:
                return  # closed
            except Exception:  # a line that is not understood costs its numbers, not those that follow
                log.exception("relay_failed")

    def _hear(self, data: bytes) -> None:
        said = json.loads(data)
        self._heard[said["pid"]] = (time.monotonic(), said["stuck"])
        for name, values, total, counts in said["add"]:
            metrics.store.add(name, values, total, counts)

    # -- in a child ---------------------------------------------------------------------------------------------------

    def _in_child(self) -> None:
        self._here.close()
        self._sending = threading.Lock()
        self._unsent = []
        metrics.store.forget()
        threading.Thread(target=self._send_for_ever, name="skeldir-relay", daemon=True).start()
        util.Finalize(self, self.send, exitpriority=1)

    def _send_for_ever(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(EVERY_S)
            self.send()

    def send(self) -> None:
        """Send what was counted; what the parent cannot take now is kept for the next time."""
        with self._sending:
            self._unsent += self._lines()
            while self._unsent:
                try:
                    self._there.send(self._unsent[0])
                except BlockingIOError:
                    return
                except OSError:
                    self._unsent.clear()  # the parent is gone
                    return
                del self._unsent[0]

    def _lines(self) -> Iterator[bytes]:
        if self._unsent:
            return  # first what is waiting: the sums grow meanwhile, not the line
        deltas = metrics.store.take()
        stuck = self._stuck() > 0
        for first in range(0, max(1, len(deltas)), DELTAS):
            part = deltas[first : first + DELTAS]
            yield json.dumps({"pid": os.getpid(), "stuck": stuck, "add": part}, separators=(",", ":")).encode()
