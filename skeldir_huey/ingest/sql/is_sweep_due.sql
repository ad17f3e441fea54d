-- Says whether the tenant's boundary moved since its events were walked. By primary key.
select exists (select from retention
                where tenant_id = (select app.tenant())
                  and (swept_before is null or swept_before < events_removed_before)) as is_due
