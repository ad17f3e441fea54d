-- Returns one row about the server, the applied revision and the live consumers; the few rows of huey.consumer are scanned.
select current_setting('server_version') as server,
       current_database() as database,
       (select string_agg(version_num, ', ') from public.alembic_version) as revision,
       (select count(*) from huey.consumer
         where stopped_at is null
           and heartbeat_at > clock_timestamp() - make_interval(secs => %(frozen_after_s)s)) as alive
