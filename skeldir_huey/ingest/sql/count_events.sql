-- Adds to the totals of all imports, in this session's shard. Served by the primary key of ingest_total.
insert into ingest_total (outcome, shard, event_count)
select outcome, pg_backend_pid() %% 16, event_count
  from unnest(%(outcomes)s::text[], %(counts)s::bigint[]) as t(outcome, event_count)
 where event_count > 0
 order by outcome
on conflict (outcome, shard) do update set event_count = ingest_total.event_count + excluded.event_count
