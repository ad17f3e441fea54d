"""The table that Python peers write to, plain and without checks, and what they read and write it with."""

from __future__ import annotations

from bench.attribution.place import Place

TABLE = "peer_allocations"
READ = (
    "select id, occurred_at, kind, journey_key, channel, revenue_cents from attribution_events"
    " where tenant_id = %s and kind in ('touch', 'conversion') and occurred_at < %s order by occurred_at, ingest_seq"
)
WRITE = (
    f"insert into {TABLE} (event_id, channel_code, cents) select * from unnest(%s::uuid[], %s::text[], %s::bigint[])"
)


def target(place: Place) -> None:
    """Make it anew: a key like ours, but no time index, no row security and no triggers."""
    place.run(f"drop table if exists {TABLE}")
    place.run(
        f'create table {TABLE} (event_id uuid, channel_code text collate "C", cents bigint,'
        " primary key (event_id, channel_code))"
    )
    place.run(f"grant select, insert on {TABLE} to app_user")
    place.run("checkpoint")


def agrees(place: Place, version: str) -> bool:
    """Say whether a peer wrote the very rows that our version has."""
    different = place.run(
        f"select count(*) from {TABLE} p full join (select event_id, channel_code, allocated_revenue_cents"
        " from attribution_allocations where model_version = %s) a using (event_id, channel_code)"
        " where p.cents is distinct from a.allocated_revenue_cents",
        (version,),
    )
    return bool(different[0][0] == 0)


def row_count(place: Place) -> int:
    """Count what a peer wrote."""
    return int(place.run(f"select count(*) from {TABLE}")[0][0])
