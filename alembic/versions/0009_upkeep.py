"""Upkeep: summaries that are kept day by day, refreshes on record, retention, a guard against personal data.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = """
create table report_changes (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  target text not null,
  model_version text,
  first_day date not null,
  last_day date not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  check (first_day <= last_day)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
comment on table report_changes is
  'What a summary or materialized view does not show yet: written by the transactions that change its inputs, taken by '
  'its refresh. Rows are only added and deleted, so nobody waits for anybody.';

create table matview_refresh (
  id bigint generated always as identity primary key,
  view_name text not null,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  row_count bigint,
  outcome text not null default 'running' check (outcome in ('running', 'refreshed', 'unchanged', 'skipped', 'failed')),
  asked_by text not null,
  error_message text,
  check ((outcome = 'running') = (ended_at is null))
);
comment on table matview_refresh is 'Every refresh that was begun, also of summaries: Postgres itself keeps no time.';
create index matview_refresh_recent on matview_refresh (view_name, started_at desc, id desc);

create table allocation_days (
  tenant_id uuid not null references tenants (id),
  model_version text not null,
  day date not null,
  channel_code text not null collate "C",
  currency text not null,
  conversion_count bigint not null,
  credit numeric not null,
  allocation_count bigint not null,
  whole_credit numeric not null,
  allocated_revenue_cents bigint not null,
  fallback_revenue_cents bigint not null,
  first_converted_at timestamptz not null,
  last_converted_at timestamptz not null,
  primary key (tenant_id, model_version, day, channel_code, currency)
);
comment on table allocation_days is
  'Allocations by UTC day, kept slice by slice: a change costs the days that it touches, whatever else there is.';
comment on column allocation_days.whole_credit is
  'With refunds. An event''s credits sum to 1 exactly, so over all channels this is the number of events.';

create table revenue_days (
  tenant_id uuid not null references tenants (id),
  day date not null,
  currency text not null,
  conversion_count bigint not null,
  revenue_cents bigint not null,
  adjustment_count bigint not null,
  adjustment_cents bigint not null,
  primary key (tenant_id, day, currency)
);
comment on table revenue_days is 'Conversions and adjustments by UTC day, kept slice by slice, as allocation_days.';

create table retention (
  tenant_id uuid primary key references tenants (id),
  keep_days integer check (keep_days between 30 and 3650),
  removed_before timestamptz,
  events_removed_before timestamptz,
  swept_before timestamptz,
  advanced_at timestamptz
);
comment on column retention.keep_days is 'Allocations and events are kept this long; null: the default, 90.';
comment on column retention.removed_before is
  'The first instant of the oldest month that is kept: months before it are frozen, their allocations removed.';
comment on column retention.events_removed_before is
  'Earlier than removed_before by the longest lookback, so that what is kept can still be computed.';
comment on column retention.swept_before is 'Events before this have been removed; a hint that saves a walk, no more.';

create table allocation_months (
  tenant_id uuid not null references tenants (id),
  month date not null check (extract(day from month) = 1),
  model_version text not null,
  channel_code text not null collate "C",
  currency text not null,
  conversion_count bigint not null,
  credit numeric not null,
  allocated_revenue_cents bigint not null,
  frozen_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, month, model_version, channel_code, currency)
);
comment on table allocation_months is
  'Totals of UTC months whose allocations were removed; written once, never changed.';

create table revenue_months (
  tenant_id uuid not null references tenants (id),
  month date not null check (extract(day from month) = 1),
  currency text not null,
  conversion_count bigint not null,
  revenue_cents bigint not null,
  adjustment_count bigint not null,
  adjustment_cents bigint not null,
  frozen_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, month, currency)
);
comment on table revenue_months is 'Totals of UTC months whose events were removed; written once, never changed.';

create table pii_audit_findings (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  source text not null check (source in ('attribution_events', 'dead_events', 'worker_failed_jobs', 'huey.job')),
  row_key text not null,
  key_name text not null,
  found_at timestamptz not null default clock_timestamp(),
  last_seen_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);
comment on table pii_audit_findings is
  'Stored rows with a key of personal data: where, and which key; never the value.';
create unique index pii_audit_findings_place on pii_audit_findings (tenant_id, source, row_key, key_name);

alter table dead_events add column redacted_at timestamptz;
comment on column dead_events.redacted_at is 'When the payload was taken away, because of its age.';

-- The foreign key asks for children of each event that is removed; the index by kind does not serve its question.
create index attribution_events_parent on attribution_events (tenant_id, parent_event_id)
  where parent_event_id is not null;
"""

TENANT_TABLES = (
    "report_changes",
    "allocation_days",
    "revenue_days",
    "retention",
    "allocation_months",
    "revenue_months",
    "pii_audit_findings",
)
POLICIES = """
alter table {table} enable row level security;
alter table {table} force row level security;
create policy tenant on {table} to app_user, app_ro, app_import, console_tenant
  using (tenant_id = (select app.tenant())) with check (tenant_id = (select app.tenant()));
