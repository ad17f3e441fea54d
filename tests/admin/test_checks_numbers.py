"""Figures: each is counted by SQL after the data changed, and none is written into a template.

Check 41 of docs/console.md, and the rule behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from admin import security, users
from admin.reads import cron, errors, run_grid
from admin.reads.overview import SPANS
from admin.scope import STATEMENT_TIMEOUT_S
from admin.views import tenants
from skeldir_huey.attribution.params import MAX_LOOKBACK_S
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.queue.schedule import AHEAD
from tests.admin.reading import cells, page, part, plain
from tests.admin.test_pages import tile
from tests.admin.world import World, act, add_attempt, add_job
from tests.conftest import ROOT
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]

HOUR = "ended_at > now() - interval '1 hour'"


def seed_an_hour(world: World) -> None:
    """Add what ended within the last hour and what did not, of several lanes, tenants and ends."""
    for lane, tenant, done, dead in (
        ("ingest", world.a.tenant_id, 7, 1),
        ("ingest", world.b.tenant_id, 4, 2),
        ("llm", world.b.tenant_id, 3, 0),
        ("housekeeping", None, 5, 1),
    ):
        for outcome, count in (("done", done), ("dead", dead)):
            for number in range(count):
                add_attempt(world.database, tenant, outcome, lane=lane, ago=f"{3 + 7 * number} minutes", run_ms=100)
    add_attempt(world.database, world.a.tenant_id, "done", lane="ingest", ago="2 hours")
    add_attempt(world.database, world.a.tenant_id, "cancelled", lane="llm", ago="9 minutes")


def drawn(text: str, chart: str) -> dict[str, list[int]]:
    """Return a chart's values by the names of its series, as the script reads them."""
    found = re.search(r"""data-chart=(?:'([^']*)'|"([^"]*)")""", text.split(f'id="{chart}"', 1)[1])
    assert found
    data = json.loads(found[1] or found[2])
    return dict(zip(data["names"], data["values"], strict=True))


def legend(text: str, chart: str) -> dict[str, int]:
    source = text.split(f'id="{chart}"', 1)[1].split("</ul>", 1)[0]
    found = re.findall(r"</span>([^<]+) <b>([^<]+)</b>", source)
    return {name: int(count.replace("\u202f", "")) for name, count in found}


@pytest.mark.parametrize("by", ["queue", "tenant", "task"])
def test_tiles_charts_tables_and_sql_agree(world: World, client_of: Client, by: str) -> None:
    """Check 41: a seeded hour, read in every way that the overview has."""
    seed_an_hour(world)
    client = client_of(world.admin)
    column = {
        "queue": "lane",
        "tenant": "coalesce(t.display_name, 'no tenant')",
        "task": "split_part(task_name, '.', 3)",
    }
    for chart, outcome, name in (("throughput", "done", "Finished"), ("failures", "dead", None)):
        wanted = dict(
            world.database.query(
                f"select {column[by]}, count(*)::int from huey.job_attempt a left join tenants t on t.id = a.tenant_id"
                f" where outcome = '{outcome}' and {HOUR} group by 1"
            )
        )
        text = page(client, f"/admin/?range=1h&by={by}&data={chart}")
        values = drawn(text, chart)
        assert {key: sum(row) for key, row in values.items() if sum(row)} == wanted, chart
        assert {key: count for key, count in legend(text, chart).items() if count} == wanted, chart
        shown = part(text, chart).split("<tbody>", 1)[1].split("</tbody>")[0]
        rows = [[int(cell) for cell in re.findall(r"<td[^>]*>(\d+)</td>", row)] for row in shown.split("</tr>")[:-1]]
        assert [sum(column) for column in zip(*rows, strict=True)] == [sum(row) for row in values.values()], chart
        total = sum(wanted.values())
        if name:
            assert tile(text, name) == str(total)
        else:
            assert f"<small>{total} jobs in" in text
        for lane, (done, dead) in lanes_of(world).items():
            assert cells(text.split('id="lanes"', 1)[1], lane)[6:8] == [str(done), str(dead)], lane


def lanes_of(world: World) -> dict[str, tuple[int, int]]:
    rows = world.database.query(
        f"select l.name, count(*) filter (where outcome = 'done' and {HOUR})::int,"
        f" count(*) filter (where outcome = 'dead' and {HOUR})::int"
        " from huey.lane l left join huey.job_attempt a on a.lane = l.name group by 1"
    )
    return {lane: (done, dead) for lane, done, dead in rows}


