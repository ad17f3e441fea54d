"""The tenant scope of a page: it stands in the URL, never only in the session, and row security enforces it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, g, request, url_for
from flask_security import current_user
from sqlalchemy.engine import Connection

from admin import params
from admin.permissions import can, grants_of
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import Tenant
from skeldir_huey.errors import InputError, NotFound

STATEMENT_TIMEOUT_S = 5


@dataclass(frozen=True)
class Choice:
    """A tenant that the user may look at."""

    id: UUID
    name: str
    display_name: str


@dataclass(frozen=True)
class Scope:
    """What a page shows: one tenant, or all when `tenant_id` is None. `choices` are the tenants the user may pick."""

    tenant_id: UUID | None
    choices: tuple[Choice, ...]
    all_allowed: bool

    @property
    def tenant(self) -> Choice | None:
        """Return the chosen tenant."""
        return next((choice for choice in self.choices if choice.id == self.tenant_id), None)

    def name_of(self, tenant_id: UUID | None) -> str | None:
        """Return the display name of a tenant; None for rows that belong to none."""
        return next((choice.display_name for choice in self.choices if choice.id == tenant_id), None)


class ChooseTenant(Exception):
    """The URL names no tenant and the user may not see all: the page is shown for the first tenant instead."""

    def __init__(self, tenant_id: UUID) -> None:
        super().__init__(str(tenant_id))
        self.tenant_id = tenant_id


def resolve() -> Scope:
    """Return the scope that the URL asks for.

    Raises:
        NotFound: no such tenant, or not one of the user's: the two look the same.
        ChooseTenant: none is asked for and the user has no grant for all tenants.
    """
    choices = _choices()
    all_allowed = can(current_user, "read", None)
    wanted = params.text("tenant")
    if not wanted:
        if not all_allowed and choices:
            raise ChooseTenant(choices[0].id)
        return Scope(None, choices, all_allowed)
    try:
        tenant_id = UUID(wanted)
    except ValueError:
        raise NotFound("no such tenant") from None
    if all(choice.id != tenant_id for choice in choices):
        raise NotFound("no such tenant")
    return Scope(tenant_id, choices, all_allowed)


def _choices() -> tuple[Choice, ...]:
    if can(current_user, "read", None):
        role, statement = "console_all", sa.select(Tenant.id, Tenant.name, Tenant.display_name)
    elif grants_of(current_user).tenants:
        # No role but console_all sees two tenants at once: a function looks up the names of those granted.
        granted = sa.func.app.granted_tenants(current_user.id).table_valued("id", "name", "display_name")
        role, statement = "console_global", sa.select(*granted.c)
    else:
        return ()
    with transaction(None, role=role, who="console", read_only=True) as connection:
        found = connection.execute(statement).all()
    return tuple(sorted((Choice(*row) for row in found), key=lambda choice: (choice.display_name, choice.name)))


def current() -> Scope:
    """Return the scope of this request, resolved once."""
    if "scope" not in g:
        g.scope = resolve()
    found: Scope = g.scope
    return found


@contextmanager
def reading() -> Iterator[Connection]:
    """Open a read-only transaction for the scope of this request; a statement may take 5 seconds.

    For one tenant it acts as console_tenant, for all as console_all. Postgres refuses every write in it.
    """
    tenant_id = current().tenant_id
    if tenant_id is None and not current().all_allowed:
        raise NotFound("no scope that this user may read")
    role = "console_tenant" if tenant_id else "console_all"
    with transaction(tenant_id, role=role, who="console", read_only=True) as connection:
        limit_statements(connection)
        yield connection


def limit_statements(connection: Connection) -> None:
    """Let no statement of this transaction take longer than 5 seconds."""
    connection.exec_driver_sql(f"set local statement_timeout = '{STATEMENT_TIMEOUT_S}s'")


def check_form_tenant() -> UUID | None:
    """Return the tenant that a form repeats.

    Raises:
        InputError: it is missing or no uuid, or is not the tenant of the page that the form came from.
        NotFound: the user may not see it.
    """
    tenant_id = params.form_tenant()
    if current().tenant_id is not None and current().tenant_id != tenant_id:
        raise InputError("tenant", "the form belongs to another tenant than the page; nothing was changed")
    if not can(current_user, "read", tenant_id):
        raise NotFound("no such tenant")
    return tenant_id


def link(endpoint: str, **values: Any) -> str:
    """Return the URL of a page in the same scope; a value of None leaves that parameter out."""
    tenant_id = current().tenant_id
    given = {"tenant": tenant_id} | values
    return url_for(endpoint, **{name: value for name, value in given.items() if value not in (None, "")})


def link_with(**changes: Any) -> str:
    """Return the URL of this page with some parameters changed; None removes one."""
    values = dict(request.args) | (request.view_args or {}) | changes
    return url_for(request.endpoint or "", **{name: value for name, value in values.items() if value not in (None, "")})


def install(app: Flask) -> None:
    """Give templates `link` and `link_with`."""
    app.jinja_env.globals.update(link=link, link_with=link_with)
