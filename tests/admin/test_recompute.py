"""Recompute: the grid, the dry run, and that a window is asked for once however often somebody clicks."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from admin.show import DASH
from skeldir_huey.attribution import runs as domain
from skeldir_huey.db.engine import transaction
from skeldir_huey.queue.instance import huey
from tests.admin.reading import cells, figures, page, part
from tests.admin.world import MODEL, World, sign_in, token_of
from tests.factories import make_event, make_letter

Client = Callable[[str | None], FlaskClient]


def ask(
    client: FlaskClient, tenant: UUID, start: str, end: str, *, split: str = "daily", reason: str = "tests say so"
) -> TestResponse:
    """Send the form of the dry run."""
    data = {"reason": reason, "tenant": str(tenant), "csrf_token": token_of(client, "/admin/account/")}
    query = f"?tenant={tenant}&model={MODEL}&start={start}&end={end}&split={split}"
    return client.post(f"/admin/recompute/ask{query}", data=data)


def steer(client: FlaskClient, tenant: UUID, backfill: UUID | str, verb: str) -> TestResponse:
    data = {"reason": "tests say so", "tenant": str(tenant), "csrf_token": token_of(client, "/admin/account/")}
    return client.post(f"/admin/recompute/backfills/{backfill}/{verb}?tenant={tenant}", data=data)


def grid_of(text: str, tenant: UUID) -> dict[str, str]:
    """Return the words of a tenant's cells by day."""
    found = re.findall(rf'href="\?tenant={tenant}&day=([0-9-]+)"[^>]*>([^<]*)</a>', text)
    return dict(found)


def add_run(world: World, start: str, end: str, status: str, version: str = MODEL, side: str = "a") -> UUID:
    run_id = uuid4()
    tenant = getattr(world, side).tenant_id
    world.database.query(
        "insert into attribution_recompute_jobs (tenant_id, id, window_start, window_end, model_version, status,"
        " finished_at) values (%s, %s, %s, %s, %s, %s, case when %s in ('succeeded', 'failed') then now() end)",
        (str(tenant), str(run_id), start, end, version, status, status),
    )
    return run_id


