"""What pages read: SQLAlchemy selects on db/tables.py, each on the caller's scoped, read-only transaction."""
