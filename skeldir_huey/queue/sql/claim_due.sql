-- Takes every scheduled job that is due, for Huey's own read_schedule. Served by job_scheduled.
update huey.job
   set state = 'running', claim_token = %(token)s, consumer_id = %(consumer_id)s, attempt = attempt + 1,
       claimed_at = clock_timestamp()
 where state = 'scheduled' and run_at <= %(now)s
returning id, task_id, lane, priority, rank, task_name, tenant_id, correlation_id, message, attempt, deaths, letter_id,
          unknown_since, enqueued_at, run_at, claimed_at
