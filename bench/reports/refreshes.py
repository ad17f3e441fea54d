"""Refreshes: the whole, as a materialized view over all allocations would do it, and what changed, as ours does it."""

from __future__ import annotations

import time
from typing import Any

from bench.reports.seed import VERSION, seed

# What mv_channel_performance was before it stood on a summary.
FULL = (
    "create materialized view full_performance as select tenant_id, model_version, channel_code, currency,"
    " (converted_at at time zone 'UTC')::date as day, count(*) filter (where not is_adjustment) as conversion_count,"
    " sum(allocation_ratio) as credit, sum(allocated_revenue_cents)::bigint as cents"
    " from attribution_allocations group by 1, 2, 3, 4, 5",
    "create unique index on full_performance (tenant_id, model_version, channel_code, currency, day)",
)
# One tenant's newest day is written once more: what a run of one window changes.
CHANGE = (
    "update attribution_allocations set run_id = gen_random_uuid() where tenant_id = (select min(id::text)::uuid from"
    f" tenants) and model_version = '{VERSION}' and converted_at >= date_trunc('day', now())"
)
REPORTS = ("allocation_days", "mv_channel_performance", "mv_allocation_summary")
# Every allocation of the largest size is sorted on disk anew each time: once says it.
OFTEN = 2_000_000


def timed(cursor: Any, statement: str, parameters: Any = None) -> float:
    """Run a statement and return how long it took, ms."""
    began = time.perf_counter()
    cursor.execute(statement, parameters)
    return (time.perf_counter() - began) * 1000


def best(cursor: Any, statements: tuple[str, ...], times: int) -> list[float]:
    """Run statements in turn and return the shortest time of each, ms."""
    rounds = [[timed(cursor, statement) for statement in statements] for _ in range(times)]
    return [min(column) for column in zip(*rounds, strict=True)]


def measure(cursor: Any, allocations: int, times: int) -> dict[str, Any]:
    """Return one row of the table: the size, and what each way costs, ms."""
    began = time.perf_counter()
    row: dict[str, Any] = dict(seed(cursor, allocations))
    row["seed_s"] = round(time.perf_counter() - began, 1)
    for report in REPORTS:
        row[f"build_{report}_ms"] = timed(cursor, "select app.refresh_report(%s, true)", [report])
    for statement in FULL:
        cursor.execute(statement)
    full_times = times // 2 if allocations <= OFTEN else 1
    (row["full_ms"],) = best(cursor, ("refresh materialized view concurrently full_performance",), max(full_times, 1))
    cursor.execute("select count(*) from allocation_days")
    row["summary_rows"] = cursor.fetchone()[0]
    once = tuple(f"select app.refresh_report('{report}', {report != 'allocation_days'})" for report in REPORTS)
    costs = best(cursor, (CHANGE, *once), times)
    row["change_ms"] = costs[0]
    row |= {f"{report}_ms": cost for report, cost in zip(REPORTS, costs[1:], strict=True)}
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in row.items()}
