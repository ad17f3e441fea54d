-- Keeps refused records that are not kept yet. By unique index dead_events_idempotency.
with kept as (
  insert into dead_events
    (tenant_id, source, line, idempotency_key, payload, error_type, error_field, error_message, correlation_id,
     reading)
  select %(tenant_id)s, g.source, g.line, g.idempotency_key, g.payload, 'permanent', g.field, g.message,
         %(correlation_id)s, g.reading
    from unnest(%(source)s::text[], %(line)s::bigint[], %(idempotency_key)s::bytea[], %(payload)s::jsonb[],
                %(field)s::text[], %(message)s::text[], %(reading)s::jsonb[])
         as g (source, line, idempotency_key, payload, field, message, reading)
  on conflict (tenant_id, idempotency_key) do nothing
  returning 1
)
select count(*) as kept_count from kept
