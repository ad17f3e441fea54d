"""The console on full tables: how long each page takes, and what it asks of the database and the browser."""