create policy console_read on {table} for select to console_all using (true);
create policy maint on {table} to skeldir_maint using (true) with check (true);
grant select on {table} to app_user, app_ro, app_import, console_tenant, console_all, skeldir_maint;
"""
GRANTS = """
grant insert on report_changes to app_user, app_import;
grant insert, update, delete on report_changes, allocation_days, revenue_days, retention to skeldir_maint;
grant insert on allocation_months, revenue_months to skeldir_maint;
grant insert, update, delete on pii_audit_findings to app_user;
grant select, insert, update, delete on matview_refresh to app_user, app_rw;
grant select on matview_refresh to console_tenant, console_all, console_global;

-- Only app.advance_retention() and app.remove_expired() act as this role.
create policy maint_delete on attribution_events for delete to skeldir_maint using (true);
create policy maint_delete on attribution_allocations for delete to skeldir_maint using (true);
create policy maint_delete on reconciliation_orders for delete to skeldir_maint using (true);
create policy maint_delete on attribution_dirty_ranges for delete to skeldir_maint using (true);
create policy maint_update on attribution_dirty_ranges for update to skeldir_maint using (true) with check (true);
create policy maint_update on dead_events for update to skeldir_maint using (true) with check (true);
grant delete on attribution_events, attribution_allocations, reconciliation_orders, attribution_dirty_ranges
  to skeldir_maint;
grant update (range_start) on attribution_dirty_ranges to skeldir_maint;
grant update (payload, redacted_at) on dead_events to skeldir_maint;
"""

# Statement triggers: one mark per range of days, not per row, whatever the size of the statement.
MARKS = """
create function app.note_allocation_changes() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into public.report_changes (tenant_id, target, model_version, first_day, last_day)
  select tenant_id, 'allocation_days', model_version, lower(days), upper(days) - 1
    from (select tenant_id, model_version, unnest(range_agg(daterange(day, day, '[]'))) as days
            from (select distinct tenant_id, model_version, (converted_at at time zone 'UTC')::date as day
                    from changed) seen
           group by tenant_id, model_version) ranges;
  return null;
end
$$;
create trigger attribution_allocations_changes_insert after insert on attribution_allocations
  referencing new table as changed for each statement execute function app.note_allocation_changes();
create trigger attribution_allocations_changes_delete after delete on attribution_allocations
  referencing old table as changed for each statement execute function app.note_allocation_changes();
-- Twice, for where the rows were and for where they are: a trigger function knows its table by one name.
create trigger attribution_allocations_changes_before after update on attribution_allocations
  referencing old table as changed for each statement execute function app.note_allocation_changes();
create trigger attribution_allocations_changes_after after update on attribution_allocations
  referencing new table as changed for each statement execute function app.note_allocation_changes();

create function app.note_revenue_changes() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
begin
  with seen as materialized (
    select tenant_id, (occurred_at at time zone 'UTC')::date as day, max(occurred_at) as newest
      from changed where kind in ('conversion', 'adjustment') group by 1, 2)
  insert into public.report_changes (tenant_id, target, first_day, last_day)
  select tenant_id, 'revenue_days', lower(days), upper(days) - 1
    from (select tenant_id, unnest(range_agg(daterange(day, day, '[]'))) as days from seen group by tenant_id) ranges
  union all
  select tenant_id, 'mv_realtime_revenue', min(day), max(day)
    from seen where newest >= now() - interval '24 hours' group by tenant_id;
  return null;
end
$$;
create trigger attribution_events_changes_insert after insert on attribution_events
  referencing new table as changed for each statement execute function app.note_revenue_changes();
create trigger attribution_events_changes_delete after delete on attribution_events
  referencing old table as changed for each statement execute function app.note_revenue_changes();

create function app.note_reconciliation() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into public.report_changes (tenant_id, target, first_day, last_day)
  select tenant_id, 'mv_reconciliation_status', current_date, current_date from changed group by tenant_id;
  return null;
end
$$;
create trigger reconciliation_runs_changes after insert on reconciliation_runs
  referencing new table as changed for each statement execute function app.note_reconciliation();
"""

SUMMARIES = """
create function app.recount_allocation_days(forced boolean) returns bigint language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp as $$
declare
  slice record;
  since timestamptz;
  until timestamptz;
  changed bigint;
  total bigint := 0;
