"""Queue: jobs, results, counters, consumers, chords, lanes and the history of attempts.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-21
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
create schema huey;
grant usage on schema huey to app_user, app_rw, app_ro, console_tenant, console_all, console_global, skeldir_maint;
grant create on schema huey to skeldir_maint;

create table huey.lane (
  name text primary key,
  paused_at timestamptz,
  paused_by text,
  pause_reason text,
  resume_at timestamptz,
  cap integer check (cap > 0),
  virtual_time double precision not null default 0
) with (fillfactor = 10);
comment on column huey.lane.virtual_time is
  'Highest rank claimed so far: a job added now starts from here, however long its tenant was away.';
comment on column huey.lane.cap is 'At most so many of the lane run at once, in all consumers; null: no limit.';
insert into huey.lane (name) values ('housekeeping'), ('maintenance'), ('attribution'), ('llm'), ('ingest');

create table huey.task_rule (
  lane text not null references huey.lane (name),
  task_name text not null,
  cap integer check (cap > 0),
  paused_at timestamptz,
  paused_by text,
  pause_reason text,
  resume_at timestamptz,
  primary key (lane, task_name)
);
create table huey.tenant_rule (
  tenant_id uuid not null,
  lane text not null references huey.lane (name),
  weight double precision not null default 1 check (weight > 0),
  cap integer check (cap > 0),
  paused_at timestamptz,
  paused_by text,
  pause_reason text,
  resume_at timestamptz,
  primary key (tenant_id, lane)
);
comment on table huey.tenant_rule is 'A tenant''s share, cap and pause in a lane; without a row: weight 1, no cap.';

create table huey.job (
  id bigint generated always as identity primary key,
  task_id text not null,
  lane text not null references huey.lane (name),
  priority double precision not null default 0,
  task_name text not null,
  tenant_id uuid,
  correlation_id uuid,
  message bytea not null,
  state text not null check (state in ('scheduled', 'waiting', 'running')),
  run_at timestamptz not null default clock_timestamp(),
  rank double precision not null default 0,
  held boolean not null default false,
  attempt integer not null default 0,
  deaths integer not null default 0,
  claim_token uuid,
  consumer_id uuid,
  tick_key text,
  unique_key text,
  letter_id uuid,
  claim_alone boolean not null default false,
  claimed_alone boolean not null default false,
  enqueued_at timestamptz not null default clock_timestamp(),
  claimed_at timestamptz,
  started_at timestamptz,
  unknown_since timestamptz,
  last_error text,
  check ((state = 'running') = (claim_token is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05);
comment on column huey.job.rank is 'Start-time fair queueing: within a priority, jobs of a lane run by rank.';
comment on column huey.job.held is 'Its task or tenant is paused in this lane: not claimed until resumed.';
comment on column huey.job.attempt is 'Executions begun, counted from 1 at the first claim.';
comment on column huey.job.deaths is 'Claims that ended with the death of the consumer.';
comment on column huey.job.claim_alone is 'After a death: claim by itself, so that poison shows itself.';
comment on column huey.job.claimed_alone is 'The present claim is of this job only: a death now is this job''s.';
comment on column huey.job.started_at is
  'Recorded for jobs that run longer than a second; null does not mean not started.';
create unique index job_task on huey.job (task_id);
create index job_waiting on huey.job (lane, priority desc, rank, id) where state = 'waiting' and not held;
create index job_share on huey.job (lane, (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000')), rank)
  where state = 'waiting';
create index job_scheduled on huey.job (run_at) where state = 'scheduled';
create index job_running on huey.job (consumer_id) where state = 'running';
create unique index job_tick on huey.job (tick_key) where tick_key is not null;
create unique index job_unique on huey.job (lane, tenant_id, unique_key) nulls not distinct
  where unique_key is not null;

create table huey.result (
  key text primary key,
  value bytea not null,
  is_result boolean not null,
  expires_at timestamptz not null default clock_timestamp() + interval '24 hours'
) with (fillfactor = 90);
create index result_expiry on huey.result (expires_at);

create table huey.counter (
  key text primary key,
  value bigint not null,
  time_window bigint
);
comment on column huey.counter.time_window is 'Rate limits: the number of the window that value counts in.';

create table huey.lock (
  key text primary key,
  job_id bigint,
  claim_token uuid,
  expires_at timestamptz,
  acquired_at timestamptz not null default clock_timestamp()
);
comment on table huey.lock is 'A lock taken inside a job is held while that claim lives: it dies with its owner.';

create table huey.flow (
  id bigint generated always as identity primary key,
  lane text not null,
  tenant_id uuid,
  kind text not null check (kind in ('enqueued', 'done', 'dead', 'cancelled', 'pruned')),
  job_count bigint not null
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table huey.flow is
  'Conservation ledger, insert-only: written by the statement that adds or ends jobs, folded into flow_total later.';
create table huey.flow_total (
  id bigint generated always as identity primary key,
  lane text not null,
  tenant_id uuid,
  kind text not null,
  job_count bigint not null
) with (fillfactor = 50);
create unique index flow_total_key on huey.flow_total (lane, tenant_id, kind) nulls not distinct;

create table huey.chord_member (
  chord_id text not null,
  idx integer not null,
  value bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (chord_id, idx)
);

create table huey.consumer (
  id uuid primary key,
  host text not null,
  pid integer not null,
  worker_type text not null,
  worker_count integer not null,
  lanes text[] not null,
  version text not null,
  started_at timestamptz not null default clock_timestamp(),
  heartbeat_at timestamptz not null default clock_timestamp(),
  holds_lock boolean not null default true,
  idle boolean not null default false,
  stopped_at timestamptz
) with (fillfactor = 50);
comment on column huey.consumer.idle is 'Nothing to do at its last look: who adds a job wakes it.';
comment on column huey.consumer.holds_lock is
  'False behind a pooler without a direct URL: then only the heartbeat tells life from death.';

create table huey.tick (
  task_name text primary key,
  last_tick timestamptz not null
);
comment on table huey.tick is 'The last minute of each periodic task that has been looked at.';

create table huey.job_attempt (
  id bigint generated always as identity,
  task_id text not null,
  task_name text not null,
  lane text not null,
  tenant_id uuid,
  correlation_id uuid,
  attempt integer not null,
  outcome text not null
    check (outcome in ('done', 'errored', 'dead', 'cancelled', 'released', 'worker_lost')),
  ended boolean not null,
  worker text,
  consumer_id uuid,
  enqueued_at timestamptz not null,
  claimed_at timestamptz,
  ended_at timestamptz not null default clock_timestamp(),
  wait_ms double precision,
  run_ms double precision,
  error_class text,
  error_message text,
  letter_id uuid,
  primary key (ended_at, id)
) partition by range (ended_at);
comment on table huey.job_attempt is
  'History: one row per execution; ended says that the job ended with it. Kept 7 days, dropped by day.';
create table huey.job_attempt_default partition of huey.job_attempt default;
create index job_attempt_task on huey.job_attempt (task_id);
create index job_attempt_tenant on huey.job_attempt (tenant_id, ended_at desc, id desc);
"""

