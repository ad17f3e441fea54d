"""Allocations, and the rates by which reports convert them.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# --- A: attribution ---------------------------------------------------------------------------------------------------

# The promise of the function of 0001 and 0010, now kept in one of two ways. A few rows are looked up by key, event by
# event. Many that lie together, as a run writes them, are read once by their range of times and added up: half the
# price. For this each row must be dated as its event, which is checked too: no row of an event lies outside the range.
SUM_CHECK = """
create or replace function app.check_allocation_sums() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp
  -- Statistics may not know the version yet: to a planner that expects one row, a loop over a range looks best. And it
  -- likes to read all of a tenant's events, by their key or as they lie. What is left is to read each range once.
  set enable_nestloop = off set enable_mergejoin = off set enable_seqscan = off set enable_indexscan = on as $$
declare
  part record;
  bad record;
  is_dense boolean;
begin
  for part in
    select tenant_id, model_version, count(*) as row_count, min(converted_at) as first_at, max(converted_at) as last_at
      from changed group by tenant_id, model_version
  loop
    -- Counted no further than the answer needs.
    is_dense := part.row_count > 1000 and 4 * part.row_count >= (
      select count(*)
        from (select from public.attribution_allocations a
               where a.tenant_id = part.tenant_id and a.model_version = part.model_version
                 and a.converted_at between part.first_at and part.last_at
               limit 4 * part.row_count + 1) span);
    if is_dense then
      -- The rows of a range lie in the order of their events: by a bitmap each block is read once, in the index's order
      -- once for each row. The function's own setting ends with it.
      perform set_config('enable_indexscan', 'off', true);
      -- Planned each time: a plan kept from when the table was small would stay.
      execute $check$
        select sums.*, e.revenue_cents, e.occurred_at
          from (select a.event_id, sum(a.allocated_revenue_cents) as cents, sum(a.allocation_ratio) as ratio,
                       min(a.converted_at) as first_at, max(a.converted_at) as last_at
                  from public.attribution_allocations a
                 where a.tenant_id = $1 and a.model_version = $2 and a.converted_at between $3 and $4
                 group by a.event_id) sums
          left join (
            select v.id, v.revenue_cents, v.occurred_at
              from public.attribution_events v
             where v.tenant_id = $1 and v.kind in ('conversion', 'adjustment')
               and v.occurred_at between $3 and $4) e on e.id = sums.event_id
         where case when e.id is null or sums.cents <> e.revenue_cents or sums.ratio <> 1
                         or sums.first_at <> e.occurred_at or sums.last_at <> e.occurred_at
               then sums.event_id in (select c.event_id from changed c where c.model_version = $2) end
         limit 1
      $check$ into bad using part.tenant_id, part.model_version, part.first_at, part.last_at;
      perform set_config('enable_indexscan', 'on', true);
    else
      -- The version is compared as an expression, so that only the key's index serves: to the planner the index by time
      -- costs the same while statistics do not know the version, and it reads all of the version's rows for each event.
      select sums.*, e.revenue_cents, e.occurred_at
        into bad
        from (select touched.event_id, sum(x.allocated_revenue_cents) as cents, sum(x.allocation_ratio) as ratio,
                     min(x.converted_at) as first_at, max(x.converted_at) as last_at
                from (select distinct c.tenant_id, c.event_id, c.model_version
                        from changed c
                       where c.tenant_id = part.tenant_id and c.model_version = part.model_version) touched
               cross join lateral (
                 select a.allocated_revenue_cents, a.allocation_ratio, a.converted_at
                   from public.attribution_allocations a
                  where a.tenant_id = touched.tenant_id and a.event_id = touched.event_id
                    and a.model_version || '' = touched.model_version
                  order by a.model_version, a.channel_code) x
               group by touched.event_id) sums
        left join lateral (
          select v.revenue_cents, v.occurred_at
            from public.attribution_events v
           where v.tenant_id = part.tenant_id and v.id = sums.event_id
           limit 1) e on true
       where e.revenue_cents is null or sums.cents <> e.revenue_cents or sums.ratio <> 1
          or sums.first_at <> e.occurred_at or sums.last_at <> e.occurred_at
       limit 1;
    end if;
    if bad.event_id is null then
      continue;
    end if;
    if bad.cents = bad.revenue_cents and bad.ratio = 1 then
      raise exception 'allocations of event % under % are dated % to %, not %',
        bad.event_id, part.model_version, bad.first_at, bad.last_at, bad.occurred_at
        using errcode = 'check_violation', constraint = 'attribution_allocations_event_time';
    end if;
    raise exception 'allocations of event % under % sum to % cents and ratio %, not to % cents and 1',
      bad.event_id, part.model_version, bad.cents, bad.ratio, bad.revenue_cents
      using errcode = 'check_violation', constraint = 'attribution_allocations_exact_sum';
  end loop;
  return null;
end
$$;
"""

# As 0010 made it.
SUM_CHECK_BEFORE = """
create or replace function app.check_allocation_sums() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
declare
  bad record;
begin
  -- The version is compared as an expression, so that only the key's index serves: to the planner the index by time
  -- costs the same while statistics do not know the version, and it reads all of the version's rows for each event.
  select sums.*, e.revenue_cents
    into bad
    from (select touched.tenant_id, touched.event_id, touched.model_version,
                 sum(x.allocated_revenue_cents) as cents, sum(x.allocation_ratio) as ratio
            from (select distinct tenant_id, event_id, model_version from changed) touched
           cross join lateral (
             select a.allocated_revenue_cents, a.allocation_ratio
               from public.attribution_allocations a
              where a.tenant_id = touched.tenant_id and a.event_id = touched.event_id
                and a.model_version || '' = touched.model_version
              order by a.model_version, a.channel_code) x
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
"""

# --- B: ledger --------------------------------------------------------------------------------------------------------

RATES = """
create table exchange_rates (
  tenant_id uuid not null references tenants (id),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  day date not null,
  rate_seq bigint generated always as identity,
  base text not null check (base ~ '^[A-Z]{3}$'),
  rate numeric not null check (rate > 0),
  source text not null,
  correlation_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, currency, day, rate_seq),
  check (base <> currency)
);
comment on table exchange_rates is
  'How much of a currency one unit of the base was worth on a day. Append-only: a correction stands beside what it '
  'corrects, and the newest counts.';
create trigger exchange_rates_append_only before update or delete or truncate on exchange_rates
  for each statement execute function app.refuse_change();

alter table exchange_rates enable row level security;
alter table exchange_rates force row level security;
create policy tenant on exchange_rates to app_user, app_ro, app_import, console_tenant
  using (tenant_id = (select app.tenant())) with check (tenant_id = (select app.tenant()));
create policy console_read on exchange_rates for select to console_all using (true);
create policy maint_read on exchange_rates for select to skeldir_maint using (true);
grant select on exchange_rates to app_user, app_ro, app_import, console_tenant, console_all, skeldir_maint;
grant insert on exchange_rates to app_import;
"""


def upgrade() -> None:
    op.execute(SUM_CHECK)
    op.execute(RATES)


def downgrade() -> None:
    op.execute("drop table exchange_rates")
    op.execute(SUM_CHECK_BEFORE)
