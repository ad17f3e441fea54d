"""The console in the system's Chromium: looks whole, works by keyboard and without script, replays once."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.admin.world import World
from tests.e2e.chrome import enter
from tests.factories import make_letter
from tests.waiting import until

pytestmark = pytest.mark.chromium


def replay_dialog(page: Page, address: str, world: World) -> None:
    """Sign in, open the letter, press Replay and type a reason."""
    enter(page, address, world.admin, f"/admin/dead/{world.a.letter}/")
    page.get_by_role("link", name="Replay", exact=True).click()
    page.get_by_label("Reason").fill("pressed in a browser")


def test_two_browsers_released_together_replay_once(started: Browser, address: str, world: World) -> None:
    contexts = [started.new_context() for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        replay_dialog(page, address, world)
    with world.database.connect() as gate, gate.cursor() as cursor:
        # Both requests reach the letter and wait there; the commit releases them at the same moment.
        cursor.execute("select 1 from worker_failed_jobs where id = %s for update", (str(world.a.letter),))
        for page in pages:
            page.evaluate("setTimeout(() => document.querySelector('#confirm form').requestSubmit(), 0)")
        waiting = "select count(*) from pg_stat_activity where usename = 'console' and wait_event_type = 'Lock'"
        until(lambda: world.database.value(waiting) == 2, 30, "both requests wait for the letter")
    texts = []
    for page in pages:
        expect(page.locator(".flash")).to_be_visible()
        texts.append(page.locator(".flash").inner_text())
    assert sorted(text.split(" ")[0] for text in texts) == ["Already", "Replay"], texts
    assert f"Already replayed by {world.admin}" in "".join(texts)
    assert world.count("huey.job", "letter_id = %s", (str(world.a.letter),)) == 1
    assert world.count("console_audit", "action = 'replay'") == 1
    for context in contexts:
        context.close()


def test_a_double_click_replays_once(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    replay_dialog(page, address, world)
    page.locator("#confirm-go").dblclick(no_wait_after=True)
    expect(page.locator(".flash")).to_contain_text("Replay queued as job")
    assert world.count("huey.job", "letter_id is not null") == 1
    assert world.count("console_audit", "action = 'replay'") == 1


def test_sign_in(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    page.goto(f"{address}/admin/dead/")
    page.get_by_label("E-mail").fill(world.admin)
    page.get_by_label("Password").fill("not this one at all")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("E-mail or password is not right.")
    enter(page, address, world.admin, "/admin/dead/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Dead letters")
    page.get_by_role("link", name=world.admin).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_replay_by_keyboard(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    enter(page, address, world.admin, f"/admin/dead/{world.a.letter}/")
    button = page.get_by_role("link", name="Replay", exact=True)
    for _ in range(30):
        if button.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog, reason = page.get_by_role("dialog"), page.get_by_label("Reason")
    expect(reason).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()  # the empty reason was refused
    page.keyboard.type("the cause is gone")
    page.keyboard.press("Enter")
    expect(page.locator(".flash")).to_contain_text("Replay queued")
    expect(page.get_by_role("heading", level=1)).to_contain_text("in progress")


def test_replay_without_script(started: Browser, address: str, world: World) -> None:
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    enter(page, address, world.operator_a, "/admin/dead/jobs/")
    page.get_by_label("Status").select_option("pending")
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("link", name="recompute_window").click()
    page.get_by_role("link", name="Replay", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replay this job?")
    page.locator("main").get_by_label("Reason").fill("no script here")
    page.locator("main").get_by_role("button", name="Replay").click()
    expect(page.locator(".flash")).to_contain_text("Replay queued")
    assert world.count("console_audit", "action = 'replay' and actor = %s", (world.operator_a,)) == 1
    context.close()


def test_a_live_page_takes_in_what_is_new_and_leaves_what_is_in_use(
    context: BrowserContext, address: str, world: World
) -> None:
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/?range=1h")
    plot = page.locator("#throughput .plot")
    plot.focus()
    page.keyboard.press("ArrowLeft")
    tip = page.locator("#throughput .tip")
    read = tip.inner_text()
    before = page.locator(".tile", has_text="Dead letters open").locator("b")
    expect(before).to_have_text(str(world.count("worker_failed_jobs", "status = 'pending'")))
    make_letter(world.database, world.b.tenant_id)
    page.clock.fast_forward(6000)
    expect(before).to_have_text(str(world.count("worker_failed_jobs", "status = 'pending'")))
    expect(plot).to_be_focused()
    assert tip.inner_text() == read and "UTC" in read


def later(page: Page, ms: int) -> str:
    """Let the page's clock run and return the state of its live updates."""
    page.clock.fast_forward(ms)
    return page.locator("#live-text").inner_text()


def test_pause_offline_and_back(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/dead/jobs/")
    state = page.locator("#live-text")
    asked: list[str] = []
    page.keyboard.press("r")
    expect(state).to_have_text("Paused")
    page.on("request", lambda request: asked.append(request.url))  # a slow page may have been refreshed before
    page.clock.fast_forward(70_000)
    assert asked == []
    page.keyboard.press("r")
    expect(state).to_have_text("Live")
    context.set_offline(True)
    until(lambda: later(page, 6_000) == "Offline, retrying", 30)
    expect(page.get_by_role("link", name="recompute_window").first).to_be_visible()
    context.set_offline(False)
    # Each turn of the page's clock also ends a request that is under way: leave it time to be answered.
    until(lambda: later(page, 70_000) == "Live", 40, every=2.0)


def test_the_theme_is_kept_and_does_not_flash(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    enter(page, address, world.admin)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    response = page.goto(f"{address}/admin/dead/")
    assert response is not None and '<html lang="en" data-theme="dark">' in response.text()


def test_a_session_that_ended_leads_to_sign_in_and_back(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/dead/?status=any")
    context.clear_cookies()
    page.clock.fast_forward(6000)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert page.url.endswith("/admin/login?next=/admin/dead/?status%3Dany")
