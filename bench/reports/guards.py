"""Guards: what each trigger costs per row of a bulk write, by writing the same rows without it.

Counted is the server's processor time for the statement, not the time on the wall: the waits for a disk or for another
process are many times what a trigger takes, and are nobody's cost.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.reports.seed import seed

BATCH = 2000  # rows per statement, as the import writes them
PAYLOAD = json.dumps(
    {
        "order": {"id": "A-1001", "total": "129.00", "currency": "EUR", "lines": [{"sku": "S1", "count": 2}] * 4},
        "utm": {"source": "newsletter", "medium": "email", "campaign": "autumn", "term": "boots"},
        "device": {"kind": "phone", "os": "android", "app": "4.2.1", "language": "de"},
        "note": "left at the door, second floor, please ring twice " * 3,
    }
)
EVENTS = (
    "insert into attribution_events (tenant_id, occurred_at, event_type, kind, journey_key, session_id, channel,"
    " revenue_cents, currency, idempotency_key, raw_payload)"
    " select (select min(id::text)::uuid from tenants), now() - n * interval '1 minute', 'purchase', 'conversion',"
    " gen_random_uuid(), gen_random_uuid(), 'direct', 100, 'USD', uuid_send(gen_random_uuid()), {payload}"
    f" from generate_series(1, {BATCH}) n"
)
ALLOCATIONS = (
    "insert into attribution_allocations (tenant_id, event_id, model_version, channel_code, allocation_ratio,"
    " allocated_revenue_cents, currency, is_fallback, model_type, run_id, converted_at)"
    " select e.tenant_id, e.id, 'other@1', c.code, c.ratio, c.cents, 'USD', false, 'linear', e.id, e.occurred_at"
    f" from (select * from attribution_events order by tenant_id, id limit {BATCH} offset %(offset)s) e"
    " cross join (values ('direct', 0.3333333334, 34), ('email', 0.3333333333, 33),"
    " ('google_search_paid', 0.3333333333, 33)) c (code, ratio, cents)"
)
# The trigger that is left out, its table, the statement, its rows.
CASES: tuple[tuple[str, str, str, str, int], ...] = (
    ("personal data, with payload", "attribution_events_no_personal_data", "attribution_events",
     EVENTS.format(payload=f"'{PAYLOAD}'::jsonb"), BATCH),
    ("personal data, without payload", "attribution_events_no_personal_data", "attribution_events",
     EVENTS.format(payload="null"), BATCH),
    ("marks for reports, events", "attribution_events_changes_insert", "attribution_events",
     EVENTS.format(payload="null"), BATCH),
    ("marks for path counts", "attribution_events_dirty_days", "attribution_events",
     EVENTS.format(payload="null"), BATCH),
    ("exact sums of allocations", "attribution_allocations_sum_insert", "attribution_allocations",
     ALLOCATIONS, 3 * BATCH),
    ("marks for reports, allocations", "attribution_allocations_changes_insert", "attribution_allocations",
     ALLOCATIONS, 3 * BATCH),
)  # fmt: skip


def measure(cursor: Any, times: int) -> list[dict[str, Any]]:
    """Return a row per trigger: µs of processor time per row with it and without it, the least of each; the share."""
    seed(cursor, 90_000)
    cursor.execute("select pg_backend_pid()")
    # Nanoseconds on a processor, of the one thread of our session's server process. Linux only.
    spent = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")
    found = []
    for name, trigger, table, statement, rows in CASES:
        with_it: list[float] = []
        without: list[float] = []
        for turn in range(times):
            for side, wanted in ((with_it, "enable"), (without, "disable")):
                cursor.execute("begin")
                cursor.execute(f"alter table {table} {wanted} trigger {trigger}")
                before = _nanoseconds(spent)
                cursor.execute(statement, {"offset": (turn * BATCH) % 20_000})
                side.append((_nanoseconds(spent) - before) / 1000 / rows)
                cursor.execute("rollback")
        guarded, bare = min(with_it), min(without)
        found.append(
            {
                "trigger": name,
                "rows_per_statement": rows,
                "with_us_per_row": round(guarded, 2),
                "without_us_per_row": round(bare, 2),
                "share": round((guarded - bare) / bare, 3),
            }
        )
    return found


def _nanoseconds(spent: Path) -> int:
    return int(spent.read_text(encoding="ascii").split()[0])
