"""Path counts that Markov trains from, channel reports, and model versions that nobody changes.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-21
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
create table attribution_path_counts (
  tenant_id uuid not null references tenants (id),
  day date not null,
  path_hash bytea not null,
  path text not null check (path <> ''),
  conversion_count bigint not null check (conversion_count >= 0),
  null_count bigint not null check (null_count >= 0),
  cents jsonb not null default '{}',
  primary key (tenant_id, day, path_hash)
);
comment on table attribution_path_counts is
  'Journeys by the UTC day of their end: channels in order with > between, how many converted and how many did not, '
  'and what those that converted brought, by currency.';

create table attribution_dirty_days (
  tenant_id uuid not null references tenants (id),
  id uuid not null default gen_random_uuid(),
  first_day date not null,
  last_day date not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  check (first_day <= last_day)
);
comment on table attribution_dirty_days is
  'UTC days on which events were added since paths were counted. Rows are only added and deleted: a row that two '
  'imports shared could be deleted for the first while the second believes in it.';

create table attribution_channel_reports (
  tenant_id uuid not null references tenants (id),
  report_id uuid not null,
  channel_code text not null collate "C",
  report_type text not null check (report_type in ('markov_global', 'shapley_set')),
  chain_order integer check (chain_order between 1 and 3),
  dedupe text not null check (dedupe in ('none', 'consecutive', 'unique')),
  first_day date not null,
  last_day date not null,
  conversion_count bigint not null,
  null_count bigint not null,
  seed bigint not null,
  draw_count integer not null,
  kept_draw_count integer not null,
  removal_effect numeric(16, 15),
  share numeric(16, 15) not null,
  share_low numeric(16, 15) not null,
  share_high numeric(16, 15) not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, report_id, channel_code),
  check ((report_type = 'markov_global') = (chain_order is not null)),
  check (first_day <= last_day)
);
create index attribution_channel_reports_recent
  on attribution_channel_reports (tenant_id, created_at desc, report_id);
"""

DIRTY_DAYS = """
create function app.note_dirty_days() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
begin
  insert into public.attribution_dirty_days (tenant_id, first_day, last_day)
  select tenant_id, lower(days), upper(days) - 1
    from (select tenant_id, unnest(range_agg(daterange(day, day, '[]'))) as days
            from (select distinct tenant_id, (occurred_at at time zone 'UTC')::date as day
                    from added where kind in ('touch', 'conversion')) seen
           group by tenant_id) ranges;
  return null;
end
$$;
create trigger attribution_events_dirty_days after insert on attribution_events
  referencing new table as added for each statement execute function app.note_dirty_days();
"""

IMMUTABLE = """
create function app.refuse_model_change() returns trigger language plpgsql
  set search_path = pg_catalog, public, pg_temp as $$
begin
  if exists (select from public.attribution_recompute_jobs r
              where r.tenant_id = old.tenant_id and r.model_version = old.model_version)
     or exists (select from public.attribution_published p
                 where p.tenant_id = old.tenant_id and p.model_version = old.model_version) then
    raise exception 'model version % is in use and never changes; make a new version', old.model_version
      using errcode = 'restrict_violation', constraint = 'attribution_models_immutable';
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  return new;
end
$$;
create trigger attribution_models_immutable before update or delete on attribution_models
  for each row execute function app.refuse_model_change();
"""

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
grant insert, update, delete on attribution_path_counts to app_user;
grant insert, delete on attribution_dirty_days to app_user;
grant insert on attribution_dirty_days to app_import;
grant insert on attribution_channel_reports to app_user;

-- The nightly task asks which tenants have dirty days before it enters any of them.
create policy queue_read on attribution_dirty_days for select to app_rw using (true);
grant select (tenant_id) on attribution_dirty_days to app_rw;
"""

# Events that are there already were never counted. The owner must see them for this one statement.
EXISTING = """
alter table attribution_events no force row level security;
insert into attribution_dirty_days (tenant_id, first_day, last_day)
select tenant_id, (min(occurred_at) at time zone 'UTC')::date, (max(occurred_at) at time zone 'UTC')::date
  from attribution_events where kind in ('touch', 'conversion') group by tenant_id;
alter table attribution_events force row level security;
"""


def upgrade() -> None:
    for text in (TABLES, DIRTY_DAYS, IMMUTABLE, EXISTING):
        op.execute(text)
    for table in ("attribution_path_counts", "attribution_dirty_days", "attribution_channel_reports"):
        op.execute(POLICIES.format(table=table))
    op.execute(GRANTS)


def downgrade() -> None:
    op.execute(
        """
        drop trigger attribution_models_immutable on attribution_models;
        drop function app.refuse_model_change();
        drop trigger attribution_events_dirty_days on attribution_events;
        drop function app.note_dirty_days();
        drop table attribution_channel_reports, attribution_dirty_days, attribution_path_counts;
        """
    )
