-- Adds claims that are not there yet. By unique index platform_claims_idempotency.
with added as (
  insert into platform_claims
    (tenant_id, platform, order_id, claimed_cents, currency, occurred_at, source, idempotency_key, correlation_id)
  select %(tenant_id)s, g.platform, g.order_id, g.claimed_cents, g.currency, g.occurred_at, g.source,
         g.idempotency_key, %(correlation_id)s
    from unnest(%(platform)s::text[], %(order_id)s::text[], %(claimed_cents)s::bigint[], %(currency)s::text[],
                %(occurred_at)s::timestamptz[], %(source)s::text[], %(idempotency_key)s::bytea[])
         as g (platform, order_id, claimed_cents, currency, occurred_at, source, idempotency_key)
  on conflict (tenant_id, idempotency_key) do nothing
  returning 1
)
select count(*) as added_count from added
