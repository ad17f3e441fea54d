"""Rows for pictures: operations on many letters, and records that imports refused."""

from __future__ import annotations

from tests.admin.world import World

# An operation that has ended, one that is half-way, one that asks.
BULK = """
with made as (
  insert into huey.bulk_operation (tenant_id, verb, state, filter, drafted_at, cutoff_at, cutoff_id, item_count, shares,
    samples, rate, reason, created_by, created_at, confirmed_by, confirmed_at, ended_at)
  select null, verb, state, '{"status": "pending", "fingerprint": "9f2c41d0"}', now() - age, now() - age,
    gen_random_uuid(), 26398, jsonb_build_array(jsonb_build_object('tenant_id', %(a)s::text, 'item_count', 18000),
      jsonb_build_object('tenant_id', %(b)s::text, 'item_count', 8398)),
    '[{"id": "9f2c41d0-0000-4000-8000-000000000001", "task": "skeldir.attribution.recompute_window",
       "error": "canceling statement due to statement timeout after 30 s"}]',
    100, case when state <> 'draft' then 'index is back, see ticket 4711' end, 'dana@example.com', now() - age,
    case when state <> 'draft' then 'dana@example.com' end, case when state <> 'draft' then now() - age end,
    case when state = 'done' then now() - interval '20 minutes' end
  from (values ('replay', 'done', interval '1 hour'), ('replay', 'running', interval '4 minutes'),
               ('abandon', 'draft', interval '1 minute')) kinds (verb, state, age)
  returning id, state)
insert into huey.bulk_share (operation_id, tenant_id, item_count, done_count, failed_count, skipped, cursor_at,
  ended_at)
select id, tenant, letters, handled - 40, 7, '{"already replayed": 33}', now(), case when ended then now() end
from made cross join lateral (values
  (%(a)s::uuid, 18000, case when state = 'done' then 18000 else 11200 end, state = 'done'),
  (%(b)s::uuid, 8398, case when state = 'done' then 8398 else 40 end, state = 'done'))
  shares (tenant, letters, handled, ended) where state <> 'draft'
"""

REFUSED = """
insert into dead_events (tenant_id, source, line, idempotency_key, payload, error_type, error_field, error_message,
  remediation_status, created_at, reading)
select (array[%(a)s, %(b)s]::uuid[])[1 + i %% 2], 'orders-2025-06-01.csv', 100 * i, sha256(i::text::bytea),
  jsonb_build_object('who', 'u' || i, 'at', '2025-06-01 10:00:00', 'amount', 'twelve', 'kind', 'purchase'),
  'permanent', 'amount', 'expected an amount such as 12.50, got "twelve"',
  (array['pending', 'pending', 'ignored'])[1 + i %% 3], now() - i * interval '3 minutes',
  '{"kind": "row", "columns": {"visitor": "who", "occurred_at": "at", "event_type": "kind"}}'
from generate_series(1, 40) i
"""


def fill(world: World) -> None:
    """Add the rows."""
    for statement in (BULK, REFUSED):
        world.database.query(statement, {"a": str(world.a.tenant_id), "b": str(world.b.tenant_id)})


def paths(world: World) -> dict[str, str]:
    """Return the pages of these rows, by name; those of rows that are not there are left out."""
    operations = world.database.query("select state, id from huey.bulk_operation order by created_at")
    records = world.database.query("select remediation_status, id from dead_events order by created_at desc limit 1")
    return {
        "dead-jobs": "/admin/dead/jobs/",
        "bulk": "/admin/bulk/",
        "refused": "/admin/refused/",
        **{f"bulk-{state}": f"/admin/bulk/{operation}/" for state, operation in operations},
        **{f"refused-{status}": f"/admin/refused/{record}/" for status, record in records},
    }
