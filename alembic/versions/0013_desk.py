"""The desk: what makes the console fast, what operators keep of it, what its checks need.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# -- C: quarters of an hour, one question for the frame of a page, indexes of lists --------------------------------
# A day of minutes is 46,000 rows at 32 tenants and tasks, a week seven times that; of quarters it is a fifteenth.
QUARTERS = """
create table huey.run_quarter (
  id bigint generated always as identity primary key,
  quarter timestamptz not null,
  lane text not null,
  task_name text not null,
  tenant_id uuid,
  done bigint not null,
  dead bigint not null,
  cancelled bigint not null,
  errored bigint not null,
  run_ms double precision not null,
  run_hist bigint[] not null,
  wait_ms double precision not null,
  wait_hist bigint[] not null
) with (fillfactor = 50);
comment on table huey.run_quarter is
  'The minute roll-up by quarters of an hour, added up by the statement that folds the deltas into minutes.';
create unique index run_quarter_key on huey.run_quarter (quarter, lane, task_name, tenant_id) nulls not distinct;
create index run_quarter_tenant on huey.run_quarter (tenant_id, quarter);
create view huey.run_quarters with (security_invoker = true) as
  select quarter, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms, run_hist, wait_ms, wait_hist
    from huey.run_quarter
  union all
  select date_bin('15 minutes', minute, '2000-01-01 00:00:00+00'), lane, task_name, tenant_id, done, dead, cancelled,
         errored, run_ms, run_hist, wait_ms, wait_hist
    from huey.run_delta;

-- Minutes that are there already. The owner must see them for this one statement.
alter table huey.run_minute no force row level security;
insert into huey.run_quarter (quarter, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms, run_hist,
                              wait_ms, wait_hist)
select date_bin('15 minutes', minute, '2000-01-01 00:00:00+00'), lane, task_name, tenant_id, sum(done), sum(dead),
       sum(cancelled), sum(errored), sum(run_ms), array[{run_hist}], sum(wait_ms), array[{wait_hist}]
  from huey.run_minute group by 1, 2, 3, 4;
alter table huey.run_minute force row level security;

alter table huey.run_quarter enable row level security;
alter table huey.run_quarter force row level security;
create policy queue on huey.run_quarter to app_rw using (true) with check (true);
create policy tenant on huey.run_quarter to console_tenant
  using (tenant_id = (select app.tenant())) with check (tenant_id = (select app.tenant()));
create policy unattributed on huey.run_quarter to console_global
  using (tenant_id is null) with check (tenant_id is null);
create policy console_read on huey.run_quarter for select to console_all using (true);
grant select, insert, update, delete on huey.run_quarter to app_rw;
grant select on huey.run_quarter, huey.run_quarters to console_tenant, console_all, console_global;
grant select on huey.run_quarters to app_rw;
"""

# No role but console_all sees two tenants at once: a person with grants in fifty of them would cost fifty transactions.
GRANTED = """
grant select on console_grant to skeldir_maint;
create policy maint_read on console_grant for select to skeldir_maint using (true);
create function app.granted_tenants(person uuid) returns table (id uuid, name text, display_name text)
  language sql stable security definer set search_path = pg_catalog, public, pg_temp
  as $$
    select t.id, t.name, t.display_name from public.tenants t
     where t.id in (select g.tenant_id from public.console_grant g where g.user_id = person)
  $$;
comment on function app.granted_tenants(uuid) is 'The tenants that a person of the console may enter, by name.';
revoke execute on function app.granted_tenants(uuid) from public;
grant execute on function app.granted_tenants(uuid) to console_global;
alter function app.granted_tenants(uuid) owner to skeldir_maint;
"""
GRANTED_DOWN = """
drop function app.granted_tenants(uuid);
drop policy maint_read on console_grant;
revoke select on console_grant from skeldir_maint;
"""

# The history's index holds what did not go well only: jobs that are done cost it nothing.
LISTS = """
create index attribution_recompute_jobs_status on attribution_recompute_jobs (status, created_at desc, id desc);
create index worker_failed_jobs_args on worker_failed_jobs using gin (task_kwargs jsonb_path_ops);
set local role skeldir_maint;
create index job_attempt_outcome on huey.job_attempt (outcome, ended_at desc, id desc) where outcome <> 'done';
reset role;
"""
LISTS_DOWN = """
set local role skeldir_maint;
drop index huey.job_attempt_outcome;
reset role;
drop index worker_failed_jobs_args;
drop index attribution_recompute_jobs_status;
"""


def _sums(column: str) -> str:
    return ", ".join(f"sum({column}[{i}])" for i in range(1, 14))


def add_speed() -> None:
    """C's block."""
    op.execute(QUARTERS.format(run_hist=_sums("run_hist"), wait_hist=_sums("wait_hist")))
    op.execute(GRANTED)
    op.execute(LISTS)


def drop_speed() -> None:
    """C's block."""
    op.execute(LISTS_DOWN)
    op.execute(GRANTED_DOWN)
    op.execute("drop view huey.run_quarters; drop table huey.run_quarter")


# -- end of C's block ----------------------------------------------------------------------------------------------

