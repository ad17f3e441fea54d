-- Sends a word over this session to whoever listens. Reads no table.
select pg_notify('skeldir_doctor', %(word)s)
