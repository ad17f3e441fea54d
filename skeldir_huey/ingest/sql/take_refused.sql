-- Takes a refused record that was asked for once more; none when it was not, or is done. Served by the primary key.
select * from dead_events where tenant_id = %(tenant_id)s and id = %(id)s and remediation_status = 'in_progress' for update
