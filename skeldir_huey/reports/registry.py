"""What reports read: five materialized views, and the two summaries by day that four of them stand on.

app.refresh_report() and app.refresh_matview() know the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter

from skeldir_huey import metrics
from skeldir_huey.errors import InputError

MINUTE_S = 60
HOUR_S = 3600


@dataclass(frozen=True)
class View:
    """A materialized view, or a summary: a table of its own that is corrected where its inputs changed.

    Args:
        name: as in the database.
        reads: the tables and summaries that it is made from.
        fresh_s: how far it may be behind them, seconds.
        is_summary: kept day by day, so that its refresh costs what changed; has row security, tenants may read it.
    """

    name: str
    reads: tuple[str, ...]
    fresh_s: int = HOUR_S
    is_summary: bool = False


SUMMARIES = (
    View("allocation_days", ("attribution_allocations",), MINUTE_S, is_summary=True),
    View("revenue_days", ("attribution_events",), MINUTE_S, is_summary=True),
)
VIEWS = (
    View("mv_channel_performance", ("allocation_days",)),
    View("mv_allocation_summary", ("allocation_days",)),
    View("mv_daily_revenue_summary", ("revenue_days",)),
    View("mv_realtime_revenue", ("tenants", "attribution_events"), MINUTE_S),
    View("mv_reconciliation_status", ("tenants", "reconciliation_runs", "reconciliation_orders")),
)


def in_order(views: tuple[View, ...]) -> tuple[View, ...]:
    """Return the views, each after those that it reads."""
    names = {view.name: view for view in views}
    graph = TopologicalSorter({view.name: [name for name in view.reads if name in names] for view in views})
    return tuple(names[name] for name in graph.static_order())


REPORTS = in_order(VIEWS + SUMMARIES)


def find(name: str) -> View:
    """Return a view or summary by its name, with or without mv_.

    Raises:
        InputError: there is none; names those that exist.
    """
    for view in REPORTS:
        if name in (view.name, view.name.removeprefix("mv_")):
            return view
    raise InputError("view", f"no view {name!r}; there are: {', '.join(view.name for view in REPORTS)}")


metrics.allow("view", {view.name for view in REPORTS})
