-- Marks an operation whose job died or was cancelled, so that a person looks. Served by the primary key.
update huey.bulk_operation set state = 'stopped', last_error = %(why)s where id = %(id)s and state = 'running'
