"""Model versions: made once, never changed, one of them published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.models import make_spec
from skeldir_huey.attribution.types import ModelSpec, canonical_json
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import Conflict, InputError


def channels(connection: Connection) -> frozenset[str]:
    """Return the codes of the channel taxonomy."""
    return frozenset(row["code"] for row in rows(connection, sql("attribution", "channels")))


def create_model_version(
    connection: Connection,
    tenant_id: UUID,
    name: str,
    version: str,
    params: Mapping[str, Any] | None = None,
    model_type: str | None = None,
) -> ModelSpec:
    """Add a model version; the same name, version and parameters again change nothing.

    Args:
        connection: a transaction of the tenant, as app_user.
        params: what is left out has its default, see the model's file.
        model_type: the rule; None means the one called `name`.

    Raises:
        InputError: names the field that is wrong; nothing was written.
        Conflict: that name and version exist with other parameters.
    """
    known = channels(connection)
    spec = make_spec(name, version, params or {}, known, model_type)
    values = {
        "tenant_id": tenant_id,
        "model_version": spec.model_version,
        "name": spec.name,
        "version": spec.version,
        "model_type": spec.model_type,
        "params": canonical_json(spec.params),
        "params_hash": spec.params_hash,
    }
    added = rows(connection, sql("attribution", "add_version"), values)
    # Compared with its defaults filled in: it may be older than one of the parameters.
    if not added and _completed(read_version(connection, tenant_id, spec.model_version), known) != spec:
        raise Conflict(f"{spec.model_version} exists with other parameters; a version never changes, choose a new one")
    return spec


def read_version(connection: Connection, tenant_id: UUID, model_version: str) -> ModelSpec:
    """Return a model version of the tenant.

    Raises:
        InputError: there is none of that name; names those that exist.
    """
    values = {"tenant_id": tenant_id, "model_version": model_version}
    found = rows(connection, sql("attribution", "read_version"), values)
    if not found:
        known = ", ".join(list_versions(connection, tenant_id)) or "none yet"
        raise InputError("model_version", f"unknown version {model_version!r}; this tenant has: {known}")
    return ModelSpec(**found[0])


def list_versions(connection: Connection, tenant_id: UUID) -> list[str]:
    """Return the model versions of the tenant, in order of their names."""
    found = rows(connection, sql("attribution", "list_versions"), {"tenant_id": tenant_id})
    return [row["model_version"] for row in found]


def publish(connection: Connection, tenant_id: UUID, model_version: str) -> None:
    """Let reports use this version from now on. Allocations of others stay, for comparison.

    Raises:
        InputError: there is none of that name.
    """
    read_version(connection, tenant_id, model_version)
    rows(connection, sql("attribution", "publish"), {"tenant_id": tenant_id, "model_version": model_version})


def published_version(connection: Connection, tenant_id: UUID) -> str | None:
    """Return the version that reports use, or None when none was published."""
    found = rows(connection, sql("attribution", "published"), {"tenant_id": tenant_id})
    return found[0]["model_version"] if found else None


def _completed(spec: ModelSpec, known: frozenset[str]) -> ModelSpec:
    return make_spec(spec.name, spec.version, spec.params, known, spec.model_type)
