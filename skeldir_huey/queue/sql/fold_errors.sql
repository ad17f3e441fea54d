-- Folds counts of errors into totals by day, unless another consumer is just doing it. Served by the primary key of huey.error_delta.
with mine as materialized (
  select pg_try_advisory_xact_lock(hashtextextended('skeldir fold errors', 0)) as yes
), gone as (
  delete from huey.error_delta where id = any (array(
    select id from huey.error_delta where (select yes from mine) order by id limit 20000 for update skip locked))
  returning tenant_id, fingerprint, day, seen_count, open_count, first_at, last_at, task_name, exception_class,
            error_message
), named as (
  insert into huey.error_group (tenant_id, fingerprint, task_name, exception_class, error_message)
  select distinct on (tenant_id, fingerprint) tenant_id, fingerprint, task_name, exception_class, error_message
    from gone order by tenant_id, fingerprint
  on conflict (tenant_id, fingerprint) do nothing
)
insert into huey.error_total as t (tenant_id, fingerprint, day, seen_count, open_count, first_at, last_at)
select tenant_id, fingerprint, day, sum(seen_count), sum(open_count), min(first_at), max(last_at)
  from gone group by tenant_id, fingerprint, day order by tenant_id, fingerprint, day
on conflict (tenant_id, fingerprint, day) do update
   set seen_count = t.seen_count + excluded.seen_count, open_count = t.open_count + excluded.open_count,
       first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at)