# app_rw runs the queue for all tenants; everyone else sees and adds rows of the tenant of the transaction only.
POLICIES = """
alter table {table} enable row level security;
alter table {table} force row level security;
create policy queue on {table} to app_rw using (true) with check (true);
create policy tenant on {table} to app_user, app_ro, console_tenant
  using (tenant_id = (select app.tenant())) with check (tenant_id = (select app.tenant()));
create policy unattributed on {table} to console_global
  using (tenant_id is null) with check (tenant_id is null);
create policy console_read on {table} for select to console_all using (true);
create policy maint on {table} to skeldir_maint using (true) with check (true);
"""

GRANTS = """
grant select, insert, update, delete on huey.job, huey.result, huey.counter, huey.chord_member, huey.consumer,
  huey.tick, huey.lock, huey.flow, huey.flow_total to app_rw;
grant select, update on huey.lane to app_rw;
grant select, insert, update, delete on huey.task_rule, huey.tenant_rule to app_rw;
grant select, insert on huey.job_attempt to app_rw;
grant select on huey.lane, huey.task_rule to app_user, console_tenant, console_all, console_global;
grant update (paused_at, paused_by, pause_reason, resume_at, cap) on huey.lane to console_global;
grant insert, update, delete on huey.task_rule to console_global;
grant select on huey.tenant_rule to app_user, console_tenant, console_all, console_global;
grant insert, update, delete on huey.tenant_rule to console_tenant;
grant insert on huey.flow to app_user, console_tenant, console_global;
grant select on huey.flow, huey.flow_total to console_tenant, console_all, console_global;
grant select, insert on huey.job to app_user, console_tenant, console_global;
grant select on huey.job to app_ro, console_all, skeldir_maint;
grant select on huey.job_attempt to app_user, app_ro, console_tenant, console_all, console_global;
grant select on huey.consumer to app_user, console_tenant, console_all, console_global;
grant select on huey.tick to console_tenant, console_all, console_global;
-- A pause or a resume marks the jobs that wait.
grant update (held, rank) on huey.job to console_tenant, console_global;
"""

