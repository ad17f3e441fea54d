"""One id, from an HTTP request through enqueue, attempt, retry, chain, dead letter and replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from admin import create_app
from skeldir_huey import config
from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import dead_letters
from tests import work
from tests.cluster import Database
from tests.conftest import JsonLog
from tests.e2e.conftest import StartConsumer
from tests.factories import make_tenant
from tests.waiting import until


@pytest.fixture
def app(database: Database, monkeypatch: pytest.MonkeyPatch, json_log: JsonLog) -> Iterator[Flask]:
    """The real console, with two addresses more: one enqueues a chain, one replays."""
    monkeypatch.setenv("SKELDIR_SECRET_KEY", "tests-only-secret-key-of-enough-length")
    config.reload()
    made = create_app()
    json_log.reinstall()  # create_app logs to stderr

    @made.get("/test/enqueue/<uuid:tenant>")
    def enqueue(tenant: UUID) -> str:
        work.huey.enqueue(
            work.second_time_lucky.s(tenant_id=tenant).then(work.fails_while_broken, "x", tenant_id=tenant)
        )
        return "enqueued"

    @made.get("/test/replay/<uuid:tenant>/<uuid:letter>")
    def replay(tenant: UUID, letter: UUID) -> str:
        with transaction(tenant) as connection:
            return dead_letters.replay(connection, letter)

    yield made


def test_one_id_all_the_way(database: Database, start_consumer: StartConsumer, app: Flask, json_log: JsonLog) -> None:
    tenant = make_tenant(database, "alpha")
    database.query("create table test_broken (); grant select on test_broken to app_user")
    consumer = start_consumer()
    wanted = str(uuid4())
    answer = app.test_client().get(f"/test/enqueue/{tenant}", headers={"X-Request-ID": wanted})
    assert answer.status_code == 200 and answer.headers["X-Request-ID"] == wanted
    (line,) = [line for line in json_log.lines() if line["event"] == "http_request"]
    assert (line["correlation_id"], line["path"], line["status"]) == (wanted, f"/test/enqueue/{tenant}", 200)

    letters = "select id, correlation_id::text, status from worker_failed_jobs"
    until(lambda: database.query(letters), 30, consumer.log.read_text)
    ((letter, correlation, _),) = database.query(letters)
    assert correlation == wanted

    database.query("drop table test_broken")
    again = app.test_client().get(f"/test/replay/{tenant}/{letter}")
    assert again.status_code == 200 and again.headers["X-Request-ID"] != wanted, "a request without id gets its own"
    until(lambda: database.query(letters)[0][2] == "resolved", 30, consumer.log.read_text)

    def told() -> list[dict[str, Any]]:
        return [line for line in consumer.lines() if line["correlation_id"] == wanted]

    lines = until(lambda: told() if len(told()) >= 5 else [], 30, consumer.log.read_text)  # an end is told after it
    assert [(line["event"], line["task_name"]) for line in lines] == [
        ("job_errored", "test.second_time_lucky"),
        ("job_done", "test.second_time_lucky"),
        ("job_errored", "test.fails_while_broken"),
        ("job_dead", "test.fails_while_broken"),
        ("job_done", "test.fails_while_broken"),
    ]
    assert {line["tenant_id"] for line in lines} == {str(tenant)}
    attempts = "select outcome from huey.job_attempt where correlation_id = %s order by ended_at, id"
    assert [outcome for (outcome,) in database.query(attempts, (wanted,))] == ["errored", "done", "dead", "done"]


@pytest.mark.parametrize("sent", ["", "no uuid", "1" * 32 + "; drop", "x" * 5000])
def test_an_id_that_is_none_is_replaced(app: Flask, json_log: JsonLog, sent: str) -> None:
    answer = app.test_client().get("/healthz", headers={"X-Request-ID": sent})
    made = UUID(answer.headers["X-Request-ID"])
    (line,) = [line for line in json_log.lines() if line["event"] == "http_request"]
    assert line["correlation_id"] == str(made)


def test_a_proxys_id_without_dashes_is_the_same_id(app: Flask) -> None:
    sent = uuid4()
    assert app.test_client().get("/healthz", headers={"X-Request-ID": sent.hex}).headers["X-Request-ID"] == str(sent)


def test_no_line_has_the_query_and_an_error_is_logged_once(app: Flask, json_log: JsonLog) -> None:
    @app.get("/test/fails")
    def fails() -> str:
        raise ValueError("broken on purpose")

    assert app.test_client().get("/test/fails?search=ann%40example.org").status_code == 500
    assert "ann" not in json_log.text()
    told = [line for line in json_log.lines() if "broken on purpose" in str(line)]
    assert [line["event"] for line in told] == ["request_failed"]
    assert [line["status"] for line in json_log.lines() if line["event"] == "http_request"] == [500]


def test_the_id_of_one_request_ends_with_it(app: Flask, database: Database) -> None:
    tenant = make_tenant(database, "alpha")
    app.test_client().get(f"/test/enqueue/{tenant}", headers={"X-Request-ID": str(UUID(int=5))})
    work.add(1, 2)
    found = "select correlation_id::text from huey.job where task_name = 'test.add'"
    assert database.value(found) != str(UUID(int=5))
