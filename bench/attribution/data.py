"""Seeded events by set-based SQL: the same number gives the same events on every machine."""

from __future__ import annotations

from uuid import UUID

from bench.attribution.place import Place
from skeldir_huey.ingest.tenants import create_tenant

START = "2025-06-01T00:00Z"
DAYS = 30
TOUCHES, SALES = 8, 2  # of each journey

# Written in the order of their time, as imports do. Without triggers and foreign keys: only this is not measured. Ten
# times the events take more than ten times as long: random keys go all over three indexes, 0.3 kB for each event, and
# those of a million still come near to fitting into the server's cache of 128 MB.
_EVENTS = """
set session_replication_role = replica;
insert into attribution_events (tenant_id, id, occurred_at, event_type, kind, journey_key, session_id, channel,
                                revenue_cents, currency, order_id, idempotency_key)
select %(tenant)s, md5(n::text || ':id:' || %(tenant)s)::uuid, occurred_at,
       case when is_sale then 'purchase' else 'ad_click' end, case when is_sale then 'conversion' else 'touch' end,
       journey, journey,
       -- Six channels, the first ones more often.
       (array['google_search_paid', 'organic', 'email', 'facebook_paid', 'direct', 'referral'])
         [1 + floor(6 * power(draw(n, 3), 2))::integer],
       case when is_sale then 100 + floor(20000 * draw(n, 4))::bigint end, case when is_sale then 'EUR' end,
       case when is_sale then 'o' || n end, sha256(int8send(n))
  from (select n, n %% %(per_journey)s < %(sales)s as is_sale,
               md5((n / %(per_journey)s)::text || %(tenant)s)::uuid as journey,
               %(start)s::timestamptz + make_interval(secs => floor(draw(n, 1) * %(seconds)s)) as occurred_at
          from generate_series(0, %(events)s - 1) n) drawn
 order by occurred_at, n;
set session_replication_role = origin;
"""
# A number from 0 to 1 out of a number and what it is for.
_DRAW = """
create or replace function draw(n bigint, what bigint) returns double precision language sql immutable parallel safe
  as $$ select (hashint8extended(n, 20250601 + what) & 9007199254740991)::double precision / 9007199254740992 $$
"""

# Journeys of 1 to 8 touches over the ten channels; every sixth converts.
_PATHS = """
insert into attribution_path_counts (tenant_id, day, path_hash, path, conversion_count, null_count, cents)
select %(tenant)s, day, sha256(convert_to(path, 'UTF8')), path, count(*) filter (where converted),
       count(*) filter (where not converted), '{}'
  from (select n, %(start)s::date + (n %% %(days)s)::integer as day, draw(n, 11) < 1.0 / 6 as converted,
               string_agg((array['google_search_paid', 'organic', 'email', 'facebook_paid', 'direct', 'referral',
                                 'facebook_brand', 'google_display_paid', 'tiktok_paid', 'unknown'])
                            [1 + floor(10 * power(draw(n * 8 + nth, 12), 3))::integer], '>' order by nth) as path
          from generate_series(1, %(journeys)s) n
         cross join generate_series(0, 7) nth
         where nth <= floor(8 * power(draw(n, 13), 3))
         group by n) drawn
 group by day, path
"""


def add_events(place: Place, name: str, events: int) -> UUID:
    """Make a tenant with so many events over 30 days, and return its id."""
    tenant_id = create_tenant(name)
    values = {
        "tenant": str(tenant_id),
        "start": START,
        "seconds": DAYS * 86_400,
        "events": events,
        "per_journey": TOUCHES + SALES,
        "sales": SALES,
    }
    place.run(_DRAW)
    place.run(_EVENTS, values)
    place.run("vacuum analyze attribution_events")
    return tenant_id


def add_paths(place: Place, tenant_id: UUID, journeys: int) -> int:
    """Give a tenant the path counts of so many journeys, and return how many rows these are."""
    place.run(_DRAW)
    place.run(_PATHS, {"tenant": str(tenant_id), "start": START[:10], "days": DAYS, "journeys": journeys})
    place.run("vacuum analyze attribution_path_counts")
    return int(place.run("select count(*) from attribution_path_counts")[0][0])
