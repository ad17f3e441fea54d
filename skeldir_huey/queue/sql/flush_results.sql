-- Deletes every stored value: for tests and empty systems. Reads the whole table.
delete from huey.result
