"""Every page opens, shows its rows, and its figures equal SQL counts after the data changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from uuid import uuid4

from flask.testing import FlaskClient

from admin.show import DASH
from tests.admin.world import World, add_attempt, add_job
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]


def page(client: FlaskClient, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, (path, response.status_code, response.get_data(as_text=True)[:600])
    return unescape(response.get_data(as_text=True))


def tile(text: str, name: str) -> str:
    """Return the figure of a tile."""
    found = re.search(rf"<span>{name}</span><b[^>]*>([^<]*)</b>", text)
    assert found, name
    return found[1]


def cells(text: str, heading: str) -> list[str]:
    """Return the texts of the table row with this heading."""
    row = re.search(rf"<th scope=\"row\"[^>]*>(?:<a [^>]*>)?{heading}\b.*?</tr>", text, re.S)
    assert row, heading
    return [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row[0], re.S)]


def test_overview_figures_equal_sql(world: World, client_of: Client) -> None:
    client, database = client_of(world.admin), world.database
    # The data changes before the page is read: a figure that is fixed text cannot follow.
    for _ in range(3):
        add_attempt(database, world.a.tenant_id, "done")
    add_attempt(database, world.b.tenant_id, "dead")
    add_attempt(database, None, "errored", lane="housekeeping")
    add_attempt(database, None, "done", ago="25 hours")
    add_job(database, world.b.tenant_id, "waiting", lane="ingest")
    make_letter(database, world.b.tenant_id)
    text = page(client, "/admin/?range=24h")

    day = "ended_at > now() - interval '24 hours'"
    for name, table, where in (
        ("Waiting", "huey.job", "state = 'waiting'"),
        ("Running", "huey.job", "state = 'running'"),
        ("Finished", "huey.job_attempt", f"outcome = 'done' and {day}"),
        ("Dead letters open", "worker_failed_jobs", "status = 'pending'"),
    ):
        assert tile(text, name) == str(world.count(table, where)), name
    done, dead = (world.count("huey.job_attempt", f"outcome = '{one}' and {day}") for one in ("done", "dead"))
    assert tile(text, "Failed") == f"{100 * dead / (done + dead):.1f}\u202f%" and f"<small>{dead} jobs in" in text

    lanes = database.query(
        "select l.name, count(j.id) filter (where j.state = 'waiting'), count(j.id) filter (where j.state = 'running'),"
        " count(j.id) filter (where j.state = 'scheduled') from huey.lane l left join huey.job j on j.lane = l.name"
        " group by l.name"
    )
    for lane, waiting, running, scheduled in lanes:
        shown = cells(text, lane)
        assert [shown[1], shown[3], shown[5]] == [str(waiting), str(running), str(scheduled)], lane
        for outcome, place in (("done", 6), ("dead", 7)):
            count = world.count("huey.job_attempt", f"lane = %s and outcome = '{outcome}' and {day}", (lane,))
            assert shown[place] == str(count), (lane, outcome)
    for status in ("pending", "running", "succeeded", "failed"):
        found = re.search(rf"status-{status}\">{status}</span></dt><dd><a [^>]*>(\d+)</a>", text)
        assert found and int(found[1]) == world.count("attribution_recompute_jobs", "status = %s", (status,)), status


def test_overview_of_one_tenant_counts_that_tenant_only(world: World, client_of: Client) -> None:
    add_job(world.database, world.b.tenant_id, "waiting")
    text = page(client_of(world.admin), f"/admin/?tenant={world.a.tenant_id}")
    mine = (str(world.a.tenant_id),)
    assert tile(text, "Waiting") == str(world.count("huey.job", "state = 'waiting' and tenant_id = %s", mine))
    assert tile(text, "Finished") == str(world.count("huey.job_attempt", "outcome = 'done' and tenant_id = %s", mine))


def test_what_was_not_measured_is_a_dash(world: World, client_of: Client) -> None:
    world.database.query("delete from huey.run_delta")
    text = page(client_of(world.admin), "/admin/")
    assert tile(text, "95 % ran within") == DASH == tile(text, "Failed")


def test_consumers_are_alive_by_their_heartbeat(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    assert "No consumer is alive" in page(client, "/admin/")
    for host, ago in (("fresh", "1 second"), ("frozen", "20 seconds")):
        world.database.query(
            "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, heartbeat_at)"
            " values (%s, %s, 1, 'thread', 2, '{attribution}', '0.1.0', now() - %s::interval)",
            (str(uuid4()), host, ago),
        )
    text = page(client, "/admin/")
    assert "No consumer is alive" not in text and "1 alive" in text
    assert "alive" in cells(text, "fresh")[0] and "silent" in cells(text, "frozen")[0]
    assert cells(text, "ingest")[0] == "no consumer" and cells(text, "attribution")[0] == "running"


def test_dead_letters_list_filters_and_counts(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    make_letter(world.database, world.a.tenant_id, queue="ingest")
    for query, where in (
        ("", "status = 'pending'"),
        ("status=any", "true"),
        ("status=abandoned", "status = 'abandoned'"),
        ("status=any&queue=ingest", "queue = 'ingest'"),
        (f"tenant={world.a.tenant_id}", f"status = 'pending' and tenant_id = '{world.a.tenant_id}'"),
    ):
        text = page(client, f"/admin/dead/jobs/?{query}")
        shown = set(re.findall(r'href="/admin/dead/([0-9a-f-]{36})/', text))
        wanted = {row[0] for row in world.database.query(f"select id::text from worker_failed_jobs where {where}")}
        assert shown == wanted, query
        assert f"<b>{len(wanted)}</b> letter" in text, query


def test_paging_by_key_shows_rows_of_one_instant_once_each(world: World, client_of: Client) -> None:
    world.database.query(
        "insert into worker_failed_jobs (tenant_id, task_id, task_name, queue, error_type, fingerprint, message,"
        " failed_at)"
        " select %s, 't' || i, 'skeldir.housekeeping.ping', 'ingest', 'permanent', '0', '{}', '2025-06-01'"
        " from generate_series(1, 200) i",
        (str(world.a.tenant_id),),
    )
    client, seen = client_of(world.admin), []
    path: str | None = "/admin/dead/jobs/?queue=ingest"
    while path:
        text = page(client, path)
        seen += re.findall(r'href="/admin/dead/([0-9a-f-]{36})/"', text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        path = older[1] if older else None
    assert len(seen) == 200 == len(set(seen))


def test_a_letter_shows_what_an_operator_needs(world: World, client_of: Client) -> None:
    text = page(client_of(world.admin), f"/admin/dead/{world.a.letter}/")
    for part in ("attribution recompute failure requested", "tasks/attribution.py:214", "_exec_single_context"):
        assert part in text, part
    assert '"api_key": "[redacted]"' in text
    assert "/srv/app" in text and '<b>recompute_window</b> <span class="muted break">skeldir_huey/tasks' in text


def test_texts_from_outside_stay_text(world: World, client_of: Client) -> None:
    attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
    world.database.query(
        "update worker_failed_jobs set error_message = %s, traceback = %s, exception_class = %s, task_kwargs = %s,"
        " remediation_notes = %s, worker = %s where id = %s",
        (attack, attack, attack, json.dumps({attack: attack}), attack, attack, str(world.a.letter)),
    )
    world.database.query("update tenants set display_name = %s", (attack,))
    client = client_of(world.admin)
    for path in ("/admin/", "/admin/dead/", f"/admin/dead/{world.a.letter}/", f"/admin/dead/{world.a.letter}/replay"):
        raw = client.get(path).get_data(as_text=True)
        assert "<script>alert" not in raw and "<img src=x" not in raw and "49" not in re.findall(r"\{\{.*", raw), path


def test_a_slow_panel_says_so_and_the_page_lives(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    with world.database.connect() as holder, holder.cursor() as cursor:
        cursor.execute("lock table attribution_recompute_jobs in access exclusive mode")
        text = page(client, "/admin/")
        holder.rollback()
    assert "took longer than 5 s" in text and tile(text, "Waiting") == "2"
