"""The design of the original system: read events, split in Python, upsert 2,000 at a time by unnest.

On a table of its own with what that one had: eight indexes, three foreign keys, checks, and a sum check per row.
A tenth of the events is allocated first and the table analysed, unmeasured: on a table that never was, the sum check
reads all of a tenant's rows for each row.
"""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.engine import Connection

from bench.attribution.place import RULES, Place
from skeldir_huey.db.engine import transaction

TABLE = "original_allocations"
BATCH_ROWS = 2000
CHANNELS = RULES["even_split"]["channels"]

_MAKE = f"""
drop table if exists {TABLE};
create table {TABLE} (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references tenants (id),
  event_id uuid not null,
  channel_code text not null references channel_taxonomy (code),
  allocation_ratio numeric(6, 5) not null default 0 check (allocation_ratio between 0 and 1),
  model_version text not null,
  allocated_revenue_cents bigint not null check (allocated_revenue_cents >= 0),
  model_type text not null,
  confidence_score numeric(4, 3) not null default 0 check (confidence_score between 0 and 1),
  correlation_id uuid,
  verified boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  foreign key (tenant_id, event_id) references attribution_events (tenant_id, id)
);
create unique index on {TABLE} (tenant_id, event_id, model_version, channel_code);
create index on {TABLE} (tenant_id, created_at desc);
create index on {TABLE} (event_id);
create index on {TABLE} (channel_code);
create index on {TABLE} (tenant_id, event_id, model_version);
create index on {TABLE} (tenant_id, channel_code, created_at desc);
create index on {TABLE} (tenant_id, model_version);
create or replace function original_check() returns trigger language plpgsql as $$
declare
  allocated bigint;
  revenue bigint;
begin
  select coalesce(sum(allocated_revenue_cents), 0) into allocated from {TABLE}
   where tenant_id = new.tenant_id and event_id = new.event_id and model_version = new.model_version;
  select revenue_cents into revenue from attribution_events where tenant_id = new.tenant_id and id = new.event_id;
  if abs(allocated - revenue) > 1 then
    raise exception 'allocations of % sum to %, not to %', new.event_id, allocated, revenue;
  end if;
  return null;
end
$$;
create trigger original_check after insert or update on {TABLE} for each row execute function original_check();
alter table {TABLE} enable row level security;
alter table {TABLE} force row level security;
create policy tenant on {TABLE} to app_user using (tenant_id = app.tenant()) with check (tenant_id = app.tenant());
grant select, insert, update on {TABLE} to app_user;
"""
_READ = (
    "select id, revenue_cents from attribution_events where tenant_id = %s and kind = 'conversion'"
    " and occurred_at >= %s and occurred_at < %s order by id"
)
_UPSERT = f"""
insert into {TABLE} (tenant_id, event_id, channel_code, allocation_ratio, model_version, allocated_revenue_cents,
                     model_type, confidence_score, correlation_id)
select %s, event_id, channel_code, ratio, 'even_split@1.0.0', cents, 'even_split', 1, %s
  from unnest(%s::uuid[], %s::text[], %s::numeric[], %s::bigint[]) as t (event_id, channel_code, ratio, cents)
on conflict (tenant_id, event_id, model_version, channel_code) do update
   set allocation_ratio = excluded.allocation_ratio, allocated_revenue_cents = excluded.allocated_revenue_cents,
       correlation_id = excluded.correlation_id, updated_at = now()
"""


def original(place: Place, tenant_id: UUID, start: str, end: str) -> dict[str, Any]:
    """Allocate a window by the even split; returns seconds and rows written of the later nine tenths of its events."""
    place.run(_MAKE)
    correlation = str(uuid4())
    (tenth,) = place.run(
        "select percentile_disc(0.1) within group (order by occurred_at)::text from attribution_events"
        " where tenant_id = %s and kind = 'conversion'",
        (str(tenant_id),),
    )[0]
    with transaction(tenant_id) as connection:
        _allocate(connection, tenant_id, start, tenth, correlation)
    place.run(f"vacuum analyze {TABLE}")
    place.run("checkpoint")
    began = time.perf_counter()
    with transaction(tenant_id) as connection:
        rows = _allocate(connection, tenant_id, tenth, end, correlation)
    seconds = time.perf_counter() - began
    place.run(f"drop table {TABLE}")
    return {"seconds": seconds, "rows": rows}


def _allocate(connection: Connection, tenant_id: UUID, start: str, end: str, correlation: str) -> int:
    made: list[tuple[str, str, str, int]] = []
    ratio = f"{1 / len(CHANNELS):.5f}"
    for event_id, revenue in connection.exec_driver_sql(_READ, (str(tenant_id), start, end)).fetchall():
        each, left = divmod(revenue, len(CHANNELS))
        for nth, channel in enumerate(CHANNELS):
            made.append((str(event_id), channel, ratio, each + (nth < left)))
    per_batch = BATCH_ROWS // len(CHANNELS) * len(CHANNELS)  # an event's rows are in one batch, or its sum is wrong
    for first in range(0, len(made), per_batch):
        columns = zip(*made[first : first + per_batch], strict=True)
        connection.exec_driver_sql(_UPSERT, (str(tenant_id), correlation, *map(list, columns)))
    return len(made)
