"""Errors: their counts and decisions, operations on many dead letters, and records that can be read again.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LETTERS = """
alter table worker_failed_jobs
  add column status_at timestamptz not null default clock_timestamp(),
  add column replaced_by text,
  add column edited_from uuid;
comment on column worker_failed_jobs.status_at is 'When the status last changed.';
comment on column worker_failed_jobs.replaced_by is 'The job that was made of this one with other arguments.';
comment on column worker_failed_jobs.edited_from is 'The letter whose job this one was made of, with other arguments.';
create index worker_failed_jobs_fingerprint on worker_failed_jobs (fingerprint, status, failed_at desc, id desc);
"""

TRANSITION = """
create or replace function app.check_letter_transition() returns trigger language plpgsql
  set search_path = pg_catalog, pg_temp as $$
begin
  if (old.status, new.status) not in (
       ('pending', 'in_progress'), ('pending', 'abandoned'), ('pending', 'resolved'),
       ('in_progress', 'pending'), ('in_progress', 'resolved'), ('in_progress', 'abandoned'),
       ('abandoned', 'pending')) then
    raise exception 'a dead letter cannot go from % to %', old.status, new.status
      using errcode = 'check_violation', constraint = 'worker_failed_jobs_transition';
  end if;
  {stamp}
  return new;
