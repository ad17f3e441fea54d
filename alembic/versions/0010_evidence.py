"""Runs whose checksum grew old say so; the queue's role may ask which tenants have runs under way.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STALE = """
alter table attribution_recompute_jobs add column stale_since timestamptz;
comment on column attribution_recompute_jobs.stale_since is
  'When another run first changed allocations of this window after this run had ended: its counts and its checksum are '
  'those of its own end. Null: they are those of now.';
"""

# The minute task asks which tenants have runs or backfills under way before it enters any of them.
UNDER_WAY = """
create policy queue_read on attribution_recompute_jobs for select to app_rw using (true);
create policy queue_read on backfills for select to app_rw using (true);
grant select (tenant_id, status) on attribution_recompute_jobs to app_rw;
grant select (tenant_id, status) on backfills to app_rw;
"""

# With the columns that a journey needs: its touches lie scattered over the table.
JOURNEY = """
drop index attribution_events_journey;
create index attribution_events_journey on attribution_events (tenant_id, journey_key, occurred_at, ingest_seq)
  {include} where kind in ('touch', 'conversion');
"""

# A plan may not hang on what statistics know of a version: for one that they never saw, the index by time costs the
# same to the planner, and reads all of the version's rows for each event. So the version is no condition of an index.
SUM_CHECK = """
create or replace function app.check_allocation_sums() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
declare
  bad record;
begin
{why}  select sums.*, e.revenue_cents
    into bad
    from (select touched.tenant_id, touched.event_id, touched.model_version,
                 sum(x.allocated_revenue_cents) as cents, sum(x.allocation_ratio) as ratio
            from (select distinct tenant_id, event_id, model_version from changed) touched
           cross join lateral (
             select a.allocated_revenue_cents, a.allocation_ratio
               from public.attribution_allocations a
              where a.tenant_id = touched.tenant_id and a.event_id = touched.event_id
                and {match}) x
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
WHY = """\
  -- The version is compared as an expression, so that only the key's index serves: to the planner the index by time
  -- costs the same while statistics do not know the version, and it reads all of the version's rows for each event.
"""
MATCH = "a.model_version || '' = touched.model_version\n              order by a.model_version, a.channel_code"
WHY_BEFORE = """\
  -- The orders by key are there for the plan: on a table without statistics the index by time costs the same to the
  -- planner, and reads a tenant's whole day for each event.
"""
MATCH_BEFORE = "a.model_version = touched.model_version\n              order by a.channel_code"


def upgrade() -> None:
    op.execute(STALE)
    op.execute(UNDER_WAY)
    op.execute(JOURNEY.format(include="include (kind, channel)"))
    op.execute(SUM_CHECK.format(why=WHY, match=MATCH))


def downgrade() -> None:
    op.execute(SUM_CHECK.format(why=WHY_BEFORE, match=MATCH_BEFORE))
    op.execute(JOURNEY.format(include=""))
    op.execute(
        """
        revoke select (tenant_id, status) on attribution_recompute_jobs from app_rw;
        revoke select (tenant_id, status) on backfills from app_rw;
        drop policy queue_read on backfills;
        drop policy queue_read on attribution_recompute_jobs;
        alter table attribution_recompute_jobs drop column stale_since;
        """
    )
