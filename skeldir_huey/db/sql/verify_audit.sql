-- Looks at up to %(limit)s rows of one chain after %(after_no)s: is each in place and as it was written? (console_audit_chain)
with part as (
  select a.chain_no, a.hash, a.prev_hash, app.audit_hash(a) as computed,
         lag(a.chain_no, 1, %(after_no)s) over (order by a.chain_no) as no_before,
         lag(a.hash, 1, %(after_hash)s) over (order by a.chain_no) as hash_before
    from console_audit a
   where (a.tenant_id = %(tenant_id)s::uuid or (%(tenant_id)s::uuid is null and a.tenant_id is null))
     and a.chain_no > %(after_no)s
   order by a.chain_no
   limit %(limit)s),
judged as (
  select chain_no, hash,
         case when chain_no <> no_before + 1 then 'missing'
              when hash <> computed then 'changed'
              when prev_hash <> hash_before then 'moved' end as fault
    from part)
select count(*) as row_count, max(chain_no) as last_no,
       (select hash from judged order by chain_no desc limit 1) as last_hash,
       (select chain_no from judged where fault is not null order by chain_no limit 1) as fault_no,
       (select fault from judged where fault is not null order by chain_no limit 1) as fault
  from judged