begin
  for slice in
    with picked as (
      select c.tenant_id, c.id from public.report_changes c where c.target = 'allocation_days'
       order by c.tenant_id, c.id limit case when not forced then 2000 end),
    taken as (
      delete from public.report_changes c using picked p where c.tenant_id = p.tenant_id and c.id = p.id
      returning c.tenant_id, c.model_version, c.first_day, c.last_day, c.created_at)
    select tenant_id, model_version, unnest(range_agg(daterange(first_day, last_day, '[]'))) as days,
           min(created_at) as created_at
      from taken where not forced group by tenant_id, model_version
    union all
    select tenant_id, model_version, daterange(null, null), clock_timestamp()
      from public.attribution_models where forced
  loop
    since := coalesce(lower(slice.days)::timestamp at time zone 'UTC', '-infinity');
    until := coalesce(upper(slice.days)::timestamp at time zone 'UTC', 'infinity');
    -- Rows that are right already are not written.
    with counted as materialized (
      select (a.converted_at at time zone 'UTC')::date as day, a.channel_code, a.currency,
             count(*) filter (where not a.is_adjustment) as conversion_count,
             coalesce(sum(a.allocation_ratio) filter (where not a.is_adjustment), 0) as credit,
             count(*) as allocation_count, sum(a.allocation_ratio) as whole_credit,
             sum(a.allocated_revenue_cents)::bigint as allocated_revenue_cents,
             coalesce(sum(a.allocated_revenue_cents) filter (where a.is_fallback), 0)::bigint as fallback_revenue_cents,
             min(a.converted_at) as first_converted_at, max(a.converted_at) as last_converted_at
        from public.attribution_allocations a
       where a.tenant_id = slice.tenant_id and a.model_version = slice.model_version
         and a.converted_at >= since and a.converted_at < until
       group by 1, 2, 3),
    gone as (
      delete from public.allocation_days d
       where d.tenant_id = slice.tenant_id and d.model_version = slice.model_version and d.day <@ slice.days
         and not exists (select from counted c where c.day = d.day and c.channel_code = d.channel_code
                            and c.currency = d.currency)
      returning 1),
    written as (
      insert into public.allocation_days as d
      select slice.tenant_id, slice.model_version, c.* from counted c
      on conflict (tenant_id, model_version, day, channel_code, currency) do update
         set conversion_count = excluded.conversion_count, credit = excluded.credit,
             allocation_count = excluded.allocation_count, whole_credit = excluded.whole_credit,
             allocated_revenue_cents = excluded.allocated_revenue_cents,
             fallback_revenue_cents = excluded.fallback_revenue_cents,
             first_converted_at = excluded.first_converted_at, last_converted_at = excluded.last_converted_at
       where (d.conversion_count, d.credit, d.allocation_count, d.whole_credit, d.allocated_revenue_cents,
              d.fallback_revenue_cents, d.first_converted_at, d.last_converted_at)
             is distinct from
             (excluded.conversion_count, excluded.credit, excluded.allocation_count, excluded.whole_credit,
              excluded.allocated_revenue_cents, excluded.fallback_revenue_cents, excluded.first_converted_at,
              excluded.last_converted_at)
      returning 1)
    select (select count(*) from gone) + (select count(*) from written) into changed;
    if changed > 0 then
      total := total + changed;
      -- As old as what it carries on: a view is late when it and its summary together are.
      insert into public.report_changes (tenant_id, target, first_day, last_day, created_at)
      select slice.tenant_id, view_name, current_date, current_date, slice.created_at
        from unnest(array['mv_channel_performance', 'mv_allocation_summary']) view_name;
    end if;
  end loop;
  return total;
end
$$;

create function app.recount_revenue_days(forced boolean) returns bigint language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp as $$
declare
  slice record;
  since timestamptz;
  until timestamptz;
  changed bigint;
  total bigint := 0;
begin
  for slice in
    with picked as (
      select c.tenant_id, c.id from public.report_changes c where c.target = 'revenue_days'
       order by c.tenant_id, c.id limit case when not forced then 2000 end),
    taken as (
      delete from public.report_changes c using picked p where c.tenant_id = p.tenant_id and c.id = p.id
      returning c.tenant_id, c.first_day, c.last_day, c.created_at)
    select tenant_id, unnest(range_agg(daterange(first_day, last_day, '[]'))) as days, min(created_at) as created_at
      from taken where not forced group by tenant_id
    union all
    select id, daterange(null, null), clock_timestamp() from public.tenants where forced
  loop
    since := coalesce(lower(slice.days)::timestamp at time zone 'UTC', '-infinity');
    until := coalesce(upper(slice.days)::timestamp at time zone 'UTC', 'infinity');
    with counted as materialized (
      select (e.occurred_at at time zone 'UTC')::date as day, e.currency,
             count(*) filter (where e.kind = 'conversion') as conversion_count,
             coalesce(sum(e.revenue_cents) filter (where e.kind = 'conversion'), 0)::bigint as revenue_cents,
             count(*) filter (where e.kind = 'adjustment') as adjustment_count,
             coalesce(sum(e.revenue_cents) filter (where e.kind = 'adjustment'), 0)::bigint as adjustment_cents
        from public.attribution_events e
       where e.tenant_id = slice.tenant_id and e.kind in ('conversion', 'adjustment')
         and e.occurred_at >= since and e.occurred_at < until
       group by 1, 2),
    gone as (
      delete from public.revenue_days d
       where d.tenant_id = slice.tenant_id and d.day <@ slice.days
         and not exists (select from counted c where c.day = d.day and c.currency = d.currency)
      returning 1),
    written as (
      insert into public.revenue_days as d
      select slice.tenant_id, c.* from counted c
      on conflict (tenant_id, day, currency) do update
         set conversion_count = excluded.conversion_count, revenue_cents = excluded.revenue_cents,
             adjustment_count = excluded.adjustment_count, adjustment_cents = excluded.adjustment_cents
       where (d.conversion_count, d.revenue_cents, d.adjustment_count, d.adjustment_cents)
             is distinct from
             (excluded.conversion_count, excluded.revenue_cents, excluded.adjustment_count, excluded.adjustment_cents)
      returning 1)
    select (select count(*) from gone) + (select count(*) from written) into changed;
    if changed > 0 then
      total := total + changed;
      insert into public.report_changes (tenant_id, target, first_day, last_day, created_at)
      values (slice.tenant_id, 'mv_daily_revenue_summary', current_date, current_date, slice.created_at);
    end if;
  end loop;
  return total;