# Called by workers; runs as the partitions' owner. Days are UTC days.
ROTATE = """
create function app.rotate_job_attempts(today date, keep_days integer, ahead_days integer)
  returns integer language plpgsql security definer set search_path = pg_catalog, huey, pg_temp as $$
declare
  day date;
  part record;
  changed integer := 0;
begin
  if keep_days < 1 or ahead_days < 1 then
    raise exception 'keep_days and ahead_days must be at least 1' using errcode = 'invalid_parameter_value';
  end if;
  for day in select d::date from generate_series(today::timestamp, today::timestamp + make_interval(days => ahead_days),
                                                 interval '1 day') d loop
    if to_regclass(format('huey.job_attempt_%s', to_char(day, 'YYYYMMDD'))) is null
       and not exists (select from huey.job_attempt_default
                        where ended_at >= day::timestamp at time zone 'UTC'
                          and ended_at < (day + 1)::timestamp at time zone 'UTC') then
      execute format('create table huey.job_attempt_%s partition of huey.job_attempt for values from (%L) to (%L)',
                     to_char(day, 'YYYYMMDD'), day::timestamp at time zone 'UTC',
                     (day + 1)::timestamp at time zone 'UTC');
      execute format('alter table huey.job_attempt_%s enable row level security', to_char(day, 'YYYYMMDD'));
      execute format('alter table huey.job_attempt_%s force row level security', to_char(day, 'YYYYMMDD'));
      changed := changed + 1;
    end if;
  end loop;
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'huey.job_attempt'::regclass and c.relname ~ '^job_attempt_[0-9]{8}$'
       and to_date(right(c.relname, 8), 'YYYYMMDD') < today - keep_days loop
    execute format('drop table huey.%I', part.relname);
    changed := changed + 1;
  end loop;
  delete from huey.job_attempt_default where ended_at < (today - keep_days)::timestamp at time zone 'UTC';
  return changed;
end
$$;
revoke execute on function app.rotate_job_attempts(date, integer, integer) from public;
grant execute on function app.rotate_job_attempts(date, integer, integer) to app_rw;
"""

# Last: the migration role does not inherit skeldir_maint, so from here on it has no say over them.
OWNERS = """
alter table huey.job_attempt owner to skeldir_maint;
alter table huey.job_attempt_default owner to skeldir_maint;
alter function app.rotate_job_attempts(date, integer, integer) owner to skeldir_maint;
"""


def upgrade() -> None:
    op.execute(TABLES)
    for table in ("job", "job_attempt", "flow", "flow_total", "tenant_rule"):
        op.execute(POLICIES.format(table=f"huey.{table}"))
    op.execute(
        """
        alter table huey.job_attempt_default enable row level security;
        alter table huey.job_attempt_default force row level security;
        create policy maint on huey.job_attempt_default to skeldir_maint using (true) with check (true);
        """
    )
    op.execute(GRANTS)
    op.execute(ROTATE)
    op.execute(OWNERS)


def downgrade() -> None:
    op.execute("drop function app.rotate_job_attempts(date, integer, integer)")
    op.execute("drop schema huey cascade")
