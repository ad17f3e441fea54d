"""Refused records: seen, corrected, taken through the import again, or ignored with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from skeldir_huey.ingest.importer import import_rows
from skeldir_huey.ingest.options import Options
from skeldir_huey.ingest.readers import Row
from skeldir_huey.ingest.tenants import find_tenant
from skeldir_huey.main import huey
from tests.admin.world import World, token_of

Client = Callable[[str | None], FlaskClient]
OPTIONS = Options(
    columns={"visitor": "who", "occurred_at": "at", "event_type": "kind", "order_id": "order", "currency": "currency"},
    revenue_column="amount",
)
GOOD = {
    "who": "u1",
    "at": "2025-06-01 10:00:00",
    "kind": "purchase",
    "amount": "12.50",
    "currency": "EUR",
    "order": "o1",
}
BAD = GOOD | {"amount": "twelve", "api_key": "sk-123456"}


@pytest.fixture
def run_all(world: World) -> Iterator[Callable[[], None]]:
    huey.storage.new_identity()
    world.database.query("delete from huey.job")

    def run() -> None:
        while (data := huey.storage.dequeue()) is not None:
            task = huey.task_of(data)
            if task is not None:
                huey.execute(task)

    yield run
    huey.close_process()
    huey.storage.close()


def refuse(world: World, *records: dict[str, Any], tenant: str = "acme") -> list[UUID]:
    """Import records that are refused and return their ids, in order."""
    rows = [Row(line, values, json.dumps(values), 10) for line, values in enumerate(records, 1)]
    import_rows(rows, "orders.csv", find_tenant(tenant, "--tenant"), OPTIONS)
    found = world.database.query("select id from dead_events where source = 'orders.csv' order by line")
    assert len(found) == len(records)
    return [UUID(str(row[0])) for row in found]


def send(client: FlaskClient, record: UUID, verb: str, tenant: UUID, **fields: str) -> TestResponse:
    query = f"?tenant={tenant}"
    data = {"tenant": str(tenant), "reason": "typing error"} | fields
    data["csrf_token"] = token_of(client, f"/admin/account/{query}")
    return client.post(f"/admin/refused/{record}/{verb}{query}", data=data)


def status(world: World, record: UUID) -> tuple[Any, ...]:
    (found,) = world.database.query(
        "select remediation_status, retry_count, error_field, resolved_at is not null from dead_events where id = %s",
        (str(record),),
    )
    return found


def sales(world: World) -> list[tuple[Any, ...]]:
    return world.database.query("select order_id, revenue_cents from attribution_events where order_id like 'o%'")


def test_a_corrected_record_becomes_its_event_once(
    world: World, client_of: Client, run_all: Callable[[], None]
) -> None:
    (record,) = refuse(world, BAD)
    client, tenant = client_of(world.operator_a), world.a.tenant_id
    text = client.get(f"/admin/refused/{record}/?tenant={tenant}").get_data(as_text=True)
    assert "twelve" in text and "sk-123456" not in text and "orders.csv, line 1" in text
    corrected = json.dumps({key: value for key, value in BAD.items() if key != "api_key"} | {"amount": "12.50"})
    assert send(client, record, "retry", tenant, payload=corrected).status_code == 303
    assert status(world, record)[:2] == ("in_progress", 1)
    assert send(client, record, "retry", tenant, payload=corrected).status_code == 409, "pressed twice"
    run_all()
    assert status(world, record) == ("resolved", 1, "amount", True)
    assert sales(world) == [("o1", 1250)]
    world.database.query("update dead_events set remediation_status = 'in_progress', resolved_at = null")
    huey.enqueue(huey._registry.string_to_task("skeldir.ingest.retry_refused")(
        (), {"tenant_id": tenant, "record_id": str(record)}))  # fmt: skip
    run_all()
    assert sales(world) == [("o1", 1250)], "the same record is the same event"
    assert world.database.query(
        "select actor, detail->'changed' from console_audit where action = 'retry_refused'"
    ) == [(world.operator_a, ["amount", "api_key"])]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("{", "line 1, column 2"),
        ("[]", "one JSON object"),
        ('{"a": NaN}', "NaN is no JSON"),
        (json.dumps(GOOD | {"amount": "a lot"}), "<b>amount</b>"),
        (json.dumps(GOOD | {"kind": "gift"}), "<b>kind</b>"),
        (json.dumps(GOOD | {"at": None}), "<b>at</b>"),
        (json.dumps(GOOD | {"currency": "[redacted]"}), "<b>currency</b>"),
        ("", "not JSON"),
    ],
)
def test_what_is_wrong_is_said_at_the_field(world: World, client_of: Client, payload: str, said: str) -> None:
    (record,) = refuse(world, BAD)
    response = send(client_of(world.admin), record, "retry", world.a.tenant_id, payload=payload)
    text = response.get_data(as_text=True)
    assert response.status_code == 400 and 'id="payload-error"' in text and said in text, text[-3000:]
    assert status(world, record)[:2] == ("pending", 0) and world.count("huey.job", "task_name ~ 'refused'") == 0


def test_a_refund_that_is_refused_again_comes_back(
    world: World, client_of: Client, run_all: Callable[[], None]
) -> None:
    import_rows([Row(1, GOOD, "sale", 1)], "sales.csv", find_tenant("acme", "--tenant"), OPTIONS)
    (record,) = refuse(world, GOOD | {"kind": "refund", "amount": "99.00"})
    client, tenant = client_of(world.admin), world.a.tenant_id
    payload = world.database.value("select payload from dead_events where id = %s", (str(record),))
    assert send(client, record, "retry", tenant, payload=json.dumps(payload)).status_code == 303
    run_all()
    assert status(world, record) == ("pending", 1, "revenue", False)
    assert (
        send(client, record, "retry", tenant, payload=json.dumps(payload | {"revenue_cents": -500})).status_code == 303
    )
    run_all()
    assert status(world, record)[0] == "resolved"
    assert (
        world.database.value("select sum(revenue_cents)::int from attribution_events where kind = 'adjustment'") == -500
    )
    assert world.count("dead_events", "source = 'orders.csv'") == 1


def test_ignore_and_restore(world: World, client_of: Client) -> None:
    (record,) = refuse(world, BAD)
    client, tenant = client_of(world.operator_a), world.a.tenant_id
    assert send(client, record, "ignore", tenant, reason="no").status_code == 400
    assert send(client, record, "ignore", tenant, reason="a test order").status_code == 303
    assert send(client, record, "ignore", tenant, reason="a test order").status_code == 409
    assert status(world, record)[0] == "ignored"
    text = client.get(f"/admin/refused/?tenant={tenant}").get_data(as_text=True)
    assert str(record) not in text
    assert str(record) in client.get(f"/admin/refused/?tenant={tenant}&status=ignored").get_data(as_text=True)
    assert send(client, record, "restore", tenant, reason="it was none").status_code == 303
    assert status(world, record)[0] == "pending"
    assert send(client, record, "delete", tenant).status_code == 404


def test_filters_count_what_they_show(world: World, client_of: Client) -> None:
    refuse(world, BAD, GOOD | {"kind": "gift"}, GOOD | {"at": "never"})
    client = client_of(world.admin)
    for query in ("", "error=gift", "source=orders", "source=nowhere", "error=AT"):
        text = client.get(f"/admin/refused/?tenant={world.a.tenant_id}&{query}").get_data(as_text=True)
        where = "error_message ilike %(e)s or error_field ilike %(e)s" if "error=" in query else "source like %(e)s"
        part = query.partition("=")[2]
        wanted = world.count(
            "dead_events", f"tenant_id = %(t)s and ({where})", {"e": f"%{part}%", "t": str(world.a.tenant_id)}
        )
        assert f"<b>{wanted}</b> record" in text, query
    for bad in ("status=nonsense", "after=x", "source=a&source=b", f"error={'x' * 300}"):
        assert client.get(f"/admin/refused/?{bad}").status_code == 400, bad


def test_foreign_records_are_not_there(world: World, client_of: Client) -> None:
    (record,) = refuse(world, BAD, tenant="bolt")
    operator, scope = client_of(world.operator_a), f"?tenant={world.a.tenant_id}"
    assert operator.get(f"/admin/refused/{record}/{scope}").status_code == 404
    for verb in ("retry", "ignore"):
        response = send(operator, record, verb, world.a.tenant_id, payload=json.dumps(GOOD))
        assert response.status_code == 404, verb
    viewer = send(client_of(world.viewer_a), record, "ignore", world.a.tenant_id)
    assert viewer.status_code == 403
    assert status(world, record)[:2] == ("pending", 0)
