-- Lists tables of tenants whose row security is not enabled and forced. Served by the catalog's own indexes.
select c.oid::regclass::text as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'p') and n.nspname in ('public', 'huey', 'app')
   and not (c.relrowsecurity and c.relforcerowsecurity)
   and (c.oid = to_regclass('public.tenants')
        or exists (select from pg_attribute a
                    where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))
 order by 1
