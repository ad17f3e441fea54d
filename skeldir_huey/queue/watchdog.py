"""Deadlines of running tasks, kept in worker threads too."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from skeldir_huey.log import get_log

log = get_log("queue.watchdog")

STUCK_S = 5.0  # past its deadline; who has not come back by then sits where no exception reaches it


class DeadlinePassed(BaseException):
    """Raised inside a task whose time is up. No `except Exception` of a task can swallow it."""


def _raise_in(thread_id: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(error) if error is not None else None
    )


class _Watch:
    def __init__(self, deadline: float, cancel: Callable[[], None], give_up: Callable[[], None] | None) -> None:
        self.deadline = deadline
        self.cancel = cancel
        self.give_up = give_up
        self.thread_id = threading.get_ident()
        self.over = False  # set by the worker when the task function has returned
        self.firing = False
        self.fired = False


class Watchdog:
    """One thread that ends tasks at their deadline: cancels their statement and raises in their thread.

    It acts only while the task function runs; once `watch` is left, no exception is on its way any more.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._watches: set[_Watch] = set()
        self._late: set[_Watch] = set()  # asked to stop, still there
        self._thread: threading.Thread | None = None
        self.on_stuck: Callable[[int], None] | None = None  # told of a thread that was given up

    @contextmanager
    def watch(
        self, seconds: float, cancel: Callable[[], None], give_up: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Raise DeadlinePassed in this thread if the block takes longer than `seconds`.

        Args:
            seconds: how long the block may take.
            cancel: called from the watchdog's thread to stop a database statement.
            give_up: called from a thread of its own if the block has not ended 5 s later.
        """
        watch = _Watch(time.monotonic() + seconds, cancel, give_up)
        self._add(watch)
        try:
            yield
        except BaseException as error:
            self._leave(watch)
            if watch.fired:
                raise DeadlinePassed from error
            raise
        self._leave(watch)
        if watch.fired:
            raise DeadlinePassed

    def _leave(self, watch: _Watch) -> None:
        # From here on nothing new fires; what is under way is waited for and, if still pending, taken back. No lock is
        # taken before that: an exception between taking and keeping a lock would leave it locked for ever.
        watch.over = True
        while watch.firing:
            time.sleep(0.0005)
        if watch.fired:
            _raise_in(watch.thread_id, None)
        with self._condition:
            self._watches.discard(watch)
            self._late.discard(watch)

    def overdue(self, seconds: float) -> int:
        """Return how many blocks go on although their time was up `seconds` ago."""
        limit = time.monotonic() - seconds
        with self._condition:
            return sum(watch.deadline < limit for watch in self._watches | self._late)

    def _add(self, watch: _Watch) -> None:
        with self._condition:
            self._watches.add(watch)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="skeldir-watchdog", daemon=True)
                self._thread.start()
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                moments = [watch.deadline for watch in self._watches]
                moments += [watch.deadline + STUCK_S for watch in self._late]
                nearest = min(moments, default=None)
                self._condition.wait(None if nearest is None else max(0.0, nearest - time.monotonic()))
                now = time.monotonic()
                due = [watch for watch in self._watches if watch.deadline <= now]
                self._watches.difference_update(due)
                self._late.update(due)
                stuck = [watch for watch in self._late if watch.deadline + STUCK_S <= now]
                self._late.difference_update(stuck)
            for watch in due:
                self._fire(watch)
            for watch in stuck:
                threading.Thread(target=self._give_up, args=(watch,), name="skeldir-stuck", daemon=True).start()

    def _fire(self, watch: _Watch) -> None:
        watch.firing = True
        try:
            if not watch.over:
                watch.fired = True
                _raise_in(watch.thread_id, DeadlinePassed)
                watch.cancel()
        except Exception as error:  # a server that is gone cancels nothing; the other deadlines hold all the same
            log.warning("cancel_failed", error=str(error).strip())
        finally:
            watch.firing = False

    def _give_up(self, watch: _Watch) -> None:
        if watch.over:
            return  # it came back at the last moment
        try:
            if watch.give_up is not None:
                watch.give_up()
        finally:
            if self.on_stuck is not None:
                self.on_stuck(watch.thread_id)