end
$$;
"""

# As before, but from the summaries, or tenant by tenant: no refresh reads all allocations, events or reconciliations.
VIEWS = """
create materialized view mv_channel_performance as
  select tenant_id, model_version, channel_code, currency, day, conversion_count, credit, allocated_revenue_cents
    from allocation_days;
create unique index mv_channel_performance_key
  on mv_channel_performance (tenant_id, model_version, channel_code, currency, day);

create materialized view mv_allocation_summary as
  select tenant_id, model_version, currency,
         round(sum(whole_credit))::bigint as event_count, sum(allocation_count)::bigint as allocation_count,
         sum(allocated_revenue_cents)::bigint as allocated_revenue_cents,
         sum(fallback_revenue_cents)::bigint as fallback_revenue_cents,
         min(first_converted_at) as first_converted_at, max(last_converted_at) as last_converted_at
    from allocation_days
   group by 1, 2, 3;
create unique index mv_allocation_summary_key on mv_allocation_summary (tenant_id, model_version, currency);

create materialized view mv_daily_revenue_summary as
  select tenant_id, day, currency, conversion_count, revenue_cents, adjustment_count, adjustment_cents,
         revenue_cents + adjustment_cents as net_cents
    from revenue_days;
create unique index mv_daily_revenue_summary_key on mv_daily_revenue_summary (tenant_id, day, currency);

create materialized view mv_reconciliation_status as
  select r.tenant_id, r.id as reconciliation_id, r.window_start, r.window_end, r.model_version, r.created_at,
         o.currency, count(*) as order_count,
         sum(o.claimed_cents)::bigint as claimed_cents, sum(o.verified_cents)::bigint as verified_cents,
         sum(o.allocated_cents)::bigint as allocated_cents, sum(o.ghost_cents)::bigint as ghost_cents,
         count(*) filter (where o.allocation_state <> 'matched' or o.ghost_cents > 0) as mismatch_count
    from tenants t
   cross join lateral (
     select * from reconciliation_runs x where x.tenant_id = t.id
      order by x.created_at desc, x.id desc limit 1) r
    join reconciliation_orders o on o.tenant_id = r.tenant_id and o.reconciliation_id = r.id
   group by 1, 2, 3, 4, 5, 6, 7;
create unique index mv_reconciliation_status_key on mv_reconciliation_status (tenant_id, currency);
"""
OLD_VIEWS = """
create materialized view mv_channel_performance as
  select tenant_id, model_version, channel_code, currency, (converted_at at time zone 'UTC')::date as day,
         count(*) filter (where not is_adjustment) as conversion_count,
         coalesce(sum(allocation_ratio) filter (where not is_adjustment), 0) as credit,
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

create materialized view mv_daily_revenue_summary as
  select tenant_id, (occurred_at at time zone 'UTC')::date as day, currency,
         count(*) filter (where kind = 'conversion') as conversion_count,
         coalesce(sum(revenue_cents) filter (where kind = 'conversion'), 0)::bigint as revenue_cents,
         count(*) filter (where kind = 'adjustment') as adjustment_count,
         coalesce(sum(revenue_cents) filter (where kind = 'adjustment'), 0)::bigint as adjustment_cents,
         sum(revenue_cents)::bigint as net_cents
    from attribution_events
   where kind in ('conversion', 'adjustment')
   group by 1, 2, 3;
create unique index mv_daily_revenue_summary_key on mv_daily_revenue_summary (tenant_id, day, currency);

create materialized view mv_reconciliation_status as
  select r.tenant_id, r.id as reconciliation_id, r.window_start, r.window_end, r.model_version, r.created_at,
         o.currency, count(*) as order_count,
         sum(o.claimed_cents)::bigint as claimed_cents, sum(o.verified_cents)::bigint as verified_cents,
         sum(o.allocated_cents)::bigint as allocated_cents, sum(o.ghost_cents)::bigint as ghost_cents,
         count(*) filter (where o.allocation_state <> 'matched' or o.ghost_cents > 0) as mismatch_count
    from (select distinct on (tenant_id) * from reconciliation_runs
           order by tenant_id, created_at desc, id desc) r
    join reconciliation_orders o on o.tenant_id = r.tenant_id and o.reconciliation_id = r.id
   group by 1, 2, 3, 4, 5, 6, 7;
create unique index mv_reconciliation_status_key on mv_reconciliation_status (tenant_id, currency);
"""
SECURE = """
create view {name} with (security_barrier) as select * from mv_{name} where tenant_id = (select app.tenant());
create view all_{name} with (security_barrier) as select * from mv_{name};
grant select on {name} to app_user, app_ro, console_tenant;
grant select on all_{name} to console_all;
alter view {name} owner to skeldir_maint;
alter view all_{name} owner to skeldir_maint;
alter materialized view mv_{name} owner to skeldir_maint;
"""
CHANGED_VIEWS = ("channel_performance", "allocation_summary", "daily_revenue_summary", "reconciliation_status")

REFRESH = """
drop function app.refresh_matview(text);
-- Unconditionally, with the summary that it is built on.
create function app.refresh_matview(view_name text) returns void language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp as $$
begin
  if view_name not in ('mv_channel_performance', 'mv_allocation_summary', 'mv_daily_revenue_summary',
                       'mv_realtime_revenue', 'mv_reconciliation_status') then
    raise exception 'unknown materialized view: %', view_name using errcode = 'invalid_parameter_value';
  end if;
  if view_name in ('mv_channel_performance', 'mv_allocation_summary') then
    perform app.recount_allocation_days(false);
  elsif view_name = 'mv_daily_revenue_summary' then
    perform app.recount_revenue_days(false);
  end if;
  execute format('refresh materialized view concurrently public.%I', view_name);
