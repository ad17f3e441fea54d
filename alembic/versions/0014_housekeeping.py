"""Housekeeping: a day's history leaves the default partition, and everything that grows is removed in its time.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Called by every consumer each minute, so it waits for nobody: what it cannot lock in half a second comes next time.
ROTATE = """
create or replace function app.rotate_job_attempts(today date, keep_days integer, ahead_days integer)
  returns integer language plpgsql security definer
  set search_path = pg_catalog, huey, pg_temp set lock_timeout = '500ms' as $$
declare
  day date;
  part text;
  changed integer := 0;
begin
  if keep_days < 1 or ahead_days < 1 then
    raise exception 'keep_days and ahead_days must be at least 1' using errcode = 'invalid_parameter_value';
  end if;
  if not pg_try_advisory_xact_lock(hashtextextended('skeldir rotate history', 0)) then
    return 0;
  end if;
  -- The days to come, and those whose rows had to go to the default partition.
  for day in
    select d::date from generate_series(today::timestamp, today::timestamp + make_interval(days => ahead_days),
                                        interval '1 day') d
     union
    select (ended_at at time zone 'UTC')::date from huey.job_attempt_default
     where ended_at >= (today - keep_days)::timestamp at time zone 'UTC'
       and ended_at < (today + ahead_days)::timestamp at time zone 'UTC'
     order by 1
  loop
    if to_regclass(format('huey.job_attempt_%s', to_char(day, 'YYYYMMDD'))) is null then
      begin
        perform app.make_job_attempt_day(day);
        changed := changed + 1;
      exception when lock_not_available then
        raise warning 'the partition of % waits: the history is in use', day;
      end;
    end if;
  end loop;
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'huey.job_attempt'::regclass and c.relname ~ '^job_attempt_[0-9]{8}$'
       and to_date(right(c.relname, 8), 'YYYYMMDD') < today - keep_days loop
    begin
      execute format('drop table huey.%I', part);
      changed := changed + 1;
    exception when lock_not_available then
      raise warning 'huey.% waits to be dropped: the history is in use', part;
    end;
  end loop;
  delete from huey.job_attempt_default
   where ctid = any (array(select d.ctid from huey.job_attempt_default d
                            where d.ended_at < (today - keep_days)::timestamp at time zone 'UTC' limit 10000));
  return changed;
end
$$;

-- Makes one day's partition, with the rows of that day that are in the default one. Most of them are moved while others
-- write there; only for what came meanwhile, and to attach, writers wait.
create function app.make_job_attempt_day(day date) returns void language plpgsql
  set search_path = pg_catalog, huey, pg_temp as $$
declare
  name text := 'job_attempt_' || to_char(day, 'YYYYMMDD');
  since timestamptz := day::timestamp at time zone 'UTC';
  until timestamptz := (day + 1)::timestamp at time zone 'UTC';
  columns text := (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
                    where a.attrelid = 'huey.job_attempt'::regclass and a.attnum > 0 and not a.attisdropped);
begin
  execute format('create table huey.%I (like huey.job_attempt including defaults including constraints including'
                 ' indexes including comments)', name);
  for turn in 1..2 loop
    if turn = 2 then
      -- The whole history first: who has found the default partition for his row and waits there would be refused.
      lock table huey.job_attempt in share row exclusive mode;
      lock table huey.job_attempt_default in access exclusive mode;
    end if;
    execute format('with moved as (delete from huey.job_attempt_default where ended_at >= $1 and ended_at < $2'
                   ' returning *) insert into huey.%I (%s) select %s from moved', name, columns, columns)
      using since, until;
  end loop;
  execute format('alter table huey.%I enable row level security', name);
  execute format('alter table huey.%I force row level security', name);
  execute format('alter table huey.job_attempt attach partition huey.%I for values from (%L) to (%L)',
                 name, since, until);
end
$$;
revoke execute on function app.make_job_attempt_day(date) from public;
"""

# As in 0002.
OLD_ROTATE = """
create or replace function app.rotate_job_attempts(today date, keep_days integer, ahead_days integer)
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
"""

# What a tenant's transaction may remove, beside app.remove_expired(); and what one of no tenant may.
REMOVE = """
create function app.remove_settled(part text, batch integer) returns bigint
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp set lock_timeout = '5s' as $$
declare
  t uuid := app.tenant();
  removed bigint;
