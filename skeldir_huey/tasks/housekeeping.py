"""Housekeeping: the ping that shows that a worker works."""

from __future__ import annotations

from typing import Any

from skeldir_huey.config import settings
from skeldir_huey.errors import InputError
from skeldir_huey.tasks.base import task


def _check_fail(kwargs: dict[str, Any]) -> None:
    if kwargs.get("fail") and not settings().test_tasks:
        raise InputError("fail", "a ping fails on request only where SKELDIR_TEST_TASKS=1")


@task(name="skeldir.housekeeping.ping", lane="housekeeping", check_call=staticmethod(_check_fail))
def ping(fail: bool = False, tenant_id: Any = None) -> str:
    """Answer "pong".

    Args:
        fail: raise instead, for tests of what follows a failure; refused unless SKELDIR_TEST_TASKS=1.
        tenant_id: whose job it is; default nobody's.

    Raises:
        RuntimeError: when asked to.
    """
    _check_fail({"fail": fail})
    if fail:
        raise RuntimeError("attribution recompute failure requested")
    return "pong"
