"""Foundation: tenants, events, models, allocations, runs, dead letters, row security.

Revision ID: 0001
Revises: none
Create Date: 2026-11-21
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("skeldir_foundation",)
depends_on = None

SCHEMAS = """
create schema app;
create function app.tenant() returns uuid language sql stable parallel safe
  set search_path = pg_catalog, pg_temp
  as $$ select nullif(current_setting('app.current_tenant_id', true), '')::uuid $$;
comment on function app.tenant() is 'The tenant of this transaction; null, so no rows, when none was set.';
grant usage on schema app to app_user, app_rw, app_import, app_ro, console, console_tenant, console_all,
  console_global, skeldir_maint;
grant create on schema app to skeldir_maint;
grant usage on schema public to app_user, app_rw, app_import, app_ro, console, console_tenant, console_all,
  console_global, skeldir_maint;
grant create on schema public to skeldir_maint;
revoke create on schema public from public;
"""

TENANTS = """
create table tenants (
  id uuid primary key default gen_random_uuid(),
  name text not null unique check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  display_name text not null,
  state text not null default 'active' check (state in ('active', 'suspended')),
  identity_policy text not null default 'session' check (identity_policy in ('session', 'consented')),
  timezone text not null default 'UTC',
  created_at timestamptz not null default clock_timestamp()
);
alter table tenants enable row level security;
alter table tenants force row level security;
create policy tenant on tenants to app_user, app_ro, app_import, console_tenant
  using (id = (select app.tenant()));
create policy queue_read on tenants for select to app_rw using (true);
create policy queue_create on tenants for insert to app_rw with check (true);
create policy console_read on tenants for select to console_all using (true);
create policy maint_read on tenants for select to skeldir_maint using (true);
grant select on tenants to app_user, app_ro, app_import, app_rw, console_tenant, console_all, skeldir_maint;
grant insert on tenants to app_rw;

create table channel_taxonomy (
  code text primary key,
  family text not null,
  is_paid boolean not null,
  display_name text not null,
  state text not null default 'active' check (state in ('active', 'deprecated'))
);
insert into channel_taxonomy (code, family, is_paid, display_name) values
  ('unknown', 'unknown', false, 'Unknown'),
  ('direct', 'direct', false, 'Direct'),
  ('email', 'email', false, 'Email'),
  ('facebook_brand', 'paid_social', true, 'Facebook brand'),
  ('facebook_paid', 'paid_social', true, 'Facebook paid'),
  ('google_display_paid', 'paid_display', true, 'Google Display'),
  ('google_search_paid', 'paid_search', true, 'Google Search'),
  ('organic', 'organic', false, 'Organic search'),
  ('referral', 'referral', false, 'Referral'),
  ('tiktok_paid', 'paid_social', true, 'TikTok paid');
grant select on channel_taxonomy to app_user, app_ro, app_import, app_rw, console_tenant, console_all,
  console_global, skeldir_maint;

create table event_kinds (
  tenant_id uuid not null references tenants (id),
  event_type text not null,
  kind text not null check (kind in ('touch', 'conversion', 'adjustment', 'other')),
  needs_channel boolean not null default false,
  primary key (tenant_id, event_type)
);
comment on column event_kinds.needs_channel is
  'A touch of this type counts only when its channel is neither unknown nor direct; else its kind is other.';
"""

EVENTS = """
create table attribution_events (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  ingest_seq bigint generated always as identity,
  occurred_at timestamptz not null,
  ingested_at timestamptz not null default clock_timestamp(),
  event_type text not null,
  kind text not null check (kind in ('touch', 'conversion', 'adjustment', 'other')),
  journey_key uuid not null,
  session_id uuid not null,
  visitor_id uuid,
  channel text not null references channel_taxonomy (code),
  campaign_id text,
  revenue_cents bigint,
  currency text check (currency ~ '^[A-Z]{3}$'),
  order_id text,
  parent_event_id uuid,
  external_event_id text,
  idempotency_key bytea not null,
  correlation_id uuid,
  raw_payload jsonb,
  primary key (tenant_id, id),
  foreign key (tenant_id, parent_event_id) references attribution_events (tenant_id, id),
  check ((revenue_cents is null) = (currency is null)),
  check (kind not in ('conversion', 'adjustment') or revenue_cents is not null),
  check (kind <> 'conversion' or revenue_cents >= 0),
  check (kind <> 'adjustment' or (revenue_cents <= 0 and parent_event_id is not null))
);
create unique index attribution_events_idempotency on attribution_events (tenant_id, idempotency_key);
create index attribution_events_valued on attribution_events (tenant_id, occurred_at, ingest_seq)
  where kind in ('conversion', 'adjustment');
