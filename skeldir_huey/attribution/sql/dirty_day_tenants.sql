-- The tenants that have dirty days; app_rw may read that column of all of them. By the primary key.
select distinct tenant_id from attribution_dirty_days order by tenant_id
