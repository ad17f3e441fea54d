-- Adds a model version, or gives no row when that name and version exist. By primary key.
insert into attribution_models (tenant_id, model_version, name, version, model_type, params, params_hash)
values (%(tenant_id)s, %(model_version)s, %(name)s, %(version)s, %(model_type)s, %(params)s::jsonb, %(params_hash)s)
on conflict (tenant_id, model_version) do nothing
returning model_version
