"""Who may do what: one table of needs, one function that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, g
from flask_security import current_user

from admin import fresh
from admin.fresh import require_fresh
from skeldir_huey.config import settings
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleGrant

__all__ = ["NEED", "RANK", "Grants", "can", "grants_of", "require_fresh"]

RANK = {"viewer": 1, "operator": 2, "admin": 3}

# Every verb and every kind of page. An action that is not here is a programming error, not a refusal.
NEED = {
    "read": "viewer",
    "replay": "operator",
    "abandon": "operator",
    "reopen": "operator",
    "acknowledge": "operator",
    "refused": "operator",
    "bulk_over_1000": "admin",
    "edit_replay": "admin",
    "pause": "operator",
    "cancel": "operator",
    "run_scheduled": "operator",
    "cancel_waiting": "operator",
    "release": "admin",
    "cron": "operator",
    "recompute": "operator",
    "reconcile": "operator",
    "refresh": "operator",
    "limits": "admin",
    "users": "admin",
}


@dataclass(frozen=True)
class Grants:
    """The roles of one user: for all tenants, None when there is no such grant, and per tenant."""

    everywhere: str | None
    tenants: Mapping[UUID, str]

    def role_in(self, tenant_id: UUID | None) -> str | None:
        """Return the strongest role in a tenant; None as tenant means all tenants and rows that belong to none."""
        roles = [self.everywhere, self.tenants.get(tenant_id) if tenant_id else None]
        return max((role for role in roles if role), key=RANK.__getitem__, default=None)


def grants_of(user: Any) -> Grants:
    """Return the grants of a signed-in user, read once per request: with the session, or here."""
    if user.id not in g.setdefault("grants", {}):
        with transaction(None, role="console_global", who="console", read_only=True) as connection:
            remember(
                user.id,
                connection.execute(
                    sa.select(ConsoleGrant.tenant_id, ConsoleGrant.role).where(ConsoleGrant.user_id == user.id)
                ).all(),
            )
    found: Grants = g.grants[user.id]
    return found


def remember(user_id: Any, rows: Sequence[Any]) -> None:
    """Keep the grants of a user, rows of tenant and role, until the end of this request."""
    g.setdefault("grants", {})[user_id] = Grants(
        everywhere=next((row.role for row in rows if row.tenant_id is None), None),
        tenants={row.tenant_id: row.role for row in rows if row.tenant_id is not None},
    )


def can(user: Any, action: str, tenant_id: UUID | None) -> bool:
    """Return whether a user may do this to rows of a tenant; None means all tenants, or rows without one.

    Raises:
        KeyError: no such action.
    """
    return has_role(user, action, tenant_id) and not lacks_factor(user, action)


def has_role(user: Any, action: str, tenant_id: UUID | None) -> bool:
    """Return whether a user's role in a tenant is enough for an action.

    Raises:
        KeyError: no such action.
    """
    needed = RANK[NEED[action]]
    if not user.is_authenticated:
        return False
    role = grants_of(user).role_in(tenant_id)
    return role is not None and RANK[role] >= needed


def lacks_factor(user: Any, action: str) -> bool:
    """Return whether this installation wants a second factor for an action, and the account has none.

    An account that has one cannot sign in without it, so that the account says it of the session.
    """
    wanted_from = settings().second_factor_from
    return wanted_from is not None and RANK[NEED[action]] >= RANK[wanted_from] and not user.tf_totp_secret


def refusal(user: Any, action: str, tenant_id: UUID | None, where: str = "this tenant") -> str:
    """Return what to tell somebody for whom `can` is false: what is needed, and who can give it."""
    words = action.replace("_", " ")
    if has_role(user, action, tenant_id):
        return f"To {words} you need a second factor: switch it on under Account."
    return f"To {words} you need the role {NEED[action]} in {where}. An admin of it can grant that."


def _need(action: str) -> str:
    # Stands in sentences such as "Needs the role operator in this tenant".
    return NEED[action] + (" and a second factor" if lacks_factor(current_user, action) else "")


def install(app: Flask) -> None:
    """Give templates `may(action, tenant_id)`, `need(action)`, and what fresh.py gives."""
    app.jinja_env.globals["may"] = lambda action, tenant_id: can(current_user, action, tenant_id)
    app.jinja_env.globals["need"] = _need
    app.jinja_env.globals["lacks_factor"] = lambda: lacks_factor(current_user, "replay")
    fresh.install(app)