end
$$;

-- What is taken is deleted by an earlier statement than the one that reads the inputs: a change that commits in between
-- keeps its mark, so at worst it is counted twice, never forgotten.
create function app.refresh_report(report text, forced boolean, out outcome text, out row_count bigint)
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  is_due boolean := forced;
begin
  if report not in ('allocation_days', 'revenue_days', 'mv_channel_performance', 'mv_allocation_summary',
                    'mv_daily_revenue_summary', 'mv_realtime_revenue', 'mv_reconciliation_status') then
    raise exception 'unknown report: %', report using errcode = 'invalid_parameter_value';
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('skeldir.refresh:' || report, 0)) then
    outcome := 'skipped';
    return;
  end if;
  outcome := 'refreshed';
  if report = 'allocation_days' then
    row_count := app.recount_allocation_days(forced);
  elsif report = 'revenue_days' then
    row_count := app.recount_revenue_days(forced);
  else
    delete from public.report_changes where target = report;
    is_due := is_due or found;
    -- Its 24 hours move on by themselves: rows fall out of it.
    if report = 'mv_realtime_revenue' and not is_due then
      select exists (select from public.mv_realtime_revenue) into is_due;
    end if;
    if not is_due then
      outcome := 'unchanged';
      return;
    end if;
    execute format('refresh materialized view concurrently public.%I', report);
    execute format('select count(*) from public.%I', report) into row_count;
  end if;
end
$$;

create function app.report_backlog()
  returns table (report text, change_count bigint, oldest_at timestamptz, is_moving boolean, locked_by integer,
                 size_bytes bigint)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
  select r.report, coalesce(c.change_count, 0), c.oldest_at,
         r.report = 'mv_realtime_revenue' and exists (select from public.mv_realtime_revenue),
         (select l.pid from pg_locks l
           where l.locktype = 'advisory' and l.granted and l.objsubid = 1
             and l.database = (select oid from pg_database where datname = current_database())
             and ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended('skeldir.refresh:' || r.report, 0)
           limit 1),
         pg_total_relation_size(to_regclass('public.' || r.report))
    from unnest(array['allocation_days', 'revenue_days', 'mv_channel_performance', 'mv_allocation_summary',
                      'mv_daily_revenue_summary', 'mv_realtime_revenue', 'mv_reconciliation_status']) r (report)
    left join (select target, count(*) as change_count, min(created_at) as oldest_at
                 from public.report_changes group by target) c on c.target = r.report
$$;
"""
OLD_REFRESH = """
drop function app.refresh_matview(text);
create function app.refresh_matview(view_name text) returns void language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp as $$
begin
  if view_name not in ({names}) then
    raise exception 'unknown materialized view: %', view_name using errcode = 'invalid_parameter_value';
  end if;
  execute format('refresh materialized view concurrently public.%I', view_name);
end
$$;
"""
OLD_NAMES = (
    "'mv_channel_performance', 'mv_allocation_summary', 'mv_daily_revenue_summary', 'mv_realtime_revenue', "
    "'mv_reconciliation_status'"
)

RETENTION = """
create function app.keep_events() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' and current_user = 'skeldir_maint' then
    return null;  -- only app.remove_expired() acts as this role
  end if;
  raise exception 'attribution_events is append-only' using errcode = 'insufficient_privilege';
end
$$;
create trigger attribution_events_append_only before update or delete on attribution_events
  for each statement execute function app.keep_events();

create function app.set_keep_days(days integer) returns void language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into public.retention as r (tenant_id, keep_days) values (app.tenant(), days)
  on conflict (tenant_id) do update set keep_days = excluded.keep_days;
end
$$;

-- Where the tenant's boundary may be now: at the beginning of a month, and where it is while a tenant is given time to
-- look at the history that it came with, or late data waits for its run.
create function app.retention_boundary(default_days integer) returns timestamptz language sql stable
  set search_path = pg_catalog, public, pg_temp as $$
  select case when t.created_at > clock_timestamp() - rule.age
                or exists (select from public.attribution_dirty_ranges d
                             join public.attribution_published p using (tenant_id)
                            where d.tenant_id = t.id and d.range_start < date_trunc('month', now() - rule.age, 'UTC')
                              and d.created_at > clock_timestamp() - interval '7 days')
              then r.removed_before
              else greatest(r.removed_before, date_trunc('month', clock_timestamp() - rule.age, 'UTC')) end
    from public.tenants t
    left join public.retention r on r.tenant_id = t.id
   cross join lateral (select make_interval(days => coalesce(r.keep_days, default_days)) as age) rule
   where t.id = app.tenant()
