"""Refunds: split like their sale, never above it, kept until it comes, and added once."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from skeldir_huey import cli
from skeldir_huey.ingest.tenants import create_tenant
from skeldir_huey.money import largest_remainder
from tests.attribution.runner import CHANNELS, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event

MAP = ["--map", "visitor=who,occurred_at=at,channel=channel,event_type=type,order_id=order,currency=currency"]
SALE = {"who": "u1", "at": "2025-06-01T10:00Z", "channel": "email", "type": "purchase", "order": "o1",
        "amount": "100.00", "currency": "USD"}  # fmt: skip
REFUND = {"at": "2025-06-20T10:00Z", "type": "refund", "order": "o1", "amount": "100.00", "currency": "USD"}


@pytest.fixture
def tenant(database: Database) -> UUID:
    return create_tenant("acme")


def run_import(folder: Path, *records: dict[str, Any]) -> int:
    path = folder / f"{uuid4()}.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return cli.main(["import", str(path), "--tenant", "acme", *MAP, "--revenue", "amount"])


def net(database: Database) -> dict[str, int]:
    return dict(
        database.query(
            "select channel_code, sum(allocated_revenue_cents)::bigint from attribution_allocations group by 1"
        )
    )


def refusals(database: Database) -> list[tuple[Any, ...]]:
    return database.query("select error_field, error_message from dead_events order by created_at, id")


def test_full_refund_in_parts_nets_every_channel_to_zero(database: Database, tenant: UUID, tmp_path: Path) -> None:
    parts = ["33.33", "-0.01", "16.66", "50.00"]
    refunds = [REFUND | {"amount": part, "at": f"2025-06-{20 + n}T10:00Z"} for n, part in enumerate(parts)]
    assert run_import(tmp_path, SALE, *refunds) == 0
    version = make_version(tenant, "even_split", publish=True, channels=CHANNELS)
    run_window(tenant, version, DAY, DAY + timedelta(days=40))
    assert net(database) == dict.fromkeys(CHANNELS, 0)
    rows = database.query(
        "select channel_code, allocated_revenue_cents from attribution_allocations where is_adjustment"
        " order by converted_at, channel_code"
    )
    weights = {"direct": 3334, "email": 3333, "google_search_paid": 3333}
    expected, before = [], dict.fromkeys(weights, 0)
    for total in (3333, 3334, 5000, 10_000):
        after = largest_remainder(total, weights)
        expected += [(channel, before[channel] - after[channel]) for channel in weights]
        before = after
    assert rows == expected
    assert database.value("select revenue_cents from attribution_events where kind = 'conversion'") == 10_000
    database.query("select app.refresh_matview('mv_channel_performance')")
    assert database.value("select sum(credit) from mv_channel_performance") == 1, "a refund counts no conversion"


def test_cumulative_split_on_many_sales(database: Database, tenant: UUID, tmp_path: Path) -> None:
    chance = random.Random(7)
    records = []
    for number in range(60):
        cents = chance.choice([1, 2, 7, 100, 9_999])
        order, minute = f"o{number}", f"2025-06-01T10:{number:02}Z"
        for touch in range(chance.randint(0, 5)):
            channel = chance.choice(["email", "direct", "organic"])
            records.append({"who": order, "at": f"2025-06-01T09:{touch:02}Z", "channel": channel, "type": "landing"})
        records.append(SALE | {"who": order, "at": minute, "order": order, "amount": f"{cents / 100:.2f}"})
        left = cents
        while left:
            part = chance.randint(1, left)
            day = f"2025-06-{chance.randint(2, 28):02}T00:00Z"
            records.append(REFUND | {"order": order, "amount": f"{part / 100:.2f}", "at": day})
            left -= part
    assert run_import(tmp_path, *records) == 0
    assert refusals(database) == []
    version = make_version(tenant, "linear", publish=True)
    first = run_window(tenant, version, DAY, DAY + timedelta(days=40))
    assert set(net(database).values()) == {0}
    assert database.value("select count(*) from attribution_allocations where is_adjustment") > 100
    worst = database.value(
        "select max(abs(a.allocated_revenue_cents - a.allocation_ratio * e.revenue_cents))"
        " from attribution_allocations a join attribution_events e on e.id = a.event_id where a.is_adjustment"
    )
    assert worst < 2
    again = run_window(tenant, version, DAY, DAY + timedelta(days=40))
    assert (again.checksum, again.changed_count) == (first.checksum, 0)


def test_refund_before_its_sale_waits_for_it(
    database: Database, tenant: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run_import(tmp_path, REFUND | {"amount": "40.00"}, REFUND | {"amount": "70.00", "at": "2025-06-21T10:00Z"}) == 0
    )
    assert "adjustments: 0 added, 2 wait for their sale" in capsys.readouterr().out
    assert run_import(tmp_path, REFUND | {"amount": "40.00"}) == 0
    assert database.value("select count(*) from waiting_adjustments") == 2, "the same file again adds nothing"
    assert run_import(tmp_path, SALE) == 0
    assert database.query("select kind, revenue_cents from attribution_events order by ingest_seq") == [
        ("conversion", 10_000),
        ("adjustment", -4_000),
    ]
    assert database.value("select count(*) from waiting_adjustments") == 0
    ((field, message),) = refusals(database)
    assert field == "revenue" and "7000 USD (smallest unit) is above what is left of the sale, 6000" in message
    assert run_import(tmp_path, REFUND | {"amount": "40.00"}) == 0
    assert database.value("select count(*) from attribution_events") == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "100.01"}, "revenue"),
        ({"currency": "EUR"}, "currency"),
        ({"amount": "1.005"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"order": ""}, "order"),
        ({"type": "gift"}, "type"),
        ({"currency": "usd"}, "currency"),
    ],
)
def test_bad_refund_goes_to_dead_events(
    database: Database, tenant: UUID, tmp_path: Path, change: dict[str, str], field: str
) -> None:
    assert run_import(tmp_path, SALE, REFUND | change) == 0
    assert [row[0] for row in refusals(database)] == [field]
    assert database.value("select count(*) from attribution_events") == 1
    assert database.value("select count(*) from waiting_adjustments") == 0


def test_order_of_several_sales_is_refused_and_parent_names_one(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    run_import(tmp_path, SALE, SALE | {"who": "u2"}, REFUND)
    assert [row[0] for row in refusals(database)] == ["order_id"]
    sale = database.value("select min(id::text) from attribution_events")
    path = tmp_path / "refunds.csv"
    path.write_text(f"at,type,sale,amount\n2025-06-20T10:00Z,chargeback,{sale},100.00\n")
    arguments = ["--map", "occurred_at=at,event_type=type,parent=sale", "--revenue", "amount", "--set", "currency=USD"]
    assert cli.main(["import", str(path), "--tenant", "acme", *arguments]) == 0
    assert database.query("select event_type, parent_event_id::text, order_id from attribution_events where kind ="
                          " 'adjustment'") == [("chargeback", sale, "o1")]  # fmt: skip


def test_late_touch_moves_the_refund_with_its_sale_in_any_order_of_runs(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    run_import(tmp_path, SALE, REFUND | {"amount": "30.00"})
    version = make_version(tenant, "linear", publish=True)
    refund_day = DAY + timedelta(days=19)
    run_window(tenant, version, refund_day, refund_day + timedelta(days=1))
    assert net(database) == {}, "its sale is not allocated yet"
    run_window(tenant, version, DAY, DAY + timedelta(days=1))
    assert net(database) == {"email": 7_000}
    run_import(tmp_path, {"who": "u1", "at": "2025-05-20T00:00Z", "channel": "organic", "type": "landing"})
    run_window(tenant, version, DAY, DAY + timedelta(days=1))
    assert net(database) == {"organic": 7_000}
    assert database.value("select count(*) from attribution_allocations") == 2


def test_two_refunds_at_once_do_not_take_back_more_than_the_sale(
    database: Database, tenant: UUID, tmp_path: Path
) -> None:
    run_import(tmp_path, SALE)
    gate = threading.Barrier(4)
    ended: Counter[int] = Counter()

    def give_back(number: int) -> None:
        gate.wait()
        ended[run_import(tmp_path, REFUND | {"amount": "60.00", "at": f"2025-06-2{number}T00:00Z"})] += 1

    threads = [threading.Thread(target=give_back, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == {0: 4}
    assert database.value("select sum(revenue_cents) from attribution_events where kind = 'adjustment'") == -6_000
    assert len(refusals(database)) == 3


def test_adjustment_of_another_tenant_waits(database: Database, tenant: UUID, tmp_path: Path) -> None:
    make_event(database, create_tenant("other"), order_id="o1")
    run_import(tmp_path, REFUND)
    assert database.value("select count(*) from waiting_adjustments") == 1
