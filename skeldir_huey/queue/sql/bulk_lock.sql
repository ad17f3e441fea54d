-- Reads an operation and keeps others from steering it until the end of this step. Served by the primary key.
select * from huey.bulk_operation where id = %(id)s for update
