-- Sends a word to whoever listens; a consumer hears itself unless its listening session is a pooler's. Reads no table.
select pg_notify('skeldir_jobs', %(nonce)s)
