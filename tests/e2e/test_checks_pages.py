"""Every page, full of rows and empty: usable without eyes, without a mouse, without script, and without the network.

Checks 1 to 7 of docs/console.md, on 1280 and 390 pixels, light and dark.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from skeldir_huey import config
from skeldir_huey.db import engine
from tests.admin.world import World, add_user
from tests.cluster import Cluster, Database
from tests.conftest import copy_of_template, point_at
from tests.e2e.busy_world import make_show
from tests.e2e.chrome import console, enter
from tests.e2e.showcase import paths

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(420)]

MAX_REQUESTS, MAX_BYTES = 6, 100_000
WIDE, NARROW = ViewportSize(width=1280, height=860), ViewportSize(width=390, height=844)
PARTS = 3  # of the list of pages, so that no test takes minutes
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]
STATUS = {"not-found": 404}
BARE = ("not-found", "password", "second-factor")  # without the menu there is nothing to skip
# What a page must answer with nothing; each is asked for in the page itself.
WRONG = {
    "wider than the screen": "document.documentElement.scrollWidth > innerWidth",
    "a table that is cut off": "[...document.querySelectorAll('.scroll:not(:has(.grid))')]"
    ".some(one => one.scrollWidth > one.clientWidth + 1)",
    "not one h1": "document.querySelectorAll('h1').length !== 1",
    "not one main": "document.querySelectorAll('main').length !== 1",
    "no language": "document.documentElement.lang !== 'en'",
    "a time without datetime": "!!document.querySelector('time:not([datetime])')",
    "a status without words": "[...document.querySelectorAll('.status')].some(one => !one.textContent.trim())",
    "an id that stands there twice": "(ids => new Set(ids).size !== ids.length)"
    "([...document.querySelectorAll('[id]')].map(one => one.id))",
    "a live region without id": "!!document.querySelector('[data-live]:not([id])')",
}
MENU = "[...document.querySelectorAll('.side a')].map(one => new URL(one.href).pathname)"
FIRST = "document.querySelector('a, button, input, select, summary, [tabindex=\"0\"]').className"
ASSETS = "performance.getEntriesByType('resource').map(entry => entry.name)"


@pytest.fixture(scope="module")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A database with a day of work, for every test of this file that only reads."""
    with pytest.MonkeyPatch.context() as patch, copy_of_template(cluster) as made:
        patch.setenv("SKELDIR_DATA_DIR", str(tmp_path_factory.mktemp("home")))
        point_at(made, patch)
        yield make_show(made)
        engine.dispose()
    config.settings.cache_clear()


@pytest.fixture(scope="module")
def address(world: World) -> Iterator[str]:
    with console() as served:
        yield served


def violations(page: Page, rules: list[str]) -> list[str]:
    """Return what axe finds, one line per rule with the first places."""
    page.evaluate(f"typeof axe === 'undefined' && (() => {{ {AXE} }})()")
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [f"{one['id']}: {[node['html'][:160] for node in one['nodes'][:3]]}" for one in found["violations"]]


def report(wrong: dict[str, list[str]]) -> None:
    """Fail with a line per fault, and not only with the first."""
    lines = [f"{name}: {line}" for name, lines in wrong.items() for line in lines]
    if lines:
        pytest.fail("\n".join(lines), pytrace=False)


