-- Lets claims go one at a time while any cap is set, so that two consumers do not both take the last free place.
-- Without caps it locks nothing. Reads the small tables of rules only.
select pg_advisory_xact_lock(hashtextextended('skeldir claim gate', 0))
 where exists (select from huey.lane where cap is not null)
    or exists (select from huey.task_rule where cap is not null)
    or exists (select from huey.tenant_rule where cap is not null)
