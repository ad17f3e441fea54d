"""The task that every system runs: one line with time, number and process, written with one write()."""

from __future__ import annotations

import os
import time

NOTES = "BENCH_NOTES"  # names the file

_file: int | None = None


def note(number: int) -> int:
    """Write the line and return the number, so that systems that keep results keep one."""
    global _file  # noqa: PLW0603 - opened once per process, as a task would keep a client
    if _file is None:
        _file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    os.write(_file, f"{time.time():.6f} {number} {os.getpid()}\n".encode())
    return number
