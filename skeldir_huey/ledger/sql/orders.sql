-- The orders of a reconciliation. By primary key.
select order_id, currency, claimed_cents, verified_cents, allocated_cents, ghost_cents, discrepancy_bp, allocation_state
  from reconciliation_orders
 where tenant_id = %(tenant_id)s and reconciliation_id = %(id)s
 order by order_id, currency
