"""Console: users, their grants and the append-only audit log.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-21
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = """
create table console_user (
  id uuid primary key default gen_random_uuid(),
  email text not null,
  password text not null,
  active boolean not null default true,
  fs_uniquifier text not null,
  created_at timestamptz not null default clock_timestamp(),
  last_login_at timestamptz
);
create unique index console_user_email on console_user (lower(email));
create unique index console_user_uniquifier on console_user (fs_uniquifier);

create table console_grant (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references console_user (id) on delete cascade,
  tenant_id uuid references tenants (id),
  role text not null check (role in ('viewer', 'operator', 'admin'))
);
comment on column console_grant.tenant_id is 'Null: all tenants.';
create unique index console_grant_scope on console_grant (tenant_id, user_id) nulls not distinct;

create table console_audit (
  id bigint generated always as identity primary key,
  tenant_id uuid references tenants (id),
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  source_address text,
  action text not null,
  target_type text not null,
  target_id text not null,
  reason text,
  result text not null,
  detail jsonb not null default '{}',
  request_id uuid
);
create index console_audit_recent on console_audit (tenant_id, at desc, id desc);
create index console_audit_target on console_audit (target_type, target_id, id);

create function app.refuse_change() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end
$$;
create trigger console_audit_append_only before update or delete on console_audit
  for each row execute function app.refuse_change();
create trigger console_audit_no_truncate before truncate on console_audit
  for each statement execute function app.refuse_change();
"""

# console_grant is read before any tenant is entered (it says which may be), so it is the global role's table.
POLICIES = """
alter table console_grant enable row level security;
alter table console_grant force row level security;
create policy global on console_grant to console_global using (true) with check (true);

alter table console_audit enable row level security;
alter table console_audit force row level security;
create policy tenant on console_audit to console_tenant
  using (tenant_id = (select app.tenant())) with check (tenant_id = (select app.tenant()));
create policy unattributed on console_audit to console_global
  using (tenant_id is null) with check (tenant_id is null);
create policy console_read on console_audit for select to console_all using (true);

grant select, insert, update, delete on console_user, console_grant to console_global;
grant select, insert on console_audit to console_tenant, console_global;
grant select on console_audit to console_all;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(POLICIES)


def downgrade() -> None:
    op.execute("drop table console_audit, console_grant, console_user")
    op.execute("drop function app.refuse_change()")
