"""One day of a tenant of thirty: first run, re-run, and a day with a late touch; and the plan of the sum check."""

from __future__ import annotations

import statistics
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bench.attribution import ours
from bench.attribution.data import DAYS, START
from bench.attribution.place import Place


def day(place: Place, tenant_id: UUID, reps: int) -> dict[str, Any]:
    """Measure a run of single days; the other days are allocated already."""
    version = place.make_versions(tenant_id)["linear"]
    place.forget_allocations()
    opening = datetime.fromisoformat(START)
    nth = [DAYS // 2 + number for number in range(max(3, 2 * reps))]
    windows = [((opening + timedelta(days=n)).isoformat(), (opening + timedelta(days=n + 1)).isoformat()) for n in nth]
    ours.run(place, tenant_id, [version], START, windows[0][0])
    place.run("vacuum analyze attribution_allocations")
    first = [ours.run(place, tenant_id, [version], *window) for window in windows]
    again = [ours.run(place, tenant_id, [version], *window) for window in windows]
    plan = sum_check_plan(place, version, *windows[0])
    place.forget_allocations()
    return {
        "part": "day",
        "days": len(windows),
        "conversions": first[0]["conversions"],
        "rows": first[0]["rows"],
        "first_ms": statistics.median(one["seconds"] for one in first) * 1000,
        "again_ms": statistics.median(one["seconds"] for one in again) * 1000,
        "plan": plan,
    }


def sum_check_plan(place: Place, version: str, start: str, end: str) -> list[str]:
    """Return how the server executes the check of the exact-sum triggers for the rows of a window.

    The query and its settings are read out of the trigger function itself.
    """
    (source, settings) = place.run("select prosrc, proconfig from pg_proc where proname = 'check_allocation_sums'")[0]
    check = str(source).split("$check$")[1].replace("from changed c", "from attribution_allocations c")
    last = (datetime.fromisoformat(end) - timedelta(microseconds=1)).isoformat()
    tenant = place.run("select tenant_id from attribution_allocations where model_version = %s limit 1", (version,))
    for number, value in enumerate((tenant[0][0], version, start, last), 1):
        check = check.replace(f"${number}", f"'{value}'")
    for setting in settings:
        place.run(f"set {setting.replace('=', ' = ')}")
    place.run("set enable_indexscan = off")  # as the function does just before this query
    lines = [row[0] for row in place.run(f"explain (analyze, buffers, costs off, timing off) {check}")]
    place.run("reset all")
    return lines
