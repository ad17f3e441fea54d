"""Sales with journeys that divide badly, and their allocations as the product computes them."""

from __future__ import annotations

from uuid import UUID, uuid4

from skeldir_huey.attribution import runs
from skeldir_huey.attribution.recompute import recompute
from skeldir_huey.attribution.store import create_model_version
from skeldir_huey.db.engine import transaction
from tests.admin.world import World
from tests.factories import make_event

DAYS = "start=2025-06-01&end=2025-06-03"


def compute(world: World, *names: str) -> list[str]:
    """Make versions of the models as the product does, and compute June's first three days under each, for real."""
    tenant = world.a.tenant_id
    made = []
    with transaction(tenant) as connection:
        for name in names:
            spec = create_model_version(connection, tenant, name, "2.0.0")
            made.append(spec.model_version)
    for version in made:
        run_window(world, version)
    return made


def run_window(world: World, version: str) -> UUID:
    tenant = world.a.tenant_id
    identity = runs.identify(tenant, "2025-06-01T00:00Z", "2025-06-04T00:00Z", version)
    with transaction(tenant) as connection:
        run = runs.start(connection, identity, None, None)
    with transaction(tenant) as connection:
        recompute(connection, tenant, run.id)
    return run.id


def journeys(world: World) -> dict[str, UUID]:
    """Add sales in three currencies with journeys that divide badly, and a refund; return the sales by currency."""
    database, tenant = world.database, world.a.tenant_id
    sales = {}
    for number, (currency, cents) in enumerate((("USD", 10_001), ("JPY", 1_000), ("KWD", 12_345))):
        visitor = uuid4()
        for step, channel in enumerate(("email", "google_search_paid", "facebook_paid", "email")):
            make_event(
                database, tenant, kind="touch", minutes=1500 + 10 * number + step, visitor=visitor, channel=channel
            )
        sales[currency] = make_event(
            database, tenant, minutes=1600 + number, visitor=visitor, cents=cents, currency=currency
        )
    make_event(database, tenant, kind="adjustment", minutes=2000, cents=-501, parent_event_id=sales["USD"])
    return sales


def tables(text: str) -> dict[str, str]:
    """Return the source of each currency's card."""
    return {one[:3]: one for one in text.split("Revenue per channel, ")[1:]}


def amount(cents: int, digits: int) -> str:
    whole = f"{cents // 10**digits:,}".replace(",", " ")
    return whole + (f".{cents % 10**digits:0{digits}}" if digits else "")
