-- Adds rates in the order given; the newest of a day counts. By primary key.
insert into exchange_rates (tenant_id, currency, day, base, rate, source, correlation_id)
select %(tenant_id)s, g.currency, g.day, g.base, g.rate, g.source, %(correlation_id)s
  from unnest(%(currency)s::text[], %(day)s::date[], %(base)s::text[], %(rate)s::numeric[], %(source)s::text[])
       with ordinality as g (currency, day, base, rate, source, ord)
 order by g.ord
