-- Takes up to `total` waiting jobs for one consumer, lanes in the given order; one that lost its consumer is taken alone.
-- Promise: a row is claimed by one consumer only (SKIP LOCKED), and MATERIALIZED keeps the planner from locking more.
-- Served by job_waiting.
with found as materialized (
  select j.id, j.claim_alone, j.priority, j.rank, wanted.turn
    from unnest(%(lanes)s::text[]) with ordinality as wanted(name, turn)
    join huey.lane l on l.name = wanted.name and l.paused_at is null
   cross join lateral (
     select id, claim_alone, priority, rank from huey.job
      where lane = wanted.name and state = 'waiting'
      order by priority desc, rank, id
      limit %(total)s
        for update skip locked) j
), ordered as (
  select id, claim_alone, row_number() over turns as place, first_value(claim_alone) over turns as first_alone
    from found window turns as (order by turn, priority desc, rank, id)
), taken as (
  select id from ordered
   where place <= %(total)s and case when first_alone then place = 1 else not claim_alone end
)
update huey.job j
   set state = 'running', claim_token = %(token)s, consumer_id = %(consumer_id)s, attempt = j.attempt + 1,
       claimed_at = coalesce(%(now)s::timestamptz, clock_timestamp()), started_at = null,
       claimed_alone = (select count(*) = 1 from taken)
  from taken
 where j.id = taken.id
returning j.id, j.task_id, j.lane, j.priority, j.rank, j.task_name, j.tenant_id, j.correlation_id, j.message,
          j.attempt, j.deaths, j.letter_id, j.unknown_since, j.enqueued_at, j.run_at, j.claimed_at