def test_runs_are_listed_filtered_and_counted(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    add_run(world, "2025-06-02T00:00Z", "2025-06-04T00:00Z", "failed")
    for query, where in (
        ("", "true"),
        ("status=failed", "status = 'failed'"),
        ("day=2025-06-03", "window_start < '2025-06-04Z' and window_end > '2025-06-03Z'"),
        ("day=2025-06-01", "window_start < '2025-06-02Z' and window_end > '2025-06-01Z'"),
        (f"tenant={world.b.tenant_id}", f"tenant_id = '{world.b.tenant_id}'"),
    ):
        text = page(client, f"/admin/recompute/?{query}")
        shown = set(re.findall(r'href="/admin/recompute/([0-9a-f-]{36})/', text))
        wanted = {
            row[0] for row in world.database.query(f"select id::text from attribution_recompute_jobs where {where}")
        }
        assert shown == wanted, query
        assert f"<b>{len(wanted)}</b> run" in text, query


def test_the_grid_says_how_each_day_stands(world: World, client_of: Client) -> None:
    a = world.a.tenant_id
    make_event(world.database, a, minutes=3 * 1440)  # 4 June: a conversion, no run
    add_run(world, "2025-06-05T00:00Z", "2025-06-07T00:00Z", "failed")
    add_run(world, "2025-06-06T00:00Z", "2025-06-07T00:00Z", "succeeded")  # later, and of one of these days
    add_run(world, "2025-06-08T00:00Z", "2025-06-09T00:00Z", "running")
    add_run(world, "2025-06-09T00:00Z", "2025-06-10T00:00Z", "pending")
    world.database.query(
        "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason) values"
        " (%s, '2025-06-01T10:00Z', '2025-06-01T11:00Z', 'late_touch')",
        (str(a),),
    )
    text = page(client_of(world.admin), "/admin/recompute/?until=2025-06-12")
    shown = grid_of(text, a)
    assert len(shown) == 30 and len(grid_of(text, world.b.tenant_id)) == 30
    assert [shown[f"2025-06-{day:02}"] for day in range(1, 13)] == [
        "late", DASH, DASH, "due", "fail", "ok", DASH, "run", "wait", DASH, DASH, DASH,
    ]  # fmt: skip
    assert grid_of(text, world.b.tenant_id)["2025-06-01"] == "ok"
    other = page(client_of(world.admin), "/admin/recompute/?until=2025-06-12&model=other@1.0.0")
    assert grid_of(other, a)["2025-06-08"] == DASH and grid_of(other, a)["2025-06-04"] == "due"


def test_a_day_after_a_refund_only_is_quiet(world: World, client_of: Client) -> None:
    make_event(
        world.database, world.a.tenant_id, kind="adjustment", minutes=5 * 1440, cents=-100, parent_event_id=world.a.sale
    )
    text = page(client_of(world.admin), "/admin/recompute/?until=2025-06-12")
    assert grid_of(text, world.a.tenant_id)["2025-06-06"] == DASH


def test_one_tenant_sees_its_own_row_only(world: World, client_of: Client) -> None:
    text = page(client_of(world.operator_a), f"/admin/recompute/?tenant={world.a.tenant_id}&until=2025-06-12")
    assert grid_of(text, world.a.tenant_id) and not grid_of(text, world.b.tenant_id)


def test_the_dry_run_counts_and_writes_nothing(world: World, client_of: Client) -> None:
    a = str(world.a.tenant_id)
    for minutes in (1440, 1500, 2 * 1440):
        make_event(world.database, world.a.tenant_id, minutes=minutes)
    make_event(
        world.database, world.a.tenant_id, kind="adjustment", minutes=1600, cents=-1, parent_event_id=world.a.sale
    )
    client = client_of(world.operator_a)
    before = world.count("attribution_recompute_jobs"), world.count("huey.job"), world.count("console_audit")
    text = page(
        client,
        f"/admin/recompute/ask?tenant={a}&model={MODEL}&start=2025-06-01&end=2025-06-03&split=daily",
    )
    shown = figures(text)
    valued = "tenant_id = %s and occurred_at >= '2025-06-01Z' and occurred_at < '2025-06-04Z' and kind = '{}'"
    assert shown["Windows"] == "3"
    for name, kind in (("Conversions", "conversion"), ("Refunds", "adjustment")):
        assert shown[name] == str(world.count("attribution_events", valued.format(kind), (a,))), name
    assert [cells(text, f"2025-06-0{day}")[:2] for day in (1, 2, 3)] == [["1", "0"], ["2", "1"], ["1", "0"]]
    assert cells(text, "2025-06-01")[2] == "succeeded" and cells(text, "2025-06-02")[2] == "none yet"
    # One run took 3 s for its one conversion; this is four.
    took = world.database.value(
        "select extract(epoch from finished_at - started_at)::float from attribution_recompute_jobs where id = %s",
        (str(world.a.run),),
    )
    assert shown["Expected time"] == f"{took * 4:.1f} s"
    assert before == (world.count("attribution_recompute_jobs"), world.count("huey.job"), world.count("console_audit"))
    world.database.query("update attribution_recompute_jobs set status = 'failed'")
    path = f"/admin/recompute/ask?tenant={a}&start=2025-06-01&end=2025-06-03"
    assert figures(page(client, path))["Expected time"] == DASH


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start=2025-06-02&end=2025-06-01", "end"),
        ("start=2025-06-31&end=2025-07-01", "start"),
        ("start=2025-06-01&end=9999-12-31", "end"),
        ("start=2024-01-01&end=2025-06-01", "end"),
        ("start=nonsense&end=2025-06-01", "start"),
    ],
)
def test_wrong_days_are_refused_at_the_field(world: World, client_of: Client, query: str, field: str) -> None:
    client = client_of(world.operator_a)
    text = page(client, f"/admin/recompute/ask?tenant={world.a.tenant_id}&{query}", 400)
    assert 'id="range-error"' in text and f'name="{field}" required value=' in text
    given = dict(part.split("=") for part in query.split("&"))
    assert ask(client, world.a.tenant_id, given["start"], given["end"]).status_code == 400
    assert world.count("huey.job", "task_name like '%%recompute%%'") == 0


