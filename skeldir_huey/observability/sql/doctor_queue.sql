-- Says for how long the quietest holder of a running job gave no sign of life, and how old the oldest count is that no
-- task has folded into the minutes yet. Served by job_running and the primary key of huey.run_delta.
select (select extract(epoch from clock_timestamp() - min(greatest(c.heartbeat_at, j.claimed_at)))::float8
          from huey.job j left join huey.consumer c on c.id = j.consumer_id where j.state = 'running') as silent_s,
       (select extract(epoch from clock_timestamp() - d.minute)::float8
          from huey.run_delta d order by d.id limit 1) as unfolded_s
