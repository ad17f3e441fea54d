"""How tasks are written: `@tenant_task` for work on one tenant's data, `@task` and `@periodic` for the rest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from skeldir_huey.errors import InputError, QueueError, TenantRequired
from skeldir_huey.queue.instance import huey
from skeldir_huey.queue.jobs import current_job
from skeldir_huey.tenancy import parse_uuid

Function = TypeVar("Function", bound=Callable[..., Any])


@contextmanager
def transaction(commit: bool = False) -> Iterator[Connection]:
    """Open the running job's transaction, as `app_user` of its tenant.

    What it writes is committed together with the job's end: if the job fails, is rescued or its worker dies, none of
    it happened. A second block commits the first one, if the job is still ours.

    Args:
        commit: commit at the end of this block, for tasks that work in steps.

    Raises:
        QueueError: called outside a job.
        FenceLost: the job was rescued meanwhile; let it pass through.
    """
    job = current_job.get()
    if job is None:
        raise QueueError("transaction() works inside a job only: use skeldir_huey.db.engine.transaction elsewhere")
    with job.transaction(commit_now=commit) as connection:
        yield connection


def task(*, name: str, lane: str, **settings: Any) -> Callable[[Function], Any]:
    """Register a task under a stable name.

    Args:
        name: stored with each job, so it must not change across deploys.
        lane: one of `skeldir_huey.queue.lanes.LANES`.
        settings: Huey's (retries, retry_delay in seconds, timeout in seconds, priority, context) and ours (unique,
            alone, missed), see `LaneTaskWrapper`. Default: no retries, no timeout.

    Raises:
        QueueError: no such lane or setting, or a value that could not work, such as a timeout of 0.
    """
    return huey.task(name=name, lane=lane, **settings)


def periodic(validate: Callable[[Any], bool], *, name: str, lane: str, **settings: Any) -> Callable[[Function], Any]:
    """Register a task that runs by crontab (in UTC), as `huey.crontab(minute="0")` makes one; see `task`.

    `missed`, for minutes in which nobody looked, is "skip", "once" (default) or "all".
    """
    if not callable(validate):
        raise QueueError(f"validate: {name} needs what huey.crontab(minute=…, hour=…) returns, got {validate!r}")
    return huey.periodic_task(validate, name=name, lane=lane, **settings)


def tenant_task(*, name: str, lane: str, **settings: Any) -> Callable[[Function], Any]:
    """Register a task that works for exactly one tenant, given as the keyword argument `tenant_id`.

    A call without a tenant_id, or with one that is no uuid, is refused when it is enqueued, and again before any work
    when it is executed. Inside, `transaction()` sees that tenant's rows only. See `task` for the arguments.
    """

    def check_call(kwargs: dict[str, Any]) -> None:
        try:
            parse_uuid(kwargs.get("tenant_id"), "tenant_id")
        except InputError:
            raise TenantRequired(name, kwargs.get("tenant_id")) from None

    def decorate(function: Function) -> Any:
        @functools.wraps(function)
        def with_tenant(*args: Any, **kwargs: Any) -> Any:
            check_call(kwargs)
            tenant_id = parse_uuid(kwargs["tenant_id"], "tenant_id")
            job = current_job.get()
            if job is not None and job.tenant_id != tenant_id:
                raise TenantRequired(name, kwargs["tenant_id"])
            return function(*args, **{**kwargs, "tenant_id": tenant_id})

        return huey.task(name=name, lane=lane, check_call=staticmethod(check_call), **settings)(with_tenant)

    return decorate
