"""The audit log is append-only and chained: any change behind its back is found, by page and by command."""

from __future__ import annotations

import subprocess
import sys
import threading
from uuid import UUID

import psycopg2
import pytest
import sqlalchemy as sa

from skeldir_huey.db import audit
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleAudit
from tests.cluster import Database
from tests.conftest import ROOT
from tests.factories import make_tenant

# A superuser who has the triggers out of the way.
BEHIND = "set session_replication_role = replica; "


def write(tenant_id: UUID | None, action: str = "replay", actor: str = "ann@example.com") -> None:
    role = "console_tenant" if tenant_id else "console_global"
    with transaction(tenant_id, role=role, who="console") as connection:
        connection.execute(
            sa.insert(ConsoleAudit).values(
                tenant_id=tenant_id,
                actor=actor,
                action=action,
                target_type="dead_letter",
                target_id="1",
                result="ok",
                detail={"b": 1.50, "a": ["é", None]},
            )
        )


def faults() -> list[tuple[str, int | None]]:
    with transaction(None, role="console_all", who="console", read_only=True) as connection:
        return [(chain.fault, chain.fault_no) for chain in audit.verify(connection, batch=2) if chain.fault]


@pytest.fixture
def acme(database: Database) -> UUID:
    """A tenant with five rows in its chain, beside five rows without a tenant."""
    tenant_id = make_tenant(database, "acme")
    for _ in range(5):
        write(tenant_id)
        write(None)
    return tenant_id


def test_each_tenant_has_its_chain(database: Database, acme: UUID) -> None:
    bolt = make_tenant(database, "bolt")
    write(bolt)
    assert database.query("select tenant_id::text, length from console_audit_head order by length, tenant_id") == [
        (str(bolt), 1),
        *sorted([(str(acme), 5)]),
        (None, 5),
    ]
    assert faults() == []
    with transaction(acme, role="console_tenant", who="console", read_only=True) as connection:
        assert [(chain.tenant_id, chain.length) for chain in audit.verify(connection)] == [(acme, 5)]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("update console_audit set reason = 'x' where chain_no = 3", ("changed", 3)),
        ("update console_audit set actor = 'anm@example.com' where chain_no = 5", ("changed", 5)),
        ("update console_audit set detail = detail || '{\"b\": 1.51}' where chain_no = 1", ("changed", 1)),
        ("update console_audit set at = at + interval '1 microsecond' where chain_no = 2", ("changed", 2)),
        ("update console_audit set source_address = 'null' where chain_no = 2", ("changed", 2)),
        ("delete from console_audit where chain_no = 3", ("missing", 4)),
        ("delete from console_audit where chain_no = 1", ("missing", 2)),
        ("delete from console_audit where chain_no = 5", ("cut", 4)),
        ("delete from console_audit where chain_no > 0", ("cut", 0)),
        (
            "update console_audit set chain_no = -chain_no where chain_no in (2, 3); "
            "update console_audit set chain_no = 5 + chain_no where chain_no < 0",
            ("changed", 2),
        ),
        (
            "update console_audit a set chain_no = -1 where chain_no = 2;"
            "update console_audit a set hash = app.audit_hash(a) where chain_no = 3",
            ("missing", 3),
        ),
        (
            "update console_audit set reason = 'x' where chain_no = 3;"
            "update console_audit a set hash = app.audit_hash(a) where chain_no = 3",
            ("moved", 4),
        ),
        (
            "update console_audit set reason = 'x' where chain_no = 5;"
            "update console_audit a set hash = app.audit_hash(a) where chain_no = 5",
            ("changed", 5),
        ),
        ("delete from console_audit_head where true", ("headless", 5)),
    ],
)
def test_a_change_is_found(database: Database, acme: UUID, change: str, found: tuple[str, int]) -> None:
    here = change.replace(" where ", f" where tenant_id = '{acme}' and ")
    if "chain_no = -1" in change:
        here = here.replace("set chain_no = -1", "set chain_no = 99")
    database.query(BEHIND + here)
    (first, *others) = faults()
    assert first == found and others == []


def test_rows_without_tenant_are_a_chain_as_well(database: Database, acme: UUID) -> None:
    database.query(BEHIND + "update console_audit set action = 'abandon' where tenant_id is null and chain_no = 4")
    assert faults() == [("changed", 4)]


def test_two_operators_at_once_make_one_chain(database: Database) -> None:
    tenant_id = make_tenant(database, "acme")
    start = threading.Barrier(6)

    def work(number: int) -> None:
        start.wait()
        for _ in range(20):
            write(tenant_id, actor=f"{number}@example.com")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.value("select length from console_audit_head") == 120
    assert database.value(
        "select array_agg(chain_no order by chain_no) = array(select generate_series(1, 120::bigint))"
        "  from console_audit"
    )
    assert faults() == []


def test_a_row_that_was_rolled_back_leaves_no_gap(database: Database, acme: UUID) -> None:
    with pytest.raises(ZeroDivisionError), transaction(acme, role="console_tenant", who="console") as connection:
        connection.execute(
            sa.insert(ConsoleAudit).values(
                tenant_id=acme, actor="a", action="b", target_type="c", target_id="d", result="ok"
            )
        )
        raise ZeroDivisionError
    write(acme)
    assert faults() == []
    assert database.value("select count(*) from console_audit where tenant_id is not null") == 6


@pytest.mark.parametrize("role", ["console_tenant", "console_global", "console_all"])
@pytest.mark.parametrize(
    "statement",
    [
        "update console_audit set reason = 'x'",
        "delete from console_audit",
        "truncate console_audit",
        "update console_audit_head set length = 0",
        "delete from console_audit_head",
        "alter table console_audit disable trigger all",
    ],
)
def test_no_role_of_the_console_may_change_it(database: Database, acme: UUID, role: str, statement: str) -> None:
    with pytest.raises(sa.exc.ProgrammingError, match=r"permission denied|must be owner"):
        with transaction(acme, role=role, who="console") as connection:
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("statement", ["update console_audit set reason = 'x'", "delete from console_audit"])
def test_not_even_a_superuser_by_accident(database: Database, acme: UUID, statement: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="append-only"):
        database.query(statement)


def test_the_writer_cannot_choose_time_or_place(database: Database, acme: UUID) -> None:
    with transaction(acme, role="console_tenant", who="console") as connection:
        connection.exec_driver_sql(
            "insert into console_audit (tenant_id, at, actor, action, target_type, target_id, result, chain_no,"
            f" prev_hash, hash) values ('{acme}', '2020-01-01', 'a', 'b', 'c', 'd', 'ok', 1, 'x', 'y')"
        )
    assert database.value("select min(at) > now() - interval '1 hour' from console_audit")
    assert faults() == []


def test_the_command_says_what_it_found(database: Database, acme: UUID, env: dict[str, str]) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "skeldir_huey", "audit", "verify"]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, timeout=60, check=False)

    whole = run()
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "5 rows, whole" in whole.stdout.splitlines()[1]
    database.query(
        BEHIND + "update console_audit set actor = 'eve@example.com' where tenant_id is null and chain_no = 2"
    )
    broken = run()
    assert broken.returncode == 1
    assert broken.stdout.startswith("without tenant: row 2 is not as it was written\nAcme: 5 rows, whole")
