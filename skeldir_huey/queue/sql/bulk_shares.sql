-- Makes one share per tenant of an operation, once. Served by bulk_share_key.
insert into huey.bulk_share (operation_id, tenant_id, item_count)
select o.id, s.tenant_id, s.item_count
  from huey.bulk_operation o cross join lateral jsonb_to_recordset(o.shares) as s (tenant_id uuid, item_count bigint)
 where o.id = %(id)s and not exists (select from huey.bulk_share made where made.operation_id = %(id)s)
 order by s.tenant_id
on conflict (operation_id, tenant_id) do nothing