def test_a_window_is_asked_for_once(world: World, app: Flask) -> None:
    # Two people, each clicking twice, at once.
    def click(email: str) -> int:
        client = app.test_client()
        sign_in(client, email)
        return ask(client, world.a.tenant_id, "2025-06-05", "2025-06-05").status_code

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(click, [world.admin, world.operator_a] * 2))
    assert codes == [303] * 4
    assert world.count("huey.job", "task_name = 'skeldir.attribution.recompute_window'") == 1
    assert world.count("console_audit", "action = 'recompute'") == 1
    run = world.database.query(
        "select r.status, r.task_id = j.task_id from attribution_recompute_jobs r"
        " join huey.job j on j.task_id = r.task_id where r.window_start = '2025-06-05Z'"
    )
    assert run == [("pending", True)]


def test_a_run_that_works_is_linked_instead_of_asked_for(world: World, client_of: Client) -> None:
    run = add_run(world, "2025-06-05T00:00Z", "2025-06-06T00:00Z", "running")
    client = client_of(world.operator_a)
    path = f"/admin/recompute/ask?tenant={world.a.tenant_id}&model={MODEL}&start=2025-06-05&end=2025-06-05"
    text = page(client, path)
    assert "is running already" in text and f"/admin/recompute/{run}/" in text
    assert 'name="reason"' not in text.split("<main")[1].split("</main>")[0]
    response = ask(client, world.a.tenant_id, "2025-06-05", "2025-06-05")
    assert response.status_code == 303 and str(run) in response.location
    assert world.count("huey.job", "task_name = 'skeldir.attribution.recompute_window'") == 0
    assert world.count("console_audit", "action = 'recompute'") == 0


def test_the_job_is_one_that_a_consumer_understands(world: World, client_of: Client) -> None:
    world.database.query("delete from huey.job")
    assert ask(client_of(world.operator_a), world.a.tenant_id, "2025-06-01", "2025-06-01").status_code == 303
    message = bytes(world.database.value("select message from huey.job"))
    task = huey.deserialize_task(message)
    assert task.name == "skeldir.attribution.recompute_window"
    assert task.kwargs["window_start"] == "2025-06-01T00:00:00+00:00"
    assert task.kwargs["window_end"] == "2025-06-02T00:00:00+00:00"
    assert task.on_complete is not None and task.on_complete.name == "skeldir.reports.refresh_all"


def test_a_viewer_and_another_tenants_operator_may_not(world: World, client_of: Client) -> None:
    assert ask(client_of(world.viewer_a), world.a.tenant_id, "2025-06-05", "2025-06-05").status_code == 403
    assert ask(client_of(world.operator_a), world.b.tenant_id, "2025-06-05", "2025-06-05").status_code == 404
    assert world.count("huey.job", "task_name like '%%recompute%%'") == 0
    path = f"/admin/recompute/ask?tenant={world.a.tenant_id}&start=2025-06-05&end=2025-06-05"
    assert "You need the role operator" in page(client_of(world.viewer_a), path)


