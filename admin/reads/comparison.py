"""Models side by side: what each version gives to each channel in a period, and whether it adds up to the revenue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from skeldir_huey.db.tables import Allocation, Channel, Event

COLUMNS = 6
DAY = timedelta(days=1)
MAX_DAYS = 400


@dataclass(frozen=True)
class Period:
    """Whole UTC days of conversion time, the last one included."""

    first: datetime
    last: datetime

    @property
    def end(self) -> datetime:
        return self.last + DAY

    @property
    def days(self) -> int:
        return (self.last - self.first) // DAY + 1


@dataclass(frozen=True)
class Column:
    """One version in one currency.

    Args:
        cents: the sum of its allocations.
        revenue_cents: the revenue of the events that have them.
        wrong_count: events whose own allocations do not sum to their revenue; 0 also says that no two errors cancel.
        missing_count, missing_cents: events of the period that have no allocations under this version yet.
    """

    model_version: str
    event_count: int
    cents: int
    revenue_cents: int
    wrong_count: int
    missing_count: int
    missing_cents: int

    @property
    def difference_cents(self) -> int:
        return self.cents - self.revenue_cents

    @property
    def is_exact(self) -> bool:
        return not self.difference_cents and not self.wrong_count


@dataclass(frozen=True)
class Cell:
    """What a version gives to a channel."""

    cents: int
    credit: Decimal
    event_count: int
    fallback_count: int


@dataclass(frozen=True)
class Line:
    """A channel; `cells` are in the order of the columns, None where a version gives it nothing."""

    channel: str
    display_name: str
    is_paid: bool
    cells: Sequence[Cell | None]

    def cents(self, place: int) -> int:
        cell = self.cells[place]
        return cell.cents if cell else 0


@dataclass(frozen=True)
class Table:
    """One currency: amounts are never added across currencies."""

    currency: str
    columns: Sequence[Column]
    lines: Sequence[Line]

    def share(self, place: int, cents: int) -> float | None:
        """Return an amount's part of a version's sum; None when that is zero."""
        total = self.columns[place].cents
        return cents / total if total else None


def newest_day(connection: Connection, tenant_id: UUID) -> datetime | None:
    """Return the UTC day of the tenant's newest conversion or refund."""
    newest: datetime | None = connection.scalar(
        sa.select(sa.func.date_trunc("day", sa.func.max(Event.occurred_at), "UTC")).where(*_valued(tenant_id))
    )
    return newest


def compare(
    connection: Connection, tenant_id: UUID, versions: Sequence[str], period: Period
) -> tuple[list[Table], list[str]]:
    """Return one table per currency, and the versions that have no column although they have allocations.

    Args:
        versions: all of the tenant's, the most important first; at most 6 that have allocations get a column.
    """
    here = _here(tenant_id, versions, period)
    cells = {
        (row.currency, row.model_version, row.channel): row
        for row in connection.execute(_by_channel().where(*here)).all()
    }
    there = {version for _, version, _ in cells}
    with_rows = [version for version in versions if version in there]
    shown = with_rows[:COLUMNS]
    sums = {(row.currency, row.model_version): row for row in connection.execute(_by_event(here, period))}
    revenue = {
        row.currency: row
        for row in connection.execute(
            sa.select(Event.currency, sa.func.count().label("n"), _cents(Event.revenue_cents))
            .where(*_valued(tenant_id), Event.occurred_at >= period.first, Event.occurred_at < period.end)
            .group_by(Event.currency)
        )
    }
    tables = [
        Table(
            currency,
            [_column(version, sums.get((currency, version)), revenue.get(currency)) for version in shown],
            _lines(currency, shown, cells),
        )
        for currency in sorted({currency for currency, _, _ in cells} | {str(currency) for currency in revenue})
    ]
    return tables, with_rows[COLUMNS:]


def export(tenant_id: UUID, versions: Sequence[str], period: Period) -> sa.Select[Any]:
    """Return the select behind the comparison, a row per currency, version and channel; cents are smallest units."""
    counted = _by_channel().where(*_here(tenant_id, versions, period)).subquery()
    names = ("currency", "model_version", "channel", "event_count", "fallback_count", "credit", "cents")
    return sa.select(*(counted.c[name] for name in names)).order_by(
        counted.c.currency, counted.c.model_version, counted.c.cents.desc(), counted.c.channel
    )


