-- The sales of these orders or with these ids, how much of each was taken back already, and whether retention took its allocations. By indexes attribution_events_order and attribution_events_adjustments, and the primary keys.
select s.id, s.order_id, s.occurred_at, s.revenue_cents, s.currency,
       coalesce((select -sum(a.revenue_cents) from attribution_events a
                  where a.tenant_id = %(tenant_id)s and a.parent_event_id = s.id
                    and a.kind = 'adjustment'), 0)::bigint as adjusted_cents,
       s.occurred_at < %(removed_before)s
         and not exists (select from attribution_allocations a
                          where a.tenant_id = %(tenant_id)s and a.event_id = s.id) as is_frozen
  from (select id, order_id, occurred_at, revenue_cents, currency
          from attribution_events
         where tenant_id = %(tenant_id)s and kind = 'conversion' and order_id is not null
           and order_id = any (%(order_ids)s::text[])
         union
        select id, order_id, occurred_at, revenue_cents, currency
          from attribution_events
         where tenant_id = %(tenant_id)s and kind = 'conversion' and id = any (%(event_ids)s::uuid[])) s
 order by s.id
