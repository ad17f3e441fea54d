-- Says what the login of this session may do beyond its task. Served by the catalog's own indexes.
select r.rolname as login, current_database()::text as database,
       array_remove(array[
         case when r.rolsuper then 'is superuser' end,
         case when r.rolbypassrls then 'has BYPASSRLS' end,
         case when r.rolcreaterole then 'may create roles' end,
         case when r.rolcreatedb then 'may create databases' end,
         case when r.rolreplication then 'may replicate' end,
         case when exists (select from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p', 'm'))
              then 'owns tables' end,
         case when exists (select from pg_roles o
                            where (o.rolsuper or o.rolbypassrls) and o.oid <> r.oid
                              and pg_has_role(r.oid, o.oid, 'member')) then 'may become a powerful role' end], null) as powers
  from pg_roles r where r.rolname = session_user
