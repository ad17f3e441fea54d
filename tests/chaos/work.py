"""What the chaos run lets consumers do, and the tables in which it finds the truth afterwards."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from huey import crontab
from huey.api import chord

from skeldir_huey.main import huey
from skeldir_huey.queue.jobs import current_job
from skeldir_huey.tasks.base import periodic, task, tenant_task, transaction

# Effects have no unique key: done twice, they are there twice. Triggers write down each claim and each tick.
TABLES = """
create table chaos_order (
  marker text primary key, kind text not null, task_id text not null, tenant_id uuid not null, sure boolean not null
);
create table chaos_effect (tenant_id uuid not null, marker text not null, task_id text not null);
create table chaos_claim (task_id text not null, consumer_id uuid not null, claimed_at timestamptz not null);
create index on chaos_claim (task_id, claimed_at);
create table chaos_tick (tick_key text not null, task_id text not null);
grant select, insert, update on chaos_order to app_user;
grant select, insert on chaos_effect to app_user;

create function chaos_note() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if tg_op = 'INSERT' then
    insert into chaos_tick values (new.tick_key, new.task_id);
  else
    insert into chaos_claim values (new.task_id, new.consumer_id, new.claimed_at);
  end if;
  return null;
end
$$;
create trigger chaos_tick after insert on huey.job for each row when (new.tick_key is not null)
  execute function chaos_note();
create trigger chaos_claim after update on huey.job for each row
  when (new.claim_token is not null and new.claim_token is distinct from old.claim_token)
  execute function chaos_note();
"""
MINUTE_TASK = "chaos.minute"


def folder() -> Path:
    """Return the folder of this run: starts.log and the tokens of crash points."""
    return Path(os.environ["CHAOS_FOLDER"])


def began() -> None:
    """Have an effect outside the database: a line with the task id and the claim."""
    job = current_job.get()
    assert job is not None and job.claim is not None
    line = f"{job.task_id} {job.claim.claimed_at.timestamp():.6f} {os.getpid()}\n"
    file = os.open(folder() / "starts.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, line.encode("ascii"))  # one write of a short line to the end of a file is never torn
    finally:
        os.close(file)


def insert(connection: Any, tenant_id: UUID, marker: str) -> None:
    """Have an effect through the job's transaction."""
    job = current_job.get()
    assert job is not None
    connection.exec_driver_sql(
        "insert into chaos_effect values (%(tenant)s, %(marker)s, %(task_id)s)",
        {"tenant": tenant_id, "marker": marker, "task_id": job.task_id},
    )


@task(name="chaos.plain", lane="housekeeping")
def plain(marker: str, seconds: float, tenant_id: Any = None) -> str:
    """Work without effect: settled together with others."""
    began()
    time.sleep(seconds)
    return marker


@tenant_task(name="chaos.effect", lane="ingest")
def effect(marker: str, seconds: float, previous: Any = None, *, tenant_id: UUID) -> str:
    """Work before, inside and after the transaction. A link of a chain gets the marker of the link before."""
    began()
    time.sleep(seconds / 2)
    with transaction() as connection:
        insert(connection, tenant_id, marker)
        time.sleep(seconds / 4)
    time.sleep(seconds / 4)
    return marker


@tenant_task(name="chaos.patient", lane="ingest")
def patient(marker: str, seconds: float, *, tenant_id: UUID) -> None:
    """Work long before the transaction: one that was frozen meanwhile opens it when it wakes, as if nothing were."""
    began()
    time.sleep(seconds)
    with transaction() as connection:
        insert(connection, tenant_id, marker)


@tenant_task(name="chaos.steps", lane="attribution")
def steps(marker: str, count: int, seconds: float, *, tenant_id: UUID) -> None:
    """Commit step by step, as an idempotent task does it: look what is done already, then do the next."""
    began()
    for number in range(count):
        with transaction(commit=True) as connection:
            step = f"{marker}.{number}"
            known = connection.exec_driver_sql("select 1 from chaos_effect where marker = %(step)s", {"step": step})
            if known.first() is None:
                insert(connection, tenant_id, step)
            time.sleep(seconds / 2)
        time.sleep(seconds / 2)


@tenant_task(name="chaos.flaky", lane="ingest", retries=50)
def flaky(marker: str, seconds: float, *, tenant_id: UUID) -> None:
    """Fail after its effect in the first attempts."""
    began()
    job = current_job.get()
    assert job is not None and job.claim is not None
    with transaction() as connection:
        insert(connection, tenant_id, marker)
        time.sleep(seconds)
    if job.claim.attempt < 3:
        raise ValueError(f"{marker}: attempt {job.claim.attempt} fails")


@tenant_task(name="chaos.hopeless", lane="ingest")
def hopeless(marker: str, *, tenant_id: UUID) -> None:
    """Always fail after its effect: one dead letter, no effect."""
    began()
    with transaction() as connection:
        insert(connection, tenant_id, marker)
    raise ValueError(f"{marker} fails")


@tenant_task(name="chaos.parent", lane="ingest")
def parent(marker: str, count: int, seconds: float, *, tenant_id: UUID) -> None:
    """Have an effect and enqueue children: they exist if and only if this settles."""
    began()
    with transaction() as connection:
        insert(connection, tenant_id, marker)
    for number in range(count):
        effect(f"{marker}.{number}", seconds, tenant_id=tenant_id)
    time.sleep(seconds)


@tenant_task(name="chaos.starts_chord", lane="llm")
def starts_chord(marker: str, count: int, seconds: float, *, tenant_id: UUID) -> None:
    """Enqueue a chord: its members and, after the last of them, its end."""
    began()
    members = [member.s(marker, number, seconds, tenant_id=tenant_id) for number in range(count)]
    huey.enqueue(chord(members, chord_end.s(marker, count, tenant_id=tenant_id)))


@tenant_task(name="chaos.member", lane="llm")
def member(marker: str, number: int, seconds: float, *, tenant_id: UUID) -> int:
    began()
    time.sleep(seconds)
    with transaction() as connection:
        insert(connection, tenant_id, f"{marker}.{number}")
    return number


@tenant_task(name="chaos.chord_end", lane="llm")
def chord_end(marker: str, count: int, values: list[int], *, tenant_id: UUID) -> None:
    began()
    with transaction() as connection:
        right = values == list(range(count))
        insert(connection, tenant_id, f"{marker}.end" if right else f"{marker}: {values} of {count}")


@task(name="chaos.poison", lane="ingest")
def poison() -> None:
    """Kill the process that runs it."""
    began()
    os.kill(os.getpid(), signal.SIGKILL)


@periodic(crontab(), name=MINUTE_TASK, lane="maintenance", missed="all")
def minute() -> None:
    """Be due each minute, which in a chaos run is a second; see consumer.py."""


__all__ = ["huey"]
