-- Ends an operation of which every share has ended. Served by the primary key.
update huey.bulk_operation set state = 'done', ended_at = clock_timestamp() where id = %(id)s and state = 'running'
