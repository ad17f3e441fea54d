"""The demo: three invented tenants, 5,000 events of the last 30 days, two model versions each. Seeded, added once."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from skeldir_huey.attribution import runs, store
from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest.normalise import Event, Kinds
from skeldir_huey.ingest.store import add_events, read_kinds
from skeldir_huey.ingest.tenants import create_tenant, list_tenants
from skeldir_huey.tasks.attribution import schedule_recompute_window

SEED = 20250601
DAYS = 30


@dataclass(frozen=True)
class Shop:
    """An invented tenant: how many events it has, what it sells in, and its usual price in the smallest unit."""

    name: str
    event_count: int
    currency: str
    price: int


SHOPS = (
    Shop("aurora-outfitters", 2200, "USD", 8_900),
    Shop("birch-and-co", 1700, "EUR", 24_500),
    Shop("cobalt-travel", 1100, "JPY", 38_000),
)
# channel, how often, the event type of its touches
_CHANNELS = (
    ("google_search_paid", 22, "ad_click"),
    ("facebook_paid", 18, "ad_click"),
    ("google_display_paid", 10, "ad_click"),
    ("tiktok_paid", 8, "ad_click"),
    ("email", 14, "email_click"),
    ("organic", 12, "landing"),
    ("direct", 9, "landing"),
    ("referral", 5, "landing"),
    ("unknown", 2, "page_view"),
)
EVEN_SPLIT_CHANNELS = ["direct", "email", "google_search_paid"]


def seed(progress: Callable[[str], object] | None = None) -> None:
    """Add what is missing of the demo; a second call adds nothing.

    Tenants with their events, even_split@1.0.0 and linear@1.0.0 (published), and one run of each version asked for.
    Times lie in the 30 days before the day of the first call, in UTC.

    Args:
        progress: called with a line of text for each tenant.
    """
    end = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    for shop in SHOPS:
        known = {tenant.name: tenant.id for tenant in list_tenants()}
        tenant_id = known.get(shop.name) or create_tenant(shop.name)
        added = _add_events(shop, tenant_id, end)
        _add_models(tenant_id, end)
        if progress is not None:
            progress(f"demo: {shop.name} has {added:,} new events of {shop.event_count:,}")


def make_events(shop: Shop, kinds: Kinds, end: datetime) -> list[Event]:
    """Return a tenant's events in order of time: the same for the same day, with the same keys on any day."""
    chance = random.Random(f"{SEED}:{shop.name}")  # invented data, the same each time  # nosec B311
    made: list[Event] = []
    while len(made) < shop.event_count:
        made += _journey(shop, kinds, chance, end, len(made))
    return sorted(made[: shop.event_count], key=lambda event: event.occurred_at)


def _journey(shop: Shop, kinds: Kinds, chance: random.Random, end: datetime, first: int) -> Iterator[Event]:
    visitor = UUID(int=chance.getrandbits(128), version=4)
    at = end - timedelta(seconds=chance.randrange(60, DAYS * 86_400))
    touches = chance.choices(_CHANNELS, [weight for _, weight, _ in _CHANNELS], k=chance.choice((1, 1, 2, 2, 3, 4, 6)))
    if chance.random() < 0.04:
        touches = []  # came from nowhere, and bought
    steps: list[tuple[str, str, int | None]] = [(channel, event_type, None) for channel, _, event_type in touches]
    if not touches or chance.random() < 0.45:
        sale = "purchase" if chance.random() < 0.85 else "lead"
        price = 0 if sale == "lead" else max(1, round(shop.price * chance.lognormvariate(0, 0.6)))
        steps.append((touches[-1][0] if touches else "unknown", sale, price))
    for number, (channel, event_type, cents) in enumerate(steps):
        if at >= end:
            return
        yield Event(
            occurred_at=at,
            event_type=event_type,
            kind=kinds.kind_of(event_type, channel),
            journey_key=visitor,
            session_id=visitor,
            visitor_id=None,
            channel=channel,
            campaign_id=None,
            revenue_cents=cents,
            currency=None if cents is None else shop.currency,
            order_id=f"demo-{first + number}" if event_type == "purchase" else None,
            idempotency_key=hashlib.sha256(f"demo:{shop.name}:{first + number}".encode()).digest(),
        )
        at += timedelta(seconds=chance.randrange(30, 2 * 86_400))


def _add_events(shop: Shop, tenant_id: UUID, end: datetime) -> int:
    with transaction(tenant_id, role="app_import") as connection:
        events = make_events(shop, read_kinds(connection, tenant_id), end)
        return add_events(connection, tenant_id, events, uuid.uuid4()).added_count


def _add_models(tenant_id: UUID, end: datetime) -> None:
    with transaction(tenant_id) as connection:
        specs = [
            store.create_model_version(connection, tenant_id, "even_split", "1.0.0", {"channels": EVEN_SPLIT_CHANNELS}),
            store.create_model_version(connection, tenant_id, "linear", "1.0.0"),
        ]
        if store.published_version(connection, tenant_id) is None:
            store.publish(connection, tenant_id, "linear@1.0.0")
        wanted = [
            spec.model_version for spec in specs if not runs.was_ever_asked(connection, tenant_id, spec.model_version)
        ]
    for model_version in wanted:
        # Touches reach 30 days ahead, so this window covers every range that the events made dirty.
        reach = timedelta(days=DAYS + 1)
        schedule_recompute_window(tenant_id, end - timedelta(days=DAYS), end + reach, model_version)
