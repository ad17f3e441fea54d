"""Refunds that wait, ledger, platform claims, reconciliation, backfills, three more views for reports.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

REFUNDS = """
alter table attribution_allocations add column is_adjustment boolean not null default false;
comment on column attribution_allocations.is_adjustment is
  'A refund, chargeback or cancel: split like its sale, dated at itself, its credits are not counted again.';
create index attribution_events_adjustments
  on attribution_events (tenant_id, parent_event_id, occurred_at, ingest_seq) where kind = 'adjustment';
create index attribution_events_order on attribution_events (tenant_id, order_id)
  where kind = 'conversion' and order_id is not null;

create table waiting_adjustments (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  source text not null,
  line bigint,
  order_id text not null,
  occurred_at timestamptz not null,
  event_type text not null,
  revenue_cents bigint not null check (revenue_cents < 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  idempotency_key bytea not null,
  correlation_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);
comment on table waiting_adjustments is 'Adjustments that came before their sale; the import of the sale takes them.';
create unique index waiting_adjustments_idempotency on waiting_adjustments (tenant_id, idempotency_key);
create index waiting_adjustments_order on waiting_adjustments (tenant_id, order_id);
"""

LEDGER = """
create table revenue_ledger (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  ledger_seq bigint generated always as identity,
  transaction_id text not null,
  order_id text not null,
  state text not null check (state in ('authorized', 'captured', 'refunded', 'chargeback')),
  amount_cents bigint not null check (amount_cents > 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  occurred_at timestamptz not null,
  source text not null,
  idempotency_key bytea not null,
  correlation_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);
comment on table revenue_ledger is
  'Verified money, append-only: what the payment provider says. Amounts are positive; the state gives the sign.';
create unique index revenue_ledger_idempotency on revenue_ledger (tenant_id, idempotency_key);
create index revenue_ledger_transaction on revenue_ledger (tenant_id, transaction_id, ledger_seq);
create index revenue_ledger_order on revenue_ledger (tenant_id, order_id);
create index revenue_ledger_time on revenue_ledger (tenant_id, occurred_at);

-- app.refuse_change() is that of the audit log.
create trigger revenue_ledger_append_only before update or delete or truncate on revenue_ledger
  for each statement execute function app.refuse_change();

-- The whole history of each touched transaction, after the statement and one writer of a tenant at a time: so two
-- writers at once cannot each find room for the same refund.
create function app.check_ledger_states() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
declare
  bad record;
begin
  perform pg_advisory_xact_lock(hashtextextended('skeldir.ledger:' || tenant_id::text, 0))
     from (select distinct tenant_id from added order by tenant_id) tenants;
  select * into bad
    from (select distinct tenant_id, transaction_id from added) touched
   cross join lateral (
     select l.state, lag(l.state) over seq as before,
            min(l.order_id) over whole <> max(l.order_id) over whole
              or min(l.currency) over whole <> max(l.currency) over whole as is_mixed,
            sum(l.amount_cents) filter (where l.state = 'authorized') over whole as authorized,
            coalesce(sum(l.amount_cents) filter (where l.state = 'captured') over whole, 0) as captured,
            coalesce(sum(l.amount_cents) filter (where l.state in ('refunded', 'chargeback')) over whole, 0) as returned
       from public.revenue_ledger l
      where l.tenant_id = touched.tenant_id and l.transaction_id = touched.transaction_id
     window whole as (partition by l.transaction_id), seq as (partition by l.transaction_id order by l.ledger_seq)) h
   where is_mixed or captured > authorized or (returned > captured and state in ('refunded', 'chargeback'))
      or (coalesce(before, ''), state) not in (
           ('', 'authorized'), ('', 'captured'), ('authorized', 'captured'), ('captured', 'refunded'),
           ('captured', 'chargeback'), ('refunded', 'refunded'), ('refunded', 'chargeback'))
   limit 1;
  if found then
    raise exception 'transaction % cannot go from % to % like this',
      bad.transaction_id, coalesce(bad.before, 'nothing'), bad.state
      using errcode = 'check_violation', constraint = 'revenue_ledger_transition';
  end if;
  return null;
end
$$;
create trigger revenue_ledger_transition after insert on revenue_ledger
  referencing new table as added for each statement execute function app.check_ledger_states();

create table platform_claims (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  platform text not null,
  order_id text not null,
  claimed_cents bigint not null check (claimed_cents >= 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  occurred_at timestamptz not null,
  source text not null,
  idempotency_key bytea not null,
  correlation_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);
comment on table platform_claims is
  'Revenue that ad platforms claim. Compared with the ledger, never part of the split.';
create unique index platform_claims_idempotency on platform_claims (tenant_id, idempotency_key);
create index platform_claims_order on platform_claims (tenant_id, order_id);
create index platform_claims_time on platform_claims (tenant_id, occurred_at);
create trigger platform_claims_append_only before update or delete or truncate on platform_claims
  for each statement execute function app.refuse_change();

create table reconciliation_runs (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  window_start timestamptz not null,
  window_end timestamptz not null,
  model_version text,
  task_id text,
  correlation_id uuid,
  order_count bigint not null,
  ghost_count bigint not null,
  unallocated_count bigint not null,
  under_allocated_count bigint not null,
  over_allocated_count bigint not null,
  without_order_count bigint not null,
  waiting_count bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  check (window_start < window_end)
);
create index reconciliation_runs_recent on reconciliation_runs (tenant_id, created_at desc, id desc);

create table reconciliation_orders (
  tenant_id uuid not null,
  reconciliation_id uuid not null,
  order_id text not null,
  currency text not null,
  claimed_cents bigint not null,
  verified_cents bigint not null,
  allocated_cents bigint not null,
  ghost_cents bigint not null,
  discrepancy_bp bigint,
  allocation_state text not null
    check (allocation_state in ('matched', 'unallocated', 'under_allocated', 'over_allocated')),
  primary key (tenant_id, reconciliation_id, order_id, currency),
  foreign key (tenant_id, reconciliation_id) references reconciliation_runs (tenant_id, id) on delete cascade,
  check (ghost_cents = claimed_cents - verified_cents)
);

"""

BACKFILLS = """
create table backfills (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  model_version text not null,
  range_start timestamptz not null,
  range_end timestamptz not null,
  done_until timestamptz not null,
  status text not null default 'running' check (status in ('running', 'succeeded', 'failed', 'cancelled')),
  correlation_id uuid not null,
  error_message text,
  created_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, model_version) references attribution_models (tenant_id, model_version),
  check (range_start < range_end),
  check (done_until between range_start and range_end)
);
comment on column backfills.done_until is 'Every day before this instant has been recomputed by this backfill.';
create index backfills_recent on backfills (tenant_id, created_at desc, id desc);

alter table attribution_recompute_jobs add column reason text not null default 'asked'
  check (reason in ('asked', 'dirty', 'backfill'));
comment on column attribution_recompute_jobs.reason is
  'Who wanted the last execution: somebody, late data, a backfill.';
"""

TENANT_TABLES = (
    "waiting_adjustments",
    "revenue_ledger",
    "platform_claims",
    "reconciliation_runs",
    "reconciliation_orders",
    "backfills",
)
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
grant insert, delete on waiting_adjustments to app_import;
grant insert on revenue_ledger, platform_claims to app_import;
grant insert on reconciliation_runs, reconciliation_orders to app_user;
grant insert, update on backfills to app_user;
"""

PERFORMANCE = """
drop view all_channel_performance, channel_performance;
drop materialized view mv_channel_performance;
create materialized view mv_channel_performance as
  select tenant_id, model_version, channel_code, currency, (converted_at at time zone 'UTC')::date as day,
         {columns}
         sum(allocated_revenue_cents)::bigint as allocated_revenue_cents
    from attribution_allocations
   group by 1, 2, 3, 4, 5;
create unique index mv_channel_performance_key
  on mv_channel_performance (tenant_id, model_version, channel_code, currency, day);
create view channel_performance with (security_barrier) as
  select * from mv_channel_performance where tenant_id = (select app.tenant());
create view all_channel_performance with (security_barrier) as select * from mv_channel_performance;
grant select on channel_performance to app_user, app_ro, console_tenant;
grant select on all_channel_performance to console_all;
"""
# Refunds have rows too: they take money back, and count no conversion a second time.
NET = """count(*) filter (where not is_adjustment) as conversion_count,
         coalesce(sum(allocation_ratio) filter (where not is_adjustment), 0) as credit,"""
GROSS = "count(*) as conversion_count, sum(allocation_ratio) as credit,"

VIEWS = """
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

-- Tenant by tenant, so that only the last day is read, by attribution_events_valued.
create materialized view mv_realtime_revenue as
  select t.id as tenant_id, e.hour, e.currency, count(*) filter (where e.kind = 'conversion') as conversion_count,
         sum(e.revenue_cents)::bigint as net_cents, max(e.occurred_at) as last_occurred_at
    from tenants t
   cross join lateral (
     select date_trunc('hour', v.occurred_at, 'UTC') as hour, v.currency, v.kind, v.revenue_cents, v.occurred_at
       from attribution_events v
      where v.tenant_id = t.id and v.kind in ('conversion', 'adjustment')
        and v.occurred_at >= now() - interval '24 hours') e
   group by 1, 2, 3;
create unique index mv_realtime_revenue_key on mv_realtime_revenue (tenant_id, hour, currency);

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

create view daily_revenue_summary with (security_barrier) as
  select * from mv_daily_revenue_summary where tenant_id = (select app.tenant());
create view realtime_revenue with (security_barrier) as
  select * from mv_realtime_revenue where tenant_id = (select app.tenant());
create view reconciliation_status with (security_barrier) as
  select * from mv_reconciliation_status where tenant_id = (select app.tenant());
create view all_daily_revenue_summary with (security_barrier) as select * from mv_daily_revenue_summary;
create view all_realtime_revenue with (security_barrier) as select * from mv_realtime_revenue;
create view all_reconciliation_status with (security_barrier) as select * from mv_reconciliation_status;
grant select on daily_revenue_summary, realtime_revenue, reconciliation_status to app_user, app_ro, console_tenant;
grant select on all_daily_revenue_summary, all_realtime_revenue, all_reconciliation_status to console_all;
"""

REFRESH = """
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
revoke execute on function app.refresh_matview(text) from public;
grant execute on function app.refresh_matview(text) to app_user, app_rw;
"""
FIRST_VIEWS = ("mv_channel_performance", "mv_allocation_summary")
NEW_VIEWS = ("mv_daily_revenue_summary", "mv_realtime_revenue", "mv_reconciliation_status")


def upgrade() -> None:
    for text in (REFUNDS, LEDGER, BACKFILLS):
        op.execute(text)
    for table in TENANT_TABLES:
        op.execute(POLICIES.format(table=table))
    op.execute(GRANTS)
    op.execute(PERFORMANCE.format(columns=NET))
    op.execute(VIEWS)
    op.execute(REFRESH.format(names=_quoted(FIRST_VIEWS + NEW_VIEWS)))
    _hand_over(("mv_channel_performance", *NEW_VIEWS))


def downgrade() -> None:
    for view in NEW_VIEWS:
        name = view.removeprefix("mv_")
        op.execute(f"drop view all_{name}, {name}; drop materialized view {view}")
    op.execute(REFRESH.format(names=_quoted(FIRST_VIEWS)))
    op.execute(PERFORMANCE.format(columns=GROSS))
    _hand_over(("mv_channel_performance",))
    op.execute(
        """
        drop table backfills, reconciliation_orders, reconciliation_runs, platform_claims, revenue_ledger,
          waiting_adjustments;
        drop function app.check_ledger_states();
        drop index attribution_events_adjustments, attribution_events_order;
        alter table attribution_recompute_jobs drop column reason;
        -- Without the column nobody could tell refunds from sales, and the next run would take them for wrong rows.
        alter table attribution_allocations no force row level security;
        delete from attribution_allocations where is_adjustment;
        alter table attribution_allocations force row level security;
        alter table attribution_allocations drop column is_adjustment;
        """
    )


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _hand_over(views: tuple[str, ...]) -> None:
    """Give views to skeldir_maint; last, since from then on the migration role has no say over them."""
    for view in views:
        name = view.removeprefix("mv_")
        op.execute(
            f"alter materialized view {view} owner to skeldir_maint; alter view {name} owner to skeldir_maint;"
            f" alter view all_{name} owner to skeldir_maint"
        )
    op.execute("alter function app.refresh_matview(text) owner to skeldir_maint")