begin
  if t is null then
    raise exception 'retention is of one tenant, and none was set' using errcode = 'insufficient_privilege';
  end if;
  if part = 'settled_records' then
    with old as (
      select d.id from public.dead_events d
       where d.tenant_id = t and d.remediation_status in ('resolved', 'ignored')
         and d.created_at < clock_timestamp() - interval '365 days'
         -- What an adjustment that still waits was refused for stays ignored.
         and not exists (select from public.waiting_adjustments w
                          where w.tenant_id = t and w.idempotency_key = d.idempotency_key)
       order by d.created_at limit batch for update skip locked),
    gone as (
      delete from public.dead_events d using old where d.tenant_id = t and d.id = old.id returning 1)
    select count(*) into removed from gone;
  else
    raise exception 'unknown part: %', part using errcode = 'invalid_parameter_value';
  end if;
  return removed;
end
$$;

create function app.remove_outdated(part text, batch integer) returns bigint
  language plpgsql security definer set search_path = pg_catalog, public, huey, pg_temp set lock_timeout = '5s' as $$
declare
  removed bigint := 0;
begin
  if app.tenant() is not null then
    raise exception 'this is of no single tenant' using errcode = 'insufficient_privilege';
  end if;
  if part = 'console_session' then
    delete from public.console_session where id = any (array(
      select s.id from public.console_session s where s.started_at < clock_timestamp() - interval '30 days'
       limit batch for update skip locked));
    get diagnostics removed = row_count;
  elsif part = 'worker_failed_jobs' then
    -- Of no tenant; each tenant's go with its own retention.
    delete from public.worker_failed_jobs where id = any (array(
      select f.id from public.worker_failed_jobs f
       where f.tenant_id is null and f.status in ('resolved', 'abandoned')
         and coalesce(f.resolved_at, f.failed_at) < clock_timestamp() - interval '30 days'
       limit batch for update skip locked));
    get diagnostics removed = row_count;
  elsif part = 'huey.consumer' then
    delete from huey.consumer where id = any (array(
      select c.id from huey.consumer c
       where c.heartbeat_at < clock_timestamp() - interval '7 days'
         and not exists (select from huey.job j where j.state = 'running' and j.consumer_id = c.id)
       limit batch for update skip locked));
    get diagnostics removed = row_count;
  elsif part = 'huey.chord_member' then
    delete from huey.chord_member m where (m.chord_id, m.idx) in (
      select o.chord_id, o.idx from huey.chord_member o where o.created_at < clock_timestamp() - interval '90 days'
       limit batch);
    get diagnostics removed = row_count;
  elsif part = 'huey.lock' then
    -- What anybody may take anyway: its owner's claim or its time is over.
    delete from huey.lock where key = any (array(
      select l.key from huey.lock l
       where l.acquired_at < clock_timestamp() - interval '1 day'
         and (l.expires_at < clock_timestamp() - interval '1 day'
              or (l.job_id is not null and not exists (
                    select from huey.job j where j.id = l.job_id and j.claim_token = l.claim_token)))
       limit batch for update skip locked));
    get diagnostics removed = row_count;
  elsif part = 'huey.bulk_operation' then
    -- First what it did to each letter, then itself: an operation that is there can be shown whole.
    delete from huey.bulk_item where id = any (array(
      select i.id from huey.bulk_operation o join huey.bulk_item i on i.operation_id = o.id
       where o.state in ('draft', 'stopped', 'cancelled', 'done')
         and coalesce(o.ended_at, o.created_at) < clock_timestamp() - interval '90 days' limit batch));
    get diagnostics removed = row_count;
    if removed = 0 then
      with gone as (
        delete from huey.bulk_operation where id = any (array(
          select o.id from huey.bulk_operation o
           where o.state in ('draft', 'stopped', 'cancelled', 'done')
             and coalesce(o.ended_at, o.created_at) < clock_timestamp() - interval '90 days' limit batch))
        returning id),
      shares as (
        delete from huey.bulk_share s using gone where s.operation_id = gone.id)
      select count(*) into removed from gone;
    end if;
  elsif part = 'huey.error_total' then
    -- Days older than 90 become one row per error, so that the sums stay. Nobody folds deltas meanwhile.
    perform pg_advisory_xact_lock(hashtextextended('skeldir fold errors', 0));
    with old as materialized (
      select tenant_id, fingerprint, min(day) as day, sum(seen_count) as seen_count, sum(open_count) as open_count,
             min(first_at) as first_at, max(last_at) as last_at
        from huey.error_total where day < current_date - 90
       group by tenant_id, fingerprint having count(*) > 1 order by fingerprint limit batch),
    gone as (
      delete from huey.error_total t using old
       where t.fingerprint = old.fingerprint and t.tenant_id is not distinct from old.tenant_id
         and t.day > old.day and t.day < current_date - 90
      returning 1),
    kept as (
      update huey.error_total t
         set seen_count = old.seen_count, open_count = old.open_count, first_at = old.first_at, last_at = old.last_at
        from old
       where t.fingerprint = old.fingerprint and t.tenant_id is not distinct from old.tenant_id and t.day = old.day)
    select count(*) into removed from gone;
  elsif part = 'huey.error_group' then
    -- An error that nobody saw for a year, decided on, or has a letter of.
    perform pg_advisory_xact_lock(hashtextextended('skeldir fold errors', 0));
    with old as materialized (
      select g.id, g.tenant_id, g.fingerprint from huey.error_group g
       where g.state is null
         and not exists (select from huey.error_delta d
                          where d.fingerprint = g.fingerprint and d.tenant_id is not distinct from g.tenant_id)
         and not exists (select from public.worker_failed_jobs f
                          where f.fingerprint = g.fingerprint and f.tenant_id is not distinct from g.tenant_id)
         and not exists (select from huey.error_total t
                          where t.fingerprint = g.fingerprint and t.tenant_id is not distinct from g.tenant_id
                          group by t.fingerprint
                         having max(coalesce(t.last_at, t.day::timestamp at time zone 'UTC'))
                                >= clock_timestamp() - interval '365 days')
       limit batch),
    totals as (
      delete from huey.error_total t using old
       where t.fingerprint = old.fingerprint and t.tenant_id is not distinct from old.tenant_id),
    gone as (
      delete from huey.error_group g using old where g.id = old.id returning 1)
    select count(*) into removed from gone;
  else
    raise exception 'unknown part: %', part using errcode = 'invalid_parameter_value';
  end if;
  return removed;
