"""Tracebacks as frames: our own code stands out, the libraries' is folded."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FRAME = re.compile(r'\s*File "(?P<file>[^"\n]{1,500})", line (?P<line>\d{1,9}), in (?P<function>\S{1,200})')
_LIBRARY = ("site-packages", "dist-packages", "/lib/python", "<frozen")
_MARKS = re.compile(r"\s*[~^]+\s*")


@dataclass(frozen=True)
class Frame:
    """One call: where it is, its source lines, and whether it is our own code."""

    file: str
    line: int
    function: str
    source: str
    own: bool


def frames_of(text: str | None) -> list[Frame]:
    """Return the frames of a Python traceback, outermost first; [] when it does not look like one."""
    found: list[Frame] = []
    for raw in (text or "").splitlines():
        match = _FRAME.match(raw)
        if match:
            file = match["file"]
            own = not any(part in file for part in _LIBRARY)
            found.append(Frame(_relative(file), int(match["line"]), match["function"], "", own))
        elif found and raw.startswith("    ") and not _MARKS.fullmatch(raw):
            last = found[-1]
            found[-1] = Frame(last.file, last.line, last.function, f"{last.source}\n{raw.strip()}".strip(), last.own)
    return found


def _relative(file: str) -> str:
    # The part from the package on: machine paths say nothing to the reader.
    for mark in ("site-packages/", "skeldir_huey/", "admin/"):
        if mark in file:
            start = file.rindex(mark)
            return file[start:].removeprefix("site-packages/")
    return file
