"""What ended, by time and by lane, tenant or task: from the minute roll-ups that the queue's own transactions keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from admin.reads.overview import Span, _floor, _times
from skeldir_huey.db.tables.minutes import RUN_MINUTES
from skeldir_huey.queue.histogram import BOUNDS_MS, quantile

M = RUN_MINUTES.c
BUCKETS = len(BOUNDS_MS) + 1
KEYS = {"queue": M.lane, "tenant": M.tenant_id, "task": M.task_name}
TOP = 5
OTHER = "other"
_ORIGIN = "timestamptz '2000-01-03T00:00:00+00:00'"  # as overview._floor

KINDS = ("done", "dead", "cancelled", "errored")


@dataclass
class Sums:
    """Counts of attempts by how they ended, and histograms of run and waiting time."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    run_ms: float = 0
    run_hist: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    wait_hist: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, row: Any) -> None:
        """Add a row of `_summed`."""
        for kind in KINDS:
            self.counts[kind] += getattr(row, kind)
        self.run_ms += row.run_ms
        for i in range(BUCKETS):
            self.run_hist[i] += getattr(row, f"r{i}")
            self.wait_hist[i] += getattr(row, f"w{i}")

    def run_s(self, q: float) -> float | None:
        """Return the q-quantile of the run time in seconds; None when nothing ran."""
        found = quantile(self.run_hist, q)
        return None if found is None else found / 1000

    def wait_s(self, q: float) -> float | None:
        """Return the q-quantile of the time spent waiting in seconds."""
        found = quantile(self.wait_hist, q)
        return None if found is None else found / 1000

    @property
    def failed_share(self) -> float | None:
        """Return which part of the jobs that ended, ended dead; None when none ended."""
        ended = self.counts["done"] + self.counts["dead"]
        return self.counts["dead"] / ended if ended else None


@dataclass(frozen=True)
class Minutes:
    """A span of time: sums over all, per key, and per key and bar. Keys beyond the five largest are "other"."""

    times: Sequence[datetime]
    total: Sums
    by_key: dict[Any, Sums]
    by_bar: dict[tuple[Any, int], Sums]
    bars: Sequence[Sums]

    def series(self, kind: str, key: Any) -> list[int]:
        """Return the counts of one kind per bar, of one key."""
        empty = Sums()
        return [self.by_bar.get((key, i), empty).counts[kind] for i in range(len(self.times))]


def _summed() -> list[sa.ColumnElement[Any]]:
    columns: list[sa.ColumnElement[Any]] = [sa.cast(sa.func.sum(M[kind]), sa.BigInteger).label(kind) for kind in KINDS]
    columns.append(sa.func.sum(M.run_ms).label("run_ms"))
    for i in range(BUCKETS):
        # Arrays count from 1; a histogram adds up bucket by bucket.
        columns.append(sa.cast(sa.func.sum(sa.func.coalesce(M.run_hist[i + 1], 0)), sa.BigInteger).label(f"r{i}"))
        columns.append(sa.cast(sa.func.sum(sa.func.coalesce(M.wait_hist[i + 1], 0)), sa.BigInteger).label(f"w{i}"))
    return columns


def minutes(connection: Connection, span: Span, until: datetime, by: str) -> Minutes:
    """Return the span before `until`, by queue, tenant or task.

    Args:
        by: a key of KEYS; the five with most attempts have a series of their own, the others share one.
    """
    start = until - span.length
    times = _times(_floor(start, span.step), until, span.step)
    here = (M.minute >= start, M.minute <= until)
    key = KEYS[by]
    largest = (
        sa.select(key)
        .where(*here)
        .group_by(key)
        .order_by(sa.func.sum(M.done + M.dead + M.cancelled + M.errored).desc(), key)
        .limit(TOP + 1)
    )
    keys = [row[0] for row in connection.execute(largest)]
    shown = keys[:TOP] if len(keys) > TOP else keys
    bar = sa.func.date_bin(
        sa.literal_column(f"interval '{int(span.step.total_seconds())} seconds'"), M.minute, sa.literal_column(_ORIGIN)
    ).label("bar")
    # Grouping by the key's place among the largest keeps the answer small, however many tenants there are.
    place = (
        sa.case(*((key.is_not_distinct_from(one), i) for i, one in enumerate(shown)), else_=-1).label("place")
        if (shown)
        else sa.literal(-1).label("place")
    )
    found = Minutes(times, Sums(), {}, {}, [Sums() for _ in times])
    index = {at: i for i, at in enumerate(times)}
    for row in connection.execute(sa.select(bar, place, *_summed()).where(*here).group_by("bar", "place")):
        name = shown[row.place] if row.place >= 0 else OTHER
        i = index[row.bar]
        for sums in (
            found.total,
            found.bars[i],
            found.by_key.setdefault(name, Sums()),
            found.by_bar.setdefault((name, i), Sums()),
        ):
            sums.add(row)
    ordered = {name: found.by_key[name] for name in (*shown, OTHER) if name in found.by_key}
    return Minutes(found.times, found.total, ordered, found.by_bar, found.bars)


