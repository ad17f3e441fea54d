-- Says whether any cap is set. Reads the small tables of rules.
select exists (select from huey.lane where cap is not null)
       or exists (select from huey.task_rule where cap is not null)
       or exists (select from huey.tenant_rule where cap is not null) as capped
