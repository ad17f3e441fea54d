"""Acting on many dead letters: a frozen draft, a confirmation that binds, and each letter once."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from skeldir_huey.main import huey
from tests.admin.world import World, add_user, sign_in, token_of
from tests.queue.test_bulk_letters import add_letters

Client = Callable[[str | None], FlaskClient]
FP = "0a1b2c3d"


@pytest.fixture
def run_all(world: World) -> Iterator[Callable[[], None]]:
    """Run waiting jobs in this process until none is left."""
    huey.storage.new_identity()

    def run() -> None:
        while (data := huey.storage.dequeue()) is not None:
            task = huey.task_of(data)
            if task is not None:
                huey.execute(task)

    world.database.query("delete from huey.job")
    yield run
    huey.close_process()
    huey.storage.close()


def send(client: FlaskClient, path: str, tenant: UUID | None = None, **fields: Any) -> TestResponse:
    query = f"?tenant={tenant}" if tenant else ""
    data = {"tenant": str(tenant or "none")} | fields
    data["csrf_token"] = token_of(client, f"/admin/account/{query}")
    return client.post(path + query, data=data)


def draft(client: FlaskClient, tenant: UUID | None = None, **fields: Any) -> str:
    """Draft an operation on all letters of the error and return its path."""
    asked = {"verb": "replay", "all": "1", "fp": FP} | fields
    response = send(client, "/admin/bulk/draft", tenant, **asked)
    assert response.status_code == 303, response.get_data(as_text=True)[-600:]
    return response.location.split("?")[0]


def confirm(client: FlaskClient, path: str, tenant: UUID | None = None, **fields: Any) -> TestResponse:
    return send(client, f"{path}confirm", tenant, **{"reason": "the fix is out", "rate": "0"} | fields)


def text_of(client: FlaskClient, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.get_data(as_text=True)


def test_a_draft_counts_and_changes_no_letter(world: World, client_of: Client) -> None:
    add_letters(world.database, world.a.tenant_id, 3)
    add_letters(world.database, world.b.tenant_id, 2)
    add_letters(world.database, None, 1)
    client, jobs = client_of(world.admin), world.count("huey.job")
    text = text_of(client, draft(client))
    assert "Replay 6 dead letters" in text and text.count(">skeldir") == 0
    assert [int(n) for n in re.findall(r'data-label="Letters">(\d+)<', text)] == [3, 2, 1]
    assert f"fingerprint {FP}" in text and "boom" in text
    assert world.count("huey.job") == jobs and world.count("huey.bulk_item") == 0
    assert world.count("worker_failed_jobs", "status = 'in_progress'") == 0


def test_what_was_done_meanwhile_is_skipped_and_said(
    world: World, client_of: Client, run_all: Callable[[], None]
) -> None:
    add_letters(world.database, world.a.tenant_id, 1000)
    client = client_of(world.admin)
    path = draft(client)
    world.database.query(
        "update worker_failed_jobs set status = 'in_progress' where id in"
        " (select id from worker_failed_jobs where fingerprint = %s limit 7)",
        (FP,),
    )
    world.database.query(
        "update worker_failed_jobs set status = 'resolved', resolved_at = now() where status = 'in_progress'"
    )
    assert confirm(client, path).status_code == 303
    assert world.count("huey.job", "letter_id is not null") == 0, "the request only makes the row and its first step"
    run_all()
    assert "993 queued, 7 skipped: already replayed." in text_of(client, path)
    assert world.count("worker_failed_jobs", "status = 'resolved' and fingerprint = %s", (FP,)) == 1000
    assert world.database.query(
        "select action, tenant_id, detail->>'count' from console_audit where action ~ 'bulk'"
    ) == [("bulk_start", None, "1000")]


def test_twice_at_once_starts_once(world: World, app: Flask, run_all: Callable[[], None]) -> None:
    add_letters(world.database, world.a.tenant_id, 300)
    clients = [app.test_client() for _ in range(4)]
    for client in clients:
        sign_in(client, world.admin)
    # Two people with a draft each, and each of them presses twice.
    paths = [draft(clients[0]), draft(clients[2])]
    codes: list[int] = []
    together = threading.Barrier(4)

    def press(client: FlaskClient, path: str) -> None:
        token = token_of(client, "/admin/account/")
        together.wait(20)
        data = {"reason": "all at once", "rate": "0", "tenant": "none", "csrf_token": token}
        codes.append(client.post(f"{path}confirm", data=data).status_code)

    pairs = zip(clients, (paths[0], paths[0], paths[1], paths[1]), strict=True)
    threads = [threading.Thread(target=press, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(codes) == [303, 303, 409, 409]
    run_all()
    assert world.count("huey.job_attempt", "letter_id is not null and outcome = 'done'") == 300
    assert world.count("huey.bulk_item", "result = 'done'") == 300
    assert world.count("huey.bulk_operation", "state = 'done'") == 2


def test_above_a_thousand_the_number_is_typed_by_an_admin_who_just_signed_in(world: World, client_of: Client) -> None:
    add_letters(world.database, world.a.tenant_id, 1001)
    operator, tenant = client_of(world.operator_a), world.a.tenant_id
    path = draft(operator, tenant)
    assert "More than" in text_of(operator, f"{path}?tenant={tenant}")
    assert confirm(operator, path, tenant, number="1001").status_code == 403
    admin = client_of(world.admin)
    path = draft(admin)
    for number in ("", "1000", "many"):
        response = confirm(admin, path, number=number)
        assert response.status_code == 400 and "type 1001 to go on" in response.get_data(as_text=True)
    assert 'value="the fix is out"' in response.get_data(as_text=True), "what was typed is kept"
    with admin.session_transaction() as session:
        session["fs_paa"] = 0
    response = confirm(admin, path, number="1001")
    assert response.status_code == 303 and "/verify" in response.location
    assert world.count("huey.bulk_operation", "state <> 'draft'") == 0
    assert 'value="the fix is out"' in text_of(admin, f"{path}confirm")
    with admin.session_transaction() as session:
        session["fs_paa"] = time.time()
    assert confirm(admin, path, number="1 001").status_code == 303
    assert world.count("huey.bulk_operation", "state = 'running'") == 1


def test_a_draft_means_what_the_list_showed(world: World, client_of: Client) -> None:
    add_letters(world.database, world.a.tenant_id, 2)
    add_letters(world.database, world.a.tenant_id, 3, error_message="boom of another kind", fingerprint="ffffffff")
    client = client_of(world.admin)
    text = text_of(client, f"/admin/dead/jobs/?error=another&range=24h&tenant={world.a.tenant_id}")
    form = text[text.index('id="picked"') : text.index("</form>", text.index('id="picked"'))]
    fields: dict[str, Any] = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', form))
    assert fields.pop("tenant") == str(world.a.tenant_id)
    assert fields["error"] == "another" and fields["range"] == "24h" and fields["status"] == "pending"
    response = send(client, "/admin/bulk/draft", world.a.tenant_id, **{**fields, "all": "1", "verb": "replay"})
    assert "Replay 3 dead letters" in text_of(client, response.location)
    ids = [
        str(row[0]) for row in world.database.query("select id from worker_failed_jobs where fingerprint = %s", (FP,))
    ]
    response = send(client, "/admin/bulk/draft", world.a.tenant_id, **{**fields, "letter": ids[:1], "verb": "abandon"})
    assert "Abandon 1 dead letter" in text_of(client, response.location)


@pytest.mark.parametrize(
    "fields",
    [
        {"verb": "delete"},
        {"verb": "replay", "status": "resolved"},
        {"verb": "replay", "all": ""},
        {"verb": "replay", "fp": "eeeeeeee"},
        {"verb": "replay", "fp": "nonsense"},
        {"verb": "replay", "q": "nonsense:1"},
        {"verb": "replay", "range": "99y"},
        {"verb": "replay", "all": "", "letter": "x"},
    ],
)
def test_drafts_that_mean_nothing_are_refused(world: World, client_of: Client, fields: dict[str, Any]) -> None:
    add_letters(world.database, world.a.tenant_id, 1)
    response = send(client_of(world.admin), "/admin/bulk/draft", **{"all": "1", "fp": FP, **fields})
    assert response.status_code == 400 and world.count("huey.bulk_operation") == 0


def test_pause_continue_cancel_undo(world: World, client_of: Client, run_all: Callable[[], None]) -> None:
    add_letters(world.database, world.a.tenant_id, 250)
    client, tenant = client_of(world.operator_a), world.a.tenant_id
    path = draft(client, tenant, verb="abandon")
    assert send(client, f"{path}pause", tenant, reason="not started").status_code == 409
    assert confirm(client, path, tenant).status_code == 303
    data = huey.storage.dequeue()
    assert data is not None
    huey.execute(huey.task_of(data))
    assert send(client, f"{path}pause", tenant, reason="have to look").status_code == 303
    run_all()
    assert world.count("worker_failed_jobs", "status = 'abandoned' and fingerprint = %s", (FP,)) == 200
    assert "200 abandoned" in text_of(client, f"{path}?tenant={tenant}")
    assert send(client, f"{path}continue", tenant, reason="looked at it").status_code == 303
    run_all()
    assert "250 abandoned." in text_of(client, f"{path}?tenant={tenant}")
    assert send(client, f"{path}cancel", tenant, reason="too late now").status_code == 409
    undo = send(client, f"{path}again", tenant, kind="undo")
    assert undo.status_code == 303
    again = undo.location.split("?")[0]
    assert "Reopen 250" in text_of(client, undo.location)
    assert confirm(client, again, tenant, reason="was a mistake").status_code == 303
    run_all()
    assert world.count("worker_failed_jobs", "status = 'pending' and fingerprint = %s", (FP,)) == 250
    actions = world.database.query("select action from console_audit where action ~ 'bulk' order by id")
    assert actions == [("bulk_start",), ("bulk_pause",), ("bulk_continue",), ("bulk_start",)]


def test_what_failed_is_tried_again(world: World, client_of: Client, run_all: Callable[[], None]) -> None:
    add_letters(world.database, world.a.tenant_id, 2)
    add_letters(world.database, world.a.tenant_id, 3, task_name="skeldir.was.here")
    client = client_of(world.admin)
    path = draft(client)
    confirm(client, path)
    run_all()
    text = text_of(client, path)
    assert "2 queued, 3 failed: task no longer exists." in text and "Try the 3 that failed again" in text
    world.database.query("update worker_failed_jobs set task_name = 'skeldir.housekeeping.ping'")
    again = send(client, f"{path}again", kind="failed")
    assert "Replay 3 dead letters" in text_of(client, again.location)
    confirm(client, again.location)
    run_all()
    assert world.count("worker_failed_jobs", "status = 'resolved' and fingerprint = %s", (FP,)) == 5


def test_operations_of_others_are_not_there(world: World, client_of: Client) -> None:
    add_letters(world.database, world.b.tenant_id, 1)
    add_letters(world.database, world.a.tenant_id, 1)
    admin = client_of(world.admin)
    paths = [draft(admin), draft(admin, world.b.tenant_id)]
    operator, scope = client_of(world.operator_a), f"?tenant={world.a.tenant_id}"
    for path in paths:
        assert operator.get(path + scope).status_code == 404
        for verb in ("confirm", "pause", "again"):
            response = send(operator, path + verb, world.a.tenant_id, reason="not mine", rate="0", kind="undo")
            assert response.status_code == 404, (path, verb)
        assert path.split("/")[-2] not in text_of(operator, f"/admin/bulk/{scope}")
    assert world.count("huey.bulk_operation", "state = 'draft'") == 2
    # The form of one tenant, sent to the page of all.
    data = {"verb": "replay", "all": "1", "tenant": str(world.a.tenant_id)}
    data["csrf_token"] = token_of(admin, "/admin/account/")
    assert admin.post("/admin/bulk/draft", data=data).status_code == 400


def test_a_viewer_may_look(world: World, client_of: Client) -> None:
    add_letters(world.database, world.a.tenant_id, 1)
    path = draft(client_of(world.operator_a), world.a.tenant_id)
    viewer = client_of(world.viewer_a)
    assert "You need the role operator" in text_of(viewer, f"{path}?tenant={world.a.tenant_id}")
    assert confirm(viewer, path, world.a.tenant_id).status_code == 403
    response = send(viewer, "/admin/bulk/draft", world.a.tenant_id, verb="replay", all="1", fp=FP)
    assert response.status_code == 403
    add_user(world.database, "mixed@example.com", "viewer")
    assert confirm(client_of("mixed@example.com"), draft(client_of(world.admin))).status_code == 403


def test_export_of_what_is_ticked(world: World, client_of: Client) -> None:
    add_letters(world.database, world.a.tenant_id, 3, error_message="=1+1")
    client = client_of(world.admin)
    response = send(client, "/admin/dead/jobs/export", all="1", fp=FP)
    lines = response.get_data(as_text=True).splitlines()
    assert response.status_code == 200 and len(lines) == 4 and "'=1+1" in lines[1]
    assert world.count("console_audit", "action = 'export'") == 1
