"""Reports: materialized views, the registry that names them, and their refresh."""
