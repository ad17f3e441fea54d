"""The audit log's page: filters, paging, before and after, the button that verifies, the export."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from admin import export
from tests.admin.world import World, act, token_of

Client = Callable[[str | None], FlaskClient]
BEHIND = "set session_replication_role = replica; "


def write(world: World, tenant_id: UUID | None, count: int = 1, **columns: Any) -> None:
    given = {"actor": "dana@example.com", "action": "replay", "target_id": "1", "reason": "why not", "detail": "{}"}
    values = given | columns | {"tenant": tenant_id and str(tenant_id), "count": count}
    world.database.query(
        "insert into console_audit (tenant_id, actor, action, target_type, target_id, reason, result, detail)"
        " select %(tenant)s, %(actor)s, %(action)s, 'thing', %(target_id)s, %(reason)s, 'ok', %(detail)s"
        " from generate_series(1, %(count)s)",
        values,
    )


def download(client: FlaskClient, query: str = "") -> tuple[Any, list[dict[str, str]]]:
    token = token_of(client, f"/admin/account/{query}")
    response = client.post(f"/admin/audit/export{query}", data={"csrf_token": token})
    return response, list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))


def shown(client: FlaskClient, query: str) -> int:
    text = client.get(f"/admin/audit/{query}").get_data(as_text=True)
    return len(re.findall(r'<th scope="row">', text))


def test_filters_narrow_the_list(world: World, client_of: Client) -> None:
    write(world, world.a.tenant_id, 3)
    write(world, world.b.tenant_id, 2, actor="kim@example.com", action="abandon")
    client = client_of(world.admin)
    today = datetime.now(UTC).date()
    for query, count in (
        ("", 6),  # and the sign-in
        ("?who=dana@example.com", 3),
        ("?who=Kim@Example.com", 2),
        ("?action=abandon", 2),
        ("?action=abandon&who=dana@example.com", 0),
        ("?result=refused", 0),
        (f"?tenant={world.a.tenant_id}", 3),
        (f"?from={today}&to={today}", 6),
        (f"?to={today - timedelta(days=1)}", 0),
        (f"?from={today + timedelta(days=1)}", 0),
    ):
        assert shown(client, query) == count, query
    assert "Nothing matches" in client.get("/admin/audit/?who=x@y.org").get_data(as_text=True)
    for bad in ("?from=nonsense", "?to=9999-12-31", "?result=nonsense", "?verify=2", "?who=a%00b"):
        assert client.get(f"/admin/audit/{bad}").status_code == 400, bad


def test_paging_shows_each_row_once(world: World, client_of: Client) -> None:
    write(world, world.a.tenant_id, 60)
    world.database.query(BEHIND + "update console_audit set at = '2026-01-01Z'")
    client, seen, path = client_of(world.admin), [], f"/admin/audit/?who=dana@example.com&tenant={world.a.tenant_id}"
    world.database.query(BEHIND + "update console_audit set target_id = 'row' || chain_no where tenant_id is not null")
    while path:
        text = client.get(path).get_data(as_text=True)
        seen += re.findall(r'<code title="(row\d+)">', text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen)) == 60


def test_before_and_after_are_shown_as_a_change(world: World, client_of: Client) -> None:
    write(
        world,
        world.a.tenant_id,
        detail='{"before": {"role": "viewer", "cap": 5}, "after": {"role": "admin", "cap": 5}}',
    )
    text = client_of(world.admin).get("/admin/audit/").get_data(as_text=True)
    assert "role: <del>viewer</del> <ins>admin</ins>" in text and "cap" not in text


def test_the_button_verifies_the_chains_of_the_scope(world: World, client_of: Client) -> None:
    act(client_of(world.admin), world.a.letter, "replay", world.a.tenant_id)
    write(world, world.b.tenant_id, 3)
    client, own = client_of(world.operator_a), f"?tenant={world.a.tenant_id}"
    text = client.get(f"/admin/audit/{own}&verify=1").get_data(as_text=True)
    assert text.count('class="status status-succeeded">whole') == 1 and "Bolt" not in text
    assert client_of(world.admin).get("/admin/audit/?verify=1").get_data(as_text=True).count(">whole<") == 3
    world.database.query(
        BEHIND + "update console_audit set actor = 'eve@example.com' where action = 'replay' and tenant_id = %s",
        (str(world.a.tenant_id),),
    )
    assert "row 1 is not as it was written" in client.get(f"/admin/audit/{own}&verify=1").get_data(as_text=True)


FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    '"=1',
    " =1",
    '=HYPERLINK("http://evil")',
    "-2+3+cmd|' /C calc'!A0",
]


def test_the_export_has_plain_values_and_no_formula(world: World, client_of: Client) -> None:
    for formula in FORMULAS:
        write(world, world.a.tenant_id, reason=formula, target_id=formula)
    response, rows = download(client_of(world.admin), f"?tenant={world.a.tenant_id}")
    assert response.mimetype == "text/csv"
    assert re.fullmatch(r'attachment; filename="audit-\d{8}T\d{6}Z\.csv"', response.headers["Content-Disposition"])
    assert len(rows) == len(FORMULAS) + 1, "its own row is in it: it was committed first"
    for row in rows:
        for name, value in row.items():
            assert not value.startswith(export.FORMULA_STARTS), (name, value)
            assert "<" not in value
    assert {row["reason"].lstrip("'") for row in rows} >= {"=1+1", "@SUM(A1)", "-1"}
    assert rows[0]["action"] == "export" and re.fullmatch(r"[0-9a-f]{64}", rows[0]["hash"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", rows[0]["at"])


def test_the_export_holds_what_the_filters_show_and_is_audited(world: World, client_of: Client) -> None:
    write(world, world.a.tenant_id, 3)
    write(world, world.b.tenant_id, 2, actor="kim@example.com")
    client, own = client_of(world.viewer_a), f"?tenant={world.a.tenant_id}"
    _, rows = download(client, f"{own}&who=dana@example.com")
    assert [row["actor"] for row in rows] == ["dana@example.com"] * 3
    assert world.database.query("select actor, tenant_id::text, detail from console_audit where action = 'export'") == [
        (world.viewer_a, str(world.a.tenant_id), {"filters": {"who": "dana@example.com"}, "row_cap": export.ROW_CAP})
    ]
    token = token_of(client, f"/admin/account/{own}")
    foreign = client.post(f"/admin/audit/export?tenant={world.b.tenant_id}", data={"csrf_token": token})
    assert foreign.status_code == 404
    assert client.get(f"/admin/audit/export{own}").status_code == 405, "a link or an image cannot start it"


def test_the_export_is_cut_off_and_streamed(world: World, client_of: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ROW_CAP", 1500)
    write(world, world.a.tenant_id, 1700)
    client = client_of(world.admin)
    token = token_of(client, "/admin/account/")
    response = client.post("/admin/audit/export", data={"csrf_token": token}, buffered=False)
    parts = list(response.iter_encoded())
    assert len(parts) == 2, "batches, not one text"
    assert len(b"".join(parts).splitlines()) == 1501


def test_failed_and_unknown_sign_ins_are_in_the_log_without_what_was_typed(world: World, client_of: Client) -> None:
    client = client_of(None)
    for email in (world.admin, "my secret password", "unknown@example.com"):
        data = {"email": email, "password": "wrong wrong wrong", "csrf_token": token_of(client, "/admin/login")}
        assert client.post("/admin/login", data=data).status_code == 200
    assert world.database.query("select actor, action, result from console_audit order by id") == [
        (world.admin, "sign_in", "refused"),
        ("unknown account", "sign_in", "refused"),
        ("unknown account", "sign_in", "refused"),
    ]
    assert world.count("console_audit", "console_audit::text like '%%secret%%'") == 0
