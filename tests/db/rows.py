"""A complete row for every table that has a tenant, so that probes can try to add it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

from skeldir_huey.clock import utc_now
from tests.cluster import Database
from tests.factories import make_event, make_letter, make_model, make_tenant

# Every table with a tenant, and the column that says whose a row is.
TENANT_COLUMN = {
    "tenants": "id",
    "event_kinds": "tenant_id",
    "attribution_events": "tenant_id",
    "dead_events": "tenant_id",
    "attribution_dirty_ranges": "tenant_id",
    "attribution_models": "tenant_id",
    "attribution_published": "tenant_id",
    "attribution_recompute_jobs": "tenant_id",
    "attribution_allocations": "tenant_id",
    "attribution_path_counts": "tenant_id",
    "attribution_dirty_days": "tenant_id",
    "attribution_channel_reports": "tenant_id",
    "worker_failed_jobs": "tenant_id",
    "waiting_adjustments": "tenant_id",
    "revenue_ledger": "tenant_id",
    "platform_claims": "tenant_id",
    "exchange_rates": "tenant_id",
    "reconciliation_runs": "tenant_id",
    "reconciliation_orders": "tenant_id",
    "backfills": "tenant_id",
    "report_changes": "tenant_id",
    "allocation_days": "tenant_id",
    "revenue_days": "tenant_id",
    "retention": "tenant_id",
    "allocation_months": "tenant_id",
    "revenue_months": "tenant_id",
    "pii_audit_findings": "tenant_id",
    "huey.job": "tenant_id",
    "huey.job_attempt": "tenant_id",
    "huey.tenant_rule": "tenant_id",
    "huey.flow": "tenant_id",
    "huey.run_delta": "tenant_id",
    "huey.run_minute": "tenant_id",
    "huey.run_quarter": "tenant_id",
    "huey.flow_total": "tenant_id",
    "huey.error_delta": "tenant_id",  # made by the trigger of worker_failed_jobs
    "huey.error_total": "tenant_id",
    "huey.error_group": "tenant_id",
    "huey.bulk_operation": "tenant_id",
    "huey.bulk_share": "tenant_id",
    "huey.bulk_item": "tenant_id",
    "console_grant": "tenant_id",
    "console_audit": "tenant_id",
    "console_audit_head": "tenant_id",  # its row is made by the trigger of console_audit
}
NULLABLE = (
    "worker_failed_jobs",
    "huey.job",
    "huey.job_attempt",
    "huey.flow",
    "huey.run_delta",
    "huey.run_minute",
    "huey.run_quarter",
    "huey.flow_total",
    "huey.error_delta",
    "huey.error_total",
    "huey.error_group",
    "huey.bulk_operation",
    "huey.bulk_share",
    "huey.bulk_item",
    "console_grant",
    "console_audit",
    "console_audit_head",
)

_STORED = """
select a.attname, format_type(a.atttypid, a.atttypmod) like 'json%%' from pg_attribute a
 where a.attrelid = %(table)s::regclass and a.attnum > 0 and not a.attisdropped and a.attidentity = ''