# -- D: a running job is taken from its worker by an admin; who carries one correlation id --------------------------
# Like a rescue, for one job, uncounted. Its token is gone with it: whatever the old worker still writes is rolled back.
RELEASE = """
grant update on huey.job to skeldir_maint;
grant select on huey.task_rule, huey.tenant_rule to skeldir_maint;
grant insert on huey.run_delta to skeldir_maint;
create policy maint_add on huey.run_delta for insert to skeldir_maint with check (true);
create function app.release_job(wanted text, seen uuid, why text)
  returns table (task_name text, tenant_id uuid, state text, attempt integer, released boolean)
  language plpgsql security definer set search_path = pg_catalog, huey, pg_temp as $$
declare
  job huey.job;
begin
  select * into job from huey.job j
   where j.task_id = wanted and j.tenant_id is not distinct from app.tenant() for update;
  if not found then
    return;
  end if;
  task_name := job.task_name;
  tenant_id := job.tenant_id;
  state := job.state;
  attempt := job.attempt;
  released := job.state = 'running' and job.claim_token = seen;
  if released then
    insert into huey.job_attempt (task_id, task_name, lane, tenant_id, correlation_id, attempt, outcome, ended,
                                  consumer_id, enqueued_at, claimed_at, ended_at, error_message, letter_id)
    values (job.task_id, job.task_name, job.lane, job.tenant_id, job.correlation_id, job.attempt, 'released', false,
            job.consumer_id, job.enqueued_at, job.claimed_at, clock_timestamp(), why, job.letter_id);
    update huey.job j
       set state = 'waiting', attempt = job.attempt - 1, claim_token = null, consumer_id = null, started_at = null,
           claim_alone = true, last_error = why,
           held = exists (select from huey.task_rule k
                           where k.lane = job.lane and k.task_name = job.task_name and k.paused_at is not null)
               or exists (select from huey.tenant_rule r
                           where r.lane = job.lane and r.tenant_id = job.tenant_id and r.paused_at is not null)
     where j.id = job.id;
    perform pg_notify('skeldir_jobs', job.lane);
  end if;
  return next;
end
$$;
comment on function app.release_job(text, uuid, text) is
  'Gives a running job of this transaction''s tenant back, if its claim is the one that somebody looked at.';
revoke execute on function app.release_job(text, uuid, text) from public;
grant execute on function app.release_job(text, uuid, text) to console_tenant, console_global;
alter function app.release_job(text, uuid, text) owner to skeldir_maint;
"""
# Many jobs of one lane and of this transaction's tenant; those added after somebody looked have a larger id.
MANY = """
create function app.run_scheduled(wanted text, upto bigint, most integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, huey, pg_temp as $$
declare
  moved integer;
begin
  update huey.job j set run_at = clock_timestamp()
   where j.id in (select s.id from huey.job s
                   where s.state = 'scheduled' and s.lane = wanted and s.id <= upto
                     and s.run_at > clock_timestamp() and s.tenant_id is not distinct from app.tenant()
                   order by s.run_at, s.id limit most for update skip locked);
  get diagnostics moved = row_count;
  return moved;
end
$$;
comment on function app.run_scheduled(text, bigint, integer) is
  'Makes scheduled jobs of a lane due, the first ones first; consumers put them in line within a second.';
create function app.cancel_waiting(wanted text, upto bigint, most integer, word bytea) returns integer
  language plpgsql security definer set search_path = pg_catalog, huey, pg_temp as $$
declare
  asked integer;
begin
  insert into huey.result (key, value, is_result, expires_at)
  select 'r:' || j.task_id, word, false, clock_timestamp() + interval '7 days'
    from huey.job j
   where j.state = 'waiting' and j.lane = wanted and j.id <= upto and j.tenant_id is not distinct from app.tenant()
     and not exists (select from huey.result r where r.key = 'r:' || j.task_id)
   order by j.id limit most
  on conflict do nothing;
  get diagnostics asked = row_count;
  return asked;
end
$$;
comment on function app.cancel_waiting(text, bigint, integer, bytea) is
  'Stores the word that waiting jobs of a lane are to be cancelled: each ends so when its turn comes.';
grant select on huey.result to skeldir_maint;
revoke execute on function app.run_scheduled(text, bigint, integer) from public;
revoke execute on function app.cancel_waiting(text, bigint, integer, bytea) from public;
grant execute on function app.run_scheduled(text, bigint, integer) to console_tenant, console_global;
grant execute on function app.cancel_waiting(text, bigint, integer, bytea) to console_tenant, console_global;
alter function app.run_scheduled(text, bigint, integer) owner to skeldir_maint;
alter function app.cancel_waiting(text, bigint, integer, bytea) owner to skeldir_maint;
"""
MANY_DOWN = """
drop function app.run_scheduled(text, bigint, integer);
drop function app.cancel_waiting(text, bigint, integer, bytea);
revoke select on huey.result from skeldir_maint;
"""
RELEASE_DOWN = """
drop function app.release_job(text, uuid, text);
revoke insert on huey.run_delta from skeldir_maint;
drop policy maint_add on huey.run_delta;
revoke select on huey.task_rule, huey.tenant_rule from skeldir_maint;
revoke update on huey.job from skeldir_maint;
"""


# What one correlation id did: without these, 700,000 attempts were read for each look (15,556 blocks, now 4).
CORRELATION = """
set local role skeldir_maint;
create index job_attempt_correlation on huey.job_attempt (correlation_id);
reset role;
create index worker_failed_jobs_correlation on worker_failed_jobs (correlation_id);
create index attribution_recompute_jobs_correlation on attribution_recompute_jobs (last_correlation_id);
"""
CORRELATION_DOWN = """
drop index attribution_recompute_jobs_correlation;
drop index worker_failed_jobs_correlation;
set local role skeldir_maint;
drop index huey.job_attempt_correlation;
reset role;
"""


def add_verbs() -> None:
    """D's block."""
    op.execute(CORRELATION)
    op.execute(RELEASE)
    op.execute(MANY)


def drop_verbs() -> None:
    """D's block."""
    op.execute(CORRELATION_DOWN)
    op.execute(MANY_DOWN)
    op.execute(RELEASE_DOWN)


# -- end of D's block ----------------------------------------------------------------------------------------------


def upgrade() -> None:
    add_speed()
    add_verbs()


def downgrade() -> None:
    drop_verbs()
    drop_speed()
