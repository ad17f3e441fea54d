-- Where these transactions stand. By index revenue_ledger_transaction.
select transaction_id, (array_agg(state order by ledger_seq desc))[1] as state, min(order_id) as order_id,
       min(currency) as currency,
       (sum(amount_cents) filter (where state = 'authorized'))::bigint as authorized_cents,
       coalesce(sum(amount_cents) filter (where state = 'captured'), 0)::bigint as captured_cents,
       coalesce(sum(amount_cents) filter (where state in ('refunded', 'chargeback')), 0)::bigint as returned_cents
  from revenue_ledger
 where tenant_id = %(tenant_id)s and transaction_id = any (%(transaction_ids)s::text[])
 group by transaction_id