"""


def fill(database: Database, name: str) -> UUID:
    """Make a tenant with at least one row in every table, as superuser."""
    tenant_id = make_tenant(database, name)
    make_model(database, tenant_id, published=True)
    event_id = make_event(database, tenant_id, cents=10_000, occurred_at=utc_now())
    make_letter(database, tenant_id)
    with_tenant = {"tenant": str(tenant_id), "event": str(event_id), "name": name}
    for statement in (
        "insert into dead_events (tenant_id, source, idempotency_key, payload, error_type, error_message)"
        " values (%(tenant)s, 'file', '\\x01', '{}', 'permanent', 'bad')",
        "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason)"
        " values (%(tenant)s, '2025-06-01Z', '2025-06-02Z', 'import')",
        "insert into attribution_recompute_jobs (tenant_id, window_start, window_end, model_version)"
        " values (%(tenant)s, '2025-06-01Z', '2025-06-02Z', 'even_split@1.0.0')",
        "insert into attribution_allocations values (%(tenant)s, %(event)s, 'even_split@1.0.0', 'direct', 1, 10000,"
        " 'USD', false, 'even_split', gen_random_uuid(),"
        " (select occurred_at from attribution_events where id = %(event)s))",
        "insert into waiting_adjustments (tenant_id, source, order_id, occurred_at, event_type, revenue_cents,"
        " currency, idempotency_key) values (%(tenant)s, 'file', 'o1', '2025-06-01Z', 'refund', -100, 'USD', '\\x01')",
        "insert into revenue_ledger (tenant_id, transaction_id, order_id, state, amount_cents, currency, occurred_at,"
        " source, idempotency_key) values (%(tenant)s, 't1', 'o1', 'captured', 100, 'USD', '2025-06-01Z', 'file',"
        " '\\x01')",
        "insert into platform_claims (tenant_id, platform, order_id, claimed_cents, currency, occurred_at, source,"
        " idempotency_key) values (%(tenant)s, 'ads', 'o1', 100, 'USD', '2025-06-01Z', 'file', '\\x01')",
        "insert into exchange_rates (tenant_id, currency, day, base, rate, source)"
        " values (%(tenant)s, 'USD', '2025-06-01', 'EUR', 1.25, 'file')",
        "with run as (insert into reconciliation_runs (tenant_id, window_start, window_end, order_count, ghost_count,"
        " unallocated_count, under_allocated_count, over_allocated_count, without_order_count, waiting_count)"
        " values (%(tenant)s, '2025-06-01Z', '2025-06-02Z', 1, 0, 0, 0, 0, 0, 0) returning id)"
        " insert into reconciliation_orders"
        " select %(tenant)s, id, 'o1', 'USD', 100, 100, 100, 0, 0, 'matched' from run",
        "insert into backfills (tenant_id, model_version, range_start, range_end, done_until, correlation_id)"
        " values (%(tenant)s, 'even_split@1.0.0', '2025-06-01Z', '2025-06-09Z', '2025-06-01Z', gen_random_uuid())",
        "insert into allocation_days values (%(tenant)s, 'even_split@1.0.0', (now() at time zone 'utc')::date,"
        " 'direct', 'USD', 1, 1, 1, 1, 10000, 0, '2025-06-01Z', '2025-06-01Z')",
        "insert into revenue_days values (%(tenant)s, (now() at time zone 'UTC')::date, 'USD', 1, 10000, 0, 0)",
        "insert into retention (tenant_id, keep_days) values (%(tenant)s, 90)",
        "insert into allocation_months values"
        " (%(tenant)s, '2025-01-01', 'even_split@1.0.0', 'direct', 'USD', 1, 1, 100)",
        "insert into revenue_months values (%(tenant)s, '2025-01-01', 'USD', 1, 100, 0, 0)",
        "insert into pii_audit_findings (tenant_id, source, row_key, key_name)"
        " values (%(tenant)s, 'dead_events', 'x', 'email')",
        "insert into attribution_path_counts (tenant_id, day, path_hash, path, conversion_count, null_count)"
        " values (%(tenant)s, '2025-06-01', '\\x01', 'direct', 1, 0)",
        "insert into attribution_channel_reports (tenant_id, report_id, channel_code, report_type, chain_order, dedupe,"
        " first_day, last_day, conversion_count, null_count, seed, draw_count, kept_draw_count, removal_effect, share,"
        " share_low, share_high) values (%(tenant)s, gen_random_uuid(), 'direct', 'markov_global', 1, 'none',"
        " '2025-06-01', '2025-06-01', 1, 0, 1, 300, 300, 1, 1, 1, 1)",
        "insert into huey.job (task_id, lane, task_name, tenant_id, message, state)"
        " values (%(name)s, 'ingest', 'skeldir.housekeeping.ping', %(tenant)s, '{}', 'waiting')",
        "insert into huey.job_attempt (task_id, task_name, lane, tenant_id, attempt, outcome, ended, enqueued_at)"
        " values (%(name)s, 'skeldir.housekeeping.ping', 'ingest', %(tenant)s, 1, 'done', true, now())",
        "insert into huey.tenant_rule (tenant_id, lane) values (%(tenant)s, 'ingest')",
        "insert into huey.flow (lane, tenant_id, kind, job_count) values ('ingest', %(tenant)s, 'done', 1)",
        "insert into huey.run_minute (minute, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms,"
        " wait_ms, run_hist, wait_hist) select minute, lane, task_name, tenant_id, done, dead, cancelled, errored,"
        " run_ms, wait_ms, run_hist, wait_hist from huey.run_delta where tenant_id = %(tenant)s limit 1",
        "insert into huey.run_quarter (quarter, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms,"
        " wait_ms, run_hist, wait_hist) select minute, lane, task_name, tenant_id, done, dead, cancelled, errored,"
        " run_ms, wait_ms, run_hist, wait_hist from huey.run_delta where tenant_id = %(tenant)s limit 1",
        "insert into huey.flow_total (lane, tenant_id, kind, job_count) values ('ingest', %(tenant)s, 'done', 1)",
        "insert into huey.error_total (tenant_id, fingerprint, day, seen_count, open_count)"
        " values (%(tenant)s, '0a1b2c3d', '2025-06-01', 1, 0)",
        "insert into huey.error_group (tenant_id, fingerprint, task_name, error_message)"
        " values (%(tenant)s, '0a1b2c3d', 'skeldir.housekeeping.ping', '')",
        "with made as (insert into huey.bulk_operation (tenant_id, verb, filter, drafted_at, cutoff_at, cutoff_id,"
        " item_count, shares, created_by) values (%(tenant)s, 'replay', '{}', now(), now(), %(event)s, 1, '[]', 'ann')"
        " returning id), share as (insert into huey.bulk_share (operation_id, tenant_id, item_count)"
        " select id, %(tenant)s, 1 from made)"
        " insert into huey.bulk_item (operation_id, tenant_id, letter_id, result)"
        " select id, %(tenant)s, %(event)s, 'done' from made",
        "insert into console_user (email, password, fs_uniquifier) values (%(name)s, 'x', %(name)s)",
        "insert into console_grant (user_id, tenant_id, role)"
        " select id, %(tenant)s, 'viewer' from console_user where email = %(name)s",
        "insert into console_audit (tenant_id, actor, action, target_type, target_id, result)"
        " values (%(tenant)s, 'ann', 'replay', 'letter', '1', 'ok')",
    ):
        database.query(statement, with_tenant)
    return tenant_id


def existing(database: Database, table: str, tenant_id: UUID) -> dict[str, Any]:
    """Return a stored row of this tenant, ready to be inserted once more."""
    statement = f"select to_jsonb(t) from {table} t where {TENANT_COLUMN[table]} = %(tenant)s limit 1"
    row = database.value(statement, {"tenant": str(tenant_id)})
    columns = database.query(_STORED, {"table": table})
    return {name: json.dumps(row[name]) if js and row[name] is not None else row[name] for name, js in columns}


def another(database: Database, table: str, tenant_id: UUID) -> dict[str, Any]:
    """Return a row of this tenant that is not stored yet and breaks no key."""
    row = existing(database, table, tenant_id)
    changes: dict[str, dict[str, Any]] = {
        "tenants": {"id": str(uuid4()), "name": f"n{uuid4().hex[:8]}"},
        "event_kinds": {"event_type": "download"},
        "attribution_events": {"idempotency_key": f"\\x{uuid4().hex}"},
        "dead_events": {"idempotency_key": f"\\x{uuid4().hex}"},
        "attribution_path_counts": {"day": "2025-06-02"},
        "attribution_channel_reports": {"report_id": str(uuid4())},
        "attribution_models": {"model_version": "linear@2.0.0", "name": "linear", "version": "2.0.0"},
        "attribution_recompute_jobs": {"window_start": "2025-05-01Z"},
        "attribution_allocations": {"model_version": "linear@2.0.0"},
        "worker_failed_jobs": {"task_id": str(uuid4())},
        "waiting_adjustments": {"idempotency_key": f"\\x{uuid4().hex}"},
        "revenue_ledger": {"idempotency_key": f"\\x{uuid4().hex}", "transaction_id": str(uuid4())},
        "exchange_rates": {"day": "2025-06-02"},
        "platform_claims": {"idempotency_key": f"\\x{uuid4().hex}"},
        "reconciliation_orders": {"order_id": str(uuid4())},
        "allocation_days": {"day": "2025-06-02"},
        "revenue_days": {"day": "2025-06-02"},
        "allocation_months": {"month": "2025-02-01"},
        "revenue_months": {"month": "2025-02-01"},
        "pii_audit_findings": {"row_key": str(uuid4())},
        "huey.job": {"task_id": str(uuid4())},
        "huey.tenant_rule": {"lane": "llm"},
        "huey.flow_total": {"kind": "pruned"},
        "huey.error_total": {"day": "2025-06-02"},
        "huey.error_group": {"fingerprint": uuid4().hex[:8]},
        "huey.bulk_share": {"operation_id": str(uuid4())},
        "huey.bulk_item": {"letter_id": str(uuid4())},
        "huey.run_minute": {"lane": "llm"},
        "huey.run_quarter": {"lane": "llm"},
    }
    if "id" in row and table != "tenants":
        row["id"] = str(uuid4())
    if table == "console_grant":
        statement = "insert into console_user (email, password, fs_uniquifier) values (%(n)s, 'x', %(n)s) returning id"
        row["user_id"] = str(database.value(statement, {"n": uuid4().hex}))
    return row | changes.get(table, {})
