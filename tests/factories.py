"""Rows that tests start from: tenants, models and events, with every column that a test does not name filled in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from tests.cluster import Database

DAY = datetime(2025, 6, 1, tzinfo=UTC)

# The kinds that a new tenant begins with, see the module that creates tenants.
KINDS = {
    "touch": ("ad_click", "email_click", "landing", "page_view"),
    "other": ("impression",),
    "conversion": ("purchase", "lead", "signup"),
    "adjustment": ("refund", "chargeback", "cancel"),
}


def make_tenant(database: Database, name: str = "acme", **columns: Any) -> UUID:
    """Insert a tenant with the default event kinds, as superuser, and return its id."""
    row = {"id": uuid4(), "name": name, "display_name": name.title()} | columns
    tenant_id = _insert(database, "tenants", row)["id"]
    for kind, event_types in KINDS.items():
        for event_type in event_types:
            _insert(
                database,
                "event_kinds",
                {
                    "tenant_id": tenant_id,
                    "event_type": event_type,
                    "kind": kind,
                    "needs_channel": event_type == "page_view",
                },
            )
    return UUID(tenant_id)


def make_model(
    database: Database,
    tenant_id: UUID,
    model_version: str = "even_split@1.0.0",
    *,
    params: dict[str, Any] | None = None,
    published: bool = False,
) -> str:
    """Insert a version of a model, make it the published one on demand, and return its name@version."""
    name, version = model_version.split("@", 1)
    text = json.dumps(params or {}, sort_keys=True, separators=(",", ":"))
    row = {
        "tenant_id": tenant_id,
        "model_version": model_version,
        "name": name,
        "version": version,
        "model_type": name,
        "params": text,
        "params_hash": sha256(text.encode()).digest(),
    }
    _insert(database, "attribution_models", row)
    if published:
        _insert(database, "attribution_published", {"tenant_id": tenant_id, "model_version": model_version})
    return model_version


def make_event(
    database: Database,
    tenant_id: UUID,
    *,
    kind: str = "conversion",
    minutes: int = 0,
    visitor: UUID | None = None,
    channel: str = "direct",
    cents: int | None = None,
    currency: str = "USD",
    **columns: Any,
) -> UUID:
    """Insert an event and return its id.

    Args:
        kind: touch, conversion, adjustment or other; the event type is the first of that kind.
        minutes: after 2025-06-01 00:00 UTC, default 0.
        visitor: journey key and session id; None makes a new one.
        cents: revenue; None means 10000 for a conversion and no revenue for a touch.
    """
    visitor = visitor or uuid4()
    if cents is None and kind == "conversion":
        cents = 10_000
    row = {
        "id": uuid4(),
        "tenant_id": tenant_id,
        "occurred_at": DAY + timedelta(minutes=minutes),
        "event_type": KINDS[kind][0],
        "kind": kind,
        "journey_key": visitor,
        "session_id": visitor,
        "channel": channel,
        "revenue_cents": cents,
        "currency": None if cents is None else currency,
        "idempotency_key": sha256(uuid4().bytes).digest(),
    } | columns
    return UUID(_insert(database, "attribution_events", row)["id"])


def make_letter(database: Database, tenant_id: UUID | None, **columns: Any) -> UUID:
    """Insert a pending dead letter of a failed ping and return its id."""
    task_id = str(uuid4())
    row = {
        "tenant_id": tenant_id,
        "task_id": task_id,
        "task_name": "skeldir.housekeeping.ping",
        "queue": "housekeeping",
        "error_type": "permanent",
        "exception_class": "RuntimeError",
        "error_message": "attribution recompute failure requested",
        "fingerprint": "0" * 16,
        "message": b"{}",
    } | columns
    return UUID(_insert(database, "worker_failed_jobs", row)["id"])


def _insert(database: Database, table: str, row: dict[str, Any]) -> dict[str, Any]:
    names = ", ".join(row)
    marks = ", ".join(f"%({name})s" for name in row)
    values = {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}
    statement = f"with made as (insert into {table} ({names}) values ({marks}) returning *) "
    made: dict[str, Any] = database.value(statement + "select to_jsonb(made) from made", values)
    return made
