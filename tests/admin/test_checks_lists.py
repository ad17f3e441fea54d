"""Lists and addresses: paging by key under traffic, whatever stands in the address, and few statements per page.

Checks 18, 19, 20 and 47 of docs/console.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bench.console.measure import counted
from bench.console.reach import MAX_STATEMENTS
from tests.admin import walk
from tests.admin.reading import page
from tests.admin.world import MODEL, World, sign_in, start_console
from tests.cluster import Database
from tests.e2e.busy_world import make_show
from tests.e2e.showcase import paths

Client = Callable[[str | None], FlaskClient]

LETTER = (
    "insert into worker_failed_jobs (tenant_id, task_id, task_name, queue, error_type, fingerprint, message, failed_at)"
    " select %(tenant)s, 't' || gen_random_uuid(), 'skeldir.housekeeping.ping', 'llm', 'permanent', '0', '{}',"
    " now() - interval '1 hour' + %(newer)s * interval '1 second' from generate_series(1, %(count)s)"
)
ATTEMPT = (
    "insert into huey.job_attempt (task_id, task_name, lane, tenant_id, attempt, outcome, ended, worker, enqueued_at,"
    " claimed_at, ended_at, wait_ms, run_ms) select gen_random_uuid()::text, 't', 'llm', %(tenant)s, 1, 'dead', true,"
    " 'host:1:1', at, at, at, 1, 1 from (select now() - interval '1 hour' + %(newer)s * interval '1 second' as at"
    " from generate_series(1, %(count)s)) moments"
)
REFUSED = (
    "insert into dead_events (tenant_id, source, line, idempotency_key, payload, error_type, error_field,"
    " error_message, created_at, reading) select %(tenant)s, 'f.csv', %(newer)s * 1000 + i,"
    " sha256((%(newer)s || '-' || i)::bytea), '{}', 'permanent', 'amount', 'expected an amount',"
    " now() - interval '1 hour' + %(newer)s * interval '1 second', '{}' from generate_series(1, %(count)s) i"
)
RUN = (
    "insert into attribution_recompute_jobs (tenant_id, window_start, window_end, model_version, status, created_at)"
    f" select %(tenant)s, at, at + interval '1 hour', '{MODEL}', 'pending', now() - interval '1 hour'"
    " + %(newer)s * interval '1 second' from (select timestamptz '2025-07-01Z' + (%(newer)s * 1000 + i)"
    " * interval '1 hour' as at from generate_series(1, %(count)s) i) hours"
)
UUID_LINK = r'href="/admin/{}/([0-9a-f-]{{36}})/'
LISTS = {
    "dead/jobs": (LETTER, "/admin/dead/jobs/?queue=llm", UUID_LINK.format("dead")),
    "jobs": (ATTEMPT, "/admin/jobs/?state=dead&queue=llm", UUID_LINK.format("jobs")),
    "refused": (REFUSED, "/admin/refused/?status=any", UUID_LINK.format("refused")),
    "recompute": (RUN, "/admin/recompute/?status=pending", UUID_LINK.format("recompute")),
}


@pytest.mark.parametrize("name", LISTS)
def test_rows_that_arrive_while_somebody_pages(world: World, client_of: Client, name: str) -> None:
    """Check 18: 200 rows of one instant are shown once each, although a newer one arrives before each next page."""
    statement, path, link = LISTS[name]
    client, seen = client_of(world.admin), list[str]()
    values = {"tenant": str(world.a.tenant_id), "count": 200, "newer": 0}
    world.database.query(statement, values)
    following: str | None = path
    while following:
        text = page(client, following)
        seen += dict.fromkeys(re.findall(link, text))
        values |= {"count": 1, "newer": values["newer"] + 1}  # type: ignore[operator]
        world.database.query(statement, values)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        following = older[1] if older else None
    assert len(seen) == 200 == len(set(seen))


BAD = {"page": "-1", "id": "x", "after": "x", "status": "x", "state": "x", "queue": "x", "range": "x"}
LONG = "x" * 10_240
PERSONAL = {"security", "second_factor", "home"}  # pages about the signed-in person: no tenant is in them


@pytest.mark.timeout(400)
def test_no_route_breaks_on_a_bad_address(world: World, app: Flask, client_of: Client) -> None:
    """Check 20: every route with every bad value, with ids that are there and ids that are not."""
    client, walked = client_of(world.admin), 0
    for rule in walk.rules(app, "GET"):
        for row_id in (world.a.letter, "x") if walk.takes_id(rule) else (world.a.letter,):
            path = next(walk.paths(app, rule, row_id), None)
            if path is None:
                continue
            for query in (*({name: value} for name, value in BAD.items()), {"q": LONG}, {"nonsense": LONG}, BAD):
                code = client.get(path, query_string=query, buffered=True).status_code
                assert code < 500, (path, query, code)
                walked += 1
            for tenant in ("x", LONG, str(world.a.letter)):
                code = client.get(path, query_string={"tenant": tenant}, buffered=True).status_code
                ignored = rule.endpoint.split(".")[0] in PERSONAL and code < 500
                assert code in (302, 400, 404) or ignored, (path, tenant[:9], code)
    assert walked > 400


KNOWN = {
    "/admin/": ("range", "by"),
    "/admin/jobs/": ("state", "queue"),
    "/admin/jobs/?state=waiting": ("after",),
    "/admin/jobs/?state=dead": ("after",),
    "/admin/dead/": ("state", "start"),
    "/admin/dead/jobs/": ("status", "queue", "range", "after", "size", "fp"),
    "/admin/bulk/": ("after",),
    "/admin/refused/": ("status", "after"),
    "/admin/recompute/": ("status", "after", "day", "until"),
    "/admin/search/": ("range",),
    "/admin/audit/": ("result", "from", "to", "after", "verify"),
    "/admin/matviews/mv_channel_performance/": ("after",),
}


@pytest.mark.parametrize("path", KNOWN)
def test_what_a_page_knows_it_checks(world: World, client_of: Client, path: str) -> None:
    """Check 20: a value that a page reads is refused with the field named, not ignored."""
    client = client_of(world.admin)
    for name in KNOWN[path]:
        for value in ("nonsense", "-1", LONG, "\x00"):
            base, _, query = path.partition("?")
            given = dict(part.split("=") for part in query.split("&") if part) | {name: value}
            response = client.get(base, query_string=given)
            assert response.status_code in (400, 404), (path, name, value[:20])
            assert name in response.get_data(as_text=True), (path, name)


@pytest.mark.parametrize("path", ["/admin/search/", "/admin/jobs/", "/admin/dead/jobs/", "/admin/jobs/?state=dead"])
def test_a_wrong_search_is_pointed_at_in_every_box(world: World, client_of: Client, path: str) -> None:
    """Check 19."""
    text = page(client_of(world.admin), f"{path}{'&' if '?' in path else '?'}q=status:lost+tries:many")
    assert 'role="alert"' in text and "no such status" in text and "^^^^" in text and "status:lost tries:many" in text


@pytest.fixture
def show(database: Database) -> World:
    return make_show(database)


@pytest.fixture
def client_of_show(show: World) -> FlaskClient:
    client = start_console().test_client()
    assert sign_in(client, show.admin).status_code == 302
    return client


@pytest.mark.timeout(400)
def test_a_page_asks_little_of_the_database(show: World, client_of_show: FlaskClient) -> None:
    """Check 47: counts of statements, which no busy machine changes; the times are in `make bench-console`."""
    too_many = {}
    for name, path in paths(show).items():
        client_of_show.get(path)
        with counted() as statements:
            client_of_show.get(path)
        if len(statements) > MAX_STATEMENTS:
            too_many[name] = len(statements)
    assert too_many == {}
