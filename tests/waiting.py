"""Waiting for facts. Tests never sleep: they wait until something is true, and say what was not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    predicate: Callable[[], T],
    timeout: float = 30,
    what: str | Callable[[], object] = "",
    *,
    every: float = 0.02,
) -> T:
    """Call `predicate` until its result is true, and return that result.

    Args:
        predicate: asked again and again; an exception in it is not swallowed.
        timeout: seconds, default 30: patience, since a machine may be busy; no promise is measured with it.
        what: the awaited fact in words, or a function that describes the state at the end, for the message.
        every: seconds between two questions, default 0.02.

    Raises:
        AssertionError: the time is over; the message names the fact and the last result.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() >= deadline:
            fact = what() if callable(what) else what or getattr(predicate, "__name__", "the awaited fact")
            raise AssertionError(f"not true after {timeout} s: {fact}; last result: {result!r}")
        pause.wait(every)
