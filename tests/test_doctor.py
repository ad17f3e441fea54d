"""`doctor` on a healthy database, and on one with each fault planted: the fault is named, and the exit code says so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from skeldir_huey.config import LANES
from skeldir_huey.db.engine import transaction
from skeldir_huey.observability import checks, queue_checks
from skeldir_huey.observability.checks import BAD, OK, WARN, Check
from tests.cluster import Database
from tests.conftest import ROOT
from tests.factories import make_event, make_tenant

DOCTOR = [sys.executable, "-m", "skeldir_huey", "doctor"]


def add_consumer(database: Database, lanes: str = ",".join(LANES), ago: str = "1 second", **columns: Any) -> None:
    row = {"version": "0.1.0", "holds_lock": True} | columns
    database.query(
        "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, holds_lock, heartbeat_at)"
        " values (%s, 'host', 7, 'thread', 2, string_to_array(%s, ','), %s, %s, now() - %s::interval)",
        (str(uuid4()), lanes, row["version"], row["holds_lock"], ago),
    )


def make_well(database: Database) -> Database:
    """Give the database what a running system has: a consumer, ticks, partitions."""
    add_consumer(database)
    database.query("insert into huey.tick (task_name, last_tick) values ('t', now())")
    database.query("select app.rotate_job_attempts((now() at time zone 'UTC')::date, 7, 2)")
    make_event(database, make_tenant(database))
    return database


@pytest.fixture
def well(database: Database) -> Database:
    return make_well(database)


def ask(probe: Callable[..., list[Check]], who: str = "worker", role: str | None = None) -> list[Check]:
    if role is None and probe in (*checks.INSTANCE, queue_checks.upkeep):
        role = "app_rw"
    with transaction(None, who=who, role=role, read_only=True) as connection:
        return probe(connection)


def doctor(env: dict[str, str], *options: str) -> tuple[int, str]:
    done = subprocess.run(
        [*DOCTOR, *options], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def test_all_is_well(well: Database, env: dict[str, str]) -> None:
    code, out = doctor(env, "--json")
    found = json.loads(out)
    assert [check for check in found["checks"] if check["state"] != OK] == []
    assert (code, found["state"]) == (0, "ok")
    names = {(check["login"], check["name"]) for check in found["checks"]}
    for login in ("worker", "console", "owner"):
        assert (login, "tenant wall") in names
    assert {
        ("worker", "migrations"),
        ("worker", "row security"),
        ("worker", "notify"),
        ("worker", "partitions"),
    } <= names
    assert ("console", "audit log") in names
    code, out = doctor(env)
    assert code == 0 and "all is well" in out and "worker:\n" in out


def test_what_is_wrong_is_said_with_a_remedy(well: Database, env: dict[str, str]) -> None:
    well.query("alter table dead_events no force row level security")
    well.query("update huey.consumer set stopped_at = now()")
    code, out = doctor(env, "--quiet")
    assert code == 1
    assert "BAD   row security: not forced on dead_events" in out
    assert "BAD   lane ingest: no consumer is alive" in out and "-> start one: SKELDIR_LANES=ingest" in out
    assert "migrations: at" not in out, "what is well is left out"


def test_a_wrong_setting_is_a_finding(env: dict[str, str]) -> None:
    code, out = doctor(env | {"SKELDIR_LANES": "attic"}, "--json")
    assert code == 2
    (check,) = json.loads(out)["checks"]
    assert check["state"] == BAD and "SKELDIR_LANES" in check["meaning"]


def test_a_server_that_is_down(env: dict[str, str]) -> None:
    down = {name: "postgresql://app_user:geheim@127.0.0.1:1/d" for name in env if name.startswith("DATABASE_")}
    code, out = doctor(env | down)
    assert code == 1 and "cannot connect to 127.0.0.1:1/d" in out and "geheim" not in out


def states(found: list[Check]) -> set[tuple[str, str]]:
    return {(check.name, check.state) for check in found}


FAULTS: dict[str, tuple[str, Callable[..., list[Check]], str, str, str]] = {
    "behind": ("update alembic_version set version_num = '0003'", checks.migrations, "migrations", BAD, "0003"),
    "newer": ("update alembic_version set version_num = '9999'", checks.migrations, "migrations", WARN, "newer"),
    "unforced": (
        "alter table attribution_events disable row level security", checks.forced_row_security, "row security", BAD,
        "attribution_events",
    ),
    "open": (
        "create policy leak on event_kinds to app_user using (true)", checks.sees_nothing_without_tenant, "tenant wall",
        BAD, "event_kinds",
    ),
    "no ticks": (
        "update huey.tick set last_tick = now() - interval '10 minutes'", checks.scheduler, "scheduler", BAD, "10 min",
    ),
    "never ticked": ("delete from huey.tick", checks.scheduler, "scheduler", WARN, "ever"),
    "no partition": (
        "do $$ begin execute format('drop table huey.job_attempt_%s', to_char(now() at time zone 'UTC', 'YYYYMMDD'));"
        " end $$",
        checks.partitions, "partitions", BAD, "no partition",
    ),
    "polling": ("update huey.consumer set holds_lock = false", checks.lanes, "lane ingest", WARN, "once a second"),
    "paused": (
        "update huey.lane set paused_at = now(), paused_by = 'd', pause_reason = 'r' where name = 'ingest'",
        checks.lanes, "lane ingest", WARN, "paused",
    ),
    "held by nobody": (
        "insert into huey.job (task_id, lane, task_name, message, state, claim_token, claimed_at) values"
        " ('x', 'ingest', 't', '{}', 'running', gen_random_uuid(), now() - interval '2 minutes')",
        queue_checks.upkeep, "oldest lease", BAD, "2 min",
    ),
    "not folded": (
        "insert into huey.run_delta (minute, lane, task_name, done, dead, cancelled, errored, run_ms, run_hist,"
        " wait_ms, wait_hist) values (now() - interval '1 hour', 'ingest', 't', 1, 0, 0, 0, 0, '{}', 0, '{}')",
        queue_checks.upkeep, "roll-up", WARN, "1 h",
    ),
    "frozen": (
        "update huey.consumer set heartbeat_at = now() - interval '1 minute'", checks.lanes, "silent consumer", WARN,
        "1 min",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(well: Database, fault: str) -> None:
    statement, probe, name, state, words = FAULTS[fault]
    before = states(ask(probe))
    assert (name, state) not in before
    well.query(statement)
    found = [check for check in ask(probe) if (check.name, check.state) == (name, state)]
    assert found and words in found[0].meaning and (found[0].advice or state == OK), found


def test_versions_that_differ(well: Database) -> None:
    add_consumer(well, version="0.0.9")
    assert {check.state for check in ask(checks.lanes)} == {WARN}
    assert "0.0.9, 0.1.0" in ask(checks.lanes)[0].meaning


def test_a_powerful_role_is_named(well: Database) -> None:
    assert states(ask(checks.role_powers)) == {("role", OK)}
    well.query("alter role app_user createrole")
    try:
        (check,) = ask(checks.role_powers)
    finally:
        well.query("alter role app_user nocreaterole")
    assert check.state == BAD and "app_user may create roles" in check.meaning


def test_who_holds_back_vacuum_is_named(well: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TRANSACTION_WARN_S", 0.0)
    with well.connect("app_user") as holder, holder.cursor() as cursor:
        pid = holder.info.backend_pid
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute("select count(*) from huey.lane")
        found = [check for check in ask(checks.transactions) if f"pid {pid} " in check.meaning]
        holder.rollback()
    holder.close()
    assert found and found[0].state == WARN and "holds back vacuum" in found[0].meaning
    assert f"pg_terminate_backend({pid})" in found[0].advice


def test_a_clock_that_is_wrong(well: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    assert states(ask(checks.clock)) == {("clock", OK)}
    right = checks.utc_now
    monkeypatch.setattr(checks, "utc_now", lambda: right() + checks.dt.timedelta(seconds=40))
    (check,) = ask(checks.clock)
    assert check.state == BAD and "40.0 s ahead" in check.meaning


def test_a_changed_audit_row_is_found(well: Database) -> None:
    well.query(
        "insert into console_audit (actor, action, target_type, target_id, result) values ('a', 'b', 'c', 'd', 'ok')"
    )
    assert states(ask(checks.audit_chain, "console", "console_all")) == {("audit log", OK)}
    well.query("alter table console_audit disable trigger user; update console_audit set actor = 'x'")
    assert states(ask(checks.audit_chain, "console", "console_all")) == {("audit log", BAD)}


def test_a_check_that_breaks_is_a_finding(well: Database) -> None:
    well.query("revoke select on huey.tick from app_user, app_rw")
    with transaction(None, role="app_rw", read_only=True) as connection:
        found = checks.run((checks.scheduler, checks.migrations), connection)
    assert [(check.name, check.state) for check in found] == [("scheduler", BAD), ("migrations", OK)]
    assert "permission denied" in found[0].meaning
