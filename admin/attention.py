"""What an operator should look at first: a few rules on figures that the overview has read anyway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from admin.reads.errors import Waiting
from admin.reads.ledger import Line
from admin.reads.minutes import Jump
from admin.reads.overview import LaneState, Trouble
from admin.scope import current, link
from admin.show import THIN, age, ago, capped, number, percent, seconds
from skeldir_huey.reports.status import Status

MAX_LINES = 5
WAITING_TOO_LONG = timedelta(minutes=5)
TICKS_TOO_OLD = timedelta(seconds=150)


@dataclass(frozen=True)
class Need:
    """One line: how bad (bad or warn), what, since when or why, and the page to open."""

    level: str
    what: str
    why: str
    url: str
    button: str


@dataclass(frozen=True)
class Figures:
    """What the rules look at. A figure that could not be read is None and gives no line."""

    now: datetime
    frozen_after_s: float
    lanes: Sequence[LaneState] | None = None
    letters: Waiting | None = None
    consumers: Sequence[Any] | None = None
    ledger: Sequence[Line] | None = None
    jumps: Sequence[Jump] | None = None
    views: Sequence[Status] | None = None
    trouble: Trouble | None = None

    @property
    def is_silent(self) -> bool:
        """Return whether no consumer is alive, as far as is known."""
        if self.consumers is None:
            return False
        newest = max((one.heartbeat_at for one in self.consumers), default=None)
        return newest is None or (self.now - newest).total_seconds() > self.frozen_after_s


def needs_you_now(found: Figures) -> list[Need]:
    """Return at most 5 lines, the worst first."""
    lines = [need for rule in RULES for need in rule(found)]
    return sorted(lines, key=lambda need: need.level != "bad")[:MAX_LINES]


def _ledger(found: Figures) -> Iterator[Need]:
    broken = [line for line in found.ledger or () if not line.adds_up]
    if broken:
        what = f"The ledger does not add up: {', '.join(line.words for line in broken)}"
        where = f"in queue{'s' if len(broken) > 1 else ''} {', '.join(line.lane for line in broken)}"
        yield Need("bad", what, where, f"{link('admin.index')}#ledger", "Open the ledger")


def _consumers(found: Figures) -> Iterator[Need]:
    if found.is_silent:
        newest = max((one.heartbeat_at for one in found.consumers or ()), default=None)
        since = f"the last one was heard from {ago(newest, found.now)}" if newest else "none in the last hour"
        yield Need(
            "bad", "No consumer is alive", f"{since}; jobs wait", f"{link('admin.index')}#consumers", "Consumers"
        )


def _jumps(found: Figures) -> Iterator[Need]:
    for jump in found.jumps or ():
        what = f"Failures in {jump.lane} rose to {percent(jump.share)}"
        began = age(jump.since, found.now)
        since = f"{'just now' if began == 'now' else f'for {began}'}, usually {percent(jump.usual)}"
        why = f"{since}; {number(jump.dead)} died in 30{THIN}min"
        yield Need("bad", what, why, link("dead.jobs", queue=jump.lane), "Open dead letters")


def _letters(found: Figures) -> Iterator[Need]:
    if found.letters and found.letters.letter_count:
        count = found.letters.letter_count
        noun = "dead letter waits" if count == 1 else "dead letters wait"
        what = f"{number(count)} {noun} for you"
        why = f"the newest {ago(found.letters.newest_at, found.now)}; replay or abandon"
        yield Need("bad", what, why, link("dead.index"), "Open dead letters")


def _runs(found: Figures) -> Iterator[Need]:
    if found.trouble and found.trouble.runs["failed"]:
        count = found.trouble.runs["failed"]
        what = f"{capped(count)} {'run has' if count == 1 else 'runs have'} failed"
        url = link("recompute.index", status="failed")
        yield Need("bad", what, "their allocations may be old", url, "Open runs")


def _bulk(found: Figures) -> Iterator[Need]:
    for one in found.trouble.stopped if found.trouble else ():
        what = f"A bulk {one.verb} stopped"
        why = f"begun {ago(one.created_at, found.now)}: {one.last_error or 'no reason on record'}"
        yield Need("bad", what, why, link("bulk.detail", operation_id=one.id), "Open operation")


def _unmatched(found: Figures) -> Iterator[Need]:
    for one in found.trouble.unmatched if found.trouble else ():
        name = current().name_of(one.id) or str(one.id)[:8]
        why = f"{number(one.wrong_count)} of {number(one.order_count)} orders, compared "
        why += ago(one.created_at, found.now)
        url = link("tenants.detail", tenant_id=one.id)
        yield Need("warn", f"Revenue of {name} does not match", why, url, "Open tenant")


def _cron(found: Figures) -> Iterator[Need]:
    # Without a consumer it is the same news twice.
    last_look = found.trouble.last_look if found.trouble else None
    if last_look is not None and found.now - last_look > TICKS_TOO_OLD and not found.is_silent:
        why = f"nobody looked at periodic tasks for {age(last_look, found.now)}"
        yield Need("bad", "Cron is missed", why, link("cron.index", state="missed"), "Open cron")


def _lanes(found: Figures) -> Iterator[Need]:
    for lane in found.lanes or ():
        queue = link("queues.detail", lane=lane.name)
        waiting = lane.counts.get("waiting", 0)
        if lane.paused_at is not None:
            who = f"by {lane.paused_by}, " if lane.paused_by else ""
            reason = lane.pause_reason or "no reason given"
            why = f"{who}{ago(lane.paused_at, found.now)}: {reason}; {number(waiting)} waiting"
            yield Need("warn", f"Queue {lane.name} is paused", why, queue, "Open queue")
        elif lane.waiting_since is not None and found.now - lane.waiting_since > WAITING_TOO_LONG:
            limit = f"{int(WAITING_TOO_LONG.total_seconds() // 60)}{THIN}min"
            since = age(lane.waiting_since, found.now)
            why = f"its oldest job waits {since}, more than {limit}; {number(waiting)} waiting"
            yield Need("warn", f"Queue {lane.name} is behind", why, queue, "Open queue")


def _views(found: Figures) -> Iterator[Need]:
    for one in found.views or ():
        if one.is_late and not one.view.is_summary:
            why = f"target {seconds(one.view.fresh_s)}"
            if one.last is not None and one.last.outcome == "failed":
                why += f"; its last refresh failed: {one.last.error_message}"
            url = link("matviews.detail", view_name=one.view.name)
            yield Need("warn", f"{one.view.name} is {seconds(one.behind_s)} behind", why, url, "Open view")


RULES = (_ledger, _consumers, _jumps, _letters, _runs, _bulk, _cron, _lanes, _views, _unmatched)
