"""Who may see and do what, walked over every route rather than over the pages that somebody thought of.

Checks 28, 31, 33, 35 and 39 of docs/console.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.admin import walk
from tests.admin.reading import page
from tests.admin.test_bulk import confirm, draft, text_of
from tests.admin.world import PASSWORD, World, act, token_of
from tests.db.rows import fill
from tests.queue.test_bulk_letters import add_letters

Client = Callable[[str | None], FlaskClient]

# What everybody may send about themselves alone.
PERSONAL = {"security", "account", "second_factor"}
# Reading that is sent as a form: what it answers is in the scope of the reader.
READING = {"export"}


@pytest.mark.timeout(400)
def test_nothing_of_another_tenant_is_anywhere(world: World, app: Flask, client_of: Client) -> None:
    """Check 31: every page that links lead to and every page of every route, lists, charts, counts and exports."""
    theirs = fill(world.database, "theirs")
    client, scope = client_of(world.operator_a), f"?tenant={world.a.tenant_id}"
    secrets = {"Bolt", "theirs", str(world.b.tenant_id), str(theirs), str(world.global_letter)}
    for other in (world.b.tenant_id, theirs):
        secrets |= {one for one in walk.foreign_ids(world.database, world.a.tenant_id, other) if len(one) > 12}
    pages = dict(walk.crawl(client, f"/admin/{scope}"))
    for rule in walk.rules(app, "GET"):
        for row_id in (world.a.letter, world.a.run, world.a.task_id, world.a.sale, world.a.tenant_id):
            for path in walk.paths(app, rule, row_id):
                if path + scope not in pages:
                    pages[path + scope] = client.get(path + scope, buffered=True)
    assert len(pages) > 100
    for path, response in pages.items():
        text = response.get_data(as_text=True)
        assert response.status_code < 500, path
        for secret in secrets:
            assert secret not in text, (path, secret)
            assert len(secret) < 32 or secret[:8] not in text, (path, secret)


@pytest.mark.timeout(400)
def test_a_viewer_changes_nothing_by_any_form(world: World, app: Flask, client_of: Client) -> None:
    """Check 33: every form of every route, with the viewer's own ids, is refused and writes nothing."""
    client, scope = client_of(world.viewer_a), f"?tenant={world.a.tenant_id}"
    token = token_of(client, "/admin/account/")
    before, refused = walk.digest(world.database), 0
    for rule in walk.rules(app, "POST"):
        if rule.endpoint.split(".")[0] in PERSONAL or rule.endpoint.split(".")[-1] in READING:
            continue
        for row_id in (world.a.letter, world.a.run, world.a.task_id, world.a.tenant_id):
            for path in walk.paths(app, rule, row_id):
                data = {
                    "tenant": str(world.a.tenant_id),
                    "reason": "let me do it",
                    "csrf_token": token,
                    "verb": "replay",
                }
                code = client.post(path + scope, data=data).status_code
                assert code in (400, 403, 404, 409), (path, code)
                refused += code == 403
    assert refused > 10
    assert walk.digest(world.database) == before


def test_a_viewer_is_offered_nothing_that_would_be_refused(world: World, client_of: Client) -> None:
    """Check 33: on every page a verb is a disabled button that says why, never a link or a form."""
    client = client_of(world.viewer_a)
    reasons, offered = set(), []
    for path, response in walk.crawl(client, f"/admin/?tenant={world.a.tenant_id}", per_kind=2):
        text = response.get_data(as_text=True)
        main = text.split("<main", 1)[-1].split("</main>")[0]
        reasons |= set(re.findall(r'disabled title="(Needs the role [^"]+)"', main))
        offered += [(path, one) for one in re.findall(r"<a [^>]*data-confirm=[^>]*>", main)]
        for form in re.findall(r'<form [^>]*method="post"[^>]*>.*?</form>', main, re.S):
            action = re.search(r'action="([^"]*)"', form)
            buttons = re.findall(r"<button(?![^>]*(?:disabled|type=\"button\"|formaction=\"[^\"]*export))[^>]*>", form)
            target = action[1] if action else path
            if buttons and not re.search(r"/(account|logout|change|tf-setup|mf-|export)", target):
                offered.append((path, form[:120]))
    assert offered == []
    assert any("operator" in reason for reason in reasons), reasons


