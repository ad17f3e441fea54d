-- Adds payments in the order given; the trigger checks their states once more. By unique index revenue_ledger_idempotency.
insert into revenue_ledger
  (tenant_id, transaction_id, order_id, state, amount_cents, currency, occurred_at, source, idempotency_key,
   correlation_id)
select %(tenant_id)s, g.transaction_id, g.order_id, g.state, g.amount_cents, g.currency, g.occurred_at, g.source,
       g.idempotency_key, %(correlation_id)s
  from unnest(%(transaction_id)s::text[], %(order_id)s::text[], %(state)s::text[], %(amount_cents)s::bigint[],
              %(currency)s::text[], %(occurred_at)s::timestamptz[], %(source)s::text[], %(idempotency_key)s::bytea[])
       with ordinality as g (transaction_id, order_id, state, amount_cents, currency, occurred_at, source,
                             idempotency_key, ord)
 order by g.ord
