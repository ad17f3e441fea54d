-- Returns how long a chain of the audit log is and its last hash, as its writer left them (console_audit_head_chain).
select length, hash from console_audit_head
 where tenant_id = %(tenant_id)s::uuid or (%(tenant_id)s::uuid is null and tenant_id is null)
