"""In flight, one job, and what one correlation id did: every figure equals SQL, and what is stored stays text."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import uuid4

from flask.testing import FlaskClient

from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import control
from skeldir_huey.queue.instance import huey
from skeldir_huey.queue.messages import JsonSerializer
from skeldir_huey.tasks.housekeeping import ping
from tests.admin.test_pages import page
from tests.admin.world import World, add_attempt, add_job, token_of
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]


def shown(text: str) -> set[str]:
    """Return the ids of the jobs that a list shows."""
    return set(re.findall(r'href="/admin/jobs/([0-9a-f-]{36})/', text))


def ids(world: World, table: str, where: str) -> set[str]:
    return {row[0] for row in world.database.query(f"select task_id from {table} where {where}")}


def enqueue(world: World, state: str = "waiting", **kwargs: object) -> str:
    """Put a real ping of tenant a in a state and return its id."""
    task = ping.s(tenant_id=world.a.tenant_id, **kwargs)
    message = huey.serialize_task(task)
    task_id = add_job(world.database, world.a.tenant_id, state)
    world.database.query("update huey.job set message = %s where task_id = %s", (message, task_id))
    return task_id


def test_the_list_of_each_state_equals_sql(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    add_job(world.database, world.b.tenant_id, "waiting", lane="ingest")
    add_job(world.database, None, "running", lane="ingest")
    add_attempt(world.database, world.a.tenant_id, "cancelled")
    for state in ("running", "waiting", "scheduled"):
        text = page(client, f"/admin/jobs/?state={state}")
        wanted = ids(world, "huey.job", f"state = '{state}'")
        assert shown(text) == wanted, state
        assert f"<b>{len(wanted)}</b> job" in text
        mine = page(client, f"/admin/jobs/?state={state}&queue=ingest&tenant={world.b.tenant_id}")
        assert shown(mine) == ids(
            world, "huey.job", f"state = '{state}' and lane = 'ingest' and tenant_id = '{world.b.tenant_id}'"
        )
    for outcome in ("done", "dead", "cancelled", "errored"):
        text = page(client, f"/admin/jobs/?state={outcome}")
        assert shown(text) == ids(world, "huey.job_attempt", f"outcome = '{outcome}'"), outcome


def test_waiting_jobs_page_by_key(world: World, client_of: Client) -> None:
    world.database.query(
        "insert into huey.job (task_id, lane, task_name, tenant_id, message, state)"
        " select gen_random_uuid()::text, 'llm', 't', %s, '{}', 'waiting' from generate_series(1, 120)",
        (str(world.a.tenant_id),),
    )
    client, seen = client_of(world.admin), []
    path: str | None = "/admin/jobs/?state=waiting&queue=llm"
    while path:
        text = page(client, path)
        seen += re.findall(r'<a href="/admin/jobs/([0-9a-f-]{36})/"', text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        path = older[1] if older else None
    assert len(seen) == 120 == len(set(seen))


def test_a_running_job_near_its_timeout_and_one_whose_worker_is_silent(world: World, client_of: Client) -> None:
    world.database.query("delete from huey.job")
    task = ping.s(tenant_id=world.a.tenant_id)
    task.timeout = 100
    near, late = add_job(world.database, world.a.tenant_id, "running"), add_job(world.database, None, "running")
    for task_id, host, ago in ((near, "fresh", "1 second"), (late, "quiet", "9 seconds")):
        consumer = str(uuid4())
        world.database.query(
            "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, heartbeat_at)"
            " values (%s, %s, 1, 'thread', 2, '{attribution}', '0.1.0', now() - %s::interval)",
            (consumer, host, ago),
        )
        world.database.query(
            "update huey.job set consumer_id = %s, message = %s, claimed_at = now() - interval '85 seconds'"
            " where task_id = %s",
            (consumer, huey.serialize_task(task), task_id),
        )
    text = page(client_of(world.admin), "/admin/jobs/")
    rows = dict(re.findall(r'<tr class="(row-\w+)">.*?/admin/jobs/([0-9a-f-]{36})/', text, re.S))
    assert rows == {"row-warn": near, "row-bad": late}
    assert "near its timeout" in text and "of 1\u202fmin 40\u202fs" in text
    assert re.search(r'aria-label="8[5-9]\.\d\u202f% of its timeout"', text)


def test_one_job_shows_its_attempts_arguments_and_what_belongs_to_it(world: World, client_of: Client) -> None:
    task_id, correlation = enqueue(world), str(uuid4())
    world.database.query(
        "update huey.job set correlation_id = %s, attempt = 2 where task_id = %s", (correlation, task_id)
    )
    message = JsonSerializer().deserialize(
        bytes(world.database.value("select message from huey.job where task_id = %s", (task_id,)))
    )
    secret = message._replace(kwargs=dict(message.kwargs) | {"api_key": "hunter2", "deep": [{"email": "a@b.cd"}]})
    world.database.query(
        "update huey.job set message = %s where task_id = %s", (JsonSerializer().serialize(secret), task_id)
    )
    add_attempt(world.database, world.a.tenant_id, "errored", task_id=task_id, error="no route to bank", run_ms=1500)
    text = page(client_of(world.admin), f"/admin/jobs/{task_id}/")
    assert "no route to bank" in text and "1.5\u202fs" in text
    assert '"api_key": "[redacted]"' in text and "hunter2" not in text and "a@b.cd" not in text
    assert f'href="/admin/jobs/correlation/{correlation}/"' in text
    assert "Ask to cancel" in text


def test_a_dead_job_shows_frames_letter_replays_and_the_same_error(world: World, client_of: Client) -> None:
    letter_task = world.database.value("select task_id from worker_failed_jobs where id = %s", (str(world.a.letter),))
    fingerprint = world.database.value(
        "select fingerprint from worker_failed_jobs where id = %s", (str(world.a.letter),)
    )
    make_letter(world.database, world.b.tenant_id, fingerprint=fingerprint)
    text = page(client_of(world.admin), f"/admin/jobs/{letter_task}/")
    assert '<b>recompute_window</b> <span class="muted break">skeldir_huey/tasks' in text
    frames = re.findall(r'<li class="(own|library)"><details( open)?>', text)
    assert frames and all((kind == "own") == bool(is_open) for kind, is_open in frames), "libraries are folded"
    alike = text.split('id="alike"')[1].split("</section>")[0]
    count = world.count("worker_failed_jobs", "fingerprint = %s", (fingerprint,))
    tenants = world.database.value(
        "select count(distinct tenant_id) from worker_failed_jobs where fingerprint = %s", (fingerprint,)
    )
    assert f"{count} letters" in alike and f"{tenants} tenants" in alike
    replay = add_job(world.database, world.a.tenant_id, "waiting")
    world.database.query("update huey.job set letter_id = %s where task_id = %s", (str(world.a.letter), replay))
    world.database.query(
        "update worker_failed_jobs set status = 'in_progress', replayed_as = %s where id = %s",
        (replay, str(world.a.letter)),
    )
    assert f'Replayed as <a href="/admin/jobs/{replay}/"' in page(client_of(world.admin), f"/admin/jobs/{letter_task}/")
    back = page(client_of(world.admin), f"/admin/jobs/{replay}/")
    assert f'href="/admin/dead/{world.a.letter}/"' in back and f'href="/admin/jobs/{letter_task}/"' in back


def test_a_pruned_job_shows_what_is_still_known(world: World, client_of: Client) -> None:
    world.database.query("delete from huey.job_attempt")
    letter_task = world.database.value("select task_id from worker_failed_jobs where id = %s", (str(world.a.letter),))
    text = page(client_of(world.admin), f"/admin/jobs/{letter_task}/")
    assert "own history is gone" in text and str(world.a.letter)[:8] in text


def test_a_correlation_id_shows_everything_with_it(world: World, client_of: Client) -> None:
    correlation = str(uuid4())
    job, attempt = add_job(world.database, world.a.tenant_id, "waiting"), add_attempt(world.database, None, "done")
    letter = make_letter(world.database, world.b.tenant_id, correlation_id=correlation)
    for table, column, value in (("huey.job", "task_id", job), ("huey.job_attempt", "task_id", attempt)):
        world.database.query(f"update {table} set correlation_id = %s where {column} = %s", (correlation, value))
    text = page(client_of(world.admin), f"/admin/jobs/correlation/{correlation}/")
    assert {job, attempt} <= shown(text) and str(letter) in text
    one_side = page(client_of(world.admin), f"/admin/jobs/correlation/{correlation}/?tenant={world.a.tenant_id}")
    assert job in one_side and attempt not in one_side and str(letter) not in one_side


def test_foreign_and_unknown_ids_look_the_same(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    foreign = add_job(world.database, world.b.tenant_id, "waiting")
    for task_id in (foreign, str(uuid4()), "x", "%00", "a" * 300):
        response = client.get(f"/admin/jobs/{task_id}/?tenant={world.a.tenant_id}")
        assert response.status_code == 404, task_id
        assert "belongs to a tenant that you may not see" in response.get_data(as_text=True)


def ask_cancel(
    client: FlaskClient, task_id: str, tenant: object, query: str, reason: str = "not needed any more"
) -> int:
    data = {
        "reason": reason,
        "tenant": str(tenant or "none"),
        "csrf_token": token_of(client, f"/admin/account/{query}"),
    }
    return client.post(f"/admin/jobs/{task_id}/cancel{query}", data=data).status_code


def test_asking_to_cancel_ends_a_job_before_it_runs(world: World, client_of: Client) -> None:
    task_id = enqueue(world)
    query = f"?tenant={world.a.tenant_id}"
    operator, viewer = client_of(world.operator_a), client_of(world.viewer_a)
    assert ask_cancel(viewer, task_id, world.a.tenant_id, query) == 403
    assert ask_cancel(operator, task_id, world.a.tenant_id, query, reason="no") == 400
    assert world.count("huey.result") == 0
    assert ask_cancel(operator, task_id, world.a.tenant_id, query) == 303
    assert ask_cancel(operator, task_id, world.a.tenant_id, query) == 303  # the second one changes nothing
    assert world.count("console_audit", "action = 'cancel' and target_id = %s", (task_id,)) == 1
    assert huey.is_revoked(task_id)
    foreign = add_job(world.database, world.b.tenant_id, "waiting")
    assert ask_cancel(operator, foreign, world.a.tenant_id, query) == 404
    assert not huey.is_revoked(foreign)
    huey.storage.close()


def test_the_database_itself_refuses_to_cancel_across_the_wall(world: World) -> None:
    foreign, of_nobody = add_job(world.database, world.b.tenant_id, "waiting"), add_job(world.database, None, "waiting")
    mine = add_job(world.database, world.a.tenant_id, "waiting")
    with transaction(world.a.tenant_id, role="console_tenant", who="console") as connection:
        assert control.ask_cancel(connection, foreign) is None
        assert control.ask_cancel(connection, of_nobody) is None
        asked = control.ask_cancel(connection, mine)
    assert asked is not None and asked["asked"]
    with transaction(None, role="console_global", who="console") as connection:
        assert control.ask_cancel(connection, foreign) is None and control.ask_cancel(connection, of_nobody)
    assert {row[0] for row in world.database.query("select key from huey.result")} == {f"r:{mine}", f"r:{of_nobody}"}


def test_texts_from_outside_stay_text(world: World, client_of: Client) -> None:
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    task_id = enqueue(world)
    world.database.query(
        "update huey.job set task_name = %s, last_error = %s, unique_key = %s where task_id = %s",
        (attack, attack, attack, task_id),
    )
    add_attempt(world.database, world.a.tenant_id, "errored", task_id=task_id, error=attack)
    client = client_of(world.admin)
    for path in (f"/admin/jobs/{task_id}/", "/admin/jobs/?state=waiting", "/admin/jobs/?state=errored"):
        raw = client.get(path).get_data(as_text=True)
        assert "<script>alert" not in raw and "<img src=x" not in raw, path


def test_a_damaged_message_does_not_break_the_page(world: World, client_of: Client) -> None:
    task_id = enqueue(world)
    world.database.query("update huey.job set message = %s where task_id = %s", (b"\x80\x04\x95\x00pickle", task_id))
    assert "not one that this version can read" in page(client_of(world.admin), f"/admin/jobs/{task_id}/")
