-- The names of all model versions of the tenant. By primary key.
select model_version from attribution_models where tenant_id = %(tenant_id)s order by model_version
