-- Tells how large the database is, and which relation is largest with its indexes. Reads the catalog and file sizes.
select pg_database_size(current_database())::bigint as bytes, big.name, big.bytes::bigint as big_bytes
  from (select c.oid::regclass::text as name, pg_total_relation_size(c.oid) as bytes
          from pg_class c where c.relkind in ('r', 'm') and c.relnamespace::regnamespace::text in ('public', 'huey')
         order by 2 desc limit 1) big
