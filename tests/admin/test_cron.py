"""Cron: the page says what is so, and pause, resume and run now do what they say, once, with an audit row each."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from huey import crontab
from werkzeug.test import TestResponse

from skeldir_huey.main import huey
from skeldir_huey.queue import cron, schedule
from tests.admin.test_pages import cells, page
from tests.admin.world import World, add_attempt, token_of

Client = Callable[[str | None], FlaskClient]
REFRESH, DAILY = "skeldir.reports.refresh_realtime", "skeldir.ledger.reconcile_daily"
DAY = dt.date(2026, 11, 21)


class Rule:
    """Looks like a periodic task."""

    def __init__(self, **fields: str) -> None:
        self.validate_datetime = crontab(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "every minute"),
        ({"minute": "*/5"}, "every 5 minutes"),
        ({"minute": "10"}, "every hour at :10"),
        ({"minute": "0", "hour": "*/6"}, "every 6 hours at :00 UTC"),
        ({"minute": "15", "hour": "2"}, "every day at 02:15 UTC"),
        ({"minute": "0", "hour": "8,20"}, "every day at 08:00, 20:00 UTC"),
        ({"minute": "0", "hour": "9", "day_of_week": "1-5"}, "on weekdays at 09:00 UTC"),
        ({"minute": "0", "hour": "9", "day_of_week": "0"}, "on Sundays at 09:00 UTC"),
        ({"minute": "0", "hour": "1", "day": "1"}, "on day 1 of each month at 01:00 UTC"),
        ({"minute": "0", "hour": "0", "day": "31", "month": "2"}, "never within a year"),
    ],
)
def test_a_crontab_in_plain_words(fields: dict[str, str], words: str) -> None:
    assert schedule.words(Rule(**fields), DAY) == words


def test_the_next_and_the_last_due_minute() -> None:
    at = dt.datetime(2026, 11, 21, 2, 15, 30, tzinfo=dt.UTC)
    rule = Rule(minute="15", hour="2")
    assert schedule.last_due(rule, at) == at.replace(second=0)
    assert schedule.next_due(rule, at) == at.replace(day=22, second=0)
    assert schedule.next_due(Rule(minute="0", hour="0", day="31", month="2"), at) is None


def steer(
    client: FlaskClient, verb: str, *names: str, reason: str = "tests say so", path: str = "/admin/cron/"
) -> TestResponse:
    data = {"verb": verb, "task": list(names), "reason": reason, "tenant": "none"}
    data["csrf_token"] = token_of(client, "/admin/account/")
    return client.post(path, data=data)


def tick(database_now: dt.datetime) -> int:
    return cron.tick(huey, database_now)


def test_a_pause_lets_minutes_pass_and_a_resume_goes_on(world: World, client_of: Client) -> None:
    client, minute = client_of(world.admin), dt.datetime(2030, 1, 1, 12, 0, tzinfo=dt.UTC)
    assert steer(client, "pause", REFRESH, DAILY).status_code == 303
    assert {row[0] for row in world.database.query("select task_name from huey.cron_pause")} == {REFRESH, DAILY}
    mine = "task_name = %s and tick_key is not null"
    tick(minute)
    assert world.count("huey.job", mine, (REFRESH,)) == 0
    text = page(client, "/admin/cron/?state=paused")
    assert "2 paused" in text and f"paused by {world.admin}" in text and "tests say so" in text
    assert set(re.findall(r'aria-label="Tick ([\w.]+)"', text)) == {REFRESH, DAILY}
    assert steer(client, "resume", REFRESH).status_code == 303
    tick(minute + dt.timedelta(minutes=3))
    assert world.count("huey.job", mine, (REFRESH,)) == 1, "what passed while it was paused is not caught up"
    audit = world.database.query(
        "select action, target_id, reason from console_audit where target_type = 'cron' order by id"
    )
    assert audit == [
        ("cron_pause", DAILY, "tests say so"),
        ("cron_pause", REFRESH, "tests say so"),
        ("cron_resume", REFRESH, "tests say so"),
    ]
    huey.storage.close()


def test_pausing_twice_changes_nothing(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    steer(client, "pause", REFRESH)
    before = world.database.query("select * from huey.cron_pause")
    assert steer(client, "pause", REFRESH, reason="a second one").status_code == 303
    assert world.database.query("select * from huey.cron_pause") == before
    assert world.count("console_audit", "target_type = 'cron'") == 1


def test_only_an_operator_of_all_tenants_steers(world: World, client_of: Client) -> None:
    path = f"/admin/cron/?tenant={world.a.tenant_id}"
    text = page(client_of(world.operator_a), path)
    assert 'type="checkbox"' not in text and "Needs the role operator in all tenants" in text
    response = steer(client_of(world.operator_a), "pause", REFRESH, path=path)
    assert response.status_code in (400, 403, 404)
    assert world.count("huey.cron_pause") == 0 and world.count("console_audit", "target_type = 'cron'") == 0


def test_a_refused_form_keeps_what_was_typed(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    for reason, names, words in (("no", [REFRESH], "say why"), ("long enough", [], "tick at least one task")):
        response = steer(client, "pause", *names, reason=reason)
        text = response.get_data(as_text=True)
        assert response.status_code == 400 and words in text and f'value="{reason}"' in text
        assert all(f'value="{name}" form="steer" aria-label="Tick {name}" checked' in text for name in names)
    assert steer(client, "pause", "skeldir.no.such_task").status_code == 404
    assert world.count("huey.cron_pause") == 0


def run_now(client: FlaskClient, name: str) -> TestResponse:
    data = {"reason": "cannot wait until tonight", "tenant": "none", "csrf_token": token_of(client, "/admin/account/")}
    return client.post(f"/admin/cron/{name}/run", data=data)


def test_run_now_makes_one_job_with_a_reason(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    assert "Run this task now?" in page(client, f"/admin/cron/{DAILY}/run")
    response = run_now(client, DAILY)
    assert response.status_code == 303
    ((task_id,),) = world.database.query("select task_id from huey.job where task_name = %s", (DAILY,))
    assert response.headers["Location"] == f"/admin/jobs/{task_id}/"
    assert (
        world.count(
            "console_audit", "action = 'cron_run' and target_id = %s and detail->>'task_id' = %s", (DAILY, task_id)
        )
        == 1
    )
    first, second = run_now(client, REFRESH), run_now(client, REFRESH)
    assert first.headers["Location"] == second.headers["Location"], "the second one leads to the job that is there"
    assert "waits or runs already" in page(client, second.headers["Location"])
    assert world.count("huey.job", "task_name = %s", (REFRESH,)) == 1, "it is unique while one waits"
    assert world.count("console_audit", "action = 'cron_run'") == 2
    assert client.get("/admin/cron/nothing/run").status_code == 404


def test_last_result_and_missed_are_those_of_the_tables(world: World, client_of: Client) -> None:
    client, database = client_of(world.admin), world.database
    task_id = add_attempt(database, None, "done", run_ms=2500, lane="maintenance", ago="2 minutes")
    older = add_attempt(database, None, "dead", run_ms=100, lane="maintenance", ago="3 minutes")
    database.query("update huey.job_attempt set task_name = %s where task_id in (%s, %s)", (REFRESH, task_id, older))
    database.query("insert into huey.tick values (%s, now())", (REFRESH,))
    shown = cells(page(client, f"/admin/cron/?q={REFRESH}"), REFRESH.replace(".", ".<wbr>"))
    text = page(client, f"/admin/cron/?q={REFRESH}")
    assert "enabled" in shown[0] or "enabled" in shown[1]
    assert f"/admin/jobs/{task_id}/" in text and older not in text and "2.5\u202fs" in text
    database.query("update huey.tick set last_tick = now() - interval '10 minutes'")
    database.query("update huey.job_attempt set outcome = 'dead' where task_id = %s", (task_id,))
    assert "missed" in page(client, f"/admin/cron/?q={REFRESH}") and "not looked at since" in page(
        client, "/admin/cron/"
    )
    database.query("update huey.tick set last_tick = now()")
    assert ">failed</span>" in page(client, f"/admin/cron/?q={REFRESH}&state=failed")