def test_the_all_tenants_role_has_no_right_to_write_anywhere(world: World) -> None:
    """Check 35: not refused table by table, but without the right on any table, column or sequence."""
    rights = world.database.query(
        "select c.oid::regclass::text, p from pg_class c cross join unnest(array['insert', 'update', 'delete',"
        " 'truncate']) p where c.relkind in ('r', 'p', 'v', 'm') and c.relnamespace::regnamespace::text in"
        " ('public', 'huey', 'app') and has_table_privilege('console_all', c.oid, p)"
    )
    columns = world.database.query(
        "select c.oid::regclass::text, p from pg_class c cross join unnest(array['insert', 'update']) p"
        " where c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text in ('public', 'huey', 'app')"
        " and has_any_column_privilege('console_all', c.oid, p)"
    )
    assert rights == [] == columns


def test_an_abandoned_letter_is_gone_and_comes_back(world: World, client_of: Client) -> None:
    """Check 28: from the list, by error and by job, and both deeds are in the audit log with their reason."""
    client, scope = client_of(world.operator_a), f"?tenant={world.a.tenant_id}"

    def listed() -> bool:
        return str(world.a.letter) in page(client, f"/admin/dead/jobs/{scope}")

    def waiting() -> str:
        found = re.search(r"<span>Dead letters open</span><b[^>]*>([^<]*)</b>", page(client, f"/admin/{scope}"))
        assert found
        return found[1]

    assert listed() and waiting() == "1"
    assert (
        act(client, world.a.letter, "abandon", world.a.tenant_id, reason="nobody needs it", query=scope).status_code
        == 303
    )
    assert not listed() and waiting() == "0"
    assert str(world.a.letter) in page(client, f"/admin/dead/jobs/{scope}&status=abandoned")
    assert (
        act(client, world.a.letter, "reopen", world.a.tenant_id, reason="somebody does", query=scope).status_code == 303
    )
    assert listed() and waiting() == "1"
    found = world.database.query(
        "select action, actor, reason from console_audit where target_id = %s order by id", (str(world.a.letter),)
    )
    assert found == [
        ("abandon", world.operator_a, "nobody needs it"),
        ("reopen", world.operator_a, "somebody does"),
    ]
    log = page(client, f"/admin/audit/{scope}")
    assert "nobody needs it" in log and "somebody does" in log


def password_again(client: FlaskClient, location: str) -> str:
    """Give the password to the page that asks for it, and return where it leads to."""
    assert location.startswith("/admin/verify?next="), location
    data = {"password": PASSWORD, "csrf_token": token_of(client, location)}
    return client.post(location, data=data).location


def test_a_stale_sign_in_is_asked_for_the_password_and_nothing_happens_twice(world: World, client_of: Client) -> None:
    """Check 39: the form is not repeated on its own; what was typed comes back, and confirming starts one operation."""
    add_letters(world.database, world.a.tenant_id, 1001)
    client = client_of(world.admin)
    path = draft(client)
    with client.session_transaction() as session:
        session["fs_paa"] = 0
    response = confirm(client, path, number="1001", reason="typed before the password")
    assert response.status_code == 303
    back = password_again(client, response.location)
    assert world.count("huey.bulk_operation", "state <> 'draft'") == 0, "the password alone starts nothing"
    assert back.split("?")[0] in (path, f"{path}confirm")
    assert "typed before the password" in text_of(client, back)
    codes = [confirm(client, path, number="1001").status_code for _ in range(2)]
    assert codes == [303, 409]
    assert world.count("huey.bulk_operation", "state = 'running'") == 1
    assert world.count("console_audit", "action = 'bulk_start'") == 1
    steps = world.count("huey.job", "task_name ~ 'bulk'")
    assert steps == 1, "one first step"


def test_form_of_another_id_type_is_no_way_in(world: World, client_of: Client) -> None:
    """Ids of one kind in the address of another: not found, however they are combined."""
    client, scope = client_of(world.operator_a), f"?tenant={world.a.tenant_id}"
    for kind in ("dead", "jobs", "recompute", "bulk", "refused", "allocations"):
        for other in (world.b.letter, world.b.run, world.b.sale, world.b.task_id, world.b.tenant_id, UUID(int=7)):
            assert client.get(f"/admin/{kind}/{other}/{scope}").status_code == 404, (kind, other)
