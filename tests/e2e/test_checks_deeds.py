"""What an operator does, with a real worker, a real server and several browsers: it happens once, and the page says so.

Checks 25, 29, 30 and 45 of docs/console.md.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from html import unescape

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, expect

from tests import work
from tests.admin.world import add_user, make_world, sign_in, start_console, steer
from tests.cluster import Cluster, Database
from tests.conftest import TEMPLATE, point_at, prepare
from tests.e2e.chrome import arrived, console, enter
from tests.e2e.conftest import StartConsumer
from tests.e2e.test_checks_pages import RULES, violations
from tests.factories import make_tenant
from tests.queue.test_bulk_letters import add_letters
from tests.waiting import until

ADMIN = "admin@example.com"
ALL = 1000


@pytest.fixture
def client(database: Database) -> FlaskClient:
    """Somebody who may do everything, without a browser."""
    add_user(database, ADMIN, "admin")
    made = start_console().test_client()
    assert sign_in(made, ADMIN).status_code == 302
    return made


def text_of(client: FlaskClient, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return unescape(response.get_data(as_text=True))


@pytest.mark.chromium
@pytest.mark.timeout(240)
def test_a_thousand_are_replayed_once_by_two_who_click_twice(
    database: Database, start_consumer: StartConsumer, started: Browser
) -> None:
    """Check 25: two browsers, each with a draft of all 1,000 and a double click, and a worker: 1,000 new runs."""
    tenants = [make_tenant(database, name) for name in ("alpha", "beta")]
    for tenant in tenants:
        add_letters(database, tenant, ALL // 2)
    add_user(database, ADMIN, "admin")
    with console() as address:
        contexts = [started.new_context() for _ in range(2)]
        pages = [context.new_page() for context in contexts]
        for page in pages:
            enter(page, address, ADMIN, "/admin/dead/")
            page.locator(".error-card").get_by_role("button", name="Replay all").click()
            arrived(page, re.compile("1\u202f000 dead letters"))
            page.locator("main").get_by_label("Reason").fill("all of them, at once")
        for page in pages:
            # Both forms leave before either answer is there.
            press = "let go = document.querySelector('main form[action$=confirm] button:not([type=button])')"
            page.evaluate(f"setTimeout(() => {{ {press}; go.click(); go.click() }}, 0)")
        for page in pages:
            expect(page.locator("#progress")).to_be_visible()
        start_consumer("-w", "2")
        jobs = "select count(*)::int, count(distinct letter_id)::int from huey.job_attempt where letter_id is not null"
        ended = "select count(*) from huey.bulk_operation where state = 'done'"
        until(lambda: database.value(ended) == 2, 120, lambda: database.query("select * from huey.bulk_share"))
        until(lambda: database.value("select count(*) from huey.job where letter_id is not null") == 0, 60)
        assert database.query(jobs) == [(ALL, ALL)]
        assert database.value("select count(*) from worker_failed_jobs where status = 'resolved'") == ALL
        said = []
        for page in pages:
            page.reload()
            said.append(page.locator("#progress").inner_text())
        for context in contexts:
            context.close()
    queued = [
        int(number.replace("\u202f", "")) for text in said for number in re.findall(r"([\d\u202f]+) queued", text)
    ]
    assert sum(queued) == ALL, said


def test_a_pause_holds_and_a_resume_lets_go(
    client: FlaskClient, database: Database, start_consumer: StartConsumer
) -> None:
    """Check 29: while paused what waits grows and nothing starts; who and why are on the page; it ends by itself."""
    tenant = make_tenant(database, "alpha")
    consumer = start_consumer("-w", "2")
    started = "select count(*) from huey.job_attempt where lane = 'ingest'"
    work.effect("before", tenant_id=tenant)
    until(lambda: database.value(started) == 1, 30, consumer.log.read_text)
    assert steer(client, "ingest", "pause", None, minutes="15").status_code == 303
    for count in range(1, 6):
        work.effect(f"held {count}", tenant_id=tenant)
        figures = re.findall(r"<dt>Waiting</dt><dd[^>]*>([^<]*)</dd>", text_of(client, "/admin/queues/ingest/"))
        assert figures == [str(count)]
    page = text_of(client, "/admin/queues/ingest/")
    assert "status-paused" in page and ADMIN in page and "tests say so" in page and "ends by itself at" in page
    ping = "select count(*) from huey.job_attempt where lane = 'housekeeping'"
    before = database.value(ping)
    work.huey.enqueue(work.huey._registry.string_to_task("skeldir.housekeeping.ping")())
    until(lambda: database.value(ping) > before, 30, "other lanes go on")
    assert database.value(started) == 1
    database.query("update huey.lane set resume_at = now() where name = 'ingest'")
    until(lambda: database.value(started) == 6, 30, consumer.log.read_text)
    assert "status-paused" not in text_of(client, "/admin/queues/ingest/")

    assert steer(client, "ingest", "pause", None).status_code == 303
    work.effect("held again", tenant_id=tenant)
    assert steer(client, "ingest", "resume", None).status_code == 303
    until(lambda: database.value(started) == 7, 30, consumer.log.read_text)


def test_a_killed_worker_is_missed_within_a_minute(
    client: FlaskClient, database: Database, start_consumer: StartConsumer
) -> None:
    """Check 30."""
    consumer = start_consumer()
    assert "No consumer is alive" not in text_of(client, "/admin/")
    assert 'status-failed">no consumer' not in text_of(client, "/admin/queues/")
    consumer.end(signal.SIGKILL)
    began = time.monotonic()
    until(lambda: "No consumer is alive" in text_of(client, "/admin/"), 60, consumer.log.read_text, every=0.5)
    assert time.monotonic() - began < 60
    assert 'status-failed">no consumer' in text_of(client, "/admin/queues/")


@pytest.fixture
def own_server(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server of this test alone, which it may stop."""
    made = Cluster()
    try:
        made.start()
        prepare(made)
        connection = made.database("postgres").connect(autocommit=True)
        connection.cursor().execute(f"create database stopped template {TEMPLATE} owner skeldir_owner")
        connection.close()
        monkeypatch.setenv("SKELDIR_DATA_DIR", str(tmp_path_factory.mktemp("home")))
        point_at(made.database("stopped"), monkeypatch)
        yield made
    finally:
        made.remove()