def test_the_lists_of_the_overview_equal_sql(world: World, client_of: Client) -> None:
    """Errors that wait, tenants by failures, consumers and materialized views."""
    seed_an_hour(world)
    database = world.database
    for number in range(3):
        make_letter(database, world.a.tenant_id, exception_class="KeyError", fingerprint="00000000deadbeef")
        database.query(
            "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version)"
            " values (%s, %s, 1, 'thread', %s, '{llm}', '1')",
            (str(uuid4()), f"host-{number}", number + 2),
        )
    make_letter(
        database, world.b.tenant_id, exception_class="KeyError", fingerprint="00000000deadbeef", status="abandoned"
    )
    text = page(client_of(world.admin), "/admin/?range=1h")
    open_now = world.count("worker_failed_jobs", "fingerprint = '00000000deadbeef' and status = 'pending'")
    errors_part = part(text, "errors")
    assert cells(errors_part, "KeyError")[1] == str(open_now)
    groups = database.value("select count(distinct fingerprint) from worker_failed_jobs where status = 'pending'")
    assert f"<small>{groups} errors" in text
    for tenant, name in ((world.a.tenant_id, "Acme"), (world.b.tenant_id, "Bolt")):
        shown = cells(part(text, "tenants"), name)
        for place, outcome in ((0, "dead"), (1, "done")):
            where = f"tenant_id = %s and outcome = '{outcome}' and {HOUR}"
            assert shown[place] == str(world.count("huey.job_attempt", where, (str(tenant),))), (name, outcome)
    consumers = part(text, "consumers")
    assert f"{world.count('huey.consumer')} alive" in consumers
    for host, workers in database.query("select host, worker_count from huey.consumer"):
        assert f"{workers} thread{'s' if workers != 1 else ''}" in cells(consumers, host), host


