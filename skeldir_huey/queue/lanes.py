"""Lanes: the named streams of jobs. Every task belongs to exactly one."""

from __future__ import annotations

from collections.abc import Iterable

from skeldir_huey.errors import QueueError

LANES = ("housekeeping", "maintenance", "attribution", "llm", "ingest")
DEFAULT = "housekeeping"


def check_lane(name: str) -> str:
    """Return `name` if it is a lane.

    Raises:
        QueueError: it is none; a task that names it must not even import.
    """
    if name not in LANES:
        raise QueueError(f"unknown lane {name!r}: use one of {', '.join(LANES)}")
    return name


def check_lanes(names: Iterable[str]) -> tuple[str, ...]:
    """Return the lanes that a consumer drains, in the order of `LANES`."""
    wanted = {check_lane(name) for name in names}
    return tuple(name for name in LANES if name in wanted)
