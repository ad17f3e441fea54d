"""Dead letters in Chromium: ticking rows, the whole page, all that match; the dialog; a canary and a real worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.admin.world import World, add_user
from tests.cluster import Database
from tests.e2e.chrome import console, enter
from tests.e2e.conftest import StartConsumer
from tests.factories import make_tenant
from tests.queue.test_bulk_letters import add_letters
from tests.waiting import until

pytestmark = pytest.mark.chromium

OPERATOR = "operator@example.com"


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    """A console on a database that each test fills by itself."""
    with console() as served:
        yield served


def ticked(page: Page) -> int:
    return page.locator('input[name="letter"]:checked').count()


def test_a_page_then_all_that_match(context: BrowserContext, address: str, world: World) -> None:
    add_letters(world.database, world.a.tenant_id, 60)
    page = context.new_page()
    enter(page, address, world.admin, "/admin/dead/jobs/?fp=0a1b2c3d")
    offer, count = page.locator("#pick-all"), page.locator("#pick-count")
    replay = page.locator("#picked").get_by_role("button", name="Replay")
    expect(offer).to_be_hidden()
    expect(replay).to_be_disabled()
    page.locator('input[name="letter"]').first.check()
    page.locator('input[name="letter"]').nth(3).click(modifiers=["Shift"])
    expect(count).to_have_text("4 selected")
    expect(offer).to_be_hidden()
    page.get_by_label("Select page").check()
    expect(count).to_have_text("25 selected")
    assert ticked(page) == 25
    expect(offer).to_have_text("Select all 60 that match")
    offer.click()
    expect(count).to_have_text("All 60 that match are selected")
    expect(offer).to_be_hidden()
    page.locator('input[name="letter"]').nth(2).uncheck()
    expect(count).to_have_text("24 selected")
    page.get_by_label("Select page").check()
    page.locator("#pick-all").click()
    replay.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Replay 60 dead letters")
    page.go_back()
    page.reload()
    expect(page.locator("#pick-count")).to_have_text("")
    page.locator('input[name="letter"]').first.check()
    page.locator("#picked").get_by_role("button", name="Abandon").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Abandon 1 dead letter")


def test_ticked_rows_stay_ticked_while_the_page_is_live(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/dead/jobs/")
    page.locator('input[name="letter"]').first.check()
    add_letters(world.database, world.a.tenant_id, 3)
    with page.expect_response(lambda response: "/admin/dead/jobs/" in response.url):
        page.clock.fast_forward(6000)
    expect(page.locator("#count")).to_contain_text(str(world.count("worker_failed_jobs", "status = 'pending'")))
    assert ticked(page) == 1


def test_the_dialog_takes_and_gives_back_the_focus(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    enter(page, address, world.admin, "/admin/dead/")
    button = page.get_by_role("link", name="Replay one").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()  # the empty reason was refused
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


def test_a_canary_succeeds_and_then_the_others_go(
    context: BrowserContext, address: str, database: Database, start_consumer: StartConsumer
) -> None:
    tenant = make_tenant(database, "alpha")
    add_letters(database, tenant, 30)
    add_user(database, OPERATOR, "operator")
    start_consumer()
    page = context.new_page()
    enter(page, address, OPERATOR, "/admin/dead/")
    card = page.locator(".error-card")
    expect(card).to_contain_text("boom")
    card.get_by_role("link", name="Replay one").click()
    page.get_by_label("Reason").fill("is the fix good?")
    page.locator("#confirm-go").click()
    expect(card).to_contain_text("Tried out with one job")
    expect(card.locator(".status-succeeded")).to_be_visible(timeout=20_000)  # without a reload
    card.get_by_role("button", name="Replay the other 29").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Replay 29 dead letters")
    page.locator("main").get_by_label("Reason").fill("it is good")
    page.get_by_role("button", name="Replay 29").dblclick(no_wait_after=True)
    expect(page.locator("#progress")).to_contain_text("29 queued.", timeout=20_000)
    ended = "select count(*) from huey.job_attempt where letter_id is not null and outcome = 'done'"
    until(lambda: database.value(ended) == 30, 30)
    page.goto(f"{address}/admin/dead/")
    expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()


def test_without_script_the_list_acts_too(started: Browser, address: str, world: World) -> None:
    add_letters(world.database, world.a.tenant_id, 60)
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    enter(page, address, world.admin, "/admin/dead/jobs/?fp=0a1b2c3d")
    page.get_by_label("all 60 that match").check()
    page.locator("#picked").get_by_role("button", name="Replay").click()
    page.locator("main").get_by_label("Reason").fill("no script here")
    page.get_by_role("button", name="Replay 60").click()
    expect(page.locator(".flash").first).to_contain_text("Started")
    context.close()
