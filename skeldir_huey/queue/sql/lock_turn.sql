-- Lets those who want one lock go one after the other, so that who comes later sees the claim of who has it. Reads no table.
select pg_advisory_xact_lock(hashtextextended(%(key)s, 1))