$$;
create function app.longest_lookback() returns interval language sql stable
  set search_path = pg_catalog, public, pg_temp as $$
  select make_interval(secs => greatest(30 * 86400, max((params->>'lookback_s')::bigint)))
    from public.attribution_models where tenant_id = app.tenant()
$$;

-- Moves the tenant's boundary, in one transaction with the totals of the months that lie behind it from then on, and
-- returns it as it is afterwards. It stays where it is while a run is under way.
create function app.advance_retention(default_days integer) returns timestamptz language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp as $$
declare
  t uuid := app.tenant();
  was timestamptz;
  boundary timestamptz;
begin
  if t is null then
    raise exception 'retention is of one tenant, and none was set' using errcode = 'insufficient_privilege';
  end if;
  if default_days < 30 then
    raise exception 'data is kept for 30 days at least' using errcode = 'invalid_parameter_value';
  end if;
  select removed_before into was from public.retention where tenant_id = t;
  boundary := app.retention_boundary(default_days);
  if boundary is not distinct from was
     or not pg_try_advisory_xact_lock(hashtextextended('skeldir.retention:' || t::text, 0)) then
    return was;
  end if;
  insert into public.allocation_months
    (tenant_id, month, model_version, channel_code, currency, conversion_count, credit, allocated_revenue_cents)
  select t, date_trunc('month', a.converted_at at time zone 'UTC')::date, a.model_version, a.channel_code, a.currency,
         count(*) filter (where not a.is_adjustment),
         coalesce(sum(a.allocation_ratio) filter (where not a.is_adjustment), 0), sum(a.allocated_revenue_cents)
    from public.attribution_allocations a
   where a.tenant_id = t and a.converted_at >= coalesce(was, '-infinity') and a.converted_at < boundary
   group by 2, 3, 4, 5;
  insert into public.revenue_months
    (tenant_id, month, currency, conversion_count, revenue_cents, adjustment_count, adjustment_cents)
  select t, date_trunc('month', e.occurred_at at time zone 'UTC')::date, e.currency,
         count(*) filter (where e.kind = 'conversion'),
         coalesce(sum(e.revenue_cents) filter (where e.kind = 'conversion'), 0),
         count(*) filter (where e.kind = 'adjustment'),
         coalesce(sum(e.revenue_cents) filter (where e.kind = 'adjustment'), 0)
    from public.attribution_events e
   where e.tenant_id = t and e.kind in ('conversion', 'adjustment')
     and e.occurred_at >= coalesce(was, '-infinity') and e.occurred_at < boundary
   group by 2, 3;
  insert into public.retention as r (tenant_id, removed_before, events_removed_before, advanced_at)
  values (t, boundary, boundary - app.longest_lookback(), clock_timestamp())
  on conflict (tenant_id) do update
     set removed_before = excluded.removed_before, advanced_at = excluded.advanced_at,
         events_removed_before = greatest(r.events_removed_before, excluded.events_removed_before);
  -- Runs do not go behind the boundary, so neither do the ranges that ask for them.
  delete from public.attribution_dirty_ranges where tenant_id = t and range_end <= boundary;
  update public.attribution_dirty_ranges set range_start = boundary where tenant_id = t and range_start < boundary;
  return boundary;
end
$$;

-- Removes one batch of what lies behind the tenant's boundary. A sale stays as long as a refund of it is kept. Events
-- are walked by key, from the one behind "after"; next_id says where the next batch begins, null at the end.
create function app.remove_expired(part text, default_days integer, after uuid, batch integer,
                                   out removed bigint, out next_id uuid)
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  t uuid := app.tenant();
  rule record;
  old_before timestamptz;
  version text;
