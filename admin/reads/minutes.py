"""What ended, by time and by lane, tenant or task: from the roll-ups that the queue's own transactions keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.engine import Connection

from admin.reads.overview import Span
from admin.reads.roll_up import QUARTER, bar, counts, times, whole
from skeldir_huey.queue.histogram import BOUNDS_MS, quantile

BUCKETS = len(BOUNDS_MS) + 1
KEYS = {"queue": "lane", "tenant": "tenant_id", "task": "task_name"}
TOP = 5
OTHER = "other"

KINDS = ("done", "dead", "cancelled", "errored")


@dataclass
class Sums:
    """Counts of attempts by how they ended, and histograms of run and waiting time."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    run_ms: float = 0
    run_hist: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    wait_hist: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def count(self, row: Any) -> None:
        """Add the counts of a row of `_summed`."""
        for kind, number in zip(KINDS, row[:4], strict=True):
            self.counts[kind] += number

    def add(self, row: Any) -> None:
        """Add a row of `_summed`, its times as well."""
        self.count(row)
        self._add_times(row)

    def add_sums(self, other: Sums) -> None:
        """Add what was added to another."""
        for kind in KINDS:
            self.counts[kind] += other.counts[kind]
        self._add_times(other)

    def _add_times(self, other: Any) -> None:
        self.run_ms += other.run_ms
        self.run_hist = [a + b for a, b in zip(self.run_hist, other.run_hist, strict=True)]
        self.wait_hist = [a + b for a, b in zip(self.wait_hist, other.wait_hist, strict=True)]

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
class Ended:
    """What ended in a lane in a span: counts, and counts per bar."""

    done: int
    dead: int
    bars: Sequence[int]


@dataclass(frozen=True)
class TenantShare:
    """What ended of one tenant in a span: jobs done and dead, and the waiting time that 95 % stayed within."""

    tenant_id: UUID | None
    done: int
    dead: int
    wait_p95_s: float | None


@dataclass(frozen=True)
class Minutes:
    """A span of time: sums over all and per bar; counts per key, and per key and bar. Further keys are "other".

    Args:
        lanes: per lane, those without any left out.
        tenants: the five of which most jobs died.
    """

    times: Sequence[datetime]
    total: Sums
    by_key: dict[Any, Sums]
    by_bar: dict[tuple[Any, int], Sums]
    bars: Sequence[Sums]
    lanes: dict[str, Ended]
    tenants: Sequence[TenantShare]

    def series(self, kind: str, key: Any) -> list[int]:
        """Return the counts of one kind per bar, of one key."""
        empty = Sums()
        return [self.by_bar.get((key, i), empty).counts[kind] for i in range(len(self.times))]


def _summed(columns: Any) -> list[sa.ColumnElement[Any]]:
    """Return the sums: first the counts in the order of KINDS; a histogram adds up bucket by bucket."""
    hists = (
        # Arrays count from 1.
        sa.cast(
            array([sa.func.coalesce(sa.func.sum(columns[name][i + 1]), 0) for i in range(BUCKETS)]),
            sa.ARRAY(sa.BigInteger),
        ).label(name)
        for name in ("run_hist", "wait_hist")
    )
    return [*(whole(columns[kind], kind) for kind in KINDS), sa.func.sum(columns.run_ms).label("run_ms"), *hists]


def _statement(span: Span, until: datetime, by: str) -> sa.Select[Any]:
    """Return the sums by key and bar, by lane and bar, and by tenant, in one walk through the roll-up."""
    kept = ("run_ms", "run_hist", "wait_hist")
    is_finer = span.step < QUARTER
    source = sa.select(counts(until - span.length, until, *KEYS.values(), *KINDS, *kept, finer=is_finer)).cte("source")
    key = sa.func.coalesce(sa.cast(source.c[KEYS[by]], sa.Text), "")
    attempts = sa.func.sum(source.c.done + source.c.dead + source.c.cancelled + source.c.errored)
    place = sa.func.row_number().over(order_by=(attempts.desc(), key))
    ranked = sa.select(key.label("key"), place.label("place")).group_by(key).subquery("ranked")
    # Grouping by the key's place among the largest keeps the answer small, however many tenants there are.
    placed = (
        sa.select(
            bar(source.c.at, span.step),
            sa.func.least(ranked.c.place, TOP + 1).label("place"),
            sa.case((ranked.c.place <= TOP, ranked.c.key)).label("name"),
            source.c.lane,
            source.c.tenant_id,
            *(source.c[name] for name in (*KINDS, *kept)),
        )
        .join_from(source, ranked, key == ranked.c.key)
        .subquery("placed")
    )
    c = placed.c
    sums, of_tenants = _summed(c), sa.func.grouping(c.bar).label("of_tenants")
    rank = sa.func.row_number().over(
        partition_by=of_tenants, order_by=(whole(c.dead, "").desc(), whole(c.done, "").desc())
    )
    grouped = (
        sa.select(*sums, c.bar, c.place, c.name, c.lane, c.tenant_id, of_tenants, rank.label("rank"))
        .group_by(sa.func.grouping_sets(sa.tuple_(c.bar, c.place, c.name), sa.tuple_(c.bar, c.lane), c.tenant_id))
        .subquery("grouped")
    )
    return sa.select(grouped).where(sa.or_(grouped.c.of_tenants == 0, grouped.c.rank <= TOP)).order_by(grouped.c.rank)


