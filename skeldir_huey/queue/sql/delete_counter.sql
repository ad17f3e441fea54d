-- Deletes a counter. Served by the primary key of huey.counter.
delete from huey.counter where key = %(key)s
