"""Refused payments and claims once more: by the import's own reading, added, or refused with today's reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from skeldir_huey import cli
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.log import HIDDEN
from skeldir_huey.tasks.refused import check_record, retry_in
from tests.cluster import Database
from tests.factories import make_tenant
from tests.ledger.test_ledger import PAYMENT, claim, pay

FIELDS = (*PAYMENT, "record_id")
COLUMNS = "transaction_id=id,order_id=order,state=status,amount=total,currency=cur,occurred_at=when"


@pytest.fixture
def tenant(database: Database, huey: Any) -> UUID:
    return make_tenant(database)


def records(database: Database) -> list[tuple[Any, ...]]:
    return database.query("select remediation_status, error_field, error_message from dead_events order by line")


def ask(database: Database, tenant: UUID, line: int = 1) -> None:
    """Ask for the retry of a record as the console does."""
    record = database.value("select id::text from dead_events where line = %s", (line,))
    database.query("update dead_events set remediation_status = 'in_progress' where id = %s", (record,))
    with transaction(tenant) as connection:
        retry_in(connection, tenant, UUID(record))


def ledger(database: Database) -> list[tuple[Any, ...]]:
    return database.query("select transaction_id, state, amount_cents from revenue_ledger order by ledger_seq")


def test_refund_that_came_before_its_capture_is_added_once_it_is_there(
    database: Database, tenant: UUID, tmp_path: Path, run_all: Callable[[], int]
) -> None:
    refund = PAYMENT | {"state": "refunded", "amount": "30.00"}
    pay(tmp_path, refund)
    ((status, field, message),) = records(database)
    assert (status, field) == ("pending", "state") and "is new and cannot become refunded" in message
    ask(database, tenant)
    run_all()
    assert records(database) == [("pending", "state", message)], "nothing changed meanwhile"
    pay(tmp_path, PAYMENT)
    ask(database, tenant)
    run_all()
    assert [row[0] for row in records(database)] == ["resolved"]
    assert ledger(database) == [("t1", "captured", 10_000), ("t1", "refunded", 3_000)]
    assert database.value("select sum(event_count) from ingest_total") is None, "payments are no events"
    pay(tmp_path, refund)
    assert len(ledger(database)) == 2, "its file again adds nothing"


def test_corrected_row_of_a_csv_file_is_read_by_its_own_columns(
    database: Database, tenant: UUID, tmp_path: Path, run_all: Callable[[], int]
) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,order,status,total,cur,when\nt1,o1,captured,1.005,EUR,2025-06-01T00:00Z\n")
    assert cli.main(["import-payments", str(path), "--tenant", "acme", "--map", COLUMNS]) == 0
    assert [row[:2] for row in records(database)] == [("pending", "total")]
    database.query('update dead_events set payload = payload || \'{"total": "1.05", "cur": "ABC"}\'')
    ask(database, tenant, line=2)
    run_all()
    assert [row[:2] for row in records(database)] == [("pending", "cur")]
    database.query('update dead_events set payload = payload || \'{"cur": "EUR"}\'')
    ask(database, tenant, line=2)
    run_all()
    assert [row[0] for row in records(database)] == ["resolved"]
    assert ledger(database) == [("t1", "captured", 105)]


def test_state_that_is_refused_is_named_by_the_files_column(database: Database, tenant: UUID, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,order,status,total,cur,when\nt1,o1,refunded,1,EUR,2025-06-01T00:00Z\n")
    cli.main(["import-payments", str(path), "--tenant", "acme", "--map", COLUMNS])
    assert [row[1] for row in records(database)] == ["status"]


def test_refused_claim(database: Database, tenant: UUID, tmp_path: Path, run_all: Callable[[], int]) -> None:
    pay(tmp_path, claim("o1", "ten"), claims=True)
    database.query('update dead_events set payload = payload || \'{"amount": "10"}\'')
    ask(database, tenant)
    run_all()
    assert [row[0] for row in records(database)] == ["resolved"]
    assert database.query("select order_id, claimed_cents from platform_claims") == [("o1", 1_000)]


def test_check_says_beforehand_what_its_retry_would(database: Database, tenant: UUID) -> None:
    good = {"payload": PAYMENT, "reading": {"kind": "payment", "columns": dict(zip(FIELDS, FIELDS, strict=True))},
            "source": "f", "line": 1, "idempotency_key": b"1", "tenant_id": tenant}  # fmt: skip
    with transaction(tenant, read_only=True) as connection:
        check_record(connection, good)
        for change, field in (
            ({"payload": PAYMENT | {"amount": "1.005"}}, "amount"),
            ({"payload": PAYMENT | {"order_id": HIDDEN}}, "order_id"),
            ({"reading": None}, "reading"),
        ):
            with pytest.raises(InputError) as refused:
                check_record(connection, good | change)
            assert refused.value.field == field
