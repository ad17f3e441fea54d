"""Every page, full of rows and empty: usable without eyes, without a mouse, without script, and without the network.

Checks 1 to 7 of docs/console.md, on 1280 and 390 pixels, light and dark.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from skeldir_huey import config
from skeldir_huey.db import engine
from tests.admin.world import World, add_user
from tests.cluster import Cluster, Database
from tests.conftest import copy_of_template, point_at
from tests.e2e.showcase import browser, console, enter, make_show, paths

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(420)]

MAX_REQUESTS, MAX_BYTES = 6, 100_000
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]
STATUS = {"not-found": 404}
BARE = ("not-found", "password", "second-factor")  # without the menu there is nothing to skip
# What a page must answer with nothing; each is asked for in the page itself.
WRONG = {
    "wider than the screen": "document.documentElement.scrollWidth > innerWidth",
    "not one h1": "document.querySelectorAll('h1').length !== 1",
    "not one main": "document.querySelectorAll('main').length !== 1",
    "no language": "document.documentElement.lang !== 'en'",
    "a time without datetime": "!!document.querySelector('time:not([datetime])')",
    "a status without words": "[...document.querySelectorAll('.status')].some(one => !one.textContent.trim())",
    "an id that stands there twice": "(ids => new Set(ids).size !== ids.length)"
    "([...document.querySelectorAll('[id]')].map(one => one.id))",
    "a live region without id": "!!document.querySelector('[data-live]:not([id])')",
}
FIRST = "document.querySelector('a, button, input, select, summary, [tabindex=\"0\"]').className"
SIZES = (
    "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
    ".reduce((sum, entry) => sum + entry.decodedBodySize, 0)"
)


@pytest.fixture(scope="module")
def started(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as made:
        yield made


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


class Watched:
    """A page, what it said on the console, and whom it asked."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.said: list[str] = []
        self.asked: list[str] = []
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
        size = self.page.evaluate(SIZES)
        return [*wrong, f"{size} bytes"] if size > MAX_BYTES else wrong

    def look(self) -> list[str]:
        """Return what is wrong with the page as it is drawn now."""
        wrong = self.page.evaluate("all => Object.keys(all).filter(name => (0, eval)(all[name]))", WRONG)
        return [*wrong, *violations(self.page, RULES)]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_for_everybody(started: Browser, address: str, world: World, width: int) -> None:
    """Checks 1, 2, 3, 4, 6 and 7: each page in both themes."""
    context = started.new_context(viewport={"width": width, "height": 844}, reduced_motion="reduce")
    page = context.new_page()
    watched = Watched(page, address)
    wrong = {"login": watched.open("/admin/login") + watched.look()}
    enter(page, address, world.admin)
    menu = page.evaluate("[...document.querySelectorAll('.side a')].map(one => new URL(one.href).pathname)")
    known = paths(world)
    assert set(menu) <= {path.split("?")[0] for path in known.values()}, "a page of the menu is not in the list"
    for name, path in known.items():
        page.emulate_media(color_scheme="light")
        wrong[name] = watched.open(path, STATUS.get(name, 200)) + watched.look()
        if name not in BARE and page.evaluate(FIRST) != "skip":
            wrong[name].append("the skip link is not first")
        page.emulate_media(color_scheme="dark")  # colours are all that it changes
        wrong[name] += [f"dark: {one}" for one in violations(page, COLOURS)]
    context.close()
    assert not any(wrong.values()), "\n".join(f"{name}: {line}" for name, lines in wrong.items() for line in lines)
