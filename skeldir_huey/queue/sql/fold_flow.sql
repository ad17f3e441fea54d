-- Folds deltas of the ledger into totals, unless another consumer is just doing it. Served by the primary key of huey.flow.
with mine as materialized (
  select pg_try_advisory_xact_lock(hashtextextended('skeldir fold flow', 0)) as yes
), gone as (
  delete from huey.flow where id = any (array(
    select id from huey.flow where (select yes from mine) order by id limit 20000 for update skip locked))
  returning lane, tenant_id, kind, job_count
)
insert into huey.flow_total as t (lane, tenant_id, kind, job_count)
select lane, tenant_id, kind, sum(job_count) from gone group by lane, tenant_id, kind order by lane, tenant_id, kind
on conflict (lane, tenant_id, kind) do update set job_count = t.job_count + excluded.job_count
