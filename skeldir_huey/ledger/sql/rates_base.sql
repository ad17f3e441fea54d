-- The currency that all of the tenant's rates are of, or no row. By the primary key's tenant_id.
select base from exchange_rates where tenant_id = %(tenant_id)s limit 1
