"""Each kind of fault that `doctor` promises to name, provoked: powers, settings, places, vacuum, disk, LISTEN."""

from __future__ import annotations

import json
import re
from collections import namedtuple
from pathlib import Path

import pytest

from skeldir_huey.commands import doctor as command
from skeldir_huey.observability import checks
from skeldir_huey.observability.checks import BAD, OK, WARN
from tests.cluster import Cluster, Database
from tests.test_doctor import ask, doctor, make_well, states
from tests.waiting import until

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def well(database: Database) -> Database:
    return make_well(database)


POWERS = {
    "is superuser": ("alter role app_user superuser", "alter role app_user nosuperuser"),
    "has BYPASSRLS": ("alter role app_user bypassrls", "alter role app_user nobypassrls"),
    "may create roles": ("alter role app_user createrole", "alter role app_user nocreaterole"),
    "may create databases": ("alter role app_user createdb", "alter role app_user nocreatedb"),
    "may replicate": ("alter role app_user replication", "alter role app_user noreplication"),
    "owns tables": ("alter table huey.tick owner to app_user", "alter table huey.tick owner to skeldir_owner"),
    "may become a powerful role": (
        "create role mighty bypassrls; grant mighty to app_user",
        "drop role mighty",
    ),
}


@pytest.mark.parametrize("power", POWERS)
def test_a_power_too_many_is_named(well: Database, power: str) -> None:
    assert states(ask(checks.role_powers)) == {("role", OK)}
    give, take = POWERS[power]
    well.query(give)
    try:
        (check,) = ask(checks.role_powers)
    finally:
        well.query(take)
    assert check.state == BAD and check.advice and f"app_user {power}" in check.meaning.replace("BYPASSRLS, ", "")


def test_dead_rows_are_named_with_the_table(well: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "DEAD_ROWS", 50)
    assert {state for _, state in states(ask(checks.dead_rows))} == {OK}
    well.query("alter table huey.lock set (autovacuum_enabled = false)")
    well.query("insert into huey.lock (key) select n::text from generate_series(1, 300) n")
    well.query("delete from huey.lock")

    def named() -> bool:
        return any("huey.lock has 300 dead rows" in check.meaning for check in ask(checks.dead_rows))

    until(named, what="the server's statistics")  # they come a moment after the commit
    (check,) = [check for check in ask(checks.dead_rows) if "huey.lock" in check.meaning]
    assert check.state == WARN and "never cleaned" in check.meaning and "vacuum analyze huey.lock" in check.advice


def test_who_holds_back_vacuum_has_a_pid_and_an_age(well: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "TRANSACTION_WARN_S", 0.2)
    monkeypatch.setattr(checks, "TRANSACTION_BAD_S", 0.5)
    with well.connect("app_user") as holder, holder.cursor() as cursor:
        cursor.execute("set application_name = 'forgotten'")
        cursor.execute("begin isolation level repeatable read")
        cursor.execute("select count(*) from huey.lane")
        pid = holder.info.backend_pid

        def found() -> list[checks.Check]:
            return [check for check in ask(checks.transactions) if f"pid {pid} " in check.meaning]

        until(lambda: found() and found()[0].state == BAD)
        (check,) = found()
        holder.rollback()
    holder.close()
    assert "(app_user forgotten, idle in transaction)" in check.meaning
    assert re.search(r"its statement began \d+\.\d s ago", check.meaning) and "holds back vacuum" in check.meaning


def test_a_replication_slot_that_nobody_reads(well: Database) -> None:
    well.query("select pg_create_physical_replication_slot('forgotten', true)")
    try:
        assert ("replication slots", WARN) in states(ask(checks.transactions))
    finally:
        well.query("select pg_drop_replication_slot('forgotten')")
    assert ("replication slots", WARN) not in states(ask(checks.transactions))


@pytest.mark.parametrize(("free", "state"), [(50, OK), (9, WARN), (2, BAD)])
def test_a_full_disk(free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.shutil, "disk_usage", lambda folder: Usage(100, 100 - free, free))
    check = command._disk(tmp_path)
    assert (check.name, check.state, bool(check.advice)) == ("disk", state, state != OK)


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "unknown": ({"SKELDIR_LANE": "ingest"}, "SKELDIR_LANE: no such setting; did you mean SKELDIR_LANES?"),
    "unreadable": ({"WORKER_METRICS_PORT": "many"}, "WORKER_METRICS_PORT"),
    "contradictory": ({"SKELDIR_FROZEN_AFTER_S": "3"}, "SKELDIR_FROZEN_AFTER_S: must be at least twice"),
    "production": (
        {"SKELDIR_ENVIRONMENT": "production", "SKELDIR_SECRET_KEY": ""}, "SKELDIR_SECRET_KEY: must be set",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_settings_that_cannot_be_used(env: dict[str, str], fault: str) -> None:
    given, words = WRONG[fault]
    code, out = doctor(env | given, "--json")
    found = json.loads(out)
    assert (code, found["state"]) == (2, BAD)
    assert [check for check in found["checks"] if words in check["meaning"] and check["advice"]]


def test_urls_that_lead_to_two_databases(well: Database, cluster: Cluster, env: dict[str, str]) -> None:
    code, out = doctor(env | {"DATABASE_CONSOLE_URL": cluster.database("postgres").url("console")}, "--json")
    (check,) = [check for check in json.loads(out)["checks"] if check["name"] == "one database"]
    assert code == 1 and check["state"] == BAD
    assert check["meaning"] == "DATABASE_CONSOLE_URL leads to another database than DATABASE_URL"
    other = cluster.database("postgres").url("app_user")
    code, out = doctor(env | {"DATABASE_DIRECT_URL": other})
    assert code == 1 and "DATABASE_DIRECT_URL leads to another database than DATABASE_URL" in " ".join(out.split())


def test_a_lane_without_a_worker_and_one_behind(well: Database, env: dict[str, str]) -> None:
    well.query("update huey.consumer set lanes = array_remove(lanes, 'llm')")
    well.query("update alembic_version set version_num = '0011'")
    code, out = doctor(env, "--json")
    found = {check["name"]: check for check in json.loads(out)["checks"] if check["state"] == BAD}
    assert code == 1 and set(found) == {"lane llm", "migrations"}
    assert "no consumer is alive" in found["lane llm"]["meaning"] and "SKELDIR_LANES=llm" in found["lane llm"]["advice"]
    assert found["migrations"]["advice"] == "run `alembic upgrade head`"
