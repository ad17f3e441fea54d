"""A person at work in the browser: by keyboard alone, with filters, in two tabs, while the page keeps itself new.

Checks 8, 12, 14, 15, 16, 17 and 32 of docs/console.md.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.admin.world import PASSWORD, World
from tests.e2e.chrome import arrived, enter
from tests.e2e.test_money_browser import tab_to
from tests.factories import make_letter
from tests.queue.test_bulk_letters import add_letters

pytestmark = pytest.mark.chromium


def test_replay_one_from_the_sign_in_on_by_keyboard_alone(context: BrowserContext, address: str, world: World) -> None:
    """Check 8."""
    page = context.new_page()
    page.goto(f"{address}/admin/")
    keys = page.keyboard
    expect(page.get_by_label("E-mail")).to_be_focused()
    keys.type(world.admin)
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    arrived(page, "Overview")
    keys.press("g")
    keys.press("d")
    arrived(page, "Dead letters")
    tab_to(page, page.locator("main").get_by_role("link", name="Replay one").first)
    keys.press("Enter")
    expect(page.get_by_label("Reason")).to_be_focused()
    keys.type("no mouse is here")
    keys.press("Enter")
    expect(page.locator(".flash")).to_contain_text("One job is queued to try it out")
    assert world.count("console_audit", "action = 'replay' and reason = 'no mouse is here'") == 1
    assert world.count("huey.job", "letter_id is not null") == 1


# Counted where the page asks: no request can be on its way when the page's clock has been moved.
COUNT = "const real = fetch; window.asked = 0; window.fetch = (...all) => { window.asked += 1; return real(...all); }"


def asked(page: Page, ms: int) -> int:
    """Let the page's clock run and return how often the page asked the server until then."""
    page.clock.fast_forward(ms)
    count: int = page.evaluate("window.asked")
    return count


def test_a_paused_page_and_a_hidden_page_ask_for_nothing(context: BrowserContext, address: str, world: World) -> None:
    """Checks 12 and 15; the first line shows that a page which is looked at does ask."""
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/queues/")
    page.evaluate(COUNT)
    assert asked(page, 7_000) >= 1
    page.keyboard.press("r")
    expect(page.locator("#live-text")).to_have_text("Paused")
    before = asked(page, 0)
    assert asked(page, 7_000) == before == asked(page, 600_000)
    page.keyboard.press("r")
    expect(page.locator("#live-text")).to_have_text("Live")
    assert asked(page, 7_000) > before
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    before = asked(page, 0)
    assert asked(page, 600_000) == before
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false, configurable: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert asked(page, 0) == before + 1


def select_text(page: Page, part: Locator) -> str:
    part.evaluate("element => getSelection().selectAllChildren(element)")
    text: str = page.evaluate("getSelection().toString()")
    return text


def test_selected_text_open_details_and_typing_survive(context: BrowserContext, address: str, world: World) -> None:
    """Check 14: while other regions of the same page take in what is new."""
    page = context.new_page()
    page.clock.install()
    enter(page, address, world.admin, "/admin/")
    lanes = page.locator("#lanes tbody tr", has_text="attribution").locator("th")
    chosen = select_text(page, lanes)
    assert chosen
    page.locator("#search").evaluate("box => { box.value = 'half a wo' }")
    figure = page.locator(".tile", has_text="Dead letters open").locator("b")
    for _ in range(2):
        make_letter(world.database, world.b.tenant_id)
        page.clock.fast_forward(6_000)
        expect(figure).to_have_text(str(world.count("worker_failed_jobs", "status = 'pending'")))
        assert page.evaluate("getSelection().toString()") == chosen
        expect(page.locator("#search")).to_have_value("half a wo")

    page.goto(f"{address}/admin/dead/{world.a.letter}/")
    page.get_by_text("Raw text").click()
    world.database.query("update worker_failed_jobs set retry_count = 7 where id = %s", (str(world.a.letter),))
    with page.expect_response(lambda response: "x-live" in response.request.headers):
        page.clock.fast_forward(6_000)
    expect(page.locator("#traceback")).to_be_visible()


def shown(page: Page) -> tuple[list[str], str]:
    """Return the letters of a list and what it says it counted."""
    boxes = page.locator('input[name="letter"]')
    expect(boxes.first).to_be_visible()
    return boxes.evaluate_all("all => all.map(one => one.value)"), page.locator("#count").inner_text()


