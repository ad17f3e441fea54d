-- Takes the right to refresh a view until the end of the transaction, or says that somebody has it. An advisory lock, no index.
select pg_try_advisory_xact_lock(hashtextextended('skeldir.refresh:' || %(view)s, 0)) as taken
