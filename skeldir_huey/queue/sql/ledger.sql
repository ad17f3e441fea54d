-- The conservation ledger, one row per lane and tenant, in one snapshot: gap is not 0 when a job was lost or conjured up.
-- Reads the ledger and counts jobs. Served by flow_total_key.
with recorded as (
  select lane, tenant_id, kind, job_count from huey.flow_total
  union all
  select lane, tenant_id, kind, job_count from huey.flow
), counted as (
  select lane, tenant_id, state as kind, count(*) as job_count from huey.job group by lane, tenant_id, state
), line as (
  select * from recorded union all select * from counted
)
select lane, tenant_id,
       coalesce(sum(job_count) filter (where kind = 'enqueued'), 0)::bigint as enqueued,
       coalesce(sum(job_count) filter (where kind = 'scheduled'), 0)::bigint as scheduled,
       coalesce(sum(job_count) filter (where kind = 'waiting'), 0)::bigint as waiting,
       coalesce(sum(job_count) filter (where kind = 'running'), 0)::bigint as running,
       coalesce(sum(job_count) filter (where kind = 'done'), 0)::bigint as done,
       coalesce(sum(job_count) filter (where kind = 'dead'), 0)::bigint as dead,
       coalesce(sum(job_count) filter (where kind = 'cancelled'), 0)::bigint as cancelled,
       coalesce(sum(job_count) filter (where kind = 'pruned'), 0)::bigint as pruned,
       (coalesce(sum(job_count) filter (where kind = 'enqueued'), 0)
        - coalesce(sum(job_count) filter (where kind <> 'enqueued'), 0))::bigint as gap
  from line group by lane, tenant_id order by lane, tenant_id nulls first
