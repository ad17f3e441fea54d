"""The checks of `doctor` as the console's login can ask them, each group in a transaction of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from admin.reads.overview import now as database_now
from admin.scope import limit_statements
from skeldir_huey.config import settings
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import ConfigError
from skeldir_huey.observability import checks, queue_checks
from skeldir_huey.observability.checks import BAD, OK, Check

REMEMBER_S = 5.0


@dataclass(frozen=True)
class Group:
    """Checks of one kind, and when they were made."""

    title: str
    checks: Sequence[Check]
    at: datetime
    took_ms: float

    @property
    def state(self) -> str:
        return checks.worst(self.checks)


# Title, role that asks, checks. The role None is the login itself.
GROUPS: tuple[tuple[str, str | None, tuple[checks.Probe, ...]], ...] = (
    ("Workers", "console_all", (checks.lanes, checks.scheduler, queue_checks.upkeep)),
    (
        "Database",
        "console_all",
        (checks.clock, checks.dead_rows, checks.partitions, checks.database_size),
    ),
    ("As the console itself", None, (checks.migrations, checks.role_powers, checks.transactions)),
    (
        "Tenant wall",
        "console_tenant",
        (checks.sees_nothing_without_tenant, checks.forced_row_security),
    ),
    ("Audit log", "console_all", (checks.audit_tail,)),
)


class Looks:
    """Keeps the last look for 5 seconds: one serves everybody who has the page open."""

    def __init__(self) -> None:
        self._groups: list[Group] = []
        self._until = 0.0

    def groups(self) -> list[Group]:
        """Return every group of checks. One that cannot be made is a finding itself."""
        if time.monotonic() >= self._until:
            with transaction(None, role="console_all", who="console", read_only=True) as connection:
                at = database_now(connection)
            self._groups = [_group(at, *one) for one in GROUPS] + [_settings(at)]
            self._until = time.monotonic() + REMEMBER_S
        return self._groups


def _group(at: datetime, title: str, role: str | None, probes: tuple[checks.Probe, ...]) -> Group:
    began = time.monotonic()
    with transaction(None, role=role, who="console", read_only=True) as connection:
        limit_statements(connection)
        try:
            found = checks.run(probes, connection)
        except DBAPIError as error:
            found = [Check(title.lower(), BAD, str(error.orig).strip().splitlines()[0])]
    return Group(title, found, at, (time.monotonic() - began) * 1000)


def _settings(at: datetime) -> Group:
    try:
        given = settings()
    except ConfigError as error:
        return Group("Settings", [Check("settings", BAD, line) for line in str(error).splitlines()], at, 0)
    found = [Check("settings", OK, f"environment {given.environment_name}; all names and values are understood")]
    if given.environment_name == "production" and not given.https:
        text = "production without SKELDIR_HTTPS=1: sign-in cookies would travel in the clear"
        found = [Check("settings", checks.WARN, text, "serve it through a proxy with https, and set SKELDIR_HTTPS=1")]
    return Group("Settings", found, at, 0)
