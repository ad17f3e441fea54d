"""Path counts and Markov training as jobs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from huey import crontab

from skeldir_huey.attribution import paths, train
from skeldir_huey.db import engine
from skeldir_huey.log import get_log
from skeldir_huey.tasks.base import periodic, tenant_task, transaction

log = get_log("training")


def _of_tenant(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return "paths"


@tenant_task(name="skeldir.attribution.count_paths", lane="maintenance", unique=_of_tenant)
def count_paths(*, tenant_id: UUID) -> int:
    """Count the paths of all days that events were added to; return how many rows changed."""
    with transaction() as connection:
        changed = paths.count_paths(connection, tenant_id)
    log.info("paths_counted", changed_count=changed)
    return changed


@tenant_task(name="skeldir.attribution.train_markov", lane="maintenance")
def train_markov(
    *, tenant_id: UUID, name: str, version: str, first_day: str, last_day: str, params: dict[str, Any] | None = None
) -> str:
    """Train a new markov_path version and return its name@version; see `attribution.train.train_markov`.

    Args:
        first_day, last_day: such as 2025-06-01, UTC, both included.

    Raises:
        InputError: names the field that is wrong.
        NoResult: these days have no paths, or none that converted.
        Conflict: that name and version exist with other parameters.
    """
    with transaction() as connection:
        spec, report_id = train.train_markov(
            connection,
            tenant_id,
            name,
            version,
            paths.parse_day(first_day, "first_day"),
            paths.parse_day(last_day, "last_day"),
            params,
        )
    log.info("markov_trained", model_version=spec.model_version, report_id=str(report_id))
    return spec.model_version


@periodic(crontab(minute="20", hour="2"), name="skeldir.attribution.count_dirty_paths", lane="maintenance")
def count_dirty_paths() -> None:
    """Ask, each night, for the paths of each tenant that events were added to."""
    with engine.transaction(None, role="app_rw") as connection:
        tenants = paths.dirty_day_tenants(connection)
    for tenant_id in tenants:
        count_paths(tenant_id=tenant_id)
