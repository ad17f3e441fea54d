-- Points reports at this version from now on; old allocations stay. By primary key.
insert into attribution_published (tenant_id, model_version)
values (%(tenant_id)s, %(model_version)s)
on conflict (tenant_id) do update set model_version = excluded.model_version, published_at = clock_timestamp()
