-- Compares, per order first seen in the window and per currency, claims, verified money and allocations of the published version, and keeps the result. By indexes revenue_ledger_time, platform_claims_time, attribution_events_valued, the indexes by order, and the primary key of attribution_allocations.
with seen as (
  select order_id from revenue_ledger
   where tenant_id = %(tenant_id)s and occurred_at >= %(window_start)s and occurred_at < %(window_end)s
   union
  select order_id from platform_claims
   where tenant_id = %(tenant_id)s and occurred_at >= %(window_start)s and occurred_at < %(window_end)s
   union
  select order_id from attribution_events
   where tenant_id = %(tenant_id)s and kind = 'conversion' and order_id is not null
     and occurred_at >= %(window_start)s and occurred_at < %(window_end)s
),
orders as materialized (
  select order_id from seen s
   where not exists (select from revenue_ledger l
                      where l.tenant_id = %(tenant_id)s and l.order_id = s.order_id
                        and l.occurred_at < %(window_start)s)
     and not exists (select from platform_claims c
                      where c.tenant_id = %(tenant_id)s and c.order_id = s.order_id
                        and c.occurred_at < %(window_start)s)
     and not exists (select from attribution_events e
                      where e.tenant_id = %(tenant_id)s and e.kind = 'conversion' and e.order_id = s.order_id
                        and e.occurred_at < %(window_start)s)
),
sales as (
  select o.order_id, e.id, e.currency
    from orders o
    join attribution_events e on e.tenant_id = %(tenant_id)s and e.kind = 'conversion' and e.order_id = o.order_id
),
-- Refunds count with the order of their sale.
valued as (
  select order_id, id, currency from sales
   union all
  select s.order_id, a.id, a.currency
    from sales s
    join attribution_events a on a.tenant_id = %(tenant_id)s and a.parent_event_id = s.id and a.kind = 'adjustment'
),
amounts as (
  select o.order_id, c.currency, c.claimed_cents as claimed, 0::bigint as verified, 0::bigint as allocated, 0 as parts
    from orders o join platform_claims c on c.tenant_id = %(tenant_id)s and c.order_id = o.order_id
   union all
  select o.order_id, l.currency, 0,
         case when l.state = 'captured' then l.amount_cents
              when l.state in ('refunded', 'chargeback') then -l.amount_cents else 0 end, 0, 0
    from orders o join revenue_ledger l on l.tenant_id = %(tenant_id)s and l.order_id = o.order_id
   union all
  select v.order_id, v.currency, 0, 0, 0, 0 from valued v
   union all
  select v.order_id, v.currency, 0, 0, a.allocated_revenue_cents, 1
    from valued v
    join attribution_published p on p.tenant_id = %(tenant_id)s
    join attribution_allocations a
      on a.tenant_id = %(tenant_id)s and a.event_id = v.id and a.model_version || '' = p.model_version
),
compared as materialized (
  select order_id, currency, sum(claimed)::bigint as claimed, sum(verified)::bigint as verified,
         sum(allocated)::bigint as allocated, sum(parts) as parts
    from amounts
   group by order_id, currency
),
judged as materialized (
  select order_id, currency, claimed, verified, allocated, claimed - verified as ghost,
         case when verified <> 0 then round((claimed - verified) * 10000::numeric / verified)::bigint
              when claimed = 0 then 0 end as discrepancy_bp,
         case when allocated = verified then 'matched'
              when parts = 0 then 'unallocated'
              when allocated < verified then 'under_allocated'
              else 'over_allocated' end as allocation_state
    from compared
),
kept as (
  insert into reconciliation_runs
    (tenant_id, id, window_start, window_end, model_version, task_id, correlation_id, order_count, ghost_count,
     unallocated_count, under_allocated_count, over_allocated_count, without_order_count, waiting_count)
  select %(tenant_id)s, %(id)s, %(window_start)s, %(window_end)s,
         (select model_version from attribution_published where tenant_id = %(tenant_id)s),
         %(task_id)s, %(correlation_id)s, count(*), count(*) filter (where ghost > 0),
         count(*) filter (where allocation_state = 'unallocated'),
         count(*) filter (where allocation_state = 'under_allocated'),
         count(*) filter (where allocation_state = 'over_allocated'),
         (select count(*) from attribution_events
           where tenant_id = %(tenant_id)s and kind = 'conversion' and order_id is null
             and occurred_at >= %(window_start)s and occurred_at < %(window_end)s),
         (select count(*) from waiting_adjustments where tenant_id = %(tenant_id)s)
    from judged
  returning id, window_start, window_end, model_version, order_count, ghost_count, unallocated_count,
            under_allocated_count, over_allocated_count, without_order_count, waiting_count
),
detail as (
  insert into reconciliation_orders
    (tenant_id, reconciliation_id, order_id, currency, claimed_cents, verified_cents, allocated_cents, ghost_cents,
     discrepancy_bp, allocation_state)
  select %(tenant_id)s, %(id)s, order_id, currency, claimed, verified, allocated, ghost, discrepancy_bp,
         allocation_state
    from judged
)
select * from kept
