"""Tenants are made whole, with their event kinds, or not at all."""

from __future__ import annotations

import json

import pytest

from skeldir_huey import cli
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.tenants import create_tenant, find_tenant
from tests.cluster import Database
from tests.factories import KINDS


def test_tenant_has_the_default_kinds(database: Database) -> None:
    tenant_id = create_tenant("birch-and-co", timezone="Europe/Berlin", identity_policy="consented")
    found = find_tenant("birch-and-co")
    assert (found.id, found.timezone, found.identity_policy) == (tenant_id, "Europe/Berlin", "consented")
    assert database.value("select display_name from tenants") == "Birch and co"
    rows = database.query("select kind, event_type from event_kinds")
    assert sorted(rows) == sorted((kind, event_type) for kind, types in KINDS.items() for event_type in types)
    assert database.query("select event_type from event_kinds where needs_channel") == [("page_view",)]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"name": "Birch"}, "tenant"),
        ({"name": ""}, "tenant"),
        ({"name": "a" * 64}, "tenant"),
        ({"name": "taken"}, "tenant"),
        ({"name": "a", "identity_policy": "all"}, "identity_policy"),
        ({"name": "a", "timezone": "Mars"}, "timezone"),
    ],
)
def test_bad_tenant_names_the_field_and_writes_nothing(
    database: Database, arguments: dict[str, str], field: str
) -> None:
    create_tenant("taken")
    with pytest.raises(InputError) as refused:
        create_tenant(**arguments)
    assert refused.value.field == field
    assert database.value("select count(*) from tenants") == 1
    assert database.value("select count(*) from event_kinds") == 11


def test_unknown_tenant_is_told_which_exist(database: Database) -> None:
    create_tenant("b")
    create_tenant("a")
    with pytest.raises(InputError, match="no tenant 'c'; there are: a, b"):
        find_tenant("c")


def test_the_command_lists_names_and_ids(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tenants"]) == 0
    assert "--create-tenant" in capsys.readouterr().out, "with none, it says how to make one"
    ids = {name: str(create_tenant(name)) for name in ("birch", "acorn")}
    assert cli.main(["tenants", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["tenant"], one["tenant_id"]) for one in found] == [("acorn", ids["acorn"]), ("birch", ids["birch"])]
    assert cli.main(["tenants"]) == 0
    assert ids["acorn"] in capsys.readouterr().out
