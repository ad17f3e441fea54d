-- Looks at the newest 500 rows of the audit log and the end of each chain: as written, and each behind the one before it?
-- Served by console_audit_time, console_audit_chain and console_audit_head_chain.
with newest as materialized (
  select a.tenant_id, a.chain_no, a.prev_hash, a.hash <> app.audit_hash(a) as is_changed
    from console_audit a order by a.at desc, a.id desc limit 500
), ends as materialized (
  select h.tenant_id, h.length, h.hash, last.hash as last_hash
    from console_audit_head h
    left join lateral (
      select a.hash from console_audit a
       where h.tenant_id is not null and a.tenant_id = h.tenant_id and a.chain_no = h.length
      union all
      select a.hash from console_audit a
       where h.tenant_id is null and a.tenant_id is null and a.chain_no = h.length) last on true
), before as (
  select n.tenant_id, n.chain_no, n.prev_hash, n.is_changed, p.hash
    from newest n
    left join lateral (
      select a.hash from console_audit a
       where n.tenant_id is not null and a.tenant_id = n.tenant_id and a.chain_no = n.chain_no - 1
      union all
      select a.hash from console_audit a
       where n.tenant_id is null and a.tenant_id is null and a.chain_no = n.chain_no - 1) p on true
), judged as (
  select tenant_id, chain_no as fault_no,
         case when is_changed then 'changed'
              when chain_no > 1 and hash is null then 'missing'
              when chain_no > 1 and hash <> prev_hash then 'moved' end as fault
    from before
  union all
  select tenant_id, length,
         case when length > 0 and last_hash is null then 'cut'
              when length > 0 and last_hash <> hash then 'changed' end
    from ends
)
select (select coalesce(sum(length), 0)::bigint from ends) as row_count,
       (select count(*) from newest)::bigint as looked_at,
       (select count(*) from ends)::bigint as chain_count,
       worst.fault, worst.fault_no, worst.tenant_name
  from (values (1)) one (x)
  left join (
    select j.fault, j.fault_no, t.display_name as tenant_name from judged j left join tenants t on t.id = j.tenant_id
     where j.fault is not null order by j.fault_no limit 1) worst on true
