-- The newest rate of each of these days and currencies, and the tenant's base. By primary key.
select distinct on (r.currency, r.day) r.currency, r.day, r.rate, r.base
  from unnest(%(currencies)s::text[], %(days)s::date[]) as asked (currency, day)
  join exchange_rates r on r.tenant_id = %(tenant_id)s and r.currency = asked.currency and r.day = asked.day
 order by r.currency, r.day, r.rate_seq desc