class Watched:
    """A page, what it said on the console, and whom it asked."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.said: list[str] = []
        self.asked: list[str] = []
        self.sizes: dict[str, int] = {}  # of what the browser keeps
        page.on("console", lambda line: self.said.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        # A page that a busy machine draws slowly is refreshed before it is looked at: that is no part of it.
        page.on("request", lambda request: None if "x-live" in request.headers else self.asked.append(request.url))

    def open(self, path: str, status: int = 200) -> list[str]:
        """Open a page and return what is wrong before anybody uses it."""
        self.said.clear()
        self.asked.clear()
        response = self.page.goto(self.address + path, wait_until="load")
        assert response is not None
        wrong = [] if response.status == status else [f"status {response.status}"]
        # Chromium reports the page's own 404 as an error.
        wrong += [f"said {line}" for line in self.said if str(status) not in line or status == 200]
        wrong += [f"asked {url}" for url in self.asked if not url.startswith((self.address, "data:"))]
        mine = [url for url in self.asked if url.startswith(self.address)]
        if len(mine) > MAX_REQUESTS:
            wrong.append(f"{len(mine)} requests")
        size = len(response.body()) + sum(self.size_of(url) for url in self.page.evaluate(ASSETS))
        return [*wrong, f"{size} bytes"] if size > MAX_BYTES else wrong

    def size_of(self, url: str) -> int:
        if url.startswith("data:"):
            return 0
        if url not in self.sizes:
            self.sizes[url] = len(self.page.request.get(url).body())
        return self.sizes[url]

    def looks(self) -> list[str]:
        """Return what is wrong with the page as it is drawn, in both widths and both themes."""
        wrong = []
        for size in (WIDE, NARROW):
            self.page.set_viewport_size(size)
            self.page.emulate_media(color_scheme="light")
            found = self.page.evaluate("all => Object.keys(all).filter(name => (0, eval)(all[name]))", WRONG)
            found += violations(self.page, RULES)
            self.page.emulate_media(color_scheme="dark")  # colours are all that it changes
            found += [f"dark: {one}" for one in violations(self.page, COLOURS)]
            wrong += [f"{size['width']}: {one}" for one in found]
        self.page.set_viewport_size(WIDE)
        return wrong


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_for_everybody(started: Browser, address: str, world: World, part: int) -> None:
    """Checks 1, 2, 3, 4, 6 and 7: each page in both widths and both themes."""
    context = started.new_context(viewport=WIDE, reduced_motion="reduce")
    page = context.new_page()
    watched = Watched(page, address)
    wrong = {"login": watched.open("/admin/login") + watched.looks()}
    enter(page, address, world.admin)
    known = paths(world)
    menu = page.evaluate(MENU)
    assert set(menu) <= {path.split("?")[0] for path in known.values()}, "a page of the menu is not in the list"
    for name, path in list(known.items())[part::PARTS]:
        wrong[name] = watched.open(path, STATUS.get(name, 200)) + watched.looks()
        if name not in BARE and page.evaluate(FIRST) != "skip":
            wrong[name].append("the skip link is not first")
    context.close()
    report(wrong)


def test_pages_without_rows_are_for_everybody_too(started: Browser, database: Database) -> None:
    """A console on its first day: each page of the menu says what will appear, and is as usable."""
    add_user(database, "admin@example.com", "admin")
    with console() as served:
        context = started.new_context(viewport=WIDE, reduced_motion="reduce")
        page = context.new_page()
        watched = Watched(page, served)
        enter(page, served, "admin@example.com")
        wrong = {path: watched.open(path) + watched.looks() for path in dict.fromkeys(page.evaluate(MENU))}
        context.close()
    report(wrong)


# Without script: charts that are not drawn, choices that nothing applies, what only a script could use.
UNDRAWN = """[...document.querySelectorAll('figure.chart')].filter(chart =>
  !chart.querySelector('.plot-empty') && ![...chart.querySelectorAll('svg path:not(.gridline, .cursor)')].some(
    path => path.getBBox().width > 0 && getComputedStyle(path).display !== 'none')).map(chart => chart.id)"""
UNAPPLIED = """[...document.querySelectorAll('select[data-autosubmit]')].filter(choice =>
  !choice.form || ![...choice.form.querySelectorAll('button')].some(one => one.type === 'submit' && one.offsetWidth))
  .map(choice => choice.name)"""
DEAD = "[...document.querySelectorAll('.needs-script')].filter(one => one.offsetWidth > 0).map(one => one.id)"
TABLES = "[...document.querySelectorAll('figure.chart .data-link a')].map(one => one.href)"
QUESTIONS = "[...document.querySelectorAll('a[data-confirm]')].map(one => new URL(one.href).pathname)"


def test_every_page_works_without_script(started: Browser, address: str, world: World) -> None:
    """Check 5: charts are drawn and stand in tables, filters have a button, and each question has a page of its own."""
    context = started.new_context(viewport={"width": 1280, "height": 844}, java_script_enabled=False)
    page = context.new_page()
    enter(page, address, world.admin)
    wrong: dict[str, list[str]] = {}
    questions: dict[str, str] = {}
    tables: list[str] = []
    for name, path in paths(world).items():
        page.goto(address + path)
        found = {"not drawn": UNDRAWN, "not applied": UNAPPLIED, "dead": DEAD}
        wrong[name] = [f"{what}: {page.evaluate(ask)}" for what, ask in found.items() if page.evaluate(ask)]
        links = page.evaluate(TABLES)
        if len(links) != page.locator("figure.chart").count():
            wrong[name].append("a chart without its table")
        tables = tables or links
        # One of each kind: the verbs of 25 letters are the same page 25 times.
        questions |= {link.rsplit("/", 1)[-1]: link for link in page.evaluate(QUESTIONS)}
    for link in questions.values():
        page.goto(address + link)
        reason = page.locator("main").get_by_label("Reason")
        if not (reason.is_visible() and page.locator("main form[method=post] button:not([type=button])").is_visible()):
            wrong[link] = ["asks nothing"]
    for link in tables:
        page.goto(link)
        if page.locator("figure.chart table tbody tr").count() == 0:
            wrong[link] = ["no table"]
    context.close()
    assert len(tables) >= 4 and {"replay", "abandon"} <= set(questions)
    report(wrong)


def test_axe_finds_what_is_planted(started: Browser, address: str, world: World) -> None:
    context = started.new_context(reduced_motion="reduce")
    page = context.new_page()
    enter(page, address, world.admin, "/admin/jobs/")
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"/static/none.png\">')")
    page.evaluate("document.querySelector('h1').style.color = '#f4f4f4'")
    found = " ".join(violations(page, RULES))
    context.close()
    assert "image-alt" in found and "color-contrast" in found


def test_the_chosen_dark_is_the_dark_of_the_system(started: Browser, address: str, world: World) -> None:
    """The two switches set the same colours, so that what holds in one theme holds in both ways to it."""
    every = "Object.fromEntries([...document.styleSheets].flatMap(sheet => [...sheet.cssRules])" \
        ".flatMap(rule => rule.style ? [...rule.style] : []).filter(name => name.startsWith('--'))" \
        ".map(name => [name, getComputedStyle(document.documentElement).getPropertyValue(name)]))"  # fmt: skip
    found = []
    for is_dark, theme in ((True, None), (False, "dark"), (False, None), (True, "light")):
        context = started.new_context(color_scheme="dark" if is_dark else "light")
        if theme:
            context.add_cookies([{"name": "theme", "value": theme, "url": address}])
        page = context.new_page()
        page.goto(f"{address}/admin/login")
        found.append(page.evaluate(every))
        context.close()
    assert found[0] == found[1] != found[2] == found[3] and len(found[0]) > 10
