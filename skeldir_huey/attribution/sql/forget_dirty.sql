-- Deletes the dirty ranges that lie inside the window, when the version is the published one: they are about its numbers. By the primary key's tenant_id.
delete from attribution_dirty_ranges d
 where d.tenant_id = %(tenant_id)s and d.range_start >= %(window_start)s and d.range_end <= %(window_end)s
   and exists (select from attribution_published p
                where p.tenant_id = %(tenant_id)s and p.model_version = %(model_version)s)
