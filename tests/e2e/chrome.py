"""The console on a free port, the system's Chromium, and how a person comes to a page."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wsgi import ClosingIterator

from tests.admin.world import PASSWORD, start_console

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# No background traffic of its own: a test that counts requests must see those of the page only.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Quiet(WSGIRequestHandler):
    """Writes no line per request."""

    def log(self, type: str, message: str, *args: Any) -> None: ...


def whole(app: WSGIApplication) -> WSGIApplication:
    """Let answers be whole before they are sent: Werkzeug leaves a file open when the browser hangs up meanwhile."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        with closing(ClosingIterator(app(environ, start_response))) as parts:
            return [b"".join(parts)]

    return answer


@contextmanager
def console() -> Iterator[str]:
    """Serve the console on a free port, in this process, and give its address."""
    # Werkzeug's server, because it can be stopped from another thread; waitress is in the test of `make run`.
    server = make_server("127.0.0.1", 0, whole(start_console()), threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@contextmanager
def browser(executable: str) -> Iterator[Browser]:
    """Start the system's Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        try:
            yield started
        finally:
            started.close()


def enter(page: Page, address: str, email: str, path: str = "/admin/") -> None:
    """Sign in through the page, as a person does."""
    page.goto(f"{address}/admin/login?next={path}")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    with page.expect_navigation(url=lambda url: "/admin/login" not in url):
        page.get_by_role("button", name="Sign in").click()


def arrived(page: Page, title: str | re.Pattern[str]) -> None:
    """Wait until a click or a key has led to a page of this heading (a pattern finds a part), and its scripts have run.

    They are deferred: the heading is there before them, and a key that is pressed in between does nothing.
    """
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    page.wait_for_load_state()
