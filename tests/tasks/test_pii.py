"""Personal data: refused by the trigger whatever its depth and spelling, found where an older rule let it in."""

from __future__ import annotations

import contextlib
import json
import re
import runpy
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest import pii
from skeldir_huey.tasks.maintenance import scan_pii_daily
from tests.cluster import Database
from tests.conftest import ROOT
from tests.factories import make_event, make_letter, make_tenant

SECRET = "ann@example.com"
REFUSED = (
    {"email": SECRET},
    {"E-Mail": SECRET},
    {"customer": {"emailAddress": SECRET}},
    {"a": [[{"b": [1, {"PHONE_NUMBER": SECRET}]}]]},
    [{"lines": [{"note": "x"}, {"Ssn": SECRET}]}],
    {"ip": SECRET},
    {"client_ip": SECRET},
    {"ip_address": SECRET},
    {"firstName": SECRET},
    {"last name": SECRET},
    {"customer_name": SECRET},
    {"billing_address": {"line1": SECRET}},
    {"address2": SECRET},
    {"shippingAddressLine1": SECRET},
    {"street": SECRET},
    {"postal-code": SECRET},
    {"date_of_birth": SECRET},
    {"passport_number": SECRET},
    {"cardNumber": SECRET},
    {"metadata": json.dumps({"deep": {"phone": SECRET}})},
    {"email": ""},
    {"email": None},
    {"p\u0068one": SECRET},
    {"e.mail": SECRET},
)
ALLOWED: tuple[Any, ...] = (
    {"order": {"mailing": "list", "email_count": 3}, "channel": "email"},
    {"channel_name": "x", "campaign_name": "x", "product": {"name": "shirt", "ship": 1, "zipper": 2}},
    {"description": 'she said "phone" and hung up', "tip": 5, "zone": "eu", "currency": "EUR"},
    {"email": "[redacted]", "first_name": "[redacted]"},
    {"values": ["email", "phone", "ssn"]},
    {},
    [],
)


_FILE = ROOT / "alembic" / "versions" / "0009_upkeep.py"
RULE = runpy.run_path(str(_FILE))["PERSONAL"]


@contextlib.contextmanager
def cursor_of(database: Database) -> Iterator[Any]:
    """Read the template and leave it; nobody may stay connected to it."""
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def add(database: Database, tenant: UUID, payload: Any) -> UUID:
    return make_event(database, tenant, raw_payload=json.dumps(payload))


def findings(database: Database, tenant: UUID) -> set[tuple[str, str]]:
    statement = "select source, key_name from pii_audit_findings where tenant_id = %s"
    return set(database.query(statement, [str(tenant)]))


@pytest.fixture(scope="module")
def unguarded() -> str:
    """What the mutant does: the guard is gone."""
    return "drop trigger attribution_events_no_personal_data on attribution_events"


@pytest.mark.parametrize("payload", REFUSED, ids=json.dumps)
def test_the_guard_refuses_and_does_not_repeat_the_value(database: Database, payload: Any, unguarded: str) -> None:
    tenant = make_tenant(database)
    with pytest.raises(psycopg2.errors.CheckViolation) as refused:
        add(database, tenant, payload)
    assert refused.value.diag.constraint_name == "attribution_events_no_personal_data"
    assert "key of personal data" in str(refused.value.diag.message_primary)
    assert SECRET not in str(refused.value.diag.message_primary)
    assert database.value("select count(*) from attribution_events") == 0
    database.query(unguarded)
    add(database, tenant, payload)  # so it was the guard


@pytest.mark.parametrize("payload", ALLOWED, ids=json.dumps)
def test_what_only_looks_like_it_is_accepted(database: Database, payload: Any) -> None:
    assert add(database, make_tenant(database), payload)


@settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    key=st.from_regex(re.compile(RULE, re.ASCII), fullmatch=True),
    capital=st.booleans(),
    separator=st.sampled_from("_- ."),
)
def test_every_key_of_the_rule_is_found(template: Database, key: str, capital: bool, separator: str) -> None:
    """The quick look before the rule lets none of its keys pass."""
    spelled = separator.join(key) if capital else key.upper()
    body = json.dumps({"order": [{"note": 1, spelled: SECRET}]})
    with cursor_of(template) as cursor:
        cursor.execute("select app.pii_key(%s)", [body])
        assert cursor.fetchone() == (key,)


def test_the_scan_finds_what_an_older_rule_let_in(database: Database, unguarded: str) -> None:
    a, b = make_tenant(database, "a-tenant"), make_tenant(database, "b-tenant")
    database.query(unguarded)
    for payload in ({"order": {"lines": [{"note": "x"}, {"E-Mail": SECRET}]}}, {"fine": 1}):
        add(database, a, payload)
        database.query(
            "insert into dead_events (tenant_id, source, idempotency_key, payload, error_type, error_message)"
            " values (%s, 'test', sha256(%s::bytea), %s, 'permanent', 'refused')",
            (str(a), json.dumps(payload).encode(), json.dumps(payload)),
        )
    make_letter(database, a, task_kwargs=json.dumps({"phone": SECRET}))
    make_letter(database, a, task_kwargs=json.dumps({"phone": "[redacted]"}))
    letter = make_letter(database, a, message=json.dumps({"kwargs": {"rows": [{"first_name": SECRET}]}}).encode())
    job = "insert into huey.job (task_id, lane, task_name, tenant_id, message, state) values"
    database.query(job + " ('j', 'ingest', 't', %s, %s, 'waiting')", (str(a), b'{"kwargs": {"ssn": "1"}}\xff'))
    add(database, b, {"ip": SECRET})
    with transaction(a) as connection:
        found = {row["source"]: row for row in pii.scan(connection)}
    assert list(found) == list(pii.SOURCES)
    assert [row["finding_count"] for row in found.values()] == [1, 1, 2, 1]
    assert [row["new_count"] for row in found.values()] == [1, 1, 2, 1]
    assert [row["scanned_count"] for row in found.values()] == [2, 2, 3, 1]
    assert findings(database, a) == {
        ("attribution_events", "email"),
        ("dead_events", "email"),
        ("worker_failed_jobs", "phone"),
        ("worker_failed_jobs", "firstname"),
        ("huey.job", "ssn"),
    }
    assert findings(database, b) == set(), "each tenant has its own scan"
    assert SECRET not in str(database.query("select f::text from pii_audit_findings f"))
    statement = "select key_name from pii_audit_findings where row_key = %s"
    assert database.value(statement, [str(letter)]) == "firstname"


def test_a_second_scan_finds_nothing_new_and_forgets_what_was_mended(database: Database) -> None:
    tenant = make_tenant(database)
    letter = make_letter(database, tenant, task_args=json.dumps([{"phone": SECRET}]))
    for new_count in (1, 0):
        with transaction(tenant) as connection:
            assert sum(row["new_count"] for row in pii.scan(connection)) == new_count
    assert findings(database, tenant) == {("worker_failed_jobs", "phone")}
    database.query("update worker_failed_jobs set task_args = '[]' where id = %s", [str(letter)])
    with transaction(tenant) as connection:
        assert sum(row["finding_count"] for row in pii.scan(connection)) == 0
    assert findings(database, tenant) == set()


def test_what_belongs_to_no_tenant_is_counted(database: Database) -> None:
    make_letter(database, None, task_kwargs=json.dumps({"email": SECRET}))
    make_letter(database, None)
    with transaction(None, role="app_rw") as connection:
        assert pii.scan_unattributed(connection) == 1


def test_the_nightly_task_asks_for_every_tenant(database: Database, run_all: Any) -> None:
    for name in ("a-tenant", "b-tenant"):
        make_letter(database, make_tenant(database, name), task_args=json.dumps([{"phone": SECRET}]))
    scan_pii_daily()
    assert run_all() == 3
    assert database.value("select count(distinct tenant_id) from pii_audit_findings") == 2
