"""Edit and replay: checked against what the task declares, shown as a difference, linked both ways, never elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from skeldir_huey.main import huey
from skeldir_huey.queue.task_params import params_of
from tests.admin.world import World, token_of
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]
TASK = "skeldir.attribution.recompute_window"
PING = "skeldir.housekeeping.ping"
KWARGS = {
    "window_start": "2025-06-01T00:00:00+00:00",
    "window_end": "2025-06-02T00:00:00+00:00",
    "model_version": "linear@1.0.0",
}


@pytest.fixture
def letter(world: World) -> UUID:
    return of_task(world, TASK, KWARGS)


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


def of_task(world: World, name: str, kwargs: dict[str, Any]) -> UUID:
    task = huey._registry.string_to_task(name)((), kwargs | {"tenant_id": world.a.tenant_id})
    return make_letter(
        world.database, world.a.tenant_id, task_name=name, queue=type(task).lane, message=huey.serialize_task(task)
    )


def send(client: FlaskClient, letter: UUID, world: World, **fields: str) -> TestResponse:
    task = world.database.value("select task_name from worker_failed_jobs where id = %s", (str(letter),))
    data = {"tenant": str(world.a.tenant_id), "task": task, "view": "form", "step": "replay", "reason": "wrong day"}
    data |= fields
    data["csrf_token"] = token_of(client, "/admin/account/")
    return client.post(f"/admin/dead/{letter}/edit", data=data)


def typed(**changes: str) -> dict[str, str]:
    return {f"arg-{name}": value for name, value in (KWARGS | {"fail": "false"} | changes).items()}


def untouched(world: World, letter: UUID) -> bool:
    status = world.database.value("select status from worker_failed_jobs where id = %s", (str(letter),))
    return status == "pending" and world.count("huey.job", "letter_id is not null") == 0


def test_declared_arguments() -> None:
    function = huey._registry.function_of(TASK)
    assert function is not None
    found = {param.name: (param.kind, param.required) for param in params_of(function)}
    assert found == {
        "window_start": ("text", True),
        "window_end": ("text", True),
        "model_version": ("text", True),
        "fail": ("yes or no", False),
    }


def test_the_form_shows_types_and_then_what_changes(world: World, client_of: Client, letter: UUID) -> None:
    client = client_of(world.admin)
    text = client.get(f"/admin/dead/{letter}/edit").get_data(as_text=True)
    assert "text, needed" in text and "yes or no" in text and 'value="linear@1.0.0"' in text
    assert 'name="arg-tenant_id"' not in text
    preview = send(client, letter, world, step="preview", **typed(model_version="linear@2.0.0"))
    shown = preview.get_data(as_text=True)
    assert preview.status_code == 200 and untouched(world, letter)
    assert re.findall(r"<(?:del|ins) class=\"break\">([^<]+)<", shown) == [
        "&#34;linear@1.0.0&#34;",
        "&#34;linear@2.0.0&#34;",
    ]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (typed(window_start=""), "window_start"),
        (typed(fail="perhaps"), "fail"),
        (typed() | {"arg-colour": "red"}, "colour"),
        ({"view": "json", "json": "{"}, "json"),
        ({"view": "json", "json": json.dumps(KWARGS | {"window_end": 3})}, "window_end"),
        ({"view": "json", "json": json.dumps({"window_end": "2025-06-02"})}, "window_start"),
        ({"view": "json", "json": json.dumps(KWARGS | {"fail": {"$": "nonsense", "v": 1}})}, "fail"),
        (typed() | {"reason": "no"}, "reason"),
    ],
)
def test_what_is_wrong_is_said_at_the_field(
    world: World, client_of: Client, letter: UUID, fields: dict[str, str], field: str
) -> None:
    response = send(client_of(world.admin), letter, world, **fields)
    text = response.get_data(as_text=True)
    assert response.status_code == 400 and untouched(world, letter)
    if field != "colour":
        assert 'aria-invalid="true"' in text
    if field in ("window_start", "fail") and "view" not in fields:
        assert f'id="error-{field}"' in text


@pytest.mark.parametrize("how", ["tenant", "task", "field", "json"])
def test_task_and_tenant_are_never_edited(world: World, client_of: Client, letter: UUID, how: str) -> None:
    other = str(world.b.tenant_id)
    fields = {
        "tenant": typed() | {"tenant": other},
        "task": typed() | {"task": PING},
        "field": typed() | {"arg-tenant_id": other},
        "json": {"view": "json", "json": json.dumps(KWARGS | {"tenant_id": other})},
    }[how]
    response = send(client_of(world.admin), letter, world, **fields)
    assert response.status_code == 403 and untouched(world, letter)
    assert world.database.query(
        "select actor, action, tenant_id::text from console_audit where result = 'refused'"
    ) == [(world.admin, "edit_replay", str(world.a.tenant_id))]


def test_a_good_edit_makes_a_job_linked_both_ways(world: World, client_of: Client, run_all: Callable[[], None]) -> None:
    letter = of_task(world, PING, {"fail": True})
    client = client_of(world.admin)
    kept = "select task_args, task_kwargs, message, error_message, failed_at from worker_failed_jobs where id = %s"
    before = world.database.query(kept, (str(letter),))
    for code in (303, 409):
        assert send(client, letter, world, **{"arg-fail": "false"}).status_code == code
    (job,) = world.database.query("select task_id, letter_id::text, tenant_id::text from huey.job")
    assert job[1:] == (str(letter), str(world.a.tenant_id))
    assert world.database.query("select replaced_by from worker_failed_jobs where id = %s", (str(letter),)) == [job[:1]]
    run_all()
    assert world.database.query(kept, (str(letter),)) == before
    text = client.get(f"/admin/dead/{letter}/").get_data(as_text=True)
    assert "resolved" in text and f"/admin/jobs/{job[0]}/" in text
    detail = world.database.value("select detail from console_audit where action = 'edit_replay'")
    assert detail == {"task_id": job[0], "changed": ["fail"]}


def test_an_edited_job_that_dies_has_a_letter_of_its_own(
    world: World, client_of: Client, run_all: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = of_task(world, TASK, KWARGS)
    client = client_of(world.admin)
    kept = "select task_kwargs, message, error_message, traceback from worker_failed_jobs where id = %s"
    before = world.database.query(kept, (str(letter),))
    assert send(client, letter, world, **typed(model_version="nothing@9.9.9")).status_code == 303
    run_all()
    assert world.database.query(kept, (str(letter),)) == before
    new, status, error = world.database.query(
        "select id::text, status, error_message from worker_failed_jobs where edited_from = %s", (str(letter),)
    )[0]
    assert status == "pending" and "nothing@9.9.9" in error
    assert world.database.query(
        "select status, remediation_notes from worker_failed_jobs where id = %s", (str(letter),)
    ) == [("abandoned", f"replaced by dead letter {new}")]
    assert f"/admin/dead/{new}/" in client.get(f"/admin/dead/{letter}/").get_data(as_text=True)
    assert f"/admin/dead/{letter}/" in client.get(f"/admin/dead/{new}/").get_data(as_text=True)


def test_a_stale_sign_in_and_lesser_roles_are_refused(world: World, client_of: Client, letter: UUID) -> None:
    client = client_of(world.admin)
    with client.session_transaction() as session:
        session["fs_paa"] = 0
    response = send(client, letter, world, **typed(fail="true"))
    assert response.status_code == 303 and "/verify" in response.location and untouched(world, letter)
    operator = client_of(world.operator_a)
    assert operator.get(f"/admin/dead/{letter}/edit?tenant={world.a.tenant_id}").status_code == 403
    assert client.get(f"/admin/dead/{uuid4()}/edit").status_code == 404
    gone = of_task(world, PING, {})
    world.database.query("update worker_failed_jobs set task_name = 'skeldir.was.here' where id = %s", (str(gone),))
    assert "no longer exists" in client.get(f"/admin/dead/{gone}/edit").get_data(as_text=True)