begin
  if t is null then
    raise exception 'retention is of one tenant, and none was set' using errcode = 'insufficient_privilege';
  end if;
  if default_days < 30 then
    raise exception 'data is kept for 30 days at least' using errcode = 'invalid_parameter_value';
  end if;
  select r.removed_before, r.events_removed_before, coalesce(r.keep_days, default_days) as keep_days into rule
    from (values (t)) given (id) left join public.retention r on r.tenant_id = given.id;
  old_before := clock_timestamp() - make_interval(days => rule.keep_days);
  removed := 0;
  if part = 'attribution_allocations' then
    for version in select m.model_version from public.attribution_models m where m.tenant_id = t loop
      with picked as materialized (
        select a.event_id from public.attribution_allocations a
         where a.tenant_id = t and a.model_version = version and a.converted_at < rule.removed_before
           and not exists (select from public.attribution_events r
                            where r.tenant_id = t and r.parent_event_id = a.event_id and r.kind = 'adjustment'
                              and r.occurred_at >= rule.removed_before)
         order by a.converted_at, a.event_id limit batch),
      gone as (
        delete from public.attribution_allocations a using (select distinct event_id from picked) p
         where a.tenant_id = t and a.event_id = p.event_id and a.model_version = version
        returning 1)
      select count(*) into removed from gone;
      exit when removed > 0;
    end loop;
  elsif part = 'attribution_events' then
    with seen as materialized (
      select e.id, e.occurred_at from public.attribution_events e
       where e.tenant_id = t and (after is null or e.id > after) order by e.id limit batch),
    gone as (
      delete from public.attribution_events e using seen s
       where e.tenant_id = t and e.id = s.id and s.occurred_at < rule.events_removed_before
         and not exists (select from public.attribution_events c where c.tenant_id = t and c.parent_event_id = e.id)
         and not exists (select from public.attribution_allocations a where a.tenant_id = t and a.event_id = e.id)
      returning 1)
    select (select count(*) from gone),
           case when (select count(*) from seen) = batch then (select id from seen order by id desc limit 1) end
      into removed, next_id;
    if next_id is null then
      update public.retention set swept_before = events_removed_before where tenant_id = t;
    end if;
  elsif part = 'reconciliation_orders' then
    -- The newest reconciliation is what the tenant sees, however old it is.
    with newest as (
      select r.id from public.reconciliation_runs r where r.tenant_id = t
       order by r.created_at desc, r.id desc limit 1),
    gone as (
      delete from public.reconciliation_orders o
       where o.tenant_id = t and o.ctid = any (array(
         select x.ctid from public.reconciliation_runs r
           join public.reconciliation_orders x on x.tenant_id = t and x.reconciliation_id = r.id
          where r.tenant_id = t and r.created_at < old_before and r.id <> (select id from newest) limit batch))
      returning 1)
    select count(*) into removed from gone;
  elsif part = 'dead_events' then
    with old as (
      select d.id from public.dead_events d
       where d.tenant_id = t and d.created_at < old_before and d.redacted_at is null
       order by d.created_at limit batch),
    changed as (
      update public.dead_events d set payload = jsonb_build_object('redacted', true), redacted_at = clock_timestamp()
        from old where d.tenant_id = t and d.id = old.id
      returning 1)
    select count(*) into removed from changed;
  else
    raise exception 'unknown part: %', part using errcode = 'invalid_parameter_value';
  end if;
end
$$;
"""

# The one rule of which keys are personal. Keys are compared as jsonb writes them, without case and separators: so at
# every depth, and also in JSON that somebody stored as text. What log.redact() hid when it was stored is no finding.
_WHO = (
    "(?:customer|client|user|buyer|recipient|contact|billing|shipping|delivery|home|work|personal|primary|secondary|"
    "guest|member|subscriber|owner|payer|person|remote|source|visitor)?"
)
PERSONAL = "|".join(
    (
        f"{_WHO}e?mails?(?:addr(?:ess)?(?:es)?)?",
        f"{_WHO}(?:tele|mobile|cell|smart)?phones?(?:no|nr|numbers?)?",
        "(?:mobile|cell|tel|fax)(?:no|nr|number)?",
        "msisdn",
        "ssn",
        "social(?:security|insurance)(?:no|nr|number)?",
        "(?:nationalid|taxid|passport|driv(?:er|ers|ing)licen[cs]e)(?:no|nr|number)?",
        f"{_WHO}ip(?:v[46])?s?(?:addr(?:ess)?(?:es)?)?",
        "macaddr(?:ess)?",
        "imei",
        "(?:first|last|middle|full|sur|given|family|maiden|nick|legal|real)names?",
        "(?:customer|client|user|buyer|recipient|contact|billing|shipping|delivery|guest|member|subscriber|owner|payer"
        "|person|visitor)(?:first|last|middle|full|sur|given|family)?names?",
        f"{_WHO}(?:street|postal|mailing|residential)?address(?:es)?(?:line)?[0-9]*",
        "street(?:name|no|nr|number)?[0-9]*",
        f"{_WHO}(?:zip|(?:zip|post|postal)code)",
        "dateofbirth|dob|birth(?:day|date|year)?",
        "iban|(?:credit|debit)?card(?:no|nr|number)|cvv|cvc",
    )
)
_PATTERN = PERSONAL.replace("?:", r"?\:")  # else SQLAlchemy takes (?:customer for a parameter
# Every personal key has one of these in it. The pattern itself costs half a millisecond, this look a tenth of that.
_WORDS = (
    "mail phone mobile cell tel fax msisdn ssn social nationalid taxid passport licen addr imei street zip postcode"
    ' postalcode birth dob iban card cvv cvc ip" ips" ipv ipaddr'
)
_NAMES = (
    "first last middle full sur given family maiden nick legal real customer client user buyer recipient contact"
    " billing shipping delivery guest member subscriber owner payer person visitor"
)
_SUSPICIOUS = [*_WORDS.split(), *(f"{who}%name" for who in _NAMES.split())]
_LIKE = ", ".join(f"'%{word}%'" for word in _SUSPICIOUS)
PII = f"""
create function app.pii_key(body text) returns text language plpgsql immutable strict parallel safe as $$
declare
  -- What stands before ": is a key, also in JSON within a text, where the quotes are escaped.
  keys text := (select lower(string_agg(split_part(part, '"', -1), '":')) || '":'
                  from string_to_table(body, '":') part);
begin
  -- Not by translate(), which takes three times as long as all of these.
  keys := replace(replace(replace(replace(replace(replace(keys, '_', ''), '-', ''), ' ', ''), '.', ''), '/', ''),
                  chr(92), '');
  if keys like any (array[{_LIKE}]) then
    return substring(translate(lower(body), ' _-./' || chr(92), ''), '"({_PATTERN})":(?!"\\[redacted\\]")');
  end if;
  return null;
