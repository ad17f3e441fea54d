-- Pauses a lane: nothing of it is claimed until it is resumed. Served by the primary key of huey.lane.
update huey.lane set paused_at = clock_timestamp(), paused_by = %(by)s, pause_reason = %(reason)s,
       resume_at = %(resume_at)s
 where name = %(lane)s and paused_at is null
returning name