end
$$;
"""

# What the night reconciles again: days whose payments, claims or allocations came after their last reconciliation.
AGAIN = """
alter table reconciliation_runs add column reason text not null default 'asked'
  check (reason in ('asked', 'nightly', 'changed'));
comment on column reconciliation_runs.reason is
  'asked: by somebody; nightly: of the day before; changed: of an earlier day whose orders had changed.';
create index revenue_ledger_added on revenue_ledger (tenant_id, created_at);
create index platform_claims_added on platform_claims (tenant_id, created_at);
"""
AGAIN_DOWN = """
drop index platform_claims_added, revenue_ledger_added;
alter table reconciliation_runs drop column reason;
"""

# Retention and refunds: the same writer's lock, and a sale's allocations of all versions in one batch. Results of a
# reconciliation that were replaced go.
EXPIRE = """
create or replace function app.remove_expired(part text, default_days integer, after uuid, batch integer,
                                   out removed bigint, out next_id uuid)
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp set lock_timeout = '5s' as $$
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
  if part in ('attribution_allocations', 'attribution_events') then
    -- Who adds refunds holds this: a refund is seen here with its sale, or its import sees that the sale's rows went.
    perform pg_advisory_xact_lock(hashtextextended('skeldir.adjust:' || t::text, 0));
  end if;
  if part = 'attribution_allocations' then
    for version in select m.model_version from public.attribution_models m where m.tenant_id = t loop
      with picked as materialized (
        select a.event_id from public.attribution_allocations a
         where a.tenant_id = t and a.model_version = version and a.converted_at < rule.removed_before
           and not exists (select from public.attribution_events r
                            where r.tenant_id = t and r.parent_event_id = a.event_id and r.kind = 'adjustment'
                              and r.occurred_at >= rule.removed_before)
         order by a.converted_at, a.event_id limit batch),
      -- Of all versions at once: a sale has all of its rows, or none.
      gone as (
        delete from public.attribution_allocations a using (select distinct event_id from picked) p
         where a.tenant_id = t and a.event_id = p.event_id
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
    -- The newest reconciliation is what the tenant sees, however old it is. Of a window that was reconciled again, only
    -- the newest result keeps its orders for longer than a week.
    with newest as (
      select r.id from public.reconciliation_runs r where r.tenant_id = t
       order by r.created_at desc, r.id desc limit 1),
    ranked as (
      select r.id, r.created_at, row_number() over (
               partition by r.window_start, r.window_end order by r.created_at desc, r.id desc) as age
        from public.reconciliation_runs r where r.tenant_id = t),
    gone as (
      delete from public.reconciliation_orders o
       where o.tenant_id = t and o.ctid = any (array(
         select x.ctid from ranked r
           join public.reconciliation_orders x on x.tenant_id = t and x.reconciliation_id = r.id
          where (r.created_at < old_before or (r.age > 1 and r.created_at < clock_timestamp() - interval '7 days'))
            and r.id <> (select id from newest) limit batch))
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

# As in 0009.
OLD_EXPIRE = """
create or replace function app.remove_expired(part text, default_days integer, after uuid, batch integer,
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

GRANTS = """
create policy maint_delete on dead_events for delete to skeldir_maint using (true);
create policy maint_delete on worker_failed_jobs for delete to skeldir_maint using (true);
create policy maint_update on worker_failed_jobs for update to skeldir_maint using (true) with check (true);
grant delete on dead_events to skeldir_maint;
-- "for update" asks for the right to update, of one column at least.
grant delete, update (remediation_notes) on worker_failed_jobs to skeldir_maint;
grant select, delete, update (ended_at) on console_session to skeldir_maint;
grant select, delete, update (idle) on huey.consumer to skeldir_maint;
grant select, delete, update (expires_at) on huey.lock to skeldir_maint;
grant select, delete on huey.chord_member to skeldir_maint;
"""
# Their deletions are counted by a trigger, as whoever deletes.
COUNTED = ("error_delta", "error_total", "error_group", "bulk_operation", "bulk_share", "bulk_item")
COUNTED_GRANTS = """
create policy maint on huey.{table} to skeldir_maint using (true) with check (true);
grant select, insert, update, delete on huey.{table} to skeldir_maint;
"""

# Lines up behind nobody for long: whoever holds a row is waited for 5 seconds, then the job tries again later.
PATIENCE = ("app.advance_retention(integer)",)
FUNCTIONS = {
    "app.remove_settled(text, integer)": "app_user",
    "app.remove_outdated(text, integer)": "app_rw",
}


def upgrade() -> None:
    op.execute(AGAIN)
    op.execute(GRANTS)
    for table in COUNTED:
        op.execute(COUNTED_GRANTS.format(table=table))
    op.execute(REMOVE)
    op.execute("set local role skeldir_maint")
    op.execute(ROTATE)
    op.execute(EXPIRE)
    for function in PATIENCE:
        op.execute(f"alter function {function} set lock_timeout = '5s'")
    op.execute("reset role")
    for function, role in FUNCTIONS.items():
        op.execute(f"revoke execute on function {function} from public")
        op.execute(f"grant execute on function {function} to {role}")
        # Last: the migration role, which does not inherit skeldir_maint, has no say over it any more.
        op.execute(f"alter function {function} owner to skeldir_maint")


def downgrade() -> None:
    op.execute("set local role skeldir_maint")
    op.execute(OLD_ROTATE)
    op.execute(OLD_EXPIRE)
    op.execute("alter function app.rotate_job_attempts(date, integer, integer) reset lock_timeout")
    op.execute("drop function app.make_job_attempt_day(date)")
    for function in PATIENCE:
        op.execute(f"alter function {function} reset lock_timeout")
    for function in FUNCTIONS:
        op.execute(f"drop function {function}")
    op.execute("reset role")
    for table in COUNTED:
        op.execute(f"revoke select, insert, update, delete on huey.{table} from skeldir_maint")
        op.execute(f"drop policy maint on huey.{table}")
    op.execute(
        """
        revoke select, delete on huey.chord_member from skeldir_maint;
        revoke select, delete, update (expires_at) on huey.lock from skeldir_maint;
        revoke select, delete, update (idle) on huey.consumer from skeldir_maint;
        revoke select, delete, update (ended_at) on console_session from skeldir_maint;
        revoke delete, update (remediation_notes) on worker_failed_jobs from skeldir_maint;
        revoke delete on dead_events from skeldir_maint;
        drop policy maint_update on worker_failed_jobs;
        drop policy maint_delete on worker_failed_jobs;
        drop policy maint_delete on dead_events;
        """
    )
    op.execute(AGAIN_DOWN)