@dataclass(frozen=True)
class Ended:
    """What ended in a lane within a day: counts, and counts per bar of half an hour."""

    done: int
    dead: int
    bars: Sequence[int]


def by_lane(connection: Connection, span: Span, until: datetime) -> dict[str, Ended]:
    """Return what ended in each lane in the span before `until`; lanes without any are absent."""
    start = until - span.length
    times = _times(_floor(start, span.step), until, span.step)
    index = {at: i for i, at in enumerate(times)}
    bar = sa.func.date_bin(
        sa.literal_column(f"interval '{int(span.step.total_seconds())} seconds'"), M.minute, sa.literal_column(_ORIGIN)
    ).label("bar")
    counts = [sa.cast(sa.func.sum(M[kind]), sa.BigInteger).label(kind) for kind in KINDS]
    found: dict[str, Any] = {}
    rows = connection.execute(
        sa.select(M.lane, bar, *counts).where(M.minute >= start, M.minute <= until).group_by(M.lane, "bar")
    )
    for row in rows:
        done, dead, bars = found.setdefault(row.lane, (0, 0, [0] * len(times)))
        bars[index[row.bar]] += row.done + row.dead + row.cancelled + row.errored
        found[row.lane] = (done + row.done, dead + row.dead, bars)
    return {lane: Ended(*values) for lane, values in found.items()}


@dataclass(frozen=True)
class TenantShare:
    """What ended of one tenant in a span: jobs done and dead, and the waiting time that 95 % stayed within."""

    tenant_id: UUID | None
    done: int
    dead: int
    wait_p95_s: float | None


def by_tenant(connection: Connection, span: Span, until: datetime, limit: int = 5) -> list[TenantShare]:
    """Return the tenants of which most jobs died in the span before `until`."""
    hist = [sa.cast(sa.func.sum(M.wait_hist[i + 1]), sa.BigInteger).label(f"w{i}") for i in range(BUCKETS)]
    counts = [sa.cast(sa.func.sum(M[kind]), sa.BigInteger).label(kind) for kind in ("done", "dead")]
    rows = connection.execute(
        sa.select(M.tenant_id, *counts, *hist)
        .where(M.minute >= until - span.length, M.minute <= until)
        .group_by(M.tenant_id)
        .order_by(sa.desc("dead"), sa.desc("done"))
        .limit(limit)
    )
    found = []
    for row in rows:
        wait_ms = quantile([getattr(row, f"w{i}") or 0 for i in range(BUCKETS)], 0.95)
        found.append(TenantShare(row.tenant_id, row.done, row.dead, None if wait_ms is None else wait_ms / 1000))
    return found


# A jump of failures: this far above the lane's own day, and no longer rare.
JUMP_FACTOR, JUMP_SHARE, JUMP_JOBS = 3, 0.05, 5
LATELY = timedelta(minutes=30)
SLOT = timedelta(minutes=15)


@dataclass(frozen=True)
class Jump:
    """A lane whose failures rose: its share in the last half hour, that of its day, and since when."""

    lane: str
    share: float
    usual: float
    dead: int
    since: datetime


def jumps(connection: Connection, until: datetime) -> list[Jump]:
    """Return the lanes where more than 5 % failed in the last 30 minutes, and 3 x the median of the day before."""
    bar = sa.func.date_bin(
        sa.literal_column(f"interval '{int(SLOT.total_seconds())} seconds'"), M.minute, sa.literal(until)
    ).label("bar")
    counts = [sa.cast(sa.func.sum(M[kind]), sa.BigInteger).label(kind) for kind in ("done", "dead")]
    rows = connection.execute(
        sa.select(M.lane, bar, *counts)
        .where(M.minute > until - timedelta(hours=24), M.minute <= until)
        .group_by(M.lane, "bar")
        .order_by(M.lane, "bar")
    ).all()
    found = []
    for lane in sorted({row.lane for row in rows}):
        mine = [row for row in rows if row.lane == lane and row.done + row.dead]
        late = [row for row in mine if row.bar >= until - LATELY]
        done, dead = sum(row.done for row in late), sum(row.dead for row in late)
        before = [row for row in mine if row.bar < until - LATELY]
        usual = median([row.dead / (row.done + row.dead) for row in before]) if before else 0.0
        share = dead / (done + dead) if done + dead else 0.0
        if dead and done + dead >= JUMP_JOBS and share > JUMP_SHARE and share > JUMP_FACTOR * usual:
            # Since the first of the bars that stand together up to now and are as bad.
            since = until
            for row in reversed(mine):
                if row.dead / (row.done + row.dead) <= max(JUMP_SHARE, JUMP_FACTOR * usual):
                    break
                since = row.bar
            found.append(Jump(lane, share, usual, dead, since))
    return sorted(found, key=lambda jump: -jump.share)
