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


def upgrade() -> None:
    op.execute(STALE)
    op.execute(UNDER_WAY)
    op.execute(JOURNEY.format(include="include (kind, channel)"))


def downgrade() -> None:
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
