"""What operators do to cron and jobs, what a repeated run keeps, what the metrics read.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# -- C3: pauses of periodic tasks, and the word to cancel a job -------------------------------------------------------
CRON_PAUSE = """
create table huey.cron_pause (
  task_name text primary key,
  paused_at timestamptz not null default clock_timestamp(),
  paused_by text not null,
  pause_reason text not null
);
comment on table huey.cron_pause is 'While a row is here, the minutes of this periodic task pass without a job.';
grant select on huey.cron_pause to app_user, app_rw, console_tenant, console_all, console_global;
grant insert, delete on huey.cron_pause to console_global;
"""

# huey.result knows no tenant, so no console role may write it: this function looks at whose the job is.
ASK_CANCEL = """
grant insert on huey.result to skeldir_maint;
create function app.ask_cancel(wanted text, word bytea)
  returns table (task_name text, tenant_id uuid, state text, asked boolean)
  language plpgsql security definer set search_path = pg_catalog, huey, pg_temp as $$
declare
  due timestamptz;
  added integer;
begin
  select j.task_name, j.tenant_id, j.state, j.run_at into task_name, tenant_id, state, due
    from huey.job j where j.task_id = wanted and j.tenant_id is not distinct from app.tenant();
  if not found then
    return;
  end if;
  insert into huey.result (key, value, is_result, expires_at)
  values ('r:' || wanted, word, false, greatest(due, clock_timestamp()) + interval '7 days') on conflict do nothing;
  get diagnostics added = row_count;
  asked := added = 1;
  return next;
end
$$;
revoke execute on function app.ask_cancel(text, bytea) from public;
grant execute on function app.ask_cancel(text, bytea) to console_tenant, console_global;
alter function app.ask_cancel(text, bytea) owner to skeldir_maint;
"""


def add_operator_tables() -> None:
    """C3's block."""
    op.execute(CRON_PAUSE)
    op.execute(ASK_CANCEL)


def drop_operator_tables() -> None:
    """C3's block."""
    op.execute("drop function app.ask_cancel(text, bytea)")
    op.execute("revoke insert on huey.result from skeldir_maint")
    op.execute("drop table huey.cron_pause")


# -- end of C3's block ------------------------------------------------------------------------------------------------


# -- recompute and tenants pages (C4) ------------------------------------------------------------------------------
# Operators start, cancel and resume backfills; a repeated run keeps what its window had before.
RECOMPUTE_PAGE = """
grant insert, update on backfills to console_tenant;
alter table attribution_recompute_jobs
  add column checksum_before bytea,
  add column totals_before jsonb,
  add column totals_after jsonb;
comment on column attribution_recompute_jobs.totals_before is
  'Cents per currency and channel before the last execution; null for a first one.';
"""
RECOMPUTE_PAGE_DOWN = """
alter table attribution_recompute_jobs drop column checksum_before, drop column totals_before, drop column totals_after;
revoke insert, update on backfills from console_tenant;
"""
# -- end of that block ---------------------------------------------------------------------------------------------


# -- O1: what /metrics reads across all tenants: numbers only ----------------------------------------------------------
# Sixteen rows per outcome, so that importers at the same time seldom wait for each other's commit.
INGEST_TOTAL = """
create table ingest_total (
  outcome text not null check (outcome in ('accepted', 'duplicate', 'refused')),
  shard integer not null check (shard between 0 and 15),
  event_count bigint not null,
  primary key (outcome, shard)
) with (fillfactor = 50);
comment on table ingest_total is 'How many events all imports together accepted, found there already, and refused.';
grant select, insert, update on ingest_total to app_import;
grant select on ingest_total to app_rw;
"""

OPEN_LETTERS = """
create function app.open_letters() returns bigint language sql stable security definer
  set search_path = pg_catalog, public, pg_temp
  return (select count(*) from public.worker_failed_jobs where status in ('pending', 'in_progress'));
comment on function app.open_letters() is 'How many dead letters of all tenants wait for somebody; for /metrics.';
revoke execute on function app.open_letters() from public;
grant execute on function app.open_letters() to app_rw;
alter function app.open_letters() owner to skeldir_maint;
"""


def add_watched_tables() -> None:
    """O1's block."""
    op.execute(INGEST_TOTAL)
    op.execute(OPEN_LETTERS)


def drop_watched_tables() -> None:
    """O1's block."""
    op.execute("drop function app.open_letters()")
    op.execute("drop table ingest_total")


def upgrade() -> None:
    op.execute(RECOMPUTE_PAGE)
    add_operator_tables()
    add_watched_tables()


def downgrade() -> None:
    op.execute(RECOMPUTE_PAGE_DOWN)
    drop_watched_tables()
    drop_operator_tables()