def _here(tenant_id: UUID, versions: Sequence[str], period: Period) -> tuple[Any, ...]:
    return (
        Allocation.tenant_id == tenant_id,
        Allocation.model_version.in_(versions),
        Allocation.converted_at >= period.first,
        Allocation.converted_at < period.end,
    )


def _by_channel() -> sa.Select[Any]:
    return (
        sa.select(
            Allocation.currency,
            Allocation.model_version,
            Allocation.channel_code.label("channel"),
            sa.func.max(Channel.display_name).label("display_name"),
            sa.func.bool_or(Channel.is_paid).label("is_paid"),
            sa.func.count().label("event_count"),
            sa.func.coalesce(
                sa.func.sum(Allocation.allocation_ratio).filter(Allocation.is_adjustment.is_(False)), 0
            ).label("credit"),
            _cents(Allocation.allocated_revenue_cents),
            sa.func.count().filter(Allocation.is_fallback).label("fallback_count"),
        )
        .join(Channel, Channel.code == Allocation.channel_code, isouter=True)
        .group_by(Allocation.currency, Allocation.model_version, Allocation.channel_code)
    )


def _by_event(here: Sequence[Any], period: Period) -> sa.Select[Any]:
    per_event = (
        sa.select(
            Allocation.tenant_id,
            Allocation.model_version,
            Allocation.event_id,
            Allocation.currency,
            _cents(Allocation.allocated_revenue_cents),
        )
        .where(*here)
        .group_by(Allocation.tenant_id, Allocation.model_version, Allocation.event_id, Allocation.currency)
        .subquery()
    )
    return (
        sa.select(
            per_event.c.model_version,
            per_event.c.currency,
            sa.func.count().label("n"),
            sa.cast(sa.func.sum(per_event.c.cents), sa.BigInteger).label("cents"),
            sa.cast(sa.func.sum(Event.revenue_cents), sa.BigInteger).label("revenue_cents"),
            sa.func.count().filter(per_event.c.cents != Event.revenue_cents).label("wrong_count"),
        )
        .join(Event, sa.and_(Event.tenant_id == per_event.c.tenant_id, Event.id == per_event.c.event_id))
        # Said again of the events, so that those of the period alone are read: attribution_events_valued.
        .where(
            Event.kind.in_(("conversion", "adjustment")),
            Event.occurred_at >= period.first,
            Event.occurred_at < period.end,
        )
        .group_by(per_event.c.model_version, per_event.c.currency)
    )


def _column(version: str, found: Row | None, revenue: Row | None) -> Column:
    count, cents, own = (found.n, found.cents, found.revenue_cents) if found else (0, 0, 0)
    return Column(
        model_version=version,
        event_count=count,
        cents=cents,
        revenue_cents=own,
        wrong_count=found.wrong_count if found else 0,
        missing_count=(revenue.n if revenue else 0) - count,
        missing_cents=(revenue.cents if revenue else 0) - own,
    )


def _lines(currency: str, shown: Sequence[str], cells: dict[tuple[str, str, str], Row]) -> list[Line]:
    channels = {row.channel: row for (money, version, _), row in cells.items() if money == currency}
    lines = []
    for channel, one in channels.items():
        found = [cells.get((currency, version, channel)) for version in shown]
        row_cells = [
            Cell(row.cents, row.credit, row.event_count, row.fallback_count) if row is not None else None
            for row in found
        ]
        lines.append(Line(channel, one.display_name or channel, bool(one.is_paid), row_cells))
    return sorted(lines, key=lambda line: (-max((line.cents(i) for i in range(len(shown))), default=0), line.channel))


def _valued(tenant_id: UUID) -> tuple[Any, ...]:
    return Event.tenant_id == tenant_id, Event.kind.in_(("conversion", "adjustment"))


def _cents(column: Any) -> sa.Label[int]:
    return sa.cast(sa.func.sum(column), sa.BigInteger).label("cents")
