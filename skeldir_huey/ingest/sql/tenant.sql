-- Reads what the import has to know of a tenant. Served by the primary key.
select id, name, identity_policy, timezone from tenants where id = %(tenant_id)s
