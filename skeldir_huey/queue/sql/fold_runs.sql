-- Folds deltas of the minute roll-up into minutes and quarters of an hour, unless another consumer is just doing it. The
-- ids are an array, so that no plan made before the table was analysed joins 20,000 rows with 20,000.
-- Served by the primary key of huey.run_delta, by run_minute_key and run_quarter_key.
with mine as materialized (
  select pg_try_advisory_xact_lock(hashtextextended('skeldir fold runs', 0)) as yes
), gone as (
  delete from huey.run_delta where id = any (array(
    select id from huey.run_delta where (select yes from mine) order by id limit 20000 for update skip locked))
  returning minute, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms, run_hist, wait_ms, wait_hist
), quarters as (
  insert into huey.run_quarter as q (quarter, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms,
                                     run_hist, wait_ms, wait_hist)
  select date_bin('15 minutes', minute, '2000-01-01 00:00:00+00'), lane, task_name, tenant_id, sum(done), sum(dead),
         sum(cancelled), sum(errored), sum(run_ms),
         array[sum(run_hist[1]), sum(run_hist[2]), sum(run_hist[3]), sum(run_hist[4]), sum(run_hist[5]),
         sum(run_hist[6]), sum(run_hist[7]), sum(run_hist[8]), sum(run_hist[9]), sum(run_hist[10]),
         sum(run_hist[11]), sum(run_hist[12]), sum(run_hist[13])],
         sum(wait_ms),
         array[sum(wait_hist[1]), sum(wait_hist[2]), sum(wait_hist[3]), sum(wait_hist[4]), sum(wait_hist[5]),
         sum(wait_hist[6]), sum(wait_hist[7]), sum(wait_hist[8]), sum(wait_hist[9]), sum(wait_hist[10]),
         sum(wait_hist[11]), sum(wait_hist[12]), sum(wait_hist[13])]
    from gone group by 1, 2, 3, 4 order by 1, 2, 3, 4
  on conflict (quarter, lane, task_name, tenant_id) do update
     set done = q.done + excluded.done, dead = q.dead + excluded.dead, cancelled = q.cancelled + excluded.cancelled,
         errored = q.errored + excluded.errored, run_ms = q.run_ms + excluded.run_ms,
         run_hist = array[q.run_hist[1] + excluded.run_hist[1], q.run_hist[2] + excluded.run_hist[2], q.run_hist[3] +
                    excluded.run_hist[3], q.run_hist[4] + excluded.run_hist[4], q.run_hist[5] +
                    excluded.run_hist[5], q.run_hist[6] + excluded.run_hist[6], q.run_hist[7] +
                    excluded.run_hist[7], q.run_hist[8] + excluded.run_hist[8], q.run_hist[9] +
                    excluded.run_hist[9], q.run_hist[10] + excluded.run_hist[10], q.run_hist[11] +
                    excluded.run_hist[11], q.run_hist[12] + excluded.run_hist[12], q.run_hist[13] +
                    excluded.run_hist[13]],
         wait_ms = q.wait_ms + excluded.wait_ms,
         wait_hist = array[q.wait_hist[1] + excluded.wait_hist[1], q.wait_hist[2] + excluded.wait_hist[2], q.wait_hist[3] +
                     excluded.wait_hist[3], q.wait_hist[4] + excluded.wait_hist[4], q.wait_hist[5] +
                     excluded.wait_hist[5], q.wait_hist[6] + excluded.wait_hist[6], q.wait_hist[7] +
                     excluded.wait_hist[7], q.wait_hist[8] + excluded.wait_hist[8], q.wait_hist[9] +
                     excluded.wait_hist[9], q.wait_hist[10] + excluded.wait_hist[10], q.wait_hist[11] +
                     excluded.wait_hist[11], q.wait_hist[12] + excluded.wait_hist[12], q.wait_hist[13] +
                     excluded.wait_hist[13]]
)
insert into huey.run_minute as t (minute, lane, task_name, tenant_id, done, dead, cancelled, errored, run_ms, run_hist,
                                  wait_ms, wait_hist)
select minute, lane, task_name, tenant_id, sum(done), sum(dead), sum(cancelled), sum(errored), sum(run_ms),
       array[sum(run_hist[1]), sum(run_hist[2]), sum(run_hist[3]), sum(run_hist[4]), sum(run_hist[5]),
       sum(run_hist[6]), sum(run_hist[7]), sum(run_hist[8]), sum(run_hist[9]), sum(run_hist[10]),
       sum(run_hist[11]), sum(run_hist[12]), sum(run_hist[13])],
       sum(wait_ms),
       array[sum(wait_hist[1]), sum(wait_hist[2]), sum(wait_hist[3]), sum(wait_hist[4]), sum(wait_hist[5]),
       sum(wait_hist[6]), sum(wait_hist[7]), sum(wait_hist[8]), sum(wait_hist[9]), sum(wait_hist[10]),
       sum(wait_hist[11]), sum(wait_hist[12]), sum(wait_hist[13])]
  from gone group by 1, 2, 3, 4 order by 1, 2, 3, 4
on conflict (minute, lane, task_name, tenant_id) do update
   set done = t.done + excluded.done, dead = t.dead + excluded.dead, cancelled = t.cancelled + excluded.cancelled,
       errored = t.errored + excluded.errored, run_ms = t.run_ms + excluded.run_ms,
       run_hist = array[t.run_hist[1] + excluded.run_hist[1], t.run_hist[2] + excluded.run_hist[2], t.run_hist[3] +
                  excluded.run_hist[3], t.run_hist[4] + excluded.run_hist[4], t.run_hist[5] +
                  excluded.run_hist[5], t.run_hist[6] + excluded.run_hist[6], t.run_hist[7] +
                  excluded.run_hist[7], t.run_hist[8] + excluded.run_hist[8], t.run_hist[9] +
                  excluded.run_hist[9], t.run_hist[10] + excluded.run_hist[10], t.run_hist[11] +
                  excluded.run_hist[11], t.run_hist[12] + excluded.run_hist[12], t.run_hist[13] +
                  excluded.run_hist[13]],
       wait_ms = t.wait_ms + excluded.wait_ms,
       wait_hist = array[t.wait_hist[1] + excluded.wait_hist[1], t.wait_hist[2] + excluded.wait_hist[2], t.wait_hist[3] +
                   excluded.wait_hist[3], t.wait_hist[4] + excluded.wait_hist[4], t.wait_hist[5] +
                   excluded.wait_hist[5], t.wait_hist[6] + excluded.wait_hist[6], t.wait_hist[7] +
                   excluded.wait_hist[7], t.wait_hist[8] + excluded.wait_hist[8], t.wait_hist[9] +
                   excluded.wait_hist[9], t.wait_hist[10] + excluded.wait_hist[10], t.wait_hist[11] +
                   excluded.wait_hist[11], t.wait_hist[12] + excluded.wait_hist[12], t.wait_hist[13] +
                   excluded.wait_hist[13]]
