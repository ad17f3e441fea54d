"""What an operator should look at first: a few rules on figures that the overview has read anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from admin.reads.ledger import Line
from admin.reads.overview import LaneState
from admin.scope import link
from admin.show import THIN, age, capped, number

MAX_LINES = 5
WAITING_TOO_LONG = timedelta(minutes=5)


@dataclass(frozen=True)
class Need:
    """One line: how bad (bad or warn), what, since when or why, and the page to open."""

    level: str
    what: str
    why: str
    url: str
    button: str


def needs_you_now(
    now: datetime,
    lanes: Sequence[LaneState] | None,
    letters: Mapping[str, int] | None,
    runs: Mapping[str, int] | None,
    consumers: Sequence[Any] | None,
    frozen_after_s: float,
    ledger: Sequence[Line] | None,
) -> list[Need]:
    """Return at most 5 lines, the worst first. Figures that could not be read (None) give no line."""
    found: list[Need] = []
    overview = link("admin.index")
    broken = [line for line in ledger or () if not line.adds_up]
    if broken:
        what = f"The ledger does not add up: {', '.join(line.words for line in broken)}"
        where = f"in lane{'s' if len(broken) > 1 else ''} {', '.join(line.lane for line in broken)}"
        found.append(Need("bad", what, where, f"{overview}#ledger", "Open the ledger"))
    if consumers is not None:
        newest = max((one.heartbeat_at for one in consumers), default=None)
        if newest is None or (now - newest).total_seconds() > frozen_after_s:
            since = f"the last one was heard of {age(newest, now)} ago" if newest else "none in the last hour"
            why = f"{since}; jobs wait"
            found.append(Need("bad", "No consumer is alive", why, f"{overview}#consumers", "Consumers"))
    if letters and letters["pending"]:
        count = letters["pending"]
        noun = "dead letter waits" if count == 1 else "dead letters wait"
        found.append(
            Need("bad", f"{capped(count)} {noun} for you", "replay or abandon", link("dead.index"), "Open dead letters")
        )
    if runs and runs.get("failed"):
        count = runs["failed"]
        noun = "run has" if count == 1 else "runs have"
        url = link("recompute.index", status="failed")
        found.append(Need("bad", f"{number(count)} {noun} failed", "their allocations may be old", url, "Open runs"))
    for lane in lanes or ():
        queue = link("queues.detail", lane=lane.name)
        waiting = lane.counts.get("waiting", 0)
        if lane.paused_at is not None:
            who = f"by {lane.paused_by}, " if lane.paused_by else ""
            reason = lane.pause_reason or "no reason given"
            why = f"{who}{age(lane.paused_at, now)} ago: {reason}; {number(waiting)} waiting"
            found.append(Need("warn", f"Lane {lane.name} is paused", why, queue, "Open queue"))
        elif lane.waiting_since is not None and now - lane.waiting_since > WAITING_TOO_LONG:
            limit = f"{int(WAITING_TOO_LONG.total_seconds() // 60)}{THIN}min"
            why = f"its oldest job waits {age(lane.waiting_since, now)}, more than {limit}; {number(waiting)} waiting"
            found.append(Need("warn", f"Lane {lane.name} is behind", why, queue, "Open queue"))
    return found[:MAX_LINES]