def test_a_filter_survives_and_a_draft_means_it(context: BrowserContext, address: str, world: World) -> None:
    """Checks 16 and 17: reload, back and a new tab show the same rows; all that match are those of the filter."""
    add_letters(world.database, world.a.tenant_id, 40)
    add_letters(world.database, world.b.tenant_id, 7, fingerprint="ffffffff")
    page = context.new_page()
    enter(page, address, world.admin, "/admin/dead/jobs/?fp=0a1b2c3d")
    for label, value in (("Status", "any"), ("Queue", "housekeeping"), ("Failed within", "24h")):
        with page.expect_navigation():
            page.locator("main").get_by_label(label).select_option(value)
    for part in ("status=any", "queue=housekeeping", "range=24h", "fp=0a1b2c3d"):
        assert part in page.url
    with page.expect_navigation():
        page.locator("main").get_by_label("Status").select_option("pending")
    rows = shown(page)
    assert len(rows[0]) == 25 and "40 letters" in rows[1]
    page.reload()
    assert shown(page) == rows
    other = context.new_page()
    other.goto(page.url)
    assert shown(other) == rows
    page.locator("main tbody a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ping")
    page.go_back()
    assert shown(page) == rows
    page.reload()
    page.get_by_label("Select page").check()
    page.locator("#pick-all").click()
    page.locator("#picked").get_by_role("button", name="Abandon").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Abandon 40 dead letters")
    ((wanted, count),) = world.database.query("select filter, item_count from huey.bulk_operation")
    assert count == 40 and wanted["fingerprint"] == "0a1b2c3d" and wanted["queue"] == "housekeeping", wanted
    assert wanted["status"] == "pending" and wanted["since"], wanted


def test_the_first_of_two_tabs_acts_in_its_own_tenant(context: BrowserContext, address: str, world: World) -> None:
    """Check 32."""
    first, second = context.new_page(), context.new_page()
    enter(first, address, world.admin, f"/admin/dead/{world.a.letter}/")
    first.goto(f"{address}/admin/dead/{world.a.letter}/?tenant={world.a.tenant_id}")
    second.goto(f"{address}/admin/dead/?tenant={world.b.tenant_id}")
    expect(second.locator("#tenant")).to_have_value(str(world.b.tenant_id))
    first.get_by_role("link", name="Replay", exact=True).click()
    first.get_by_label("Reason").fill("in the first tab")
    first.locator("#confirm-go").click()
    expect(first.locator(".flash")).to_contain_text("Replay queued")
    expect(first.locator("#tenant")).to_have_value(str(world.a.tenant_id))
    found = world.database.query("select tenant_id::text, letter_id::text from huey.job where letter_id is not null")
    assert found == [(str(world.a.tenant_id), str(world.a.letter))]


def test_a_refused_form_gives_back_what_was_typed_and_the_focus(
    context: BrowserContext, address: str, world: World
) -> None:
    """A state of the plan, 6.3: message at the field, typed text kept, focus on the first error."""
    page = context.new_page()
    enter(page, address, world.admin, f"/admin/dead/{world.a.letter}/abandon")
    reason = page.locator("main").get_by_label("Reason")
    reason.evaluate("box => { box.removeAttribute('minlength'); box.form.noValidate = true }")
    reason.fill("four")
    page.keyboard.press("Enter")
    expect(page.locator(".field-error")).to_contain_text("5 to 300 characters")
    expect(page.locator("main").get_by_label("Reason")).to_have_value("four")
    expect(page.locator("main").get_by_label("Reason")).to_be_focused()


def test_a_page_that_takes_its_time_leaves_the_last_one_and_shows_a_bar(
    context: BrowserContext, address: str, world: World
) -> None:
    """Of CONSOLE 6.3, loading: while a real navigation is under way, no question to the page would be answered."""
    page = context.new_page()
    enter(page, address, world.admin)
    page.wait_for_load_state()
    bar = page.locator("html.loading")
    expect(bar).to_have_count(0)
    page.evaluate("dispatchEvent(new Event('beforeunload'))")
    expect(bar).to_have_count(1)
    assert page.evaluate("getComputedStyle(document.documentElement, '::before').height") == "3px"
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.evaluate("dispatchEvent(new Event('pageshow'))")
    expect(bar).to_have_count(0)