create index attribution_events_journey on attribution_events (tenant_id, journey_key, occurred_at, ingest_seq)
  where kind in ('touch', 'conversion');

create table dead_events (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  source text not null,
  line bigint,
  idempotency_key bytea not null,
  payload jsonb not null,
  error_type text not null check (error_type in ('transient', 'permanent')),
  error_field text,
  error_message text not null,
  retry_count integer not null default 0,
  last_retry_at timestamptz,
  remediation_status text not null default 'pending'
    check (remediation_status in ('pending', 'in_progress', 'resolved', 'ignored')),
  notes text,
  correlation_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  resolved_at timestamptz,
  primary key (tenant_id, id)
);
create unique index dead_events_idempotency on dead_events (tenant_id, idempotency_key);
create index dead_events_recent on dead_events (tenant_id, created_at desc, id desc);

create table attribution_dirty_ranges (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  range_start timestamptz not null,
  range_end timestamptz not null,
  reason text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  check (range_start < range_end)
);
comment on table attribution_dirty_ranges is
  'Half-open ranges of conversion times whose allocations may be out of date.';
"""

ATTRIBUTION = """
create table attribution_models (
  tenant_id uuid not null references tenants (id),
  model_version text not null check (model_version ~ '^[a-z0-9_]+@[0-9A-Za-z.+_-]+$'),
  name text not null,
  version text not null,
  model_type text not null,
  params jsonb not null,
  params_hash bytea not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, model_version),
  check (model_version = name || '@' || version)
);
create table attribution_published (
  tenant_id uuid primary key references tenants (id),
  model_version text not null,
  published_at timestamptz not null default clock_timestamp(),
  foreign key (tenant_id, model_version) references attribution_models (tenant_id, model_version)
);
comment on table attribution_published is 'One pointer per tenant: the version that reports use.';

create table attribution_recompute_jobs (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  window_start timestamptz not null,
  window_end timestamptz not null,
  model_version text not null,
  status text not null default 'pending' check (status in ('pending', 'running', 'succeeded', 'failed')),
  run_count integer not null default 0,
  last_correlation_id uuid,
  task_id text,
  conversion_count bigint,
  allocation_count bigint,
  changed_count bigint,
  checksum bytea,
  error_message text,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  finished_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, model_version) references attribution_models (tenant_id, model_version),
  check (window_start < window_end)
);
create unique index attribution_recompute_jobs_identity
  on attribution_recompute_jobs (tenant_id, window_start, window_end, model_version);
create index attribution_recompute_jobs_recent
  on attribution_recompute_jobs (tenant_id, created_at desc, id desc);
create index attribution_recompute_jobs_all on attribution_recompute_jobs (created_at desc, id desc);
create index attribution_recompute_jobs_task
  on attribution_recompute_jobs (tenant_id, task_id) where status in ('pending', 'running');

create table attribution_allocations (
  tenant_id uuid not null,
  event_id uuid not null,
  model_version text not null,
  channel_code text not null collate "C",
  allocation_ratio numeric(12, 10) not null,
  allocated_revenue_cents bigint not null,
  currency text not null,
  is_fallback boolean not null,
  model_type text not null,
  run_id uuid not null,
  converted_at timestamptz not null,
  primary key (tenant_id, event_id, model_version, channel_code)
);
comment on column attribution_allocations.converted_at is
  'occurred_at of the event, copied so that reports and lists by time need no join.';
create index attribution_allocations_time
  on attribution_allocations (tenant_id, model_version, converted_at desc, event_id desc);
"""

# Two triggers, because a transition table belongs to one kind of change; the check itself is one function.
SUM_CHECK = """
create function app.check_allocation_sums() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
declare
  bad record;
begin
  -- The orders by key are there for the plan: on a table without statistics the index by time costs the same to the
  -- planner, and reads a tenant's whole day for each event.
  select sums.*, e.revenue_cents
    into bad
    from (select touched.tenant_id, touched.event_id, touched.model_version,
                 sum(x.allocated_revenue_cents) as cents, sum(x.allocation_ratio) as ratio
            from (select distinct tenant_id, event_id, model_version from changed) touched
           cross join lateral (
             select a.allocated_revenue_cents, a.allocation_ratio
               from public.attribution_allocations a
              where a.tenant_id = touched.tenant_id and a.event_id = touched.event_id
                and a.model_version = touched.model_version
              order by a.channel_code) x
           group by touched.tenant_id, touched.event_id, touched.model_version) sums
    left join lateral (
      select v.revenue_cents
        from public.attribution_events v
       where v.tenant_id = sums.tenant_id and v.id = sums.event_id
       limit 1) e on true
   where e.revenue_cents is null or sums.cents <> e.revenue_cents or sums.ratio <> 1
   limit 1;
  if found then
    raise exception 'allocations of event % under % sum to % cents and ratio %, not to % cents and 1',
      bad.event_id, bad.model_version, bad.cents, bad.ratio, bad.revenue_cents
      using errcode = 'check_violation', constraint = 'attribution_allocations_exact_sum';
  end if;
  return null;