def test_a_queues_figures_move_with_its_jobs(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    for count in range(1, 4):
        add_job(world.database, world.b.tenant_id, "waiting", lane="llm")
        make_letter(world.database, world.b.tenant_id, queue="llm")
        assert cells(page(client, "/admin/queues/"), "llm")[1] == str(count)
        text = page(client, "/admin/dead/jobs/?queue=llm")
        assert f"<b>{count}</b> letter" in text
        assert f"<b>{world.count('huey.job', 'state = %s', ('waiting',))}</b> job" in page(
            client, "/admin/jobs/?state=waiting"
        )


def test_who_counts_waits_for_nobody(world: World) -> None:
    """Roll-ups and the ledger are insert-only: two settlements that end jobs of the same minute in opposite order."""
    settle = (
        "insert into huey.job_attempt (task_id, task_name, lane, tenant_id, attempt, outcome, ended, worker,"
        " enqueued_at, claimed_at, ended_at, wait_ms, run_ms) values (gen_random_uuid()::text, 't', %(lane)s,"
        " %(tenant)s, 1, 'done', true, 'h:1:1', now(), now(), date_trunc('minute', clock_timestamp()), 1, 1);"
        " insert into huey.flow (lane, tenant_id, kind, job_count) values (%(lane)s, %(tenant)s, 'done', 1)"
    )
    database, tenant = world.database, str(world.a.tenant_id)
    counted = (
        "select lane, sum(job_count)::int from (select lane, job_count from huey.flow where kind = 'done' union all"
        " select lane, job_count from huey.flow_total where kind = 'done') counts group by lane"
    )
    before = dict(database.query(counted))
    with database.connect() as first, database.connect() as second:
        with first.cursor() as one, second.cursor() as two:
            for cursor in (one, two):
                cursor.execute("set local lock_timeout = '2s'")
            for cursor, lane in ((one, "ingest"), (two, "llm"), (one, "llm"), (two, "ingest")):
                cursor.execute(settle, {"lane": lane, "tenant": tenant})
        second.commit()
        first.commit()
    after = dict(database.query(counted))
    assert {lane: after[lane] - before.get(lane, 0) for lane in ("ingest", "llm")} == {"ingest": 2, "llm": 2}
    rolled = "select lane, sum(done)::int from huey.run_delta where lane in ('ingest', 'llm') group by lane order by 1"
    assert database.query(rolled) == [("ingest", 2), ("llm", 2)]


def test_chains_and_checks_are_counted(world: World, client_of: Client) -> None:
    """Audit log and health: the rows of each chain, and as many checks as are listed."""
    client = client_of(world.admin)
    for letter in (world.a.letter, world.b.letter):
        tenant = world.a.tenant_id if letter == world.a.letter else world.b.tenant_id
        for verb in ("abandon", "reopen"):
            assert act(client, letter, verb, tenant).status_code == 303
    text = part(page(client, "/admin/audit/?verify=1"), "audit-chains")
    lengths = world.database.query("select count(*)::int from console_audit group by tenant_id")
    shown = [int(count) for count in re.findall(r": (\d+) rows?, the last", text)]
    assert sorted(shown) == sorted(count for (count,) in lengths) and len(shown) == 3
    health = page(client, "/admin/health/")
    said = [int(count) for count in re.findall(r"\b(\d+)\b", plain(health.split('id="health"')[1].split("</p>")[0]))]
    assert sum(said) == health.count('class="state-cell"') > 5


# Numbers that a template may say: limits, periods and examples in words, each as the code has it. Never a figure.
HISTORY_DAYS = re.findall(r", (\d+), \d+\)", sql("queue", "rotate_history"))[0]
DAY_H = f"{SPANS['24h'].length.total_seconds() / 3600:g}"
RUNS_H = f"{cron.RUNS_WITHIN.total_seconds() / 3600:g}"
ALLOWED = {
    "_find.html": {"tries:>3"},
    "_macros.html": {"1 day", f"{STATEMENT_TIMEOUT_S} s", f"{HISTORY_DAYS} days"},
    "account.html": {f"{security.SESSION_HOURS} hours"},
    "correlation.html": {f"{HISTORY_DAYS} days"},
    "cron.html": {f"{AHEAD} days", f"{RUNS_H} h", f"{RUNS_H} hours"},
    "dead_groups.html": {f"{errors.DAYS} days"},
    "jobs.html": {f"{HISTORY_DAYS} days"},
    "overview.html": {"95 %"},  # the quantile of its columns
    "queue.html": {f"{DAY_H} h"},
    "queues.html": {f"{DAY_H} h"},
    "recompute.html": {f"{run_grid.DAYS} days"},
    "sale.html": {f"{MAX_LOOKBACK_S // 86_400} days"},
    "search.html": {f"{HISTORY_DAYS} days", "tries:>3"},
    "tenant.html": {f"{DAY_H} h", "02:15 UTC"},
    "tenants.html": {f"{DAY_H} h"},
    "tenant_confirm.html": {
        "2 gets", "1. The", "0.01 to", f"{tenants.MAX_WEIGHT:g}, usual", "is 1", "1 to", f"{tenants.MAX_CAP}, empty",
    },
    "change_password.html": {f"{users.PASSWORD_MIN} to", f"{users.PASSWORD_MAX} characters"},
}  # fmt: skip


def numbers_of(source: str) -> list[str]:
    """Return each number that a template would show as it stands, with what follows it."""
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", source, flags=re.S)
    text = re.sub(r"<(code|kbd)>.*?</\1>", " ", text, flags=re.S)
    said = re.findall(r'(?:aria-label|title|placeholder)="([^"]*\d[^"]*)"', text)
    text = re.sub(r"<(?:\"[^\"]*\"|[^>\"])*>", "\n", text)
    lines = [" ".join(line.split()) for part in (*said, text) for line in part.splitlines()]
    return [line for line in lines if re.search(r"\d", line)]


@pytest.mark.parametrize("path", sorted((ROOT / "templates").rglob("*.html")), ids=lambda path: path.name)
def test_no_figure_is_written_into_a_template(path: Path) -> None:
    for line in numbers_of(path.read_text(encoding="utf-8")):
        rest = line
        for words in ALLOWED.get(path.name, ()):
            rest = re.sub(rf"(?<![\d.,:]){re.escape(words)}(?!\w)", "", rest)
        assert not re.search(r"\d", rest), f"{line!r}: a figure comes from a table, a limit from the code"


def test_a_planted_figure_is_found() -> None:
    assert numbers_of("<b>42</b> {{ 7 }} {% if x == 3 %}") == ["42"]
    assert numbers_of('<span title="12 left">x</span>') == ["12 left"]
