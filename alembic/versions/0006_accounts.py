"""Accounts: second factor, sessions, attempts to sign in; the audit log becomes a chain of hashes.

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-21
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ACCOUNTS = """
alter table console_user
  add column tf_primary_method text,
  add column tf_totp_secret text,
  add column tf_last_counter bigint,
  add column mf_recovery_codes text[],
  add column theme text check (theme in ('light', 'dark')),
  add column time_zone text not null default 'UTC',
  add column refresh_s integer not null default 5 check (refresh_s >= 0);
comment on column console_user.tf_totp_secret is 'Encrypted with a key made from the console''s secret key.';
comment on column console_user.mf_recovery_codes is 'Encrypted likewise; each is removed when it is used.';
comment on column console_user.refresh_s is 'Seconds between live updates; 0: never.';

create table console_session (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references console_user (id) on delete cascade,
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  source_address text,
  user_agent text
);
create index console_session_user on console_session (user_id, started_at desc);

-- Keys are hashes of addresses and accounts: what people type into the wrong box is not kept.
create table console_attempt (
  id bigint generated always as identity primary key,
  key bytea not null,
  at timestamptz not null default clock_timestamp()
);
create index console_attempt_key on console_attempt (key, at);
create index console_attempt_at on console_attempt (at);

grant select, insert, update, delete on console_session, console_attempt to console_global;
"""

# One chain per tenant, and one for rows without a tenant. The head says how long a chain is, so that rows missing at
# its end are found, too; its row lock puts two writers one behind the other until the first has committed.
CHAIN = """
create table console_audit_head (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid references tenants (id),
  length bigint not null,
  hash bytea not null
);
create unique index console_audit_head_chain on console_audit_head (tenant_id) nulls not distinct;
alter table console_audit_head enable row level security;
alter table console_audit_head force row level security;
create policy tenant on console_audit_head for select to console_tenant using (tenant_id = (select app.tenant()));
create policy unattributed on console_audit_head for select to console_global using (tenant_id is null);
create policy console_read on console_audit_head for select to console_all using (true);
create policy maint on console_audit_head to skeldir_maint using (true) with check (true);
grant select on console_audit_head to console_tenant, console_global, console_all;
grant select, insert, update on console_audit_head to skeldir_maint;

alter table console_audit
  add column chain_no bigint,
  add column prev_hash bytea,
  add column hash bytea;

create function app.audit_hash(line console_audit) returns bytea language sql stable
  set search_path = pg_catalog, pg_temp as $$
  select sha256(convert_to(jsonb_build_array(
    encode(line.prev_hash, 'hex'), line.chain_no, line.id, line.tenant_id, line.at at time zone 'UTC', line.actor,
    line.source_address, line.action, line.target_type, line.target_id, line.reason, line.result, line.detail,
    line.request_id)::text, 'UTF8'))
$$;

create function app.chain_audit() returns trigger language plpgsql security definer
  set search_path = pg_catalog, public, pg_temp as $$
declare
  head public.console_audit_head;
begin
  insert into public.console_audit_head (tenant_id, length, hash) values (new.tenant_id, 0, '')
    on conflict (tenant_id) do nothing;
  select * into strict head from public.console_audit_head
   where tenant_id is not distinct from new.tenant_id for update;
  -- Whatever the writer said: the time and the place in the chain are the database's.
  new.at := clock_timestamp();
  new.chain_no := head.length + 1;
  new.prev_hash := head.hash;
  new.hash := app.audit_hash(new);
  update public.console_audit_head set length = new.chain_no, hash = new.hash where id = head.id;
  return new;
end
$$;
revoke execute on function app.chain_audit() from public;
"""

# Rows that were there before are chained in the order of their ids.
OLD_ROWS = """
alter table console_audit no force row level security;
alter table console_audit_head no force row level security;
alter table console_audit disable trigger console_audit_append_only;
do $$
declare
  line console_audit;
  head console_audit_head;
begin
  for line in select * from console_audit order by id loop
    insert into console_audit_head (tenant_id, length, hash) values (line.tenant_id, 0, '')
      on conflict (tenant_id) do nothing;
    select * into strict head from console_audit_head where tenant_id is not distinct from line.tenant_id;
    line.chain_no := head.length + 1;
    line.prev_hash := head.hash;
    line.hash := app.audit_hash(line);
    update console_audit set chain_no = line.chain_no, prev_hash = line.prev_hash, hash = line.hash where id = line.id;
    update console_audit_head set length = line.chain_no, hash = line.hash where id = head.id;
  end loop;
end
$$;
alter table console_audit enable trigger console_audit_append_only;
alter table console_audit_head force row level security;
alter table console_audit force row level security;
"""

AFTER = """
alter table console_audit
  alter column chain_no set not null,
  alter column prev_hash set not null,
  alter column hash set not null;
create unique index console_audit_chain on console_audit (tenant_id, chain_no) nulls not distinct;
create index console_audit_time on console_audit (at desc, id desc);
create index console_audit_actor on console_audit (actor, at desc, id desc);
create index console_audit_action on console_audit (action, at desc, id desc);
create trigger console_audit_chain before insert on console_audit for each row execute function app.chain_audit();

-- Last: the migration role does not inherit skeldir_maint.
alter function app.chain_audit() owner to skeldir_maint;
"""


def upgrade() -> None:
    for text in (ACCOUNTS, CHAIN, OLD_ROWS, AFTER):
        op.execute(text)


def downgrade() -> None:
    op.execute(
        """
        drop trigger console_audit_chain on console_audit;
        drop function app.chain_audit();
        drop function app.audit_hash(console_audit);
        drop index console_audit_chain, console_audit_time, console_audit_actor, console_audit_action;
        alter table console_audit drop column chain_no, drop column prev_hash, drop column hash;
        drop table console_audit_head, console_attempt, console_session;
        alter table console_user drop column tf_primary_method, drop column tf_totp_secret,
          drop column tf_last_counter, drop column mf_recovery_codes, drop column theme, drop column time_zone,
          drop column refresh_s;
        """
    )
