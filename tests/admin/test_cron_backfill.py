"""Missed minutes of a periodic task: shown with how late each ran, and made up for once each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from huey import crontab
from werkzeug.test import TestResponse

from admin.reads import ticks
from admin.show import DASH
from skeldir_huey.main import huey
from skeldir_huey.queue import cron
from skeldir_huey.tasks.base import periodic
from tests.admin.reading import cells, figures, page
from tests.admin.world import World, add_user, sign_in, token_of

Client = Callable[[str | None], FlaskClient]
NAME = "test.every_five"
REASON = "the night shift had it paused"


@pytest.fixture(autouse=True)
def every_five() -> Iterator[None]:
    task = periodic(crontab(minute="*/5"), name=NAME, lane="housekeeping")(lambda: None)
    yield
    task.unregister()
    huey.storage.close()


def minutes_ago(world: World, minutes: int) -> dt.datetime:
    """Return a due minute about so long ago."""
    now: dt.datetime = world.database.value("select date_trunc('minute', now())")
    at = now.astimezone(dt.UTC) - dt.timedelta(minutes=minutes)
    return at - dt.timedelta(minutes=at.minute % 5)


def query(first: dt.datetime, last: dt.datetime) -> str:
    return f"?from={first:%Y-%m-%dT%H:%M}&to={last:%Y-%m-%dT%H:%M}"


def send(
    client: FlaskClient, range_: str, *, reason: str = REASON, tenant: str = "none", name: str = NAME
) -> TestResponse:
    data = {"reason": reason, "tenant": tenant, "csrf_token": token_of(client, "/admin/account/")}
    return client.post(f"/admin/cron/{name}/backfill{range_}", data=data)


def tick(at: dt.datetime) -> None:
    cron.tick(huey, at)


def test_each_missed_minute_gets_one_job_and_those_that_had_one_none(world: World, client_of: Client) -> None:
    client, first = client_of(world.admin), minutes_ago(world, 30)
    last = first + dt.timedelta(minutes=20)
    tick(first)
    ran = cron.tick_id(f"housekeeping:{NAME}@{first:%Y-%m-%dT%H:%M}")
    world.database.query(
        "with gone as (delete from huey.job where task_id = %s returning *) insert into huey.job_attempt (task_id,"
        " task_name, lane, attempt, outcome, ended, enqueued_at, claimed_at, ended_at, wait_ms, run_ms) select task_id,"
        " task_name, lane, 1, 'done', true, %s, %s, %s::timestamptz + interval '3 hours', 1, 500 from gone",
        (ran, first, first + dt.timedelta(seconds=90), first),
    )
    tick(first + dt.timedelta(minutes=5))
    text = page(client, f"/admin/cron/{NAME}/backfill{query(first, last)}")
    assert figures(text) == {"Due minutes": "5", "Had a job": "2", "To be made up for": "3"}
    mine = ("task_name = %s", (NAME,))
    assert world.count("huey.job", *mine) == 1, "a dry run writes nothing"
    assert send(client, query(first, last)).status_code == 303
    keys = {row[0] for row in world.database.query("select tick_key from huey.job where task_name = %s", (NAME,))}
    assert keys == {f"housekeeping:{NAME}@{first + dt.timedelta(minutes=5 * n):%Y-%m-%dT%H:%M}" for n in range(1, 5)}
    ((detail, reason, target),) = world.database.query(
        "select detail, reason, target_id from console_audit where action = 'cron_backfill'"
    )
    assert len(detail["minutes"]) == 3 and (reason, target) == (REASON, NAME)
    again = send(client, query(first, last))
    assert again.status_code == 303 and world.count("huey.job", *mine) == 4
    assert "Every due minute of this range has its job already" in page(client, "/admin/cron/")
    assert world.count("console_audit", "action = 'cron_backfill'") == 1


def test_two_at_once_make_one_job_per_minute(world: World, app: Flask) -> None:
    clients, first = [app.test_client() for _ in range(4)], minutes_ago(world, 60)
    for client in clients:
        sign_in(client, world.admin)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda client: send(client, query(first, first + dt.timedelta(minutes=45))), clients))
    assert world.count("huey.job", "task_name = %s", (NAME,)) == 10
    added = world.database.query("select detail->'minutes' from console_audit where action = 'cron_backfill'")
    assert sum(len(row[0]) for row in added) == 10, "no minute stands in two audit rows"


def test_a_minute_that_is_over_is_not_run_again(world: World, client_of: Client) -> None:
    """What is in no table any more but the history had its job: the history says so by the id."""
    client, first = client_of(world.admin), minutes_ago(world, 30)
    send(client, query(first, first))
    world.database.query(
        "with gone as (delete from huey.job where task_name = %s returning *) insert into huey.job_attempt (task_id,"
        " task_name, lane, attempt, outcome, ended, enqueued_at, ended_at) select task_id, task_name, lane, 1, 'dead',"
        " true, now(), now() from gone",
        (NAME,),
    )
    assert send(client, query(first, first)).status_code == 303
    assert world.count("huey.job", "task_name = %s", (NAME,)) == 0
    assert world.count("console_audit", "action = 'cron_backfill'") == 1


def test_the_page_of_a_task_says_how_late_each_minute_began(world: World, client_of: Client) -> None:
    client, at = client_of(world.admin), minutes_ago(world, 10)
    tick(at)
    task_id = world.database.value("select task_id from huey.job where task_name = %s", (NAME,))
    world.database.query(
        "insert into huey.job_attempt (task_id, task_name, lane, attempt, outcome, ended, enqueued_at, claimed_at,"
        " ended_at, wait_ms, run_ms) values (%s, %s, 'housekeeping', 1, 'done', true, %s, %s, now(), 1, 2500)",
        (task_id, NAME, at, at + dt.timedelta(seconds=75)),
    )
    world.database.query("delete from huey.job where task_id = %s", (task_id,))
    text = page(client, f"/admin/cron/{NAME}/")
    shown = cells(text, f"{at:%b %d %H:%M}")
    assert shown == ["done", "1 min 15 s", "2.5 s"]
    assert cells(text, f"{at - dt.timedelta(minutes=5):%b %d %H:%M}") == ["no job", DASH, DASH]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (-dt.timedelta(days=8), dt.timedelta(), "older history is not kept"),
        (dt.timedelta(), dt.timedelta(days=1), "is in the future"),
        (dt.timedelta(), -dt.timedelta(hours=1), "is before the first minute"),
        (-dt.timedelta(days=2), dt.timedelta(), f"choose at most {ticks.MOST}"),
    ],
)
def test_a_range_is_bounded_and_what_was_typed_is_kept(
    world: World, client_of: Client, first: dt.timedelta, last: dt.timedelta, words: str
) -> None:
    client, base = client_of(world.admin), minutes_ago(world, 30)
    range_ = query(base + first, base + last)
    response = send(client, range_)
    text = response.get_data(as_text=True)
    assert response.status_code == 400 and words in text and f'value="{base + first:%Y-%m-%dT%H:%M}"' in text
    assert client.get(f"/admin/cron/{NAME}/backfill{range_}").status_code == 400
    assert client.get(f"/admin/cron/{NAME}/backfill?from=1%2B1&to=x").status_code == 400
    assert world.count("huey.job", "task_name = %s", (NAME,)) == 0


def test_who_may(world: World, client_of: Client) -> None:
    first = minutes_ago(world, 30)
    for email, tenant in ((world.viewer_a, world.a.tenant_id), (world.operator_a, world.a.tenant_id)):
        client = client_of(email)
        in_scope = f"{query(first, first)}&tenant={tenant}"
        assert "disabled" in page(client, f"/admin/cron/{NAME}/?tenant={tenant}")
        assert send(client, in_scope).status_code == 400
        assert send(client, in_scope, tenant=str(tenant)).status_code == 400
    add_user(world.database, "viewer@example.com", "viewer")
    assert send(client_of("viewer@example.com"), query(first, first)).status_code == 403
    assert world.count("console_audit", "action = 'cron' and result = 'refused'") == 1
    assert send(client_of(world.admin), query(first, first), name="no.such.task").status_code == 404
    assert world.count("huey.job", "task_name = %s", (NAME,)) == 0
    assert world.count("console_audit", "action = 'cron_backfill'") == 0
