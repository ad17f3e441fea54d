-- All tenants by name; app_rw may see them. By the unique index on name.
select id, name, identity_policy, timezone from tenants order by name
