"""Allocations and recompute in the system's Chromium: from a figure to one sale by keyboard, and without script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.admin.world import World
from tests.e2e.chrome import arrived, enter

pytestmark = pytest.mark.chromium


@pytest.fixture(params=[1280, 390])
def context(request: pytest.FixtureRequest, started: Browser, address: str) -> Iterator[BrowserContext]:
    made = started.new_context(viewport={"width": request.param, "height": 860})
    yield made
    made.close()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(80):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("it is not reached by the Tab key")


def test_from_a_figure_to_one_sale_by_keyboard(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    enter(page, address, world.operator_a, f"/admin/allocations/?tenant={world.a.tenant_id}")
    tab_to(page, page.locator("tr", has_text="Email").get_by_role("link", name="66.67"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Email")
    tab_to(page, page.locator("main").get_by_role("link", name=str(world.a.sale)[:8]))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("purchase of 100.00 USD")
    expect(page.get_by_role("img", name="Time line: 3 touches")).to_be_visible()
    assert page.locator(".timeline-touch").count() == 3
    tab_to(page, page.locator("#rounding").get_by_role("link", name=str(world.a.run)[:8]))
    page.keyboard.press("Enter")
    arrived(page, re.compile("linear@1.0.0"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_range_is_recomputed_without_script(started: Browser, address: str, world: World) -> None:
    context = started.new_context(java_script_enabled=False)
    page = context.new_page()
    enter(page, address, world.operator_a)
    page.goto(f"{address}/admin/recompute/?tenant={world.a.tenant_id}&until=2025-06-12")
    page.get_by_role("region", name="State per tenant and day").get_by_role("link", name="ok").click()
    page.get_by_role("link", name="Recompute 2025-06-01").click()
    page.get_by_label("Last day").fill("2025-06-02")
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator(".figures")).to_contain_text("Windows")
    page.locator("main").get_by_label("Reason").fill("no script here")
    page.get_by_role("button", name="Recompute 2 windows").click()
    expect(page.locator(".flash")).to_contain_text("Backfill started: 2 days")
    assert world.count("backfills") == 1 == world.count("console_audit", "action = 'backfill'")
    context.close()


def test_a_double_click_makes_one_job(started: Browser, address: str, world: World) -> None:
    context = started.new_context()
    page = context.new_page()
    path = f"/admin/recompute/ask?tenant={world.a.tenant_id}&start=2025-06-05&end=2025-06-05"
    enter(page, address, world.operator_a)
    page.goto(address + path)
    page.locator("main").get_by_label("Reason").fill("pressed twice")
    page.get_by_role("button", name="Recompute 1 window").dblclick(no_wait_after=True)
    expect(page.get_by_role("heading", level=1)).to_contain_text("pending")
    assert world.count("huey.job", "task_name = 'skeldir.attribution.recompute_window'") == 1
    assert world.count("console_audit", "action = 'recompute'") == 1
    context.close()


def test_a_tenant_is_paused_by_keyboard(context: BrowserContext, address: str, world: World) -> None:
    page = context.new_page()
    enter(page, address, world.operator_a, f"/admin/tenants/{world.a.tenant_id}/?tenant={world.a.tenant_id}")
    tab_to(page, page.get_by_role("link", name="Pause tenant"))
    page.keyboard.press("Enter")
    tab_to(page, page.locator("main").get_by_label("Reason"))
    page.keyboard.type("too many at once")
    page.keyboard.press("Enter")
    expect(page.locator(".flash")).to_contain_text("Paused in")
    assert world.count("huey.tenant_rule", "paused_at is not null") == world.count("huey.lane")
