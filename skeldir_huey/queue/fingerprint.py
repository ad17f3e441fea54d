"""Fingerprints: the same error, whatever ids, numbers and dates it mentions, has the same eight hex digits."""

from __future__ import annotations

import hashlib
import re

_VARYING = (
    (re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"), "<uuid>"),
    (re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”"), "<text>"),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<date>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{12,}\b"), "<hex>"),
    (re.compile(r"\d+(?:\.\d+)?"), "<n>"),
)
_PLACEHOLDER = re.compile(r"(<(?:uuid|text|date|hex|n)>)")
_FRAME = re.compile(r'File "([^"]+)", line \d+, in (\S+)')


def normalise(message: str) -> str:
    """Replace the parts of a message that vary from one failure to the next."""
    for pattern, name in _VARYING:
        message = pattern.sub(name, message)
    return " ".join(message.split())


def parts_of(message: str) -> list[tuple[str, bool]]:
    """Return the normalised message in pieces, each with whether it stands for what varies.

    >>> parts_of("window 12 failed")
    [('window ', False), ('<n>', True), (' failed', False)]
    """
    pieces = _PLACEHOLDER.split(normalise(message))
    return [(piece, bool(index % 2)) for index, piece in enumerate(pieces) if piece]


def own_frames(traceback_text: str) -> list[str]:
    """Return the frames of our own code as file:function, without line numbers."""
    return [
        f"{path.rsplit('/', 1)[-1]}:{function}"
        for path, function in _FRAME.findall(traceback_text)
        if "site-packages" not in path and "/lib/python" not in path
    ]


def fingerprint(task_name: str, exception_class: str, message: str, traceback_text: str) -> str:
    """Return the first 8 hex digits of the SHA-256 of what stays the same about an error."""
    parts = [task_name, exception_class, *own_frames(traceback_text), normalise(message)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
