-- Lists the revisions that the database is at. A table of one row.
select version_num as revision from alembic_version order by version_num
