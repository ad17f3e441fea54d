-- Marks a refused record whose events are there. Served by the primary key.
update dead_events set remediation_status = 'resolved', resolved_at = clock_timestamp()
 where tenant_id = %(tenant_id)s and id = %(id)s