@pytest.mark.chromium
def test_a_stopped_database_is_a_page_and_recovers_alone(started: Browser, own_server: Cluster) -> None:
    """Check 45: the page has a request id and nothing else, within 6 s; an open page says that it is offline."""
    world = make_world(own_server.database("stopped"))
    with console() as address:
        context = started.new_context(reduced_motion="reduce")
        page, watching = context.new_page(), context.new_page()
        enter(page, address, world.admin, "/admin/dead/")
        watching.goto(f"{address}/admin/jobs/")
        own_server.stop()
        began = time.monotonic()
        response = page.goto(f"{address}/admin/dead/")
        assert time.monotonic() - began < 6
        assert response is not None and response.status == 500
        expect(page.get_by_role("heading", level=1)).to_have_text("Something broke")
        expect(page.locator("code")).to_have_text(response.headers["x-request-id"])
        text = page.locator("body").inner_text()
        assert not re.search(r"psycopg|sqlalchemy|Traceback|socket|postgres", text, re.IGNORECASE), text
        assert violations(page, RULES) == []
        expect(watching.locator("#live-text")).to_have_text("Offline, retrying", timeout=15_000)
        expect(watching.locator("#jobs tbody tr").first).to_be_visible()  # what was there stays
        own_server.start()
        until(lambda: page.goto(f"{address}/admin/dead/").status == 200, 30, every=0.5)  # type: ignore[union-attr]
        expect(page.locator(".error-card").first).to_be_visible()
        expect(watching.locator("#live-text")).to_have_text("Live", timeout=75_000)
        context.close()
