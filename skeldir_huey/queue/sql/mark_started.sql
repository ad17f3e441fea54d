-- Records that jobs really began, so that the death of their consumer is counted as theirs.
-- Served by the primary key of huey.job.
update huey.job j set started_at = clock_timestamp()
  from unnest(%(ids)s::bigint[], %(tokens)s::uuid[]) as t(id, token)
 where j.id = t.id and j.claim_token = t.token and j.started_at is null
