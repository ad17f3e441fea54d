"""Tenants: made with the event kinds that they begin with, found by name."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from uuid import UUID

from skeldir_huey.db.engine import enter, rows, transaction
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError

# event type -> kind, and whether a touch of it counts only with a real channel.
DEFAULT_KINDS = {
    "ad_click": ("touch", False),
    "email_click": ("touch", False),
    "landing": ("touch", False),
    "page_view": ("touch", True),
    "impression": ("other", False),
    "purchase": ("conversion", False),
    "lead": ("conversion", False),
    "signup": ("conversion", False),
    "refund": ("adjustment", False),
    "chargeback": ("adjustment", False),
    "cancel": ("adjustment", False),
}
POLICIES = ("session", "consented")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class Tenant:
    """A tenant. `identity_policy` is session, or consented when visitor ids may be kept."""

    id: UUID
    name: str
    identity_policy: str
    timezone: str


def create_tenant(
    name: str, display_name: str | None = None, identity_policy: str = "session", timezone: str = "UTC"
) -> UUID:
    """Make a tenant with the default event kinds and return its id.

    Args:
        name: lower case letters, digits, - and _; at most 63.
        display_name: None means the name in words.
        identity_policy: session or consented.
        timezone: an IANA name, used for times that come without a zone.

    Raises:
        InputError: names the field that is wrong, or the name is taken; nothing was written.
    """
    if not _NAME.fullmatch(name):
        raise InputError("tenant", f"expected lower case letters, digits, - and _, at most 63, got {name!r}")
    if identity_policy not in POLICIES:
        raise InputError("identity_policy", f"expected one of {', '.join(POLICIES)}, got {identity_policy!r}")
    parse_timezone(timezone, "timezone")
    words = re.sub(r"[-_]+", " ", name).strip().capitalize()
    values = {
        "name": name,
        "display_name": display_name or words,
        "identity_policy": identity_policy,
        "timezone": timezone,
    }
    with transaction(None, role="app_rw") as connection:
        made = rows(connection, sql("ingest", "add_tenant"), values)
        if not made:
            raise InputError("tenant", f"{name!r} exists")
        tenant_id: UUID = made[0]["id"]
        enter(connection, tenant_id, "app_import")
        kinds = {
            "tenant_id": tenant_id,
            "event_types": list(DEFAULT_KINDS),
            "kinds": [kind for kind, _ in DEFAULT_KINDS.values()],
            "needs_channel": [needs for _, needs in DEFAULT_KINDS.values()],
        }
        rows(connection, sql("ingest", "add_kinds"), kinds)
    return tenant_id


def find_tenant(name: str, field: str = "tenant") -> Tenant:
    """Return the tenant of this name.

    Raises:
        InputError: there is none; names those that exist.
    """
    tenants = {tenant.name: tenant for tenant in list_tenants()}
    if name not in tenants:
        raise InputError(field, f"no tenant {name!r}; there are: {', '.join(tenants) or 'none yet'}")
    return tenants[name]


def list_tenants() -> list[Tenant]:
    """Return all tenants, by name."""
    with transaction(None, role="app_rw", read_only=True) as connection:
        return [Tenant(**row) for row in rows(connection, sql("ingest", "tenants"))]


def parse_timezone(name: str, field: str) -> zoneinfo.ZoneInfo:
    """Return a time zone by its IANA name.

    Raises:
        InputError: there is none of that name.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(field, f"no time zone {name!r}; expected a name such as Europe/Berlin or UTC") from None
