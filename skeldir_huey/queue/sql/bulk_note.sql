-- Notes what a step did in its share. Served by the primary key.
update huey.bulk_share
   set done_count = %(done)s, failed_count = %(failed)s, skipped = %(skipped)s::jsonb, cursor_at = %(cursor_at)s,
       cursor_id = %(cursor_id)s, ended_at = case when %(ended)s then clock_timestamp() end
 where id = %(id)s
