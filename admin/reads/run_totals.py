"""What a run did to the money of each channel: before its last execution, and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from skeldir_huey.db.tables import Allocation


@dataclass(frozen=True)
class Line:
    """A channel in one currency, in its smallest unit; `before` is None for a first execution."""

    channel: str
    before: int | None
    after: int

    @property
    def difference(self) -> int | None:
        return None if self.before is None else self.after - self.before


@dataclass(frozen=True)
class Totals:
    """One currency."""

    currency: str
    lines: Sequence[Line]

    @property
    def before(self) -> int | None:
        return None if any(line.before is None for line in self.lines) else sum(line.before or 0 for line in self.lines)

    @property
    def after(self) -> int:
        return sum(line.after for line in self.lines)


def of_run(connection: Connection, run: Row) -> list[Totals]:
    """Return the totals of a run's window per currency: as kept by a repeated execution, else as they are now."""
    before, after = run.totals_before, run.totals_after
    if before is None or after is None:
        before, after = None, _now(connection, run)
    return [
        Totals(
            currency,
            [
                Line(
                    channel,
                    None if before is None else before.get(currency, {}).get(channel, 0),
                    after.get(currency, {}).get(channel, 0),
                )
                for channel in sorted({*(before or {}).get(currency, {}), *after.get(currency, {})})
            ],
        )
        for currency in sorted({*(before or {}), *after})
    ]


def _now(connection: Connection, run: Row) -> Mapping[str, Mapping[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(
        sa.select(
            Allocation.currency,
            Allocation.channel_code,
            sa.cast(sa.func.sum(Allocation.allocated_revenue_cents), sa.BigInteger).label("cents"),
        )
        .where(
            Allocation.tenant_id == run.tenant_id,
            Allocation.model_version == run.model_version,
            Allocation.converted_at >= run.window_start,
            Allocation.converted_at < run.window_end,
        )
        .group_by(Allocation.currency, Allocation.channel_code)
    ):
        found.setdefault(row.currency, {})[row.channel_code] = row.cents
    return found
