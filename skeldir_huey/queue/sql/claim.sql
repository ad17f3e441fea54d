-- Takes up to `total` waiting jobs for one consumer, lanes in the given order. A suspect, whose consumer died, is taken
-- by itself if `suspects` is 'take', stops the claim if it is 'wait', and is passed over if it is 'pass'. One that is set
-- apart is passed over, too, without `apart`.
-- Promise: a row is claimed by one consumer only (SKIP LOCKED), and MATERIALIZED keeps the planner from locking more.
-- Jobs for whose id or task a revocation is stored are marked, so that nobody has to ask for the others.
-- The lane's virtual time follows, unless another claim is just moving it; a look that finds nothing says so.
-- The constant limit around the locks tells the planner, who does not know `total`, that these are few rows.
-- A claim that goes on where the last one was skips what that one left in the index: see claims.Place.
-- Where caps are set, claim_capped.sql is used instead. Served by job_waiting and result_other.
with found as materialized (
  select j.id, j.claim_alone, j.priority, j.rank, wanted.name as lane, wanted.turn
    from unnest(%(lanes)s::text[]) with ordinality as wanted(name, turn)
    join huey.lane l on l.name = wanted.name and l.paused_at is null
   cross join lateral (
     select * from (
       select id, claim_alone, priority, rank from huey.job w
        where w.lane = wanted.name and w.state = 'waiting' and not w.held
          and (%(suspects)s <> 'pass' or not w.claim_alone) and (%(apart)s or not w.claim_apart)
          /* and from here */
        order by priority desc, rank, id
        limit 1000
          for update skip locked) few
      limit %(total)s) j
), ordered as (
  select id, lane, rank, claim_alone, row_number() over turns as place, bool_or(claim_alone) over turns as beside
    from found window turns as (order by turn, priority desc, rank, id)
), taken as (
  select id, lane, rank from ordered
   where place <= %(total)s and (not beside or (place = 1 and %(suspects)s = 'take'))
), moving as (
  select name from huey.lane where name in (select lane from taken) for no key update skip locked
), moved as (
  update huey.lane l set virtual_time = t.rank
    from (select lane, max(rank) as rank from taken group by lane) t, moving m
   where l.name = t.lane and m.name = l.name and l.virtual_time < t.rank
), told as (
  update huey.consumer c set idle = not exists (select from taken)
   where c.id = %(consumer_id)s and c.idle = exists (select from taken)
)
update huey.job j
   set state = 'running', claim_token = %(token)s, consumer_id = %(consumer_id)s, attempt = j.attempt + 1,
       claimed_at = coalesce(%(now)s::timestamptz, clock_timestamp()), started_at = null,
       claimed_alone = (select count(*) = 1 from taken)
  from taken
 where j.id = taken.id
returning j.id, j.task_id, j.lane, j.priority, j.rank, j.task_name, j.tenant_id, j.correlation_id, j.message,
          j.attempt, j.deaths, j.letter_id, j.unknown_since, j.enqueued_at, j.run_at, j.claimed_at,
          exists (select from huey.result r
                   where r.key in ('r:' || j.task_id, 'rt:' || j.task_name) and not r.is_result) as revocable,
          j.claim_alone as suspect, j.claim_apart as apart
