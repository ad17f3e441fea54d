"""States of pages: nothing yet, nothing matches, gone, session ended, too slow, broken; each says what it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from admin import panels, scope
from skeldir_huey.db.engine import dispose
from tests.admin.test_pages import page, tile
from tests.admin.world import World, add_attempt, add_job, sign_in, token_of

Client = Callable[[str | None], FlaskClient]


def needs(text: str) -> list[str]:
    """Return the lines of "Needs you now", without tags."""
    part = text.split('id="needs"')[1].split("</section>")[0]
    return [" ".join(re.sub(r"<[^>]+>", " ", line).split()) for line in re.findall(r"<li.*?</li>", part, re.S)]


def test_nothing_yet_says_what_makes_it_appear(world: World, client_of: Client) -> None:
    world.database.query("delete from huey.job; delete from huey.run_delta")
    client = client_of(world.admin)
    for path, words in (
        ("/admin/jobs/", "A job appears here while a worker executes it"),
        ("/admin/jobs/?state=waiting", "from the moment they are enqueued"),
        ("/admin/", "No job ended in 24 h"),
    ):
        assert words in page(client, path), path


def test_nothing_matches_names_the_filter_and_clears_it(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    for path in ("/admin/jobs/?queue=llm&q=task:nothing", "/admin/cron/?q=nothing"):
        text = page(client, path)
        assert "nothing</code>" in text and "Clear filter" in text, path


def test_a_session_that_ended_keeps_what_was_typed(world: World, app: Flask, client_of: Client) -> None:
    client, path = (
        client_of(world.operator_a),
        f"/admin/jobs/{add_job(world.database, world.a.tenant_id, 'waiting')}/cancel",
    )
    data = {
        "reason": "typed for a <long> while",
        "tenant": str(world.a.tenant_id),
        "csrf_token": token_of(client, "/admin/account/"),
    }
    client.delete_cookie("skeldir")
    response = client.post(f"{path}?tenant={world.a.tenant_id}", data=data)
    text = response.get_data(as_text=True)
    assert response.status_code == 401 and "typed for a &lt;long&gt; while" in text and data["csrf_token"] not in text
    back = f"{path}?tenant={world.a.tenant_id}"
    assert f'href="/admin/login?next={quote(back)}"' in text
    assert world.count("console_audit", "action = 'cancel'") == 0 == world.count("huey.result")
    assert sign_in(client, world.operator_a).status_code == 302
    assert 'value="typed for a <long> while"' in page(client, back), "the reason is offered again"
    assert 'value="typed' not in page(client, back), "once"


def test_a_read_that_is_too_slow_is_503_and_a_panel_only_says_so(
    world: World, client_of: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scope, "STATEMENT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(panels, "STATEMENT_TIMEOUT_S", 1.0)
    client = client_of(world.admin)
    task_id = add_job(world.database, world.a.tenant_id, "waiting")
    with world.database.connect() as holder, holder.cursor() as cursor:
        cursor.execute("lock table huey.run_delta in access exclusive mode")
        text = page(client, "/admin/")
        cursor.execute("lock table huey.job in access exclusive mode")
        response = client.get(f"/admin/jobs/{task_id}/")
        holder.rollback()
    assert text.count("took longer than 5 s") >= 4 and tile(text, "Waiting") == "3"
    assert response.status_code == 503 and "longer than 5 s" in response.get_data(as_text=True)


def test_without_a_database_the_page_has_a_request_id(
    world: World, client_of: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(world.admin)
    dispose()
    monkeypatch.setattr("skeldir_huey.db.urls.url_of", lambda who: "postgresql+psycopg2://console@127.0.0.1:1/none")
    response = client.get("/admin/")
    text = response.get_data(as_text=True)
    assert response.status_code == 500 and "Something broke" in text
    assert f"<code>{response.headers['X-Request-Id']}</code>" in text and "psycopg2" not in text
    monkeypatch.undo()
    dispose()
    assert client.get("/admin/").status_code == 200, "it recovers alone"


def test_a_jump_of_failures_needs_you(world: World, client_of: Client) -> None:
    database = world.database
    database.query("delete from huey.run_delta")
    for hours in range(2, 20):
        for _ in range(10):
            add_attempt(database, None, "done", lane="llm", ago=f"{hours} hours")
    for _ in range(12):
        add_attempt(database, None, "done", lane="llm", ago="5 minutes")
    client = client_of(world.admin)
    assert not [line for line in needs(page(client, "/admin/")) if "rose" in line]
    for _ in range(4):
        add_attempt(database, None, "dead", lane="llm", ago="5 minutes")
    (line,) = [line for line in needs(page(client, "/admin/")) if "rose" in line]
    assert line.startswith("Failures in llm rose to 25.0 %") and "4 died" in line


def test_a_scheduler_that_stands_still_needs_you(world: World, client_of: Client) -> None:
    world.database.query(
        "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version) values"
        " (gen_random_uuid(), 'h', 1, 'thread', 1, '{llm}', '1')"
    )
    world.database.query("insert into huey.tick values ('t', now() - interval '4 minutes')")
    client = client_of(world.admin)
    assert [line for line in needs(page(client, "/admin/")) if line.startswith("Cron is missed")]
    world.database.query("update huey.tick set last_tick = now()")
    assert not [line for line in needs(page(client, "/admin/")) if line.startswith("Cron is missed")]


def test_charts_by_queue_tenant_and_task_sum_up_to_the_same(world: World, client_of: Client) -> None:
    database, client = world.database, client_of(world.admin)
    for number in range(7):
        world.database.query("insert into tenants (id, name, display_name) values (gen_random_uuid(), %s, %s)",
                             (f"t{number}", f"Tenant {number}"))  # fmt: skip
        tenant = database.value("select id from tenants where name = %s", (f"t{number}",))
        for _ in range(number + 1):
            add_attempt(database, tenant, "done", lane="ingest", ago=str(timedelta(hours=number)))
    total = world.count("huey.job_attempt", "outcome = 'done' and ended_at > now() - interval '24 hours'")
    for by, series in (("queue", 2), ("tenant", 6), ("task", 1)):
        text = page(client, f"/admin/?by={by}")
        legend = text.split('id="throughput"')[1].split("</ul>")[0]
        counts = [int(one) for one in re.findall(r"<b>(\d+)</b>", legend)]
        assert sum(counts) == total and len(counts) == series, by
    assert "other" in page(client, "/admin/?by=tenant").split('id="throughput"')[1].split("</ul>")[0]
    assert client.get("/admin/?by=x").status_code == 400
