"""Tasks of the tests, registered beside the product's own: `huey_consumer tests.work.huey`."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from skeldir_huey.db.engine import engine
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.main import huey
from skeldir_huey.queue.jobs import current_job
from skeldir_huey.tasks.base import task, tenant_task, transaction

# An effect without unique key: done twice, it is there twice.
EFFECT_TABLE = """
create table test_effect (tenant_id uuid not null, marker text not null);
alter table test_effect enable row level security;
alter table test_effect force row level security;
create policy tenant on test_effect to app_user using (tenant_id = (select app.tenant()))
  with check (tenant_id = (select app.tenant()));
grant select, insert on test_effect to app_user;
"""
GATE = 4242  # an advisory lock that a test holds to stop a task in the middle


def _insert(connection: Any, tenant_id: UUID, marker: str) -> None:
    connection.exec_driver_sql(
        "insert into test_effect (tenant_id, marker) values (%(tenant)s, %(marker)s)",
        {"tenant": tenant_id, "marker": marker},
    )


@tenant_task(name="test.effect", lane="ingest")
def effect(marker: str, *, tenant_id: UUID) -> str:
    with transaction() as connection:
        _insert(connection, tenant_id, marker)
    return marker


@tenant_task(name="test.gated_effect", lane="ingest")
def gated_effect(marker: str, *, tenant_id: UUID) -> str:
    """Insert, then wait in the middle of the transaction while somebody holds the gate."""
    with transaction() as connection:
        _insert(connection, tenant_id, marker)
        connection.exec_driver_sql(f"select pg_advisory_xact_lock_shared({GATE})")
    return marker


@tenant_task(name="test.patient_effect", lane="ingest")
def patient_effect(marker: str, path: str, *, tenant_id: UUID) -> str:
    """Wait for a file outside any transaction, then insert: what a frozen worker does when it wakes."""
    Path(f"{path}.started").touch()
    while not Path(path).exists():
        time.sleep(0.02)
    with transaction() as connection:
        _insert(connection, tenant_id, marker)
    return marker


@tenant_task(name="test.failing_effect", lane="ingest", retries=2)
def failing_effect(marker: str, *, tenant_id: UUID) -> None:
    with transaction() as connection:
        _insert(connection, tenant_id, marker)
    effect(f"child of {marker}", tenant_id=tenant_id)
    raise ValueError(f"{marker} fails after its block")


@tenant_task(name="test.two_steps", lane="ingest")
def two_steps(marker: str, *, tenant_id: UUID) -> None:
    with transaction(commit=True) as connection:
        _insert(connection, tenant_id, f"{marker} 1")
    with transaction() as connection:
        _insert(connection, tenant_id, f"{marker} 2")
    raise ValueError("after both steps")


@tenant_task(name="test.parent", lane="ingest")
def parent(marker: str, *, tenant_id: UUID) -> str:
    effect(f"child of {marker}", tenant_id=tenant_id)
    return marker


@tenant_task(name="test.swallowed_abort", lane="ingest")
def swallowed_abort(*, tenant_id: UUID) -> str:
    with transaction() as connection:
        _insert(connection, tenant_id, "never")
        try:
            connection.exec_driver_sql("select 1/0")
        except Exception:
            pass
    return "looks fine"


@tenant_task(name="test.count_events", lane="ingest")
def count_events(*, tenant_id: UUID) -> int:
    """Forget every filter."""
    with transaction() as connection:
        return int(connection.exec_driver_sql("select count(*) from attribution_events").scalar_one())


@task(name="test.count_on_the_pool", lane="ingest")
def count_on_the_pool() -> int:
    """Use a connection of the worker's pool as the job before left it."""
    with engine("worker").connect() as connection:
        return int(connection.exec_driver_sql("select count(*) from attribution_events").scalar_one())


@task(name="test.cut_on_the_pool", lane="ingest")
def cut_on_the_pool() -> None:
    """Lose a session that is not the job's own transaction, the first time."""
    job = current_job.get()
    assert job is not None and job.claim is not None
    with engine("worker").connect() as connection:
        if not job.claim.deaths:
            connection.exec_driver_sql("select pg_terminate_backend(pg_backend_pid())")


@tenant_task(name="test.count_then_fail", lane="ingest")
def count_then_fail(*, tenant_id: UUID) -> None:
    with transaction() as connection:
        connection.exec_driver_sql("select count(*) from attribution_events")
        raise ValueError("inside the transaction")


@tenant_task(name="test.slow_sql", lane="ingest", timeout=0.5)
def slow_sql(*, tenant_id: UUID) -> None:
    with transaction() as connection:
        connection.exec_driver_sql("select pg_sleep(60)")


@task(name="test.slow_python", lane="ingest", timeout=0.5)
def slow_python() -> None:
    began = time.monotonic()
    while time.monotonic() - began < 60:
        try:
            time.sleep(0.01)
        except Exception:
            pass  # a task that swallows everything it can


@task(name="test.exits", lane="ingest")
def exits() -> None:
    sys.exit("a task that leaves")