def test_a_backfill_is_started_once_cancelled_and_resumed(world: World, client_of: Client) -> None:
    client, a = client_of(world.operator_a), world.a.tenant_id
    for _ in range(2):
        assert ask(client, a, "2025-06-01", "2025-06-03").status_code == 303
    assert world.count("backfills") == 1 == world.count("console_audit", "action = 'backfill'")
    assert world.count("huey.job", "task_name = 'skeldir.attribution.backfill_step'") == 1
    backfill = world.database.value("select id::text from backfills")
    text = page(client, f"/admin/recompute/?tenant={a}")
    row = cells(part(text, "backfills"), "2025-06-01")
    assert row[3].startswith("running") and row[4].startswith("0 of 3")
    world.database.query("update backfills set done_until = '2025-06-03Z'")
    assert cells(part(page(client, f"/admin/recompute/?tenant={a}"), "backfills"), "2025-06-01")[4].startswith("2 of 3")

    page(client, f"/admin/recompute/backfills/{backfill}/cancel?tenant={a}")
    assert steer(client, a, backfill, "cancel").status_code == 303
    assert steer(client, a, backfill, "cancel").status_code == 409
    assert world.database.value("select status from backfills") == "cancelled"
    world.database.query("delete from huey.job")
    assert steer(client, a, backfill, "resume").status_code == 303
    assert steer(client, a, backfill, "resume").status_code == 409
    assert world.database.value("select status from backfills") == "running"
    assert world.count("huey.job", "task_name = 'skeldir.attribution.backfill_step'") == 1
    actions = world.database.query("select action from console_audit where target_type = 'backfill' order by id")
    assert [action for (action,) in actions] == ["backfill", "cancel_backfill", "resume_backfill"]


def test_a_backfill_of_another_tenant_is_not_there(world: World, client_of: Client) -> None:
    ask(client_of(world.admin), world.b.tenant_id, "2025-06-01", "2025-06-03")
    backfill = world.database.value("select id::text from backfills")
    client, a = client_of(world.operator_a), world.a.tenant_id
    assert client.get(f"/admin/recompute/backfills/{backfill}/cancel?tenant={a}").status_code == 404
    assert steer(client, a, backfill, "cancel").status_code == 404
    assert steer(client, world.b.tenant_id, backfill, "cancel").status_code == 404
    assert world.database.value("select status from backfills") == "running"


def test_one_run_shows_its_checksum_and_whether_it_is_identical(world: World, client_of: Client) -> None:
    client, path = client_of(world.admin), f"/admin/recompute/{world.a.run}/"
    checksum = "select encode(checksum, 'hex') from attribution_recompute_jobs where id = %s"
    text = page(client, path)
    assert world.database.value(checksum, (str(world.a.run),)) in text and world.a.task_id in text
    assert "identical to the previous run" in text
    world.database.query("update attribution_recompute_jobs set changed_count = 7")
    text = page(client, path)
    assert "identical" not in text and "7 rows differ" in text
    world.database.query("update attribution_recompute_jobs set run_count = 1")
    assert "first run" in page(client, path)
    # Never run before: what is shown is the window's money now.
    assert cells(part(text, "channels"), "Email") == [DASH, "66.67", DASH]
    assert cells(part(text, "channels"), "Sum") == [DASH, "100.00", DASH]


def test_a_failed_run_offers_the_replay_of_its_letter(world: World, client_of: Client) -> None:
    run = add_run(world, "2025-06-05T00:00Z", "2025-06-06T00:00Z", "failed")
    world.database.query("update attribution_recompute_jobs set task_id = 'dead-one' where id = %s", (str(run),))
    letter = make_letter(world.database, world.a.tenant_id, task_id="dead-one")
    assert f"/admin/dead/{letter}/replay" in page(client_of(world.admin), f"/admin/recompute/{run}/")
    world.database.query("update worker_failed_jobs set status = 'abandoned' where id = %s", (str(letter),))
    assert "/replay" not in page(client_of(world.admin), f"/admin/recompute/{run}/")


def test_a_replayed_letter_makes_its_run_pending_again(world: World) -> None:
    # The console imports the tasks: without them nobody hears of the replay.
    identity = domain.identify(world.a.tenant_id, "2025-06-01T00:00Z", "2025-06-02T00:00Z", MODEL)
    world.database.query("update attribution_recompute_jobs set status = 'failed'")
    with transaction(world.a.tenant_id, role="console_tenant", who="console") as connection:
        domain.replayed(connection, identity, "new-one")
    assert world.database.query(
        "select status, task_id from attribution_recompute_jobs where id = %s", (str(world.a.run),)
    ) == [("pending", "new-one")]
