"""Runs of several versions over one window as one job: the journeys are built once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from skeldir_huey.attribution import runs, store
from skeldir_huey.attribution.recompute import recompute_together
from skeldir_huey.attribution.types import Run
from skeldir_huey.db import engine
from skeldir_huey.errors import InputError
from skeldir_huey.log import get_log
from skeldir_huey.queue.instance import huey
from skeldir_huey.queue.jobs import current_job
from skeldir_huey.tasks.attribution import RECOMPUTE_VERSIONS, ask_for_run, correlation, count_runs
from skeldir_huey.tasks.base import tenant_task, transaction
from skeldir_huey.tasks.reports import refresh_all

log = get_log("attribution")


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    versions = "+".join(map(str, kwargs.get("model_versions") or ()))
    return f"versions/{kwargs.get('window_start')}/{kwargs.get('window_end')}/{versions}"


@tenant_task(name=RECOMPUTE_VERSIONS, lane="attribution", unique=_key)
def recompute_versions(*, tenant_id: UUID, window_start: str, window_end: str, model_versions: list[str]) -> None:
    """Execute the runs of several versions. `schedule_recompute_versions` is the way to ask for them.

    Args:
        window_start, window_end: ISO-8601 with a zone, half-open.
        model_versions: name@version, each once, in order.

    Raises:
        InputError: an argument is wrong or a version is unknown.
    """
    job = current_job.get()
    asked = _identities(tenant_id, window_start, window_end, model_versions)
    with transaction(commit=True) as connection:
        for identity in asked:
            store.read_version(connection, tenant_id, identity.model_version)
        task_id, correlation_id = (job.task_id, job.correlation_id) if job else (None, None)
        started = [runs.start(connection, identity, task_id, correlation_id) for identity in asked]
    with transaction() as connection:
        ended = recompute_together(connection, tenant_id, [run.id for run in started])
    count_runs(ended)
    for run in ended:
        log.info(
            "run_computed",
            run_id=str(run.id),
            model_version=run.model_version,
            conversion_count=run.conversion_count,
            allocation_count=run.allocation_count,
            changed_count=run.changed_count,
        )


def schedule_recompute_versions(
    tenant_id: UUID | str,
    window_start: object,
    window_end: object,
    model_versions: Sequence[str],
    correlation_id: UUID | None = None,
) -> list[Run]:
    """Ask for runs of several versions over one window, done by one job; see `schedule_recompute_window`.

    A version whose run is pending or running already is left to that run's job.

    Returns:
        the runs, in the order of the versions' names.

    Raises:
        InputError: names the field that is wrong; nothing was written.
    """
    asked = _identities(tenant_id, window_start, window_end, model_versions)
    of_all = correlation_id or correlation()
    tenant = asked[0].tenant_id
    with engine.transaction(tenant) as connection:
        if len(asked) == 1:
            return [ask_for_run(connection, asked[0], of_all)[0]]
        for identity in asked:
            store.read_version(connection, tenant, identity.model_version)
        found = [runs.request(connection, identity, of_all) for identity in asked]
        needed = [run for run, is_needed in found if is_needed]
        if not needed:
            return [run for run, _ in found]
        task = recompute_versions.s(
            tenant_id=tenant,
            window_start=asked[0].window_start.isoformat(),
            window_end=asked[0].window_end.isoformat(),
            model_versions=[run.model_version for run in needed],
        )
        task.then(refresh_all, asked_by="run")
        task_id = huey.enqueue_in(connection, task, correlation_id=of_all)
        return [runs.assign(connection, tenant, run.id, task_id) if is_needed else run for run, is_needed in found]


def _identities(tenant_id: object, start: object, end: object, model_versions: object) -> list[runs.Identity]:
    if not isinstance(model_versions, list | tuple) or not model_versions:
        raise InputError("model_versions", f"expected a list of at least one name@version, got {model_versions!r}")
    asked = [runs.identify(tenant_id, start, end, version) for version in model_versions]
    if len({identity.model_version for identity in asked}) < len(asked):
        raise InputError("model_versions", "a version stands there twice")
    # In one order, so that two who ask for the same runs never wait for one another in a circle.
    return sorted(asked, key=lambda identity: identity.model_version)
