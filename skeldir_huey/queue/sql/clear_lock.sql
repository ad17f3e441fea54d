-- Takes a lock away from whoever has it: the operator's and Huey's own flush. Served by the primary key of huey.lock.
delete from huey.lock where key = %(key)s returning key
