-- Picks the share of an operation that is worked on now. Served by bulk_share_key.
select * from huey.bulk_share where operation_id = %(id)s and ended_at is null order by id limit 1 for update
