"""Training: a markov_path version whose shares come from the tenant's own path counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution import store
from skeldir_huey.attribution.models import make_spec
from skeldir_huey.attribution.params import check_whole
from skeldir_huey.attribution.paths import count_paths
from skeldir_huey.attribution.types import ModelSpec
from skeldir_huey.errors import InputError

MODEL = "markov_path"
TRAINED = ("shares", "first_day", "last_day")


def check_training(
    connection: Connection, name: str, version: str, first_day: date, last_day: date, params: Mapping[str, Any]
) -> None:
    """Refuse what training would refuse, before any work.

    Raises:
        InputError: names the field that is wrong.
    """
    for given in TRAINED:
        if given in params:
            raise InputError(f"params.{given}", "comes from the training, leave it out")
    check_whole(params, "order", 1, 3, 1)
    if last_day < first_day:
        raise InputError("last_day", f"must not be before first_day: {last_day} is before {first_day}")
    channels = store.channels(connection)
    make_spec(name, version, {"order": 1, **params, "shares": {min(channels): "1"}}, channels, MODEL)


def train_markov(
    connection: Connection,
    tenant_id: UUID,
    name: str,
    version: str,
    first_day: date,
    last_day: date,
    params: Mapping[str, Any] | None = None,
) -> tuple[ModelSpec, UUID]:
    """Count what was added, train on the paths that ended on these days, and add the version with its shares.

    The same counts give the same shares, so doing it again changes nothing; after new events the same version is
    refused, because a version never changes. The report with its intervals is kept too.

    Args:
        connection: a transaction of the tenant, as app_user.
        first_day, last_day: UTC, both included.
        params: order, 1 to 3, default 1, and those that say which touches count; `dedupe` applies to training too.

    Returns:
        the version, and the id of the channel report.

    Raises:
        InputError: names the field that is wrong; nothing was written.
        NoResult: these days have no paths, or none that converted.
        Conflict: that name and version exist with other parameters.
    """
    params = dict(params or {})
    check_training(connection, name, version, first_day, last_day, params)
    order, dedupe = params.get("order", 1), params.get("dedupe", "none")
    count_paths(connection, tenant_id)
    # Measured: numpy and scipy are a third of a worker's start and 37 MB of each; only training needs them.
    from skeldir_huey.attribution.channel_reports import make_report  # noqa: PLC0415

    report_id, report = make_report(
        connection, tenant_id, "markov_global", first_day, last_day, order=order, dedupe=dedupe
    )
    trained = {
        "order": order,
        "shares": {row.channel: f"{row.share:.15f}" for row in report.shares},
        "first_day": first_day.isoformat(),
        "last_day": last_day.isoformat(),
    }
    return store.create_model_version(connection, tenant_id, name, version, params | trained, MODEL), report_id
