-- Lists the claims that carry a consumer's id. Served by job_running.
select id, claim_token from huey.job where state = 'running' and consumer_id = %(consumer_id)s
