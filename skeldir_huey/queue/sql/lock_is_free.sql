-- Says whether nobody holds a consumer's lock, holding it until the end of this transaction. Reads no table.
select pg_try_advisory_xact_lock(%(key)s) as free
