"""The materialized views that reports read, each with an entry here; app.refresh_matview knows the same names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A materialized view.

    Args:
        name: as in the database.
        reads: the tables that it is made from.
        fresh_s: how old it may be, seconds.
    """

    name: str
    reads: tuple[str, ...]
    fresh_s: int = 300


VIEWS = (
    View("mv_channel_performance", ("attribution_allocations",)),
    View("mv_allocation_summary", ("attribution_allocations",)),
    View("mv_daily_revenue_summary", ("attribution_events",)),
    View("mv_realtime_revenue", ("tenants", "attribution_events"), fresh_s=60),
    View("mv_reconciliation_status", ("reconciliation_runs", "reconciliation_orders"), fresh_s=86_400),
)
