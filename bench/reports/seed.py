"""Many allocations of many tenants, made by SQL without triggers: only what is measured later pays for them."""

from __future__ import annotations

from typing import Any

PER_TENANT = 10_000  # allocations of one tenant, whatever their number: what changes is who did not change
DAYS = 90
VERSION = "linear@1.0.0"
CHANNELS = "array['direct', 'email', 'google_search_paid']"
TABLES = ("attribution_events", "attribution_allocations")

# Every event gives its 100 cents to three channels, so the sums are exact.
STATEMENTS = (
    "set session_replication_role = replica",
    "insert into tenants (id, name, display_name, created_at) select gen_random_uuid(), 't' || n, 't', now()"
    " from generate_series(1, %(tenants)s) n",
    "insert into attribution_models (tenant_id, model_version, name, version, model_type, params, params_hash)"
    f" select id, '{VERSION}', 'linear', '1.0.0', 'linear', '{{}}', '\\x00' from tenants",
    "insert into attribution_events (tenant_id, id, occurred_at, event_type, kind, journey_key, session_id, channel,"
    " revenue_cents, currency, idempotency_key)"
    f" select t.id, e.id, date_trunc('day', now()) - (n %% {DAYS}) * interval '1 day' + n * interval '1 millisecond',"
    " 'purchase', 'conversion', e.id, e.id, 'direct', 100, 'USD', uuid_send(e.id)"
    " from tenants t cross join generate_series(1, %(events)s) g (n)"
    " cross join lateral (select gen_random_uuid() as id where g.n > 0) e",
    "insert into attribution_allocations (tenant_id, event_id, model_version, channel_code, allocation_ratio,"
    " allocated_revenue_cents, currency, is_fallback, model_type, run_id, converted_at)"
    f" select e.tenant_id, e.id, '{VERSION}', c.code, c.ratio, c.cents, 'USD', false, 'linear', e.id, e.occurred_at"
    " from attribution_events e cross join (values ('direct', 0.3333333334, 34), ('email', 0.3333333333, 33),"
    " ('google_search_paid', 0.3333333333, 33)) c (code, ratio, cents)",
    "set session_replication_role = origin",
)
# An index that is not ready is not written; REINDEX sorts once and makes it ready. Ten million rows go in a few times
# faster, whatever keys and foreign keys the tables have.
NOT_READY = (
    "update pg_index set indisready = false where indrelid = any (array[{}]::regclass[])".format(
        ", ".join(f"'{table}'" for table in TABLES)
    ),
    "set maintenance_work_mem = '512MB'",
)
READY = (*(f"reindex table {table}" for table in TABLES), "vacuum (freeze, analyze)", "checkpoint")


def seed(cursor: Any, allocations: int) -> dict[str, int]:
    """Fill an empty database of our own; returns how many tenants, events and allocations there are."""
    tenants = max(allocations // PER_TENANT, 1)
    events = min(PER_TENANT, allocations) // 3
    for statement in (*NOT_READY, *STATEMENTS, *READY):
        cursor.execute(statement, {"tenants": tenants, "events": events})
    return {"tenants": tenants, "events": tenants * events, "allocations": 3 * tenants * events}
