-- Resumes a lane and wakes its consumers. Served by the primary key of huey.lane.
update huey.lane set paused_at = null, paused_by = null, pause_reason = null, resume_at = null
 where name = %(lane)s and paused_at is not null
returning name, pg_notify('skeldir_jobs', name)