@task(name="test.kills_its_worker", lane="ingest")
def kills_its_worker() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@task(name="test.whose_pid", lane="ingest")
def whose_pid() -> int:
    """Take long enough that every worker gets a share."""
    time.sleep(0.05)
    return os.getpid()


@task(name="test.notes", lane="ingest")
def notes(path: str, number: int) -> None:
    """Write a line with one write(), so that executions can be counted."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{number}\n".encode())
    os.close(file)


@task(name="test.sits_in_c", lane="ingest", timeout=0.5)
def sits_in_c(seconds: float) -> None:
    """Be out of the timeout's reach: one call that does not come back to the interpreter."""
    time.sleep(seconds)


@task(name="test.add", lane="ingest", retries=1)
def add(left: int, right: int) -> int:
    return left + right


@tenant_task(name="test.fails_while_broken", lane="ingest")
def fails_while_broken(marker: str, *, tenant_id: UUID) -> None:
    """Fail as long as the table test_broken is there, then have an effect."""
    with transaction() as connection:
        if connection.exec_driver_sql("select to_regclass('test_broken')").scalar_one():
            raise RuntimeError("broken until it is mended")
        _insert(connection, tenant_id, marker)


@tenant_task(name="test.second_time_lucky", lane="ingest", retries=1)
def second_time_lucky(*, tenant_id: UUID) -> None:
    """Fail on the first attempt."""
    job = current_job.get()
    assert job is not None and job.claim is not None
    if job.claim.attempt == 1:
        raise RuntimeError("not the first time")


@tenant_task(name="test.fails_with", lane="ingest")
def fails_with(value: Any, *, tenant_id: UUID, password: str) -> None:
    raise ValueError(f"refused with password={password}")


@task(name="test.total", lane="ingest")
def total(values: list[int]) -> int:
    return sum(values)


@task(name="test.unique_add", lane="ingest", unique=lambda args, kwargs: f"unique {args[0]}")
def unique_add(number: int) -> int:
    return number


@task(name="test.echo", lane="ingest")
def echo(*values: Any) -> list[Any]:
    return list(values)


@tenant_task(name="test.smuggler", lane="ingest")
def smuggler(other: str, *, tenant_id: UUID) -> None:
    effect("smuggled", tenant_id=other)


@task(name="test.locked", lane="ingest")
def locked() -> None:
    with huey.lock_task("gate"):
        pass


@tenant_task(name="test.exclusive_effect", lane="ingest")
def exclusive_effect(marker: str, path: str, *, tenant_id: UUID) -> None:
    """Insert and take a lock that only one transaction can have, then wait for a file in the middle of it."""
    with transaction() as connection:
        _insert(connection, tenant_id, marker)
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({GATE + 1})")
        Path(f"{path}.started").touch()
        while not Path(path).exists():
            time.sleep(0.02)


@tenant_task(name="test.flaky_effect", lane="ingest", retries=3)
def flaky_effect(marker: str, *, tenant_id: UUID) -> None:
    """Fail after the effect in the first two attempts."""
    job = current_job.get()
    assert job is not None and job.claim is not None
    with transaction() as connection:
        _insert(connection, tenant_id, marker)
    if job.claim.attempt < 3:
        raise ValueError(f"{marker}: attempt {job.claim.attempt} fails")


@tenant_task(name="test.slow_failure", lane="ingest", retries=3)
def slow_failure(marker: str, path: str, *, tenant_id: UUID) -> None:
    """Wait for a file, then fail, but not in the second attempt."""
    job = current_job.get()
    assert job is not None and job.claim is not None
    Path(f"{path}.{marker}").touch()
    while not Path(path).exists():
        time.sleep(0.02)
    with transaction() as connection:
        _insert(connection, tenant_id, marker)
    if job.claim.attempt < 2:
        raise ValueError(f"{marker} fails once")


@task(name="test.eats_memory", lane="ingest")
def eats_memory() -> None:
    """Ask for more memory than a limit on the process allows."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**30, before[1]))
    try:
        bytearray(2**31)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@tenant_task(name="test.waiting_link", lane="ingest")
def waiting_link(marker: str, path: str, *, tenant_id: UUID) -> str:
    """Wait for a file, then insert: the head of a chain."""
    Path(f"{path}.{marker}").touch()
    while not Path(path).exists():
        time.sleep(0.02)
    with transaction() as connection:
        _insert(connection, tenant_id, marker)
    return marker


@tenant_task(name="test.last_link", lane="ingest")
def last_link(previous: str, *, tenant_id: UUID) -> str:
    """Insert after the link before, whose value comes first."""
    with transaction() as connection:
        _insert(connection, tenant_id, f"after {previous}")
    return f"after {previous}"


promote = sql("queue", "promote")
release = sql("queue", "release")
claim = sql("queue", "claim_capped")
claim_gate = sql("queue", "claim_gate")
fold_flow = sql("queue", "fold_flow")
count_in_window = sql("queue", "count_in_window")

__all__ = ["huey"]
