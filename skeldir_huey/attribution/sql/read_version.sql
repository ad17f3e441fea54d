-- One model version of the tenant. By primary key.
select name, version, model_type, params
  from attribution_models
 where tenant_id = %(tenant_id)s and model_version = %(model_version)s
