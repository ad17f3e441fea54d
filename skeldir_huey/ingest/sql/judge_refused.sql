-- Says of refused records what became of them elsewhere: resolved without a message, else pending with it. By unique index dead_events_idempotency.
update dead_events d
   set remediation_status = case when g.message is null then 'resolved' else 'pending' end,
       resolved_at = case when g.message is null then clock_timestamp() end,
       error_field = coalesce(g.field, d.error_field), error_message = coalesce(g.message, d.error_message)
  from unnest(%(keys)s::bytea[], %(fields)s::text[], %(messages)s::text[]) as g (idempotency_key, field, message)
 where d.tenant_id = %(tenant_id)s and d.idempotency_key = g.idempotency_key
   and (g.message is not null or d.remediation_status <> 'resolved')
