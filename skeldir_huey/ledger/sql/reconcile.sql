-- Compares, per order first seen in each window and per currency, claims, verified money and allocations of the published version, and keeps the results. By indexes revenue_ledger_time, platform_claims_time, attribution_events_valued, the indexes by order, and the primary key of attribution_allocations.
with asked as materialized (
  select w.id, w.window_start, w.window_end
    from unnest(%(ids)s::uuid[], %(window_starts)s::timestamptz[], %(window_ends)s::timestamptz[])
         as w (id, window_start, window_end)
),
seen as (
  select w.id, w.window_start, l.order_id
    from asked w
    join revenue_ledger l
      on l.tenant_id = %(tenant_id)s and l.occurred_at >= w.window_start and l.occurred_at < w.window_end
   union
  select w.id, w.window_start, c.order_id
    from asked w
    join platform_claims c
      on c.tenant_id = %(tenant_id)s and c.occurred_at >= w.window_start and c.occurred_at < w.window_end
   union
  select w.id, w.window_start, e.order_id
    from asked w
    join attribution_events e
      on e.tenant_id = %(tenant_id)s and e.kind = 'conversion' and e.order_id is not null
     and e.occurred_at >= w.window_start and e.occurred_at < w.window_end
),
orders as materialized (
  select id, order_id from seen s
   where not exists (select from revenue_ledger l
                      where l.tenant_id = %(tenant_id)s and l.order_id = s.order_id
                        and l.occurred_at < s.window_start)
     and not exists (select from platform_claims c
                      where c.tenant_id = %(tenant_id)s and c.order_id = s.order_id
                        and c.occurred_at < s.window_start)
     and not exists (select from attribution_events e
                      where e.tenant_id = %(tenant_id)s and e.kind = 'conversion' and e.order_id = s.order_id
                        and e.occurred_at < s.window_start)
),
sales as (
  select o.id, o.order_id, e.id as event_id, e.currency
    from orders o
    join attribution_events e on e.tenant_id = %(tenant_id)s and e.kind = 'conversion' and e.order_id = o.order_id
),
-- Refunds count with the order of their sale.
valued as (
  select id, order_id, event_id, currency from sales
   union all
  select s.id, s.order_id, a.id, a.currency
    from sales s
    join attribution_events a
      on a.tenant_id = %(tenant_id)s and a.parent_event_id = s.event_id and a.kind = 'adjustment'
),
amounts as (
  select o.id, o.order_id, c.currency, c.claimed_cents as claimed, 0::bigint as verified, 0::bigint as allocated,
         0 as parts
    from orders o join platform_claims c on c.tenant_id = %(tenant_id)s and c.order_id = o.order_id
   union all
  select o.id, o.order_id, l.currency, 0,
         case when l.state = 'captured' then l.amount_cents
              when l.state in ('refunded', 'chargeback') then -l.amount_cents else 0 end, 0, 0
    from orders o join revenue_ledger l on l.tenant_id = %(tenant_id)s and l.order_id = o.order_id
   union all
  select id, order_id, currency, 0, 0, 0, 0 from valued
   union all
  select v.id, v.order_id, v.currency, 0, 0, a.allocated_revenue_cents, 1
    from valued v
    join attribution_published p on p.tenant_id = %(tenant_id)s
    join attribution_allocations a
      on a.tenant_id = %(tenant_id)s and a.event_id = v.event_id and a.model_version || '' = p.model_version
),
compared as materialized (
  select id, order_id, currency, sum(claimed)::bigint as claimed, sum(verified)::bigint as verified,
         sum(allocated)::bigint as allocated, sum(parts) as parts
    from amounts
   group by id, order_id, currency
),
judged as materialized (
  select id, order_id, currency, claimed, verified, allocated, claimed - verified as ghost,
         case when verified <> 0 then round((claimed - verified) * 10000::numeric / verified)::bigint
              when claimed = 0 then 0 end as discrepancy_bp,
         case when allocated = verified then 'matched'
              when parts = 0 then 'unallocated'
              when allocated < verified then 'under_allocated'
              else 'over_allocated' end as allocation_state
    from compared
),
counted as (
  select id, count(*) as orders, count(*) filter (where ghost > 0) as ghosts,
         count(*) filter (where allocation_state = 'unallocated') as unallocated,
         count(*) filter (where allocation_state = 'under_allocated') as under_allocated,
         count(*) filter (where allocation_state = 'over_allocated') as over_allocated
    from judged
   group by id
),
kept as (
  insert into reconciliation_runs
    (tenant_id, id, window_start, window_end, model_version, reason, task_id, correlation_id, order_count, ghost_count,
     unallocated_count, under_allocated_count, over_allocated_count, without_order_count, waiting_count)
  select %(tenant_id)s, w.id, w.window_start, w.window_end,
         (select model_version from attribution_published where tenant_id = %(tenant_id)s),
         %(reason)s, %(task_id)s, %(correlation_id)s, coalesce(c.orders, 0), coalesce(c.ghosts, 0),
         coalesce(c.unallocated, 0), coalesce(c.under_allocated, 0), coalesce(c.over_allocated, 0),
         (select count(*) from attribution_events
           where tenant_id = %(tenant_id)s and kind = 'conversion' and order_id is null
             and occurred_at >= w.window_start and occurred_at < w.window_end),
         (select count(*) from waiting_adjustments where tenant_id = %(tenant_id)s)
    from asked w left join counted c using (id)
   order by w.window_start
  returning id, window_start, window_end, model_version, reason, order_count, ghost_count, unallocated_count,
            under_allocated_count, over_allocated_count, without_order_count, waiting_count
),
detail as (
  insert into reconciliation_orders
    (tenant_id, reconciliation_id, order_id, currency, claimed_cents, verified_cents, allocated_cents, ghost_cents,
     discrepancy_bp, allocation_state)
  select %(tenant_id)s, id, order_id, currency, claimed, verified, allocated, ghost, discrepancy_bp, allocation_state
    from judged
)
select * from kept order by window_start