end
$$;
create trigger attribution_allocations_sum_insert after insert on attribution_allocations
  referencing new table as changed for each statement execute function app.check_allocation_sums();
create trigger attribution_allocations_sum_update after update on attribution_allocations
  referencing new table as changed for each statement execute function app.check_allocation_sums();
create trigger attribution_allocations_sum_delete after delete on attribution_allocations
  referencing old table as changed for each statement execute function app.check_allocation_sums();
"""

LETTERS = """
create table worker_failed_jobs (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid,
  task_id text not null,
  task_name text not null,
  queue text not null,
  worker text,
  task_args jsonb not null default '[]',
  task_kwargs jsonb not null default '{}',
  error_type text not null
    check (error_type in ('transient', 'permanent', 'timeout', 'worker_lost', 'expired', 'unknown_task')),
  exception_class text,
  error_message text not null default '',
  traceback text,
  fingerprint text not null,
  retry_count integer not null default 0,
  last_retry_at timestamptz,
  status text not null default 'pending' check (status in ('pending', 'in_progress', 'resolved', 'abandoned')),
  remediation_notes text,
  resolved_at timestamptz,
  correlation_id uuid,
  failed_at timestamptz not null default clock_timestamp(),
  replayed_as text,
  message bytea not null,
  check ((status = 'resolved') = (resolved_at is not null))
);
create unique index worker_failed_jobs_task on worker_failed_jobs (tenant_id, task_id) nulls not distinct;
create index worker_failed_jobs_recent on worker_failed_jobs (tenant_id, failed_at desc, id desc);
create index worker_failed_jobs_status on worker_failed_jobs (status, failed_at desc, id desc);
create index worker_failed_jobs_all on worker_failed_jobs (failed_at desc, id desc);

create function app.check_letter_transition() returns trigger language plpgsql
  set search_path = pg_catalog, pg_temp as $$
begin
  if (old.status, new.status) not in (
       ('pending', 'in_progress'), ('pending', 'abandoned'), ('pending', 'resolved'),
       ('in_progress', 'pending'), ('in_progress', 'resolved'), ('in_progress', 'abandoned'),
       ('abandoned', 'pending')) then
    raise exception 'a dead letter cannot go from % to %', old.status, new.status
      using errcode = 'check_violation', constraint = 'worker_failed_jobs_transition';
  end if;
  return new;
end
$$;
create trigger worker_failed_jobs_transition before update of status on worker_failed_jobs
  for each row when (old.status is distinct from new.status) execute function app.check_letter_transition();
"""

TENANT_TABLES = (
    "event_kinds",
    "attribution_events",
    "dead_events",
    "attribution_dirty_ranges",
    "attribution_models",
    "attribution_published",
    "attribution_recompute_jobs",
    "attribution_allocations",
    "worker_failed_jobs",
)

# One permissive policy per table and role: several would be OR-ed.
POLICIES = """
alter table {table} enable row level security;
alter table {table} force row level security;
create policy tenant on {table} to app_user, app_ro, app_import, console_tenant
  using (tenant_id = (select app.tenant())) with check (tenant_id = (select app.tenant()));
create policy console_read on {table} for select to console_all using (true);
create policy maint_read on {table} for select to skeldir_maint using (true);
grant select on {table} to app_user, app_ro, app_import, console_tenant, console_all, skeldir_maint;
"""

GRANTS = """
grant insert on event_kinds, attribution_events to app_import;
grant insert on dead_events, attribution_dirty_ranges to app_import;
grant insert, delete on attribution_dirty_ranges to app_user;
grant insert on event_kinds, attribution_models to app_user;
grant insert, update on attribution_published to app_user;
grant insert, update on attribution_recompute_jobs to app_user, console_tenant;
grant insert, update, delete on attribution_allocations to app_user;
grant insert, update, delete on worker_failed_jobs to app_user;
grant update (status, remediation_notes, resolved_at, replayed_as, retry_count, last_retry_at)
  on worker_failed_jobs to console_tenant;

