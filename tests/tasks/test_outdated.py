"""Everything that grows has its time: each table stands in the docs with its rule, and what is outdated goes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg2.errors
import pytest

from skeldir_huey import cli
from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest import retention
from skeldir_huey.queue import outdated
from skeldir_huey.queue.storage import statement
from skeldir_huey.tasks.maintenance import KEEP_LETTERS_DAYS, remove_outdated, remove_outdated_daily
from tests.cluster import Database
from tests.conftest import ROOT
from tests.db.probing import acting, outcome
from tests.factories import make_letter, make_tenant

NOW = utc_now()
DOCS = (ROOT / "docs" / "upkeep.md").read_text(encoding="utf-8")


def test_every_table_has_a_rule(database: Database) -> None:
    tables = database.query(
        "select case when n.nspname = 'public' then '' else n.nspname || '.' end || c.relname"
        "  from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where n.nspname in ('public', 'huey', 'app') and c.relkind in ('r', 'p') and not c.relispartition"
        "   and c.relname <> 'alembic_version'"
    )
    part = DOCS.split("## What is kept how long")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    named = [name for line in lines for name in re.findall(r"`([a-z_.]+)`", line.split("|")[1])]
    assert len(named) == len(set(named)), "a table stands there twice"
    assert set(named) == {name for (name,) in tables}
    for line in lines:
        assert all(cell.strip() for cell in line.split("|")[1:4]), f"no rule: {line}"
    assert set(outdated.PARTS) <= set(named)


def add_session(database: Database, days: int) -> None:
    person = database.value(
        "insert into console_user (email, password, fs_uniquifier) values (%s, 'x', %s) returning id::text",
        [f"{uuid4()}@example.com", str(uuid4())],
    )
    database.query(
        "insert into console_session (user_id, started_at) values (%s, now() - %s * interval '1 day')", [person, days]
    )


def add_letter(database: Database, days: int) -> None:
    at = NOW - timedelta(days=days)
    make_letter(database, None, status="abandoned", failed_at=at)
    make_letter(database, None, status="pending", failed_at=at)
    make_letter(database, make_tenant(database, f"t{days}"), status="abandoned", failed_at=at)


def add_consumer(database: Database, days: int) -> None:
    row = (
        "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, heartbeat_at)"
        " values (%s, 'h', 1, 'thread', 1, '{ingest}', '0', now() - %s * interval '1 day')"
    )
    database.query(row, [str(uuid4()), days])
    holder = str(uuid4())
    database.query(row, [holder, days])
    database.query(
        "insert into huey.job (task_id, lane, task_name, message, state, claim_token, consumer_id, claimed_at, rank)"
        " values (%s, 'ingest', 't', '', 'running', gen_random_uuid(), %s, now(), 0)",
        [str(uuid4()), holder],
    )


def add_member(database: Database, days: int) -> None:
    database.query(
        "insert into huey.chord_member (chord_id, idx, value, created_at)"
        " values (%s, 0, '', now() - %s * interval '1 day')",
        [str(uuid4()), days],
    )


def add_lock(database: Database, days: int) -> None:
    for name, columns in (("dead", "1, gen_random_uuid(), null"), ("over", "null, null, now() - interval '2 days'"),
                          ("free", "null, null, null")):  # fmt: skip
        database.query(
            "insert into huey.lock (key, job_id, claim_token, expires_at, acquired_at)"
            f" values (%s, {columns}, now() - %s * interval '1 day')",
            [f"{name}{days}", days],
        )


def add_operation(database: Database, days: int, state: str = "done") -> None:
    made = database.value(
        "insert into huey.bulk_operation (verb, state, filter, drafted_at, cutoff_at, cutoff_id, item_count, shares,"
        " created_by, created_at, ended_at) values ('replay', %s, '{}', now(), now(), gen_random_uuid(), 3, '[]', 'me',"
        " now() - %s * interval '1 day', case when %s = 'done' then now() - %s * interval '1 day' end)"
        " returning id::text",
        [state, days, state, days],
    )
    database.query("insert into huey.bulk_share (operation_id, item_count) values (%s, 3)", [made])
    database.query(
        "insert into huey.bulk_item (operation_id, letter_id, result)"
        " select %s, gen_random_uuid(), 'done' from generate_series(1, 3)",
        [made],
    )


def add_paused_too(database: Database, days: int) -> None:
    add_operation(database, days)
    add_operation(database, days, "paused")


# What adds rows of an age in days, the age that is kept and the one that goes, and how many rows go of those added.
CASES: dict[str, tuple[Callable[[Database, int], None], int, int, int]] = {
    "console_session": (add_session, 29, 31, 1),
    "worker_failed_jobs": (add_letter, 29, 31, 1),
    "huey.consumer": (add_consumer, 6, 8, 1),
    "huey.chord_member": (add_member, 89, 91, 1),
    "huey.lock": (add_lock, 0, 3, 2),
    "huey.bulk_operation": (add_paused_too, 89, 91, 4),  # three items and itself
}


@pytest.mark.parametrize("part", CASES)
def test_only_what_is_outdated_goes(database: Database, part: str) -> None:
    add, kept_days, gone_days, goes = CASES[part]
    add(database, kept_days)
    assert remove_outdated()[part] == 0
    kept = database.value(f"select count(*) from {part}")
    add(database, gone_days)
    added = database.value(f"select count(*) from {part}") - kept
    with transaction(None, role="app_rw") as connection:
        assert outdated.count(connection)[part] > 0
    assert database.value(f"select count(*) from {part}") == kept + added, "counting removes nothing"
    assert remove_outdated()[part] == goes
    rows = goes if part != "huey.bulk_operation" else 1
    assert database.value(f"select count(*) from {part}") == kept + added - rows
    assert remove_outdated()[part] == 0


def test_old_days_of_an_error_become_one_and_the_sums_stay(database: Database) -> None:
    tenant = make_tenant(database)
    for days in (200, 150, 120, 10):
        for owner in (tenant, None):
            make_letter(database, owner, fingerprint="same", failed_at=NOW - timedelta(days=days))
    fold = statement("fold_errors")
    with transaction(None, role="app_rw") as connection:
        connection.exec_driver_sql(fold)
    sums = (
        "select tenant_id, sum(seen_count)::int, sum(open_count)::int, min(first_at), max(last_at)"
        "  from huey.error_total group by 1 order by 1"
    )
    before = database.query(sums)
    assert [row[1] for row in before] == [4, 4]
    assert remove_outdated()["huey.error_total"] == 4
    assert database.query(sums) == before
    assert database.value("select count(*) from huey.error_total") == 4
    assert remove_outdated()["huey.error_total"] == 0


def test_an_error_that_nobody_saw_for_a_year_goes(database: Database) -> None:
    old = NOW - timedelta(days=400)
    for name in ("gone", "decided", "lettered", "fresh"):
        make_letter(database, None, fingerprint=name, status="pending", failed_at=NOW if name == "fresh" else old)
    with transaction(None, role="app_rw") as connection:
        connection.exec_driver_sql(statement("fold_errors"))
    assert remove_outdated()["huey.error_group"] == 0, "a letter of each is there"
    database.query("delete from worker_failed_jobs where fingerprint <> 'lettered'")
    with transaction(None, role="app_rw") as connection:
        connection.exec_driver_sql(statement("fold_errors"))
    database.query(
        "update huey.error_group set state = 'acknowledged', decided_at = now(), decided_by = 'me'"
        " where fingerprint = 'decided'"
    )
    assert remove_outdated()["huey.error_group"] == 1
    left = {name for (name,) in database.query("select fingerprint from huey.error_group")}
    assert left == {"decided", "lettered", "fresh"}
    assert database.value("select count(*) from huey.error_total where fingerprint = 'gone'") == 0


def test_settled_records_go_after_a_year(database: Database) -> None:
    tenant, other = make_tenant(database, "a-tenant"), make_tenant(database, "b-tenant")
    for owner in (tenant, other):
        for status in ("pending", "resolved", "ignored"):
            for days in (300, 400):
                database.query(
                    "insert into dead_events (tenant_id, source, idempotency_key, payload, error_type, error_message,"
                    " remediation_status, created_at) values (%s, 'f', %s, '{}', 'permanent', 'bad', %s,"
                    " now() - %s * interval '1 day')",
                    [str(owner), f"{status}{days}".encode(), status, days],
                )
    waits = (
        "insert into waiting_adjustments (tenant_id, source, order_id, occurred_at, event_type, revenue_cents,"
        " currency, idempotency_key) values (%s, 'f', 'o', now(), 'refund', -1, 'USD', %s)"
    )
    database.query(waits, [str(tenant), b"ignored400"])
    with transaction(tenant) as connection:
        counted = retention.count(connection, KEEP_LETTERS_DAYS)
    removed = retention.enforce(lambda: transaction(tenant))
    assert counted["settled_records"] == removed["settled_records"] == 1
    left = "select count(*) from dead_events where tenant_id = %s"
    assert (database.value(left, [str(tenant)]), database.value(left, [str(other)])) == (5, 6)


def test_whose_functions_they_are(database: Database) -> None:
    tenant = make_tenant(database)
    shared, own = "select app.remove_outdated('console_session', 9)", "select app.remove_settled('settled_records', 9)"
    of: tuple[tuple[str, UUID | None, str], ...] = (
        ("app_user", None, shared),
        ("app_rw", tenant, shared),
        ("console_global", None, shared),
        ("app_user", None, own),
        ("app_rw", tenant, own),
        ("console_tenant", tenant, own),
    )
    for role, whose, asked in of:
        with acting(database, role, whose) as cursor:
            assert outcome(cursor, asked, {}) == "42501", (role, asked)
    with acting(database, "app_rw", None) as cursor:
        assert outcome(cursor, "select app.remove_outdated('console_audit', 9)", {}) == "22023", "that never goes"


def test_nobody_is_waited_for_long(database: Database) -> None:
    add_session(database, 40)
    add_session(database, 50)
    with database.connect() as holder, holder.cursor() as cursor:
        cursor.execute("select 1 from console_session order by started_at limit 1 for update")
        assert remove_outdated()["console_session"] == 1, "the other one goes"
        cursor.execute("lock table console_session")
        with pytest.raises(Exception, match="lock timeout") as late:
            remove_outdated()
        assert isinstance(late.value.__cause__, psycopg2.errors.LockNotAvailable)
    holder.close()
    assert remove_outdated()["console_session"] == 1


def test_the_nightly_task_and_the_command_do_it(
    database: Database, run_all: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    add_session(database, 40)
    assert cli.main(["retention", "--shared", "--dry-run", "--json"]) == 0
    shown = {line["table"]: line["outdated"] for line in json.loads(capsys.readouterr().out)}
    assert shown == dict.fromkeys(outdated.PARTS, 0) | {"console_session": 1}
    assert cli.main(["retention", "--shared", "--tenant", "acme"]) == 2
    remove_outdated_daily()
    assert run_all() == 1
    assert database.value("select count(*) from console_session") == 0
    assert cli.main(["retention", "--shared"]) == 0
    assert "console_session" in capsys.readouterr().out


def test_each_of_them_gives_up_waiting(database: Database) -> None:
    patience = dict(
        database.query(
            "select proname, array_to_string(proconfig, ' ') from pg_proc p join pg_roles r on r.oid = p.proowner"
            " where r.rolname = 'skeldir_maint' and proname ~ '^(remove|advance|rotate)_'"
        )
    )
    assert set(patience) == {
        "remove_expired", "remove_settled", "remove_outdated", "advance_retention", "rotate_job_attempts",
    }  # fmt: skip
    assert all("lock_timeout=" in settings for settings in patience.values())
