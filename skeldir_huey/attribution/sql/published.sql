-- The version that reports use, or no row. By primary key.
select model_version from attribution_published where tenant_id = %(tenant_id)s
