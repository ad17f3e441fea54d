-- Deletes all waiting jobs, recorded in the ledger as pruned: for tests and empty systems. Served by job_waiting.
with gone as (
  delete from huey.job where state = 'waiting' returning lane, tenant_id
)
insert into huey.flow (lane, tenant_id, kind, job_count)
select lane, tenant_id, 'pruned', count(*) from gone group by lane, tenant_id
