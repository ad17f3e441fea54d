"""What every benchmark does around its measuring: a server of its own, and a clean end however it comes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from bench.queue.server import Server, running


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def on_a_server(measure: Callable[[Server], int]) -> int:
    """Start a server, measure on it, take it away; returns what `measure` returns, or 130 after Ctrl-C or a signal."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with running() as server:
            return measure(server)
    except KeyboardInterrupt:
        say("bench: stopped, everything is cleaned up")
        return 130