end
$$;
"""

ERRORS = """
create table huey.error_delta (
  id bigint generated always as identity primary key,
  tenant_id uuid,
  fingerprint text not null,
  day date not null,
  seen_count bigint not null,
  open_count bigint not null,
  first_at timestamptz,
  last_at timestamptz,
  task_name text not null,
  exception_class text,
  error_message text not null
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table huey.error_delta is
  'Counts of errors, insert-only: written by the statement that changes dead letters, folded into error_total later.';
create table huey.error_total (
  id bigint generated always as identity primary key,
  tenant_id uuid,
  fingerprint text not null,
  day date not null,
  seen_count bigint not null,
  open_count bigint not null,
  first_at timestamptz,
  last_at timestamptz
) with (fillfactor = 50);
create unique index error_total_key on huey.error_total (tenant_id, fingerprint, day) nulls not distinct;
comment on column huey.error_total.open_count is
  'Change of the number of pending letters on that day; its sum is the number.';
create table huey.error_group (
  id bigint generated always as identity primary key,
  tenant_id uuid,
  fingerprint text not null,
  task_name text not null,
  exception_class text,
  error_message text not null,
  state text check (state in ('acknowledged', 'fixed', 'ignored')),
  fixed_in text,
  ignored_until timestamptz,
  note text,
  owner text,
  decided_by text,
  decided_at timestamptz,
  canary_letter_id uuid,
  canary_task_id text,
  canary_at timestamptz,
  check ((state is null) = (decided_at is null)),
  check ((state = 'fixed') = (fixed_in is not null)),
  check ((state = 'ignored') = (ignored_until is not null))
);
create unique index error_group_key on huey.error_group (tenant_id, fingerprint) nulls not distinct;
comment on table huey.error_group is
  'What an error is, and what operators decided about it; no settlement writes here.';

-- As whoever writes the letters. One row per error and statement, so nobody waits for anybody.
create function app.count_added_letters() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into huey.error_delta (tenant_id, fingerprint, day, seen_count, open_count, first_at, last_at, task_name,
                                exception_class, error_message)
  select tenant_id, fingerprint, (failed_at at time zone 'UTC')::date as day, count(*),
         count(*) filter (where status = 'pending'), min(failed_at), max(failed_at), min(task_name),
         min(exception_class), left(min(error_message), 500)
    from fresh group by tenant_id, fingerprint, day;
  return null;
end
$$;
create function app.count_changed_letters() returns trigger language plpgsql
  set search_path = pg_catalog, pg_temp as $$
begin
  insert into huey.error_delta (tenant_id, fingerprint, day, seen_count, open_count, first_at, last_at, task_name,
                                exception_class, error_message)
  select tenant_id, fingerprint, day, sum(seen), sum(open), min(at), max(at), min(task_name), min(exception_class),
         left(min(error_message), 500)
    from (select n.tenant_id, n.fingerprint, (n.failed_at at time zone 'UTC')::date as day,
                 (n.failed_at <> o.failed_at)::int as seen, (n.status = 'pending')::int as open,
                 case when n.failed_at <> o.failed_at then n.failed_at end as at, n.task_name, n.exception_class,
                 n.error_message
            from fresh n join gone o on o.id = n.id
          union all
          select o.tenant_id, o.fingerprint, (n.failed_at at time zone 'UTC')::date, 0, -(o.status = 'pending')::int,
                 null, o.task_name, o.exception_class, o.error_message
            from fresh n join gone o on o.id = n.id) changes
   group by tenant_id, fingerprint, day having sum(seen) <> 0 or sum(open) <> 0;
  return null;
end
$$;
create function app.count_deleted_letters() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into huey.error_delta (tenant_id, fingerprint, day, seen_count, open_count, task_name, exception_class,
                                error_message)
  select tenant_id, fingerprint, (failed_at at time zone 'UTC')::date as day, 0, -count(*), min(task_name),
         min(exception_class), left(min(error_message), 500)
    from gone where status = 'pending' group by tenant_id, fingerprint, day;
  return null;
end
$$;
create trigger worker_failed_jobs_count_added after insert on worker_failed_jobs
  referencing new table as fresh for each statement execute function app.count_added_letters();
create trigger worker_failed_jobs_count_changed after update on worker_failed_jobs
  referencing old table as gone new table as fresh for each statement execute function app.count_changed_letters();
create trigger worker_failed_jobs_count_deleted after delete on worker_failed_jobs
  referencing old table as gone for each statement execute function app.count_deleted_letters();
"""

# Letters that are there already. The owner must see them for this one statement.
EXISTING = """
alter table worker_failed_jobs no force row level security;
insert into huey.error_delta (tenant_id, fingerprint, day, seen_count, open_count, first_at, last_at, task_name,
                              exception_class, error_message)
select tenant_id, fingerprint, (failed_at at time zone 'UTC')::date as day, count(*),
       count(*) filter (where status = 'pending'), min(failed_at), max(failed_at), min(task_name),
       min(exception_class), left(min(error_message), 500)
  from worker_failed_jobs group by tenant_id, fingerprint, day;
alter table worker_failed_jobs force row level security;
"""

BULK = """
create table huey.bulk_operation (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid,
  verb text not null check (verb in ('replay', 'abandon', 'reopen')),
  state text not null default 'draft'
    check (state in ('draft', 'running', 'paused', 'stopped', 'cancelled', 'done')),
  filter jsonb not null,
  drafted_at timestamptz not null,
  cutoff_at timestamptz not null,
  cutoff_id uuid not null,
  source_id uuid,
  item_count bigint not null,
  shares jsonb not null,
  samples jsonb not null default '[]',
  rate integer check (rate > 0),
  reason text,
  created_by text not null,
  created_at timestamptz not null default clock_timestamp(),
  confirmed_by text,
  confirmed_at timestamptz,
  ended_at timestamptz,
  last_error text
);
comment on column huey.bulk_operation.tenant_id is 'The scope it was asked for; null: all tenants.';
comment on column huey.bulk_operation.cutoff_at is
  'With cutoff_id: the newest letter of the filter when it was frozen.';
comment on column huey.bulk_operation.shares is 'Letters per tenant when the filter was frozen.';
comment on column huey.bulk_operation.source_id is
  'The operation that this one undoes, or whose failures it tries again.';
comment on column huey.bulk_operation.rate is 'Letters per second; null: as fast as they can be written.';
create index bulk_operation_recent on huey.bulk_operation (created_at desc, id desc);

create table huey.bulk_share (
  id bigint generated always as identity primary key,
  operation_id uuid not null,
  tenant_id uuid,
  item_count bigint not null,
  done_count bigint not null default 0,
  failed_count bigint not null default 0,
  skipped jsonb not null default '{}',
  cursor_at timestamptz,
  cursor_id uuid,
  ended_at timestamptz
) with (fillfactor = 70);
comment on table huey.bulk_share is 'How far an operation has come in one tenant.';
create unique index bulk_share_key on huey.bulk_share (operation_id, tenant_id) nulls not distinct;

create table huey.bulk_item (
  id bigint generated always as identity primary key,
  operation_id uuid not null,
  tenant_id uuid,
  letter_id uuid not null,
  result text not null check (result in ('done', 'skipped', 'failed')),
  detail text,
  task_id text,
  at timestamptz not null default clock_timestamp()
);
create unique index bulk_item_key on huey.bulk_item (operation_id, letter_id);
create index bulk_item_letter on huey.bulk_item (letter_id);
"""

POLICIES = """
alter table {table} enable row level security;
alter table {table} force row level security;
create policy queue on {table} to app_rw using (true) with check (true);
create policy tenant on {table} to app_user, console_tenant
  using (tenant_id = (select app.tenant())) with check (tenant_id = (select app.tenant()));
create policy unattributed on {table} to console_global
  using (tenant_id is null) with check (tenant_id is null);
create policy console_read on {table} for select to console_all using (true);
grant select on {table} to app_rw, console_tenant, console_global, console_all;
"""

GRANTS = """
grant insert on huey.error_delta to app_user, app_rw, console_tenant, console_global;
grant delete, update on huey.error_delta to app_rw;
grant insert, update, delete on huey.error_total to app_rw;
grant insert on huey.error_group to app_rw, console_tenant, console_global;
grant update on huey.error_group to console_tenant, console_global;
grant insert on huey.bulk_operation to console_tenant, console_global;
grant update on huey.bulk_operation to app_rw, console_tenant, console_global;
grant insert, update on huey.bulk_share to app_rw;
grant insert on huey.bulk_item to app_rw;
grant select on huey.bulk_item to app_user;
grant update (replaced_by) on worker_failed_jobs to console_tenant, console_global;
"""

# What refused a record is known only where it was read: so it keeps how it was read.
RECORDS = """
alter table dead_events add column reading jsonb;
comment on column dead_events.reading is
  'How the record was read (columns, labels, money); null: it cannot be tried again here.';
create index dead_events_status on dead_events (remediation_status, created_at desc, id desc);
create index dead_events_all on dead_events (created_at desc, id desc);
grant update (payload, reading, error_field, error_message, retry_count, last_retry_at, remediation_status, notes,
              resolved_at) on dead_events to console_tenant, app_import;
"""

TABLES = ("error_delta", "error_total", "error_group", "bulk_operation", "bulk_share", "bulk_item")


def upgrade() -> None:
    op.execute(LETTERS)
    op.execute(TRANSITION.replace("{stamp}", "new.status_at := clock_timestamp();"))
    op.execute(ERRORS)
    op.execute(EXISTING)
    op.execute(BULK)
    for table in TABLES:
        op.execute(POLICIES.format(table=f"huey.{table}"))
    op.execute(GRANTS)
    op.execute(RECORDS)


def downgrade() -> None:
    op.execute(
        """
        revoke update on dead_events from console_tenant, app_import;
        revoke update (payload, reading, error_field, error_message, retry_count, last_retry_at, remediation_status,
                       notes, resolved_at) on dead_events from console_tenant, app_import;
        drop index dead_events_status, dead_events_all;
        alter table dead_events drop column reading;
        drop table huey.bulk_item, huey.bulk_share, huey.bulk_operation;
        drop trigger worker_failed_jobs_count_added on worker_failed_jobs;
        drop trigger worker_failed_jobs_count_changed on worker_failed_jobs;
        drop trigger worker_failed_jobs_count_deleted on worker_failed_jobs;
        drop function app.count_added_letters();
        drop function app.count_changed_letters();
        drop function app.count_deleted_letters();
        drop table huey.error_group, huey.error_total, huey.error_delta;
        """
    )
    op.execute(TRANSITION.replace("  {stamp}\n", ""))
    op.execute(
        """
        drop index worker_failed_jobs_fingerprint;
        alter table worker_failed_jobs drop column status_at, drop column replaced_by, drop column edited_from;
        """
    )
