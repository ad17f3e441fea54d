-- Puts a record back that was refused once more, with the new reason. Served by the primary key.
update dead_events set remediation_status = 'pending', error_field = %(field)s, error_message = %(message)s
 where tenant_id = %(tenant_id)s and id = %(id)s and remediation_status = 'in_progress'
