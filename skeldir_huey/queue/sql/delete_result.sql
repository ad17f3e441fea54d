-- Deletes the value of a key. Served by the primary key of huey.result.
delete from huey.result where key = %(key)s returning value
