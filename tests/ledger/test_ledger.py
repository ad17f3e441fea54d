"""Payments in their allowed order, each once; claims, payments and allocations compared order by order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest

from skeldir_huey import cli
from skeldir_huey.clock import utc_now
from skeldir_huey.ledger.posting import FOLLOWS, STATES
from skeldir_huey.tasks.ledger import reconcile, reconcile_daily
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant

PAYMENT = {"transaction_id": "t1", "order_id": "o1", "state": "captured", "amount": "100.00", "currency": "USD",
           "occurred_at": "2025-06-01T10:00Z"}  # fmt: skip


@pytest.fixture
def tenant(database: Database) -> UUID:
    return make_tenant(database)


def pay(folder: Path, *records: dict[str, Any], claims: bool = False, name: str = "payments.jsonl") -> int:
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    arguments = ["import-payments", str(folder / name), "--tenant", "acme"]
    return cli.main([*arguments, "--claims"] if claims else arguments)


def claim(order: str, amount: str, currency: str = "USD", platform: str = "ads", day: str = "06-01") -> dict[str, Any]:
    return {"platform": platform, "order_id": order, "amount": amount, "currency": currency,
            "occurred_at": f"2025-{day}T11:00Z"}  # fmt: skip


def refusals(database: Database) -> list[tuple[Any, ...]]:
    return database.query("select line, error_field, error_message from dead_events order by line")


def test_payments_are_added_once_and_only_in_allowed_states(
    database: Database, tenant: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        PAYMENT | {"state": "authorized", "amount": "120.00"},
        PAYMENT,
        PAYMENT | {"state": "captured", "amount": "20.00"},  # 3: captured already
        PAYMENT | {"state": "refunded", "amount": "40.00"},
        PAYMENT | {"state": "refunded", "amount": "60.01"},  # 5: above what is left
        PAYMENT | {"state": "chargeback", "amount": "60.00"},
        PAYMENT | {"state": "refunded", "amount": "0.01"},  # 7: nothing follows a chargeback
        PAYMENT | {"transaction_id": "t2", "state": "refunded"},  # 8: of nothing
        PAYMENT | {"transaction_id": "t3", "amount": "100.001"},  # 9
        PAYMENT | {"transaction_id": "t3", "currency": "JPY"},  # 10: 100.00 yen has two digits too many
        PAYMENT | {"transaction_id": "t3", "state": "paid"},  # 11
        PAYMENT | {"transaction_id": "t3", "occurred_at": "2025-06-01 10:00"},  # 12: no zone
        PAYMENT | {"transaction_id": "t3", "amount": "-1"},  # 13
        PAYMENT | {"transaction_id": "t4", "state": "authorized", "amount": "50.00"},
        PAYMENT | {"transaction_id": "t4", "amount": "50.01"},  # 15: above what was authorized
    ]
    assert pay(tmp_path, *records) == 0
    assert "15 rows; added 5 payments; 0 were there already; 10 refused" in capsys.readouterr().out
    states = database.query("select state, amount_cents from revenue_ledger order by ledger_seq")
    assert states == [("authorized", 12_000), ("captured", 10_000), ("refunded", 4_000), ("chargeback", 6_000),
                      ("authorized", 5_000)]  # fmt: skip
    assert [row[:2] for row in refusals(database)] == [
        (3, "state"), (5, "amount"), (7, "state"), (8, "state"), (9, "amount"), (10, "amount"), (11, "state"),
        (12, "occurred_at"), (13, "amount"), (15, "amount"),
    ]  # fmt: skip
    assert pay(tmp_path, *records) == 0
    assert "added 0 payments; 5 were there already; 10 refused" in capsys.readouterr().out
    assert len(refusals(database)) == 10


def test_csv_with_other_columns(database: Database, tenant: UUID, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,order,status,total,cur,when\nt1,o1,CAPTURED,5,JPY,2025-06-01T00:00Z\n")
    names = "transaction_id=id,order_id=order,state=status,amount=total,currency=cur,occurred_at=when"
    assert cli.main(["import-payments", str(path), "--tenant", "acme", "--map", names]) == 0
    assert database.query("select state, amount_cents, currency from revenue_ledger") == [("captured", 5, "JPY")]
    assert cli.main(["import-payments", str(path), "--tenant", "acme"]) == 2


INSERT = (
    "insert into revenue_ledger (tenant_id, transaction_id, order_id, state, amount_cents, currency, occurred_at,"
    " source, idempotency_key) values (%(tenant)s, %(transaction)s, 'o1', %(state)s, %(cents)s, 'USD', now(), 'x',"
    " sha256(gen_random_uuid()::text::bytea))"
)


@pytest.mark.parametrize("before", [None, *STATES])
@pytest.mark.parametrize("after", STATES)
def test_the_table_itself_knows_the_transitions(
    database: Database, tenant: UUID, before: str | None, after: str
) -> None:
    way: dict[str | None, list[str]] = {None: [], "authorized": ["authorized"], "captured": ["captured"]}
    way |= {state: ["captured", state] for state in ("refunded", "chargeback")}
    values = {"tenant": str(tenant), "transaction": "t1", "cents": 10}
    for state in way[before]:
        database.query(INSERT, values | {"state": state, "cents": 100 if state == "captured" else 10})
    if after in FOLLOWS[before]:
        database.query(INSERT, values | {"state": after})
    else:
        with pytest.raises(psycopg2.errors.CheckViolation):
            database.query(INSERT, values | {"state": after})


def test_the_ledger_is_append_only(database: Database, tenant: UUID) -> None:
    database.query(INSERT, {"tenant": str(tenant), "transaction": "t1", "state": "captured", "cents": 1})
    for change in (
        "update revenue_ledger set amount_cents = 2",
        "delete from revenue_ledger",
        "truncate revenue_ledger",
    ):
        with pytest.raises(psycopg2.Error, match="append-only"):
            database.query(change)


def make_world(database: Database, tenant: UUID, folder: Path) -> None:
    """o1 matches; o2 is claimed twice; o3 has no allocation; o4 is allocated but not paid; o5 in two currencies."""
    for order in ("o1", "o2", "o4"):
        make_event(database, tenant, minutes=60, order_id=order)
    make_event(database, tenant, minutes=61, order_id="o5", cents=500, currency="EUR")
    make_event(database, tenant, minutes=62)  # has no order
    make_event(database, tenant, minutes=-1440, order_id="old")
    run_window(tenant, make_version(tenant, "linear", publish=True))
    make_event(database, tenant, minutes=63, order_id="o3")
    captures = [PAYMENT | {"transaction_id": f"t{o}", "order_id": o} for o in ("o1", "o2", "o3")]
    captures.append(PAYMENT | {"transaction_id": "t5", "order_id": "o5", "currency": "EUR", "amount": "7.00"})
    captures.append(PAYMENT | {"transaction_id": "told", "order_id": "old"})
    captures.insert(0, PAYMENT | {"transaction_id": "to1", "order_id": "o1", "state": "authorized"})  # is no money yet
    # Both were seen before the window, and are another one's.
    captures.append(PAYMENT | {"transaction_id": "tp", "order_id": "paid", "occurred_at": "2025-05-31T10:00Z"})
    captures.append(PAYMENT | {"transaction_id": "tc", "order_id": "claimed"})
    assert pay(folder, *captures) == 0
    claims = [claim("o1", "100.00"), claim("o2", "100.00"), claim("o2", "80.00", platform="other"),
              claim("o5", "3.00"), claim("ghost", "9.99"), claim("paid", "1.00"),
              claim("claimed", "1.00", day="05-31")]  # fmt: skip
    assert pay(folder, *claims, claims=True, name="claims.jsonl") == 0


EXPECTED = [
    ("ghost", "USD", 999, 0, 0, 999, None, "matched"),
    ("o1", "USD", 10_000, 10_000, 10_000, 0, 0, "matched"),
    ("o2", "USD", 18_000, 10_000, 10_000, 8_000, 8_000, "matched"),
    ("o3", "USD", 0, 10_000, 0, -10_000, -10_000, "unallocated"),
    ("o4", "USD", 0, 0, 10_000, 0, 0, "over_allocated"),
    ("o5", "EUR", 0, 700, 500, -700, -10_000, "under_allocated"),
    ("o5", "USD", 300, 0, 0, 300, None, "matched"),
]


def test_reconciliation_compares_per_order_and_currency(
    database: Database, tenant: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_world(database, tenant, tmp_path)
    capsys.readouterr()
    command = ["reconcile", "--tenant", "acme", "--from", "2025-06-01", "--to", "2025-06-02"]
    assert cli.main([*command, "--csv"]) == 0
    lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert [tuple(line) for line in lines[1:]] == [tuple("" if v is None else str(v) for v in row) for row in EXPECTED]

    assert cli.main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["is_matched"] is False and len(told["orders"]) == 7
    assert told["reconciliation"]["model_version"] == "linear@1.0.0"
    counts = [told["reconciliation"][f"{name}_count"] for name in
              ("order", "ghost", "unallocated", "under_allocated", "over_allocated", "without_order")]  # fmt: skip
    assert counts == [7, 3, 1, 1, 1, 1]

    assert cli.main([*command, "--check"]) == 1
    shown = capsys.readouterr().out
    assert "80.00" in shown and "\no1 " not in shown, "what matches is shown with --all only"
    assert database.value("select count(*) from reconciliation_runs") == 3
    assert cli.main(["reconcile", "--tenant", "acme", "--from", "2025-06-02", "--to", "2025-06-01"]) == 2
    assert "--to: must be after --from" in capsys.readouterr().err

    database.query("select app.refresh_matview('mv_reconciliation_status')")
    found = database.query("select currency, order_count, claimed_cents, verified_cents, mismatch_count"
                           " from mv_reconciliation_status order by 1")  # fmt: skip
    assert found == [("EUR", 1, 0, 700, 1), ("USD", 6, 29_299, 30_000, 5)]


def test_refunds_on_both_sides_match(database: Database, tenant: UUID, tmp_path: Path) -> None:
    sale = make_event(database, tenant, minutes=60, order_id="o1")
    make_event(database, tenant, kind="adjustment", minutes=90_000, cents=-3_000, parent_event_id=str(sale))
    version = make_version(tenant, "linear", publish=True)
    run_window(tenant, version)
    pay(tmp_path, PAYMENT, PAYMENT | {"state": "refunded", "amount": "30.00", "occurred_at": "2025-08-02T12:00Z"})
    assert cli.main(["reconcile", "--tenant", "acme", "--from", "2025-06-01", "--to", "2025-06-02", "--check"]) == 0
    pay(tmp_path, claim("o1", "70.01"), claims=True)
    assert cli.main(["reconcile", "--tenant", "acme", "--from", "2025-06-01", "--to", "2025-06-02", "--check"]) == 1
    assert database.query("select verified_cents, allocated_cents from reconciliation_orders") == [(7_000, 7_000)] * 2


def test_daily_reconciliation_asks_for_yesterday_of_each_tenant(
    database: Database, tenant: UUID, huey: Any, run_all: Callable[[], int]
) -> None:
    other = make_tenant(database, "other")
    yesterday = utc_now() - timedelta(days=1)
    make_event(database, tenant, order_id="o1", occurred_at=yesterday)
    make_event(database, other, order_id="o1", occurred_at=DAY)
    reconcile_daily()
    assert run_all() == 3
    found = database.query("select tenant_id, order_count, over_allocated_count, task_id is not null"
                           " from reconciliation_runs order by order_count")  # fmt: skip
    assert found == [(other, 0, 0, True), (tenant, 1, 0, True)]
    with pytest.raises(Exception, match="tenant"):
        reconcile(window_start="2025-06-01T00:00Z", window_end="2025-06-02T00:00Z")