-- Letters without a tenant: by role, never by "tenant_id is null or".
create policy unattributed on worker_failed_jobs to app_rw, console_global
  using (tenant_id is null) with check (tenant_id is null);
grant select, insert, update on worker_failed_jobs to app_rw;
grant select on worker_failed_jobs to console_global;
grant update (status, remediation_notes, resolved_at, replayed_as, retry_count, last_retry_at)
  on worker_failed_jobs to console_global;

-- The minute task asks which tenants have dirty ranges before it enters any of them.
create policy queue_read on attribution_dirty_ranges for select to app_rw using (true);
grant select (tenant_id) on attribution_dirty_ranges to app_rw;
"""

REPORTS = """
create materialized view mv_channel_performance as
  select tenant_id, model_version, channel_code, currency, (converted_at at time zone 'UTC')::date as day,
         count(*) as conversion_count, sum(allocation_ratio) as credit,
         sum(allocated_revenue_cents)::bigint as allocated_revenue_cents
    from attribution_allocations
   group by 1, 2, 3, 4, 5;
create unique index mv_channel_performance_key
  on mv_channel_performance (tenant_id, model_version, channel_code, currency, day);

create materialized view mv_allocation_summary as
  select a.tenant_id, a.model_version, a.currency,
         count(distinct a.event_id) as event_count, count(*) as allocation_count,
         sum(a.allocated_revenue_cents)::bigint as allocated_revenue_cents,
         sum(a.allocated_revenue_cents) filter (where a.is_fallback)::bigint as fallback_revenue_cents,
         min(a.converted_at) as first_converted_at, max(a.converted_at) as last_converted_at
    from attribution_allocations a
   group by 1, 2, 3;
create unique index mv_allocation_summary_key on mv_allocation_summary (tenant_id, model_version, currency);


create view channel_performance with (security_barrier) as
  select * from mv_channel_performance where tenant_id = (select app.tenant());
create view allocation_summary with (security_barrier) as
  select * from mv_allocation_summary where tenant_id = (select app.tenant());
create view all_allocation_summary with (security_barrier) as select * from mv_allocation_summary;
create view all_channel_performance with (security_barrier) as select * from mv_channel_performance;
grant select on channel_performance, allocation_summary to app_user, app_ro, console_tenant;
grant select on all_allocation_summary, all_channel_performance to console_all;

-- relation_size is what an operator sees; refresh runs as the views' owner and takes names from a fixed list only.
create function app.refresh_matview(view_name text) returns void language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp as $$
begin
  if view_name not in ('mv_channel_performance', 'mv_allocation_summary') then
    raise exception 'unknown materialized view: %', view_name using errcode = 'invalid_parameter_value';
  end if;
  execute format('refresh materialized view concurrently public.%I', view_name);
end
$$;
revoke execute on function app.refresh_matview(text) from public;
grant execute on function app.refresh_matview(text) to app_user, app_rw;

-- Last: from here on the migration role, which does not inherit skeldir_maint, has no say over them.
alter materialized view mv_channel_performance owner to skeldir_maint;
alter materialized view mv_allocation_summary owner to skeldir_maint;
alter view channel_performance owner to skeldir_maint;
alter view allocation_summary owner to skeldir_maint;
alter view all_allocation_summary owner to skeldir_maint;
alter view all_channel_performance owner to skeldir_maint;
alter function app.refresh_matview(text) owner to skeldir_maint;
"""


def upgrade() -> None:
    for text in (SCHEMAS, TENANTS, EVENTS, ATTRIBUTION, SUM_CHECK, LETTERS):
        op.execute(text)
    for table in TENANT_TABLES:
        op.execute(POLICIES.format(table=table))
    op.execute(GRANTS)
    op.execute(REPORTS)


def downgrade() -> None:
    op.execute(
        """
        drop view all_channel_performance, all_allocation_summary, allocation_summary, channel_performance;
        drop function app.refresh_matview(text);
        drop materialized view mv_allocation_summary, mv_channel_performance;
        drop table worker_failed_jobs, attribution_allocations, attribution_recompute_jobs, attribution_published,
          attribution_models, attribution_dirty_ranges, dead_events, attribution_events, event_kinds,
          channel_taxonomy, tenants;
        drop function app.check_letter_transition();
        drop function app.check_allocation_sums();
        drop function app.tenant();
        drop schema app;
        revoke create on schema public from skeldir_maint;
        revoke usage on schema public from app_user, app_rw, app_import, app_ro, console, console_tenant,
          console_all, console_global, skeldir_maint;
        """
    )
