-- Sets a tenant's weight and cap in a lane. Served by the primary key of huey.tenant_rule.
insert into huey.tenant_rule (tenant_id, lane, weight, cap)
values (%(tenant_id)s, %(lane)s, %(weight)s, %(cap)s)
on conflict (tenant_id, lane) do update set weight = excluded.weight, cap = excluded.cap
