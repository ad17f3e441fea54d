"""The text of a setting, read: each function returns the value or raises ValueError saying what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

ROOT = Path(__file__).resolve().parents[1]
LANES = ("housekeeping", "maintenance", "attribution", "llm", "ingest")
DRIVER = "postgresql+psycopg2"


def read_url(text: str) -> str:
    """Return a PostgreSQL URL with the driver named; the error never repeats a password."""
    try:
        url = make_url(text)
        shown = f"{url.drivername}://{url.host or ''}/{url.database or ''}"
    except (ArgumentError, ValueError):
        raise ValueError("expected postgresql://user:password@host:5432/database, got no URL") from None
    if url.drivername not in ("postgres", "postgresql", DRIVER):
        raise ValueError(f"expected a PostgreSQL URL (postgresql://user:password@host/database), got {shown}")
    if not url.database:
        raise ValueError(f"names no database: {shown} (expected postgresql://user:password@host/database)")
    return url.set(drivername=DRIVER).render_as_string(hide_password=False)


def read_text(text: str) -> str:
    return text


def read_flag(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValueError(f"expected 1 or 0, got {text!r}")
    return known[text.lower()]


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, got {text!r}")
        return int(text)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueError(f"expected seconds from {low:g} to {high:g}, got {text!r}")
        return float(text)

    return parse


def read_lanes(text: str) -> tuple[str, ...]:
    asked = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [lane for lane in asked if lane not in LANES]
    if unknown or not asked:
        raise ValueError(f"unknown lane {', '.join(unknown) or repr(text)}; known are {', '.join(LANES)}")
    return tuple(lane for lane in LANES if lane in asked)


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError(f"expected one of {', '.join(choices)}, got {text!r}")

    return parse


def read_secret(text: str) -> str:
    if len(text) < 32:
        raise ValueError("is shorter than 32 characters")
    return text


def read_hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    wrong = [host for host in hosts if not re.fullmatch(r"[a-z0-9.-]{1,253}|\[[0-9a-f:]{2,45}\]", host)]
    if wrong or not hosts:
        raise ValueError(f"expected host names with commas between, no port, got {text!r}")
    return hosts


def read_path(text: str) -> Path:
    # Against the repository, not the working directory: every command means the same folder.
    return (ROOT / Path(text).expanduser()).resolve()
