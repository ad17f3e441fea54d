-- Lists the chains of the audit log that this role sees: those with an end and those with rows (console_audit_chain).
select c.tenant_id, t.display_name as tenant_name
  from (select tenant_id from console_audit_head union select tenant_id from console_audit) c
  left join tenants t on t.id = c.tenant_id
 order by t.display_name nulls first, c.tenant_id
