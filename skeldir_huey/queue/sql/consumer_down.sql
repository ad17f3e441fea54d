-- Says that a consumer stopped in order. Served by the primary key of huey.consumer.
update huey.consumer set stopped_at = clock_timestamp(), holds_lock = false where id = %(id)s
