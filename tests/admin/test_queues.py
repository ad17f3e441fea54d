"""The ledger, the queue pages, and pause and resume: shown as SQL counts them, done once, by those who may."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from admin import auth
from skeldir_huey.queue.lanes import LANES
from tests.admin.test_pages import cells, page
from tests.admin.world import World, add_attempt, add_flow, add_job, add_user, sign_in, steer, token_of

Client = Callable[[str | None], FlaskClient]
PING = "skeldir.housekeeping.ping"


def part(text: str, section: str) -> str:
    """Return one section of a page."""
    return text.split(f'id="{section}"', 1)[1].split("</section>", 1)[0]


def held(world: World) -> set[tuple[str, str]]:
    return set(world.database.query("select tenant_id::text, state from huey.job where held"))


def audited(world: World) -> list[tuple[Any, ...]]:
    return world.database.query(
        "select actor, action, target_type, target_id, tenant_id::text, reason, detail - 'resume_at'"
        " from console_audit where target_type = 'lane' order by id"
    )


def change_jobs(world: World) -> None:
    add_job(world.database, world.b.tenant_id, "waiting", lane="ingest")
    add_job(world.database, None, "scheduled", lane="housekeeping")
    for outcome in ("done", "done", "cancelled", "dead"):
        add_attempt(world.database, world.a.tenant_id, outcome, lane="ingest")
    add_flow(world.database, world.b.tenant_id, "llm", "enqueued", "pruned")


@pytest.mark.parametrize("scoped", [False, True])
def test_the_ledger_equals_sql(world: World, client_of: Client, scoped: bool) -> None:
    client = client_of(world.admin)
    change_jobs(world)
    text = part(page(client, f"/admin/?tenant={world.a.tenant_id}" if scoped else "/admin/"), "ledger")
    mine = f"tenant_id = '{world.a.tenant_id}'" if scoped else "true"
    for lane in LANES:
        shown = cells(text, lane)
        flows = [
            world.database.value(
                f"select coalesce(sum(job_count), 0)::int from huey.flow where {mine} and lane = %s and kind = %s",
                (lane, kind),
            )
            for kind in ("enqueued", "done", "dead", "cancelled", "pruned")
        ]
        jobs = [
            world.count("huey.job", f"{mine} and lane = %s and state = %s", (lane, state))
            for state in ("scheduled", "waiting", "running")
        ]
        expected = [flows[0], *jobs, *flows[1:], 0]
        if not scoped:
            expected.insert(
                0,
                world.database.value("select count(distinct tenant_id) from huey.flow where lane = %s", (lane,)),
            )
        assert shown == [*map(str, expected), "adds up"], lane
    total = world.database.value(f"select sum(job_count)::int from huey.flow where {mine} and kind = 'enqueued'")
    assert cells(text, "All queues")[0 if scoped else 1] == str(total)


def test_a_job_deleted_by_hand_turns_the_ledger_red(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    assert "does not add up" not in page(client, "/admin/")
    world.database.query("delete from huey.job where tenant_id = %s and state = 'waiting'", (str(world.a.tenant_id),))
    text = page(client, "/admin/")
    assert cells(part(text, "ledger"), "attribution")[-2:] == ["1", "1 job missing"]
    assert 'status-failed">1 job missing' in part(text, "ledger")
    assert "The ledger does not add up: 1 job missing" in part(text, "needs")
    other = page(client, f"/admin/?tenant={world.b.tenant_id}")
    assert "missing" not in part(other, "ledger") and "does not add up" not in other


def test_a_job_lost_here_and_one_too_many_there_do_not_cancel_out(world: World, client_of: Client) -> None:
    world.database.query("delete from huey.job where tenant_id = %s and state = 'waiting'", (str(world.a.tenant_id),))
    world.database.query("delete from huey.flow where id = (select min(id) from huey.flow where tenant_id = %s"
                         " and kind = 'enqueued')", (str(world.b.tenant_id),))  # fmt: skip
    text = part(page(client_of(world.admin), "/admin/"), "ledger")
    assert cells(text, "attribution")[-2:] == ["0", "1 job missing, 1 job too many"]


def test_queues_equal_sql(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    change_jobs(world)
    text = page(client, "/admin/queues/")
    day = "ended_at > now() - interval '24 hours'"
    for lane in LANES:
        shown = cells(text, lane)
        jobs = {
            state: world.count("huey.job", "lane = %s and state = %s", (lane, state))
            for state in ("waiting", "scheduled", "running")
        }
        ended = [
            world.count("huey.job_attempt", f"lane = %s and outcome = %s and {day}", (lane, outcome))
            for outcome in ("done", "dead")
        ]
        expected = [jobs["waiting"], jobs["scheduled"], jobs["running"], *ended]
        assert [shown[1], *shown[3:5], *shown[6:8]] == [str(count) for count in expected], lane
        text_of_lane = page(client, f"/admin/queues/{lane}/")
        figures = re.findall(r"<dd>(\d+)</dd>", part(text_of_lane, "figures"))
        workers = world.count("huey.consumer", "%s = any(lanes)", (lane,))
        assert figures == [str(count) for count in (*expected[:3], workers, *expected[3:])], lane
        assert "No worker has reported for more than an hour" in text_of_lane


def test_a_queue_shows_shares_and_why_its_jobs_wait(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    for _ in range(2):
        add_job(world.database, world.a.tenant_id, "waiting")
    text = page(client, "/admin/queues/attribution/")
    assert cells(part(text, "tenants"), "Acme")[2:4] == ["3", "75.0\u202f%"]
    assert cells(part(text, "tenants"), "Bolt")[2:4] == ["1", "25.0\u202f%"]
    assert cells(part(text, "tasks"), PING.replace(".", ".<wbr>"))[2] == "4"
    assert part(text, "first").count("no consumer: nobody drains lane attribution") == 4
    assert "behind 3 jobs" in part(text, "first")


def test_pause_and_resume_a_lane(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    assert steer(client, "ingest", "pause", None, minutes="15").status_code == 303
    (state,) = world.database.query(
        "select paused_by, pause_reason, round(extract(epoch from resume_at - paused_at) / 60)::int"
        " from huey.lane where paused_at is not null"
    )
    assert state == (world.admin, "tests say so", 15)
    text = page(client, "/admin/queues/ingest/")
    assert "Queue paused" in text and "tests say so" in text and "ends by itself at" in text
    assert "paused" in cells(page(client, "/admin/queues/"), "ingest")[0]
    response = steer(client, "ingest", "pause", None)
    assert response.status_code == 409 and f"Already paused by {world.admin}" in response.get_data(as_text=True)
    assert steer(client, "ingest", "resume", None).status_code == 303
    assert steer(client, "ingest", "resume", None).status_code == 409
    assert world.count("huey.lane", "paused_at is not null") == 0
    assert audited(world) == [
        (world.admin, verb, "lane", "ingest", None, "tests say so", {}) for verb in ("pause", "resume")
    ]
    assert "/admin/queues/ingest/" in page(client, "/admin/audit/")


def test_a_paused_task_holds_the_jobs_of_every_tenant(world: World, client_of: Client) -> None:
    client, query = client_of(world.admin), f"?task={PING}"
    add_job(world.database, None, "waiting")
    b = str(world.b.tenant_id)
    assert steer(client, "attribution", "pause", world.b.tenant_id, query=f"?tenant={b}").status_code == 303
    assert held(world) == {(b, "waiting"), (b, "scheduled")}
    assert steer(client, "attribution", "pause", None, query=query, minutes="60").status_code == 303
    waiting = world.count("huey.job", "state <> 'running'")
    assert world.count("huey.job", "held") == waiting == 5
    text = page(client, "/admin/queues/attribution/")
    assert f"paused: task {PING}: tests say so" in part(text, "first")
    assert cells(part(text, "tasks"), PING.replace(".", ".<wbr>"))[0] == "paused"
    assert steer(client, "attribution", "resume", None, query=query).status_code == 303
    assert held(world) == {(b, "waiting"), (b, "scheduled")}, "the tenant is paused still"
    assert [(row[1], row[4], row[6]) for row in audited(world)] == [
        ("pause", b, {}),
        ("pause", None, {"task": PING}),
        ("resume", None, {"task": PING}),
    ]


def test_an_operator_of_one_tenant_pauses_that_tenant_only(world: World, client_of: Client) -> None:
    client, query = client_of(world.operator_a), f"?tenant={world.a.tenant_id}"
    assert 'name="minutes"' in page(client, f"/admin/queues/attribution/pause{query}")
    assert steer(client, "attribution", "pause", world.a.tenant_id, query=query).status_code == 303
    assert held(world) == {(str(world.a.tenant_id), "waiting"), (str(world.a.tenant_id), "scheduled")}
    assert world.count("huey.tenant_rule", "paused_at is not null and resume_at is null") == 1
    assert "paused" in cells(part(page(client, f"/admin/queues/attribution/{query}"), "tenants"), "Acme")[0]
    assert steer(client, "attribution", "resume", world.a.tenant_id, query=query).status_code == 303
    assert held(world) == set()


def test_eight_at_once_pause_once(world: World, app: Flask) -> None:
    clients = [app.test_client() for _ in range(8)]
    for client in clients:
        sign_in(client, world.admin)
    tokens = [token_of(client, "/admin/account/") for client in clients]
    together, codes = threading.Barrier(8), list[int]()

    def press(client: FlaskClient, token: str) -> None:
        data = {"reason": "all at once", "tenant": "none", "csrf_token": token}
        together.wait(10)
        codes.append(client.post(f"/admin/queues/attribution/pause?task={PING}", data=data).status_code)

    threads = [threading.Thread(target=press, args=pair) for pair in zip(clients, tokens, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(codes) == [303] + [409] * 7
    assert len(audited(world)) == 1


def test_a_failed_audit_row_takes_the_pause_back(
    world: World, client_of: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no audit row")

    client = client_of(world.admin)
    monkeypatch.setattr(auth, "record", broken)
    assert steer(client, "ingest", "pause", None).status_code == 500
    assert world.count("huey.lane", "paused_at is not null") == 0


def test_what_is_wrong_in_the_form_changes_nothing(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    response = steer(client, "ingest", "pause", None, reason="four", minutes="60")
    text = response.get_data(as_text=True)
    assert response.status_code == 400 and 'id="reason-error"' in text
    assert 'value="four"' in text and '<option value="60" selected>' in text
    assert steer(client, "ingest", "pause", None, minutes="99").status_code == 400
    assert steer(client, "ingest", "pause", None, query="?task=no.such.task").status_code == 404
    assert steer(client, "ingest", "delete", None).status_code == 404
    assert client.post("/admin/queues/ingest/pause", data={"reason": "no token", "tenant": "none"}).status_code == 400
    assert client.get("/admin/queues/ingest/pause").status_code == 200
    assert world.count("huey.lane", "paused_at is not null") == 0 and audited(world) == []


def test_a_viewer_sees_but_may_not_pause(world: World, client_of: Client) -> None:
    client, query = client_of(world.viewer_a), f"?tenant={world.a.tenant_id}"
    assert 'disabled title="Needs the role operator in this tenant"' in page(
        client, f"/admin/queues/attribution/{query}"
    )
    assert steer(client, "attribution", "pause", world.a.tenant_id, query=query).status_code == 403
    add_user(world.database, "viewer@example.com", "viewer")
    everywhere = client_of("viewer@example.com")
    assert 'title="Needs the role operator in all tenants"' in page(everywhere, "/admin/queues/attribution/")
    assert steer(everywhere, "attribution", "pause", None).status_code == 403
    assert held(world) == set() and audited(world) == []
