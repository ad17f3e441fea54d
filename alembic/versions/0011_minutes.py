"""Minute roll-ups of what the queue did: counts and histograms, written by the statements that write the history.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import itertools

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BOUNDS_MS = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30000, 300000)


def _counts(column: str) -> str:
    """Return SQL for the histogram of a column, as an array; a null is not counted."""
    bound = [f"count(*) filter (where {column} <= {BOUNDS_MS[0]})"]
    bound += [
        f"count(*) filter (where {column} > {low} and {column} <= {high})"
        for low, high in itertools.pairwise(BOUNDS_MS)
    ]
    bound.append(f"count(*) filter (where {column} > {BOUNDS_MS[-1]})")
    return "array[" + ", ".join(bound) + "]"


COLUMNS = """
  minute timestamptz not null,
  lane text not null,
  task_name text not null,
  tenant_id uuid,
  done bigint not null,
  dead bigint not null,
  cancelled bigint not null,
  errored bigint not null,
  run_ms double precision not null,
  run_hist bigint[] not null,
  wait_ms double precision not null,
  wait_hist bigint[] not null
"""

TABLES = f"""
create table huey.run_delta (
  id bigint generated always as identity primary key,
  {COLUMNS}
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table huey.run_delta is
  'Minute roll-up, insert-only: written with the history, folded into run_minute later; errored: lost workers too.';
create table huey.run_minute (
  id bigint generated always as identity primary key,
  {COLUMNS}
) with (fillfactor = 70);
create unique index run_minute_key on huey.run_minute (minute, lane, task_name, tenant_id) nulls not distinct;
create index run_minute_tenant on huey.run_minute (tenant_id, minute);
create view huey.run_minutes with (security_invoker = true) as
  select minute, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms, run_hist, wait_ms, wait_hist
    from huey.run_minute
  union all
  select minute, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms, run_hist, wait_ms, wait_hist
    from huey.run_delta;
"""  # our own constants  # nosec B608

# One place counts what every settlement, rescue and expiry writes: none of them can forget it.
COUNTING = f"""
create function app.roll_up() returns trigger language plpgsql set search_path = pg_catalog, huey, pg_temp as $$
begin
  insert into huey.run_delta (minute, lane, task_name, tenant_id, done, dead, cancelled, errored,
                              run_ms, run_hist, wait_ms, wait_hist)
  select date_trunc('minute', ended_at), lane, task_name, tenant_id,
         count(*) filter (where outcome = 'done'), count(*) filter (where outcome = 'dead'),
         count(*) filter (where outcome = 'cancelled'),
         count(*) filter (where outcome in ('errored', 'worker_lost')),
         coalesce(sum(run_ms), 0), {_counts("run_ms")}, coalesce(sum(wait_ms), 0), {_counts("wait_ms")}
    from added where outcome <> 'released'
   group by 1, 2, 3, 4;
  return null;
end
$$;
revoke execute on function app.roll_up() from public;
grant execute on function app.roll_up() to skeldir_maint;
"""  # our own constants  # nosec B608

TRIGGER = """
set local role skeldir_maint;
create trigger roll_up after insert on huey.job_attempt
  referencing new table as added for each statement execute function app.roll_up();
reset role;
"""

POLICIES = """
alter table {table} enable row level security;
alter table {table} force row level security;
create policy queue on {table} to app_rw using (true) with check (true);
create policy tenant on {table} to console_tenant
  using (tenant_id = (select app.tenant())) with check (tenant_id = (select app.tenant()));
create policy unattributed on {table} to console_global
  using (tenant_id is null) with check (tenant_id is null);
create policy console_read on {table} for select to console_all using (true);
"""

GRANTS = """
grant select, insert, update, delete on huey.run_delta to app_rw;
grant select, insert, update, delete on huey.run_minute to app_rw;
grant select on huey.run_delta, huey.run_minute, huey.run_minutes to console_tenant, console_all, console_global;
grant select on huey.run_minutes to app_rw;
"""


def upgrade() -> None:
    op.execute(TABLES)
    for table in ("huey.run_delta", "huey.run_minute"):
        op.execute(POLICIES.format(table=table))
    op.execute(COUNTING)
    op.execute(GRANTS)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("set local role skeldir_maint; drop trigger roll_up on huey.job_attempt; reset role")
    op.execute("drop function app.roll_up()")
    op.execute("drop view huey.run_minutes; drop table huey.run_minute, huey.run_delta")
