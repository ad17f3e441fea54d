"""Live pages, charts and keys: what is new comes in, and what somebody uses, reads or types stays."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.admin.world import World, add_attempt, add_job, make_world
from tests.cluster import Database
from tests.e2e.chrome import arrived, enter
from tests.factories import make_letter
from tests.waiting import until

pytestmark = pytest.mark.chromium


@pytest.fixture
def world(database: Database) -> World:
    made = make_world(database)
    for outcome in ("done", "errored", "dead"):
        add_attempt(database, made.b.tenant_id, outcome, ago="3 hours", error=None if outcome == "done" else "no route")
    add_job(database, made.a.tenant_id, "running", lane="ingest")
    return made


def test_the_skip_link_leads_to_the_content(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    enter(page, address, world.admin, "/admin/cron/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_live_lists_take_in_what_is_new_and_keep_ticks_typing_and_open_details(
    context: BrowserContext, address: str, world: World
) -> None:
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/jobs/?state=waiting")
    before = page.locator("#jobs tbody tr").count()
    page.locator("#find").fill("task:pi")
    page.locator("#search").focus()
    page.keyboard.type("half a wo")
    add_job(world.database, world.b.tenant_id, "waiting", lane="llm")
    page.clock.fast_forward(6000)
    expect(page.locator("#jobs tbody tr")).to_have_count(before + 1)
    expect(page.locator("#find")).to_have_value("task:pi")
    expect(page.locator("#search")).to_have_value("half a wo")
    expect(page.locator("#search")).to_be_focused()

    page.goto(f"{address}/admin/cron/")
    tick = page.locator("#cron input[type=checkbox]").first
    tick.check()
    page.locator("#steer-reason").fill("a reason that takes long")
    world.database.query("insert into huey.cron_pause (task_name, paused_by, pause_reason) select task_name, 'x', 'y'"
                         " from unnest(array['skeldir.reports.refresh_all']) task_name")  # fmt: skip
    page.clock.fast_forward(6000)
    expect(page.locator("#count")).to_contain_text("1 paused")  # what is not in use was refreshed
    expect(tick).to_be_checked()
    expect(page.locator("#cron")).not_to_contain_text("paused by")
    expect(page.locator("#steer-reason")).to_have_value("a reason that takes long")


def test_a_chart_keeps_focus_and_values_through_two_refreshes(
    context: BrowserContext, address: str, world: World
) -> None:
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/?range=6h")
    plot, tip = page.locator("#throughput .plot"), page.locator("#throughput .tip")
    plot.focus()
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    read = tip.inner_text()
    figure = page.locator(".tile", has_text="Dead letters open").locator("b")
    for _ in range(2):
        make_letter(world.database, world.b.tenant_id)
        page.clock.fast_forward(6000)
        expect(figure).to_have_text(str(world.count("worker_failed_jobs", "status = 'pending'")))
    expect(plot).to_be_focused()
    assert tip.inner_text() == read and "UTC" in read


def test_arrow_keys_read_what_sql_says(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    enter(page, address, world.admin, "/admin/?range=6h&by=queue")
    plot, tip = page.locator("#throughput .plot"), page.locator("#throughput .tip")
    plot.focus()
    page.keyboard.press("End")
    found = 0
    for _ in range(73):
        lines = dict(line.rsplit("  ", 1) for line in tip.inner_text().splitlines()[1:])
        found += int(lines.get("attribution", 0))
        page.keyboard.press("ArrowLeft")
    assert found == world.count(
        "huey.job_attempt", "outcome = 'done' and lane = 'attribution' and ended_at > now() - interval '6 hours'"
    )


def test_a_hidden_tab_asks_for_nothing(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/jobs/")
    asked: list[str] = []
    hide = "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    page.evaluate(f"{hide} document.dispatchEvent(new Event('visibilitychange')) }}", True)
    page.on("request", lambda request: asked.append(request.url))  # a slow page may have been refreshed before
    page.clock.fast_forward(60_000)
    assert asked == []
    page.evaluate(f"{hide} document.dispatchEvent(new Event('visibilitychange')) }}", False)
    until(lambda: asked, 30, "a page that is seen again asks at once")


def test_keys_do_not_fire_while_something_is_typed(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    enter(page, address, world.admin, "/admin/jobs/")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("queue:ingest t?r")
    expect(page.locator("#live-text")).to_have_text("Live")
    expect(page.locator("#keys")).to_be_hidden()
    page.locator("#search").fill("queue:ingest")
    page.keyboard.press("Enter")
    arrived(page, "Search")
    page.keyboard.press("Escape")
    page.locator("main").focus()
    page.keyboard.press("g")
    page.keyboard.press("j")
    arrived(page, "In flight")


def test_search_and_cron_work_without_script(started: Browser, address: str, world: World) -> None:
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    enter(page, address, world.admin, "/admin/jobs/")
    page.get_by_label("State").select_option("waiting")
    page.locator("main").get_by_role("button", name="Apply").click()
    expect(page.locator("#jobs tbody tr")).to_have_count(world.count("huey.job", "state = 'waiting'"))
    page.goto(f"{address}/admin/cron/")
    page.get_by_label("Tick skeldir.reports.refresh_all").check()
    page.get_by_label("Reason for what is ticked").fill("no script here")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".flash")).to_have_text("Paused 1 of 1.")
    assert world.count("huey.cron_pause") == 1 == world.count("console_audit", "action = 'cron_pause'")
    context.close()
