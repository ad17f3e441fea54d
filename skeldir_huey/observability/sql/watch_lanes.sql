-- One row per lane: open jobs by the ledger, never counted; running ones; how long the oldest has waited; whether paused.
-- Cheap at a million jobs: one probe of job_share per lane and tenant (its first by rank is its oldest), and job_running.
with recursive first as (
  select l.name as lane, f.tenant, f.since
    from huey.lane l cross join lateral (
      select coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid) as tenant,
             greatest(run_at, enqueued_at) as since
        from huey.job
       where lane = l.name and state = 'waiting'
       order by coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid), rank limit 1) f
   union all
  select p.lane, f.tenant, f.since
    from first p cross join lateral (
      select coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid) as tenant,
             greatest(run_at, enqueued_at) as since
        from huey.job
       where lane = p.lane and state = 'waiting'
         and coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid) > p.tenant
       order by coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid), rank limit 1) f
), oldest as (
  select lane, min(since) as since from first group by lane
), open as (
  select lane, sum(case kind when 'enqueued' then job_count else -job_count end) as job_count
    from (select lane, kind, job_count from huey.flow_total
          union all
          select lane, kind, job_count from huey.flow) recorded
   group by lane
), running as (
  select lane, count(*) as job_count from huey.job where state = 'running' group by lane
)
select l.name, coalesce(o.job_count, 0)::float8, coalesce(r.job_count, 0)::float8,
       coalesce(greatest(0, extract(epoch from clock_timestamp() - w.since)), 0)::float8,
       (l.paused_at is not null)::int::float8
  from huey.lane l
  left join open o on o.lane = l.name
  left join running r on r.lane = l.name
  left join oldest w on w.lane = l.name
