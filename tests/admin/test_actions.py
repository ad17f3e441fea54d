"""Replay, abandon, reopen: once each, by those who may, with an audit row in the same transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from admin import actions
from tests.admin.world import World, act, add_user, sign_in, token_of
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]


def row(world: World, letter: Any) -> tuple[Any, ...]:
    (found,) = world.database.query(
        "select status, replayed_as, remediation_notes from worker_failed_jobs where id = %s", (str(letter),)
    )
    return found


def test_replay_makes_one_job_and_one_audit_row(world: World, client_of: Client) -> None:
    response = act(
        client_of(world.operator_a), world.a.letter, "replay", world.a.tenant_id, query=f"?tenant={world.a.tenant_id}"
    )
    assert response.status_code == 303 and response.location.startswith(f"/admin/dead/{world.a.letter}/?tenant=")
    status, task_id, _ = row(world, world.a.letter)
    assert status == "in_progress"
    assert world.database.query(
        "select tenant_id::text, letter_id::text from huey.job where task_id = %s", (task_id,)
    ) == [(str(world.a.tenant_id), str(world.a.letter))]
    assert world.database.query(
        "select actor, action, target_type, target_id, tenant_id::text, reason, result, detail, source_address,"
        " request_id is not null from console_audit where action = 'replay'"
    ) == [
        (
            world.operator_a,
            "replay",
            "dead_letter",
            str(world.a.letter),
            str(world.a.tenant_id),
            "tests say so",
            "ok",
            {"task_id": task_id},
            "127.0.0.1",
            True,
        )
    ]


def test_the_second_replay_is_told_who_was_first(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    act(client, world.a.letter, "replay", world.a.tenant_id)
    jobs = world.count("huey.job")
    response = act(
        client_of(world.operator_a), world.a.letter, "replay", world.a.tenant_id, query=f"?tenant={world.a.tenant_id}"
    )
    assert response.status_code == 409
    assert f"Already replayed by {world.admin}" in response.get_data(as_text=True)
    assert world.count("huey.job") == jobs and world.count("console_audit", "action = 'replay'") == 1


def test_eight_at_once_replay_once(world: World, app: Flask) -> None:
    clients = [app.test_client() for _ in range(8)]
    for client in clients:
        sign_in(client, world.admin)
    tokens = [token_of(client, "/admin/account/") for client in clients]
    jobs, together = world.count("huey.job"), threading.Barrier(8)
    codes: list[int] = []

    def press(client: FlaskClient, token: str) -> None:
        data = {"reason": "all at once", "tenant": str(world.a.tenant_id), "csrf_token": token}
        together.wait(10)
        codes.append(client.post(f"/admin/dead/{world.a.letter}/replay", data=data).status_code)

    threads = [threading.Thread(target=press, args=pair) for pair in zip(clients, tokens, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(codes) == [303] + [409] * 7
    assert world.count("huey.job") == jobs + 1
    assert world.count("console_audit", "action = 'replay'") == 1


def test_a_failed_audit_row_takes_the_replay_back(
    world: World, client_of: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no audit row")

    client, jobs = client_of(world.admin), world.count("huey.job")
    monkeypatch.setattr(actions, "record", broken)
    assert act(client, world.a.letter, "replay", world.a.tenant_id).status_code == 500
    assert row(world, world.a.letter)[0] == "pending" and world.count("huey.job") == jobs


def test_abandon_and_reopen(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    scope = f"?tenant={world.a.tenant_id}"
    assert act(client, world.a.letter, "abandon", world.a.tenant_id, query=scope).status_code == 303
    assert row(world, world.a.letter) == ("abandoned", None, "tests say so")
    assert act(client, world.a.letter, "abandon", world.a.tenant_id, query=scope).status_code == 409
    assert act(client, world.a.letter, "reopen", world.a.tenant_id, query=scope).status_code == 303
    assert row(world, world.a.letter)[0] == "pending"
    assert world.database.query("select action from console_audit where target_type = 'dead_letter' order by id") == [
        ("abandon",),
        ("reopen",),
    ]


def test_a_letter_in_progress_cannot_be_abandoned(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    act(client, world.a.letter, "replay", world.a.tenant_id)
    assert act(client, world.a.letter, "abandon", world.a.tenant_id).status_code == 409
    assert row(world, world.a.letter)[0] == "in_progress"


@pytest.mark.parametrize("reason", ["", "   ", "four", "x" * 301, "a\x00bcdef", "line\nbreak"])
def test_a_reason_is_needed(world: World, client_of: Client, reason: str) -> None:
    response = act(client_of(world.admin), world.a.letter, "replay", world.a.tenant_id, reason=reason)
    text = response.get_data(as_text=True)
    assert response.status_code == 400 and 'aria-invalid="true"' in text and 'id="reason-error"' in text
    assert row(world, world.a.letter)[0] == "pending"


def test_the_typed_reason_is_kept(world: World, client_of: Client) -> None:
    response = act(client_of(world.admin), world.a.letter, "replay", world.a.tenant_id, reason="four")
    assert 'value="four"' in response.get_data(as_text=True)


def test_a_viewer_sees_but_may_not(world: World, client_of: Client) -> None:
    client, scope = client_of(world.viewer_a), f"?tenant={world.a.tenant_id}"
    text = client.get(f"/admin/dead/{world.a.letter}/{scope}").get_data(as_text=True)
    assert text.count('disabled title="Needs the role operator in this tenant"') == 2
    before = world.count("huey.job"), world.count("console_audit")
    for verb in ("replay", "abandon"):
        response = act(client, world.a.letter, verb, world.a.tenant_id, query=scope)
        assert response.status_code == 403 and "operator" in response.get_data(as_text=True)
    assert world.count("huey.job") == before[0]
    assert world.count("console_audit") == before[1] + 2, "what was refused stands in the audit log"
    assert row(world, world.a.letter)[0] == "pending"


def test_letters_without_tenant_are_for_operators_of_all_tenants(world: World, client_of: Client) -> None:
    scope = f"?tenant={world.a.tenant_id}"
    assert act(client_of(world.operator_a), world.global_letter, "replay", None).status_code == 400
    assert act(client_of(world.operator_a), world.global_letter, "replay", None, query=scope).status_code == 400
    assert row(world, world.global_letter)[0] == "pending"
    assert act(client_of(world.admin), world.global_letter, "replay", None).status_code == 303
    assert row(world, world.global_letter)[0] == "in_progress"
    assert world.count("huey.job", "letter_id = %s and tenant_id is null", (str(world.global_letter),)) == 1
    assert world.count("console_audit", "action = 'replay' and tenant_id is null") == 1


def test_a_viewer_of_all_tenants_may_act_in_the_tenant_where_he_is_operator(world: World, client_of: Client) -> None:
    add_user(world.database, "mixed@example.com", "viewer")
    world.database.query(
        "insert into console_grant (user_id, role, tenant_id)"
        " select id, 'operator', %s from console_user where email = %s",
        (str(world.a.tenant_id), "mixed@example.com"),
    )
    client = client_of("mixed@example.com")
    assert act(client, world.b.letter, "replay", world.b.tenant_id).status_code == 403
    assert act(client, world.global_letter, "replay", None).status_code == 403
    assert act(client, world.a.letter, "replay", world.a.tenant_id).status_code == 303


def test_a_form_of_another_tenant_changes_nothing(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    # Tenant B's page, tenant A's form: two tabs mixed up.
    assert (
        act(client, world.a.letter, "replay", world.a.tenant_id, query=f"?tenant={world.b.tenant_id}").status_code
        == 400
    )
    # A letter of A under the name of B, and under no tenant.
    assert act(client, world.a.letter, "replay", world.b.tenant_id).status_code == 404
    assert act(client, world.a.letter, "replay", None).status_code == 404
    assert row(world, world.a.letter)[0] == "pending" and world.count("console_audit", "action = 'replay'") == 0


def test_asking_changes_nothing(world: World, client_of: Client) -> None:
    client, before = client_of(world.admin), world.count("console_audit")
    for verb in ("replay", "abandon", "reopen"):
        assert client.get(f"/admin/dead/{world.a.letter}/{verb}").status_code == 200
    assert client.get(f"/admin/dead/{world.a.letter}/delete").status_code == 404
    assert row(world, world.a.letter)[0] == "pending" and world.count("console_audit") == before


def test_replays_in_the_past_stay_on_the_letters_page(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    letter = make_letter(world.database, world.a.tenant_id)
    act(client, letter, "replay", world.a.tenant_id, reason="first idea")
    text = client.get(f"/admin/dead/{letter}/").get_data(as_text=True)
    assert "first idea" in text and world.admin in text and row(world, letter)[1] in text