def minutes(connection: Connection, span: Span, until: datetime, by: str) -> Minutes:
    """Return the span before `until`, by queue, tenant or task; its lanes, and the tenants with most failures.

    Args:
        by: a key of KEYS; the five with most attempts have a series of their own, the others share one.
    """
    bars = times(until - span.length, until, span.step)
    index = {at: i for i, at in enumerate(bars)}
    rows = connection.execute(_statement(span, until, by)).all()
    of_keys = [row for row in rows if row.place is not None]
    names = dict(sorted({(row.place, _key(row.name, by)) for row in of_keys}, key=lambda pair: pair[0]))
    by_key = {key: Sums() for key in names.values()}
    found = Minutes(bars, Sums(), by_key, {}, [Sums() for _ in bars], {}, [])
    for row in of_keys:
        shown, i = names[row.place], index[row.bar]
        found.bars[i].add(row)
        for sums in (by_key[shown], found.by_bar.setdefault((shown, i), Sums())):
            sums.count(row)  # of a key and a bar, times are not asked for
    for one in found.bars:
        found.total.add_sums(one)
    return replace(
        found,
        lanes=_lanes([row for row in rows if row.lane is not None], bars),
        tenants=[_share(row) for row in rows if row.of_tenants],
    )


def _key(name: str | None, by: str) -> Any:
    if name is None:
        return OTHER
    if by == "tenant":
        return UUID(name) if name else None
    return name


def _share(row: Any) -> TenantShare:
    wait_ms = quantile(row.wait_hist, 0.95)
    return TenantShare(row.tenant_id, row.done, row.dead, None if wait_ms is None else wait_ms / 1000)


def _lanes(rows: Sequence[Any], bars: Sequence[datetime]) -> dict[str, Ended]:
    index = {at: i for i, at in enumerate(bars)}
    found: dict[str, Any] = {}
    for row in rows:
        done, dead, ended = found.setdefault(row.lane, (0, 0, [0] * len(bars)))
        ended[index[row.bar]] += row.done + row.dead + row.cancelled + row.errored
        found[row.lane] = (done + row.done, dead + row.dead, ended)
    return {lane: Ended(*values) for lane, values in sorted(found.items())}


def by_lane(connection: Connection, span: Span, until: datetime) -> dict[str, Ended]:
    """Return what ended in each lane in the span before `until`; lanes without any are absent."""
    source = counts(until - span.length, until, "lane", *KINDS, finer=span.step < QUARTER).c
    summed = [whole(source[kind], kind) for kind in KINDS]
    statement = sa.select(source.lane, bar(source.at, span.step), *summed).group_by(source.lane, "bar")
    return _lanes(connection.execute(statement).all(), times(until - span.length, until, span.step))


# A jump of failures: this far above the lane's own day, and no longer rare.
JUMP_FACTOR, JUMP_SHARE, JUMP_JOBS = 3, 0.05, 5
LATELY = timedelta(minutes=30)


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
    begin = until - LATELY
    # The last half hour to the minute; the day before it by whole quarters of an hour.
    late, day = (
        counts(begin, until, "lane", "done", "dead", finer=True).c,
        counts(until - timedelta(hours=24), begin - QUARTER, "lane", "done", "dead").c,
    )
    since_now = sa.func.date_bin(sa.literal_column("interval '15 minutes'"), late.at, sa.literal(until)).label("bar")
    sums = [
        sa.select(one.lane, at, is_late, whole(one.done, "done"), whole(one.dead, "dead")).group_by(one.lane, "bar")
        for one, at, is_late in (
            (late, since_now, sa.true().label("is_late")),
            (day, bar(day.at, QUARTER), sa.false().label("is_late")),
        )
    ]
    rows = connection.execute(sa.union_all(*sums).order_by("lane", "is_late", "bar")).all()
    found = []
    for lane in sorted({row.lane for row in rows}):
        mine = [row for row in rows if row.lane == lane and row.done + row.dead]
        done, dead = (sum(getattr(row, name) for row in mine if row.is_late) for name in ("done", "dead"))
        before = [row for row in mine if not row.is_late]
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
