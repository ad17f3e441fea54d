-- Says what all imports together accepted, found there already, and refused. At most 48 rows.
select outcome, sum(event_count)::float8 from ingest_total group by outcome