end
$$;
comment on function app.pii_key(text) is
  'The first key of personal data in a JSON text, in small letters without separators; null when there is none.';

create function app.refuse_personal_data() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
declare
  key text := app.pii_key(new.raw_payload::text);
begin
  if key is not null then
    raise exception 'raw_payload has a key of personal data: %', key
      using errcode = 'check_violation', constraint = 'attribution_events_no_personal_data', column = 'raw_payload';
  end if;
  return new;
end
$$;
-- Events without a payload, as files give them, do not call it at all.
create trigger attribution_events_no_personal_data before insert or update of raw_payload on attribution_events
  for each row when (new.raw_payload is not null) execute function app.refuse_personal_data();
"""  # our own words  # nosec B608

# Those that app_user and app_rw call; all of them are skeldir_maint's.
WORKERS = (
    "app.refresh_matview(text)",
    "app.refresh_report(text, boolean)",
    "app.report_backlog()",
    "app.retention_boundary(integer)",
    "app.longest_lookback()",
    "app.set_keep_days(integer)",
    "app.advance_retention(integer)",
    "app.remove_expired(text, integer, uuid, integer)",
)
INTERNAL = ("app.recount_allocation_days(boolean)", "app.recount_revenue_days(boolean)")
# What is there already is counted once, as the role that may see it.
EXISTING = """
set local role skeldir_maint;
select app.refresh_report(r, true)
  from unnest(array['allocation_days', 'revenue_days', 'mv_channel_performance', 'mv_allocation_summary',
                    'mv_daily_revenue_summary', 'mv_reconciliation_status']) with ordinality as u (r, n) order by n;
set local role none;
"""


def upgrade() -> None:
    op.execute(TABLES)
    for table in TENANT_TABLES:
        op.execute(POLICIES.format(table=table))
    for text in (GRANTS, MARKS, SUMMARIES):
        op.execute(text)
    _drop_views()
    op.execute(VIEWS)
    for name in CHANGED_VIEWS:
        op.execute(SECURE.format(name=name))
    for text in (REFRESH, RETENTION, PII):
        op.execute(text)
    for function in (*WORKERS, *INTERNAL):
        op.execute(f"revoke execute on function {function} from public")
        if function in WORKERS:
            op.execute(f"grant execute on function {function} to app_user, app_rw")
    op.execute("grant execute on function app.report_backlog() to console_tenant, console_all, console_global")
    # Last: from here on the migration role, which does not inherit skeldir_maint, has no say over them.
    for function in (*WORKERS, *INTERNAL):
        op.execute(f"alter function {function} owner to skeldir_maint")
    op.execute(EXISTING)


def downgrade() -> None:
    _drop_views()
    op.execute(OLD_VIEWS)
    for name in CHANGED_VIEWS:
        op.execute(SECURE.format(name=name))
    op.execute(OLD_REFRESH.format(names=OLD_NAMES))
    op.execute(
        """
        revoke execute on function app.refresh_matview(text) from public;
        grant execute on function app.refresh_matview(text) to app_user, app_rw;
        alter function app.refresh_matview(text) owner to skeldir_maint;

        drop trigger attribution_events_no_personal_data on attribution_events;
        drop trigger attribution_events_append_only on attribution_events;
        drop trigger attribution_events_changes_insert on attribution_events;
        drop trigger attribution_events_changes_delete on attribution_events;
        drop trigger attribution_allocations_changes_insert on attribution_allocations;
        drop trigger attribution_allocations_changes_delete on attribution_allocations;
        drop trigger attribution_allocations_changes_before on attribution_allocations;
        drop trigger attribution_allocations_changes_after on attribution_allocations;
        drop trigger reconciliation_runs_changes on reconciliation_runs;
        drop function app.refuse_personal_data(), app.pii_key(text), app.keep_events(), app.note_allocation_changes(),
          app.note_revenue_changes(), app.note_reconciliation(), app.refresh_report(text, boolean),
          app.report_backlog(), app.set_keep_days(integer), app.advance_retention(integer),
          app.retention_boundary(integer), app.longest_lookback(),
          app.remove_expired(text, integer, uuid, integer),
          app.recount_allocation_days(boolean), app.recount_revenue_days(boolean);

        revoke delete on attribution_events, attribution_allocations, reconciliation_orders, attribution_dirty_ranges
          from skeldir_maint;
        revoke update (range_start) on attribution_dirty_ranges from skeldir_maint;
        revoke update (payload, redacted_at) on dead_events from skeldir_maint;
        drop policy maint_delete on attribution_events;
        drop policy maint_delete on attribution_allocations;
        drop policy maint_delete on reconciliation_orders;
        drop policy maint_delete on attribution_dirty_ranges;
        drop policy maint_update on attribution_dirty_ranges;
        drop policy maint_update on dead_events;
        drop index attribution_events_parent;
        alter table dead_events drop column redacted_at;
        drop table pii_audit_findings, revenue_months, allocation_months, retention, revenue_days, allocation_days,
          matview_refresh, report_changes;
        """
    )


def _drop_views() -> None:
    for name in CHANGED_VIEWS:
        op.execute(f"drop view all_{name}, {name}; drop materialized view mv_{name}")
