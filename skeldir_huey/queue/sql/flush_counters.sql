-- Deletes every counter: for tests and empty systems. Reads the whole table.
delete from huey.counter
