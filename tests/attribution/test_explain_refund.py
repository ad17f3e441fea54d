"""Every cent of a refund followed back to its sale, by Python that shares nothing with the SQL of the run."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from skeldir_huey import cli
from skeldir_huey.attribution.explain_refund import RefundExplanation, explain_refund
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError, NotFound
from tests.attribution.runner import make_version, run_window
from tests.attribution.test_explain import sale
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant

VERSION = "linear@1.0.0"


def refund(database: Database, tenant_id: UUID, sale_id: UUID, cents: int, minutes: int) -> UUID:
    return make_event(
        database, tenant_id, kind="adjustment", cents=-cents, minutes=minutes, parent_event_id=str(sale_id)
    )


def explained(tenant_id: UUID, event_id: UUID, version: str = VERSION) -> RefundExplanation | None:
    with transaction(tenant_id, read_only=True) as connection:
        return explain_refund(connection, tenant_id, event_id, version)


def test_the_refunds_of_a_sale_step_by_step(database: Database) -> None:
    tenant_id = make_tenant(database)
    sold = sale(database, tenant_id, ("email", "email", "direct"), 100)  # email 67, direct 33
    first, second = (refund(database, tenant_id, sold, cents, 1000 + cents) for cents in (10, 90))
    version = make_version(tenant_id, "linear")
    before = explained(tenant_id, first)
    assert before is not None and (before.channels, before.agrees, before.run) == ([], False, None)
    run = run_window(tenant_id, version, DAY, DAY + timedelta(days=40))
    found = explained(tenant_id, first)
    assert found is not None and found.agrees and found.run == run
    assert (found.sale_id, found.sale_cents, found.before_cents, found.after_cents) == (sold, 100, 0, 10)
    assert [(row.channel, row.sale_cents, row.after_cents, row.cents) for row in found.channels] == [
        ("direct", 33, 3, -3),
        ("email", 67, 7, -7),
    ]
    last = explained(tenant_id, second)
    assert last is not None and (last.before_cents, last.after_cents) == (10, 100)
    assert [(row.before_cents, row.after_cents, row.cents, row.stored_cents) for row in last.channels] == [
        (3, 33, -30, -30),
        (7, 67, -60, -60),
    ]


def test_many_refunds_agree_with_what_their_run_wrote(database: Database) -> None:
    tenant_id, chance = make_tenant(database), random.Random(5)
    refunds: list[Any] = []
    for _ in range(12):
        cents = chance.choice((1, 2, 7, 100, 9_999))
        sold = sale(database, tenant_id, tuple(chance.choices(("email", "direct", "organic"), k=4)), cents)
        while cents and len(refunds) < 60:
            part = chance.randint(1, cents)
            refunds.append(refund(database, tenant_id, sold, part, chance.randint(2_000, 9_000)))
            cents -= part
    run_window(tenant_id, make_version(tenant_id, "linear"), DAY, DAY + timedelta(days=40))
    for each in refunds:
        found = explained(tenant_id, each)
        assert found is not None and found.agrees
        assert sum(row.cents for row in found.channels) == found.revenue_cents


def test_stored_rows_that_are_something_else_are_said(database: Database) -> None:
    tenant_id = make_tenant(database)
    sold = sale(database, tenant_id, ("email", "direct"), 100)
    event_id = refund(database, tenant_id, sold, 10, 1000)
    run_window(tenant_id, make_version(tenant_id, "linear"))
    database.query(
        "update attribution_allocations set allocated_revenue_cents = allocated_revenue_cents +"
        " case channel_code when 'email' then 1 else -1 end where is_adjustment"
    )
    found = explained(tenant_id, event_id)
    assert found is not None and not found.agrees


def test_what_is_no_refund(database: Database) -> None:
    tenant_id, other = make_tenant(database), make_tenant(database, "other")
    sold = sale(database, tenant_id, ("email",), 100)
    make_version(tenant_id, "linear")
    make_version(other, "linear")
    assert explained(tenant_id, sold) is None
    with pytest.raises(NotFound):
        explained(other, sold)
    with pytest.raises(InputError, match="model_version"):
        explained(tenant_id, sold, "linear@9")


def test_command(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    tenant_id = make_tenant(database)
    sold = sale(database, tenant_id, ("email", "direct"), 1_001)
    event_id = refund(database, tenant_id, sold, 501, 1000)
    version = make_version(tenant_id, "linear", publish=True)
    command = ["explain", "--tenant", "acme", str(event_id)]
    assert cli.main(command) == 1
    assert "its sale was never computed" in capsys.readouterr().out
    run_window(tenant_id, version)
    assert cli.main(command) == 0
    shown = capsys.readouterr().out
    for part in (
        "-5.01 USD",
        f"of sale {sold}: 10.01; given back before 0.00, with this 5.01",
        "the stored rows agree",
    ):
        assert part in shown
    assert cli.main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["agrees"] is True and sum(row["cents"] for row in told["channels"]) == -501
    assert cli.main([*command, "--csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(line["channel"], line["cents"]) for line in lines] == [("direct", "-251"), ("email", "-250")]
    assert cli.main(["explain", "--tenant", "acme", str(uuid4())]) == 1
