"""What the console's tests start from: two tenants with rows in every table a page reads, and people with roles."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from admin import create_app
from skeldir_huey.attribution.models import make_spec
from tests.admin import quick
from tests.cluster import Database
from tests.factories import make_event, make_letter, make_model, make_tenant

PASSWORD = "correct horse battery staple"
MODEL = "linear@1.0.0"

TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/skeldir_huey/tasks/attribution.py", line 214, in recompute_window
    allocate(connection, window)
  File "/usr/lib/python3.11/site-packages/sqlalchemy/engine/base.py", line 1967, in _exec_single_context
    self.dialect.do_execute(
TimeoutError: canceling statement due to statement timeout after 30 s (window 11968)
"""


@dataclass
class Side:
    """The rows of one tenant."""

    tenant_id: UUID
    letter: UUID
    abandoned: UUID
    run: UUID
    sale: UUID
    task_id: str


@dataclass
class World:
    """Two tenants, a letter that belongs to none, and the e-mail addresses of people by what they may do."""

    database: Database
    a: Side
    b: Side
    global_letter: UUID

    admin = "admin@example.com"
    operator_a = "operator-a@example.com"
    viewer_a = "viewer-a@example.com"
    nobody = "nobody@example.com"

    def count(self, table: str, where: str = "true", parameters: Any = None) -> int:
        found: int = self.database.value(f"select count(*) from {table} where {where}", parameters)
        return found


def make_world(database: Database) -> World:
    """Fill a fresh database."""
    world = World(database, make_side(database, "acme"), make_side(database, "bolt"), make_letter(database, None))
    for email, role, tenant in (
        (world.admin, "admin", None),
        (world.operator_a, "operator", "acme"),
        (world.viewer_a, "viewer", "acme"),
        (world.nobody, None, None),
    ):
        add_user(database, email, role, tenant)
    return world


@functools.cache
def _hash() -> str:
    return quick.hasher.hash(PASSWORD)


def add_user(database: Database, email: str, role: str | None, tenant: str | None = None) -> None:
    """Insert an account with the password of all tests, and a grant when a role is given."""
    user_id = str(uuid4())
    database.query(
        "insert into console_user (id, email, password, fs_uniquifier) values (%s, %s, %s, %s)",
        (user_id, email, _hash(), user_id),
    )
    if role:
        database.query(
            "insert into console_grant (user_id, role, tenant_id)"
            " values (%s, %s, (select id from tenants where name = %s))",
            (user_id, role, tenant),
        )


def make_side(database: Database, name: str) -> Side:
    """Insert a tenant with two letters, a run, a sale with three touches and its allocations, jobs and attempts."""
    tenant_id = make_tenant(database, name)
    params = dict(make_spec("linear", "1.0.0", {}, frozenset()).params)
    make_model(database, tenant_id, MODEL, params=params, published=True)
    visitor = uuid4()
    for minutes, channel in ((0, "email"), (60, "google_search_paid"), (600, "email")):
        make_event(database, tenant_id, kind="touch", minutes=minutes, visitor=visitor, channel=channel)
    sale = make_event(database, tenant_id, minutes=700, visitor=visitor, cents=10_000)
    run, task_id = uuid4(), str(uuid4())
    database.query(
        "insert into attribution_recompute_jobs (tenant_id, id, window_start, window_end, model_version, status,"
        " run_count, task_id, conversion_count, allocation_count, changed_count, checksum, started_at, finished_at)"
        " values (%s, %s, '2025-06-01', '2025-06-02', %s, 'succeeded', 2, %s, 1, 2, 0, sha256('x'),"
        " now() - interval '3 seconds', now())",
        (str(tenant_id), str(run), MODEL, task_id),
    )
    allocate(database, tenant_id, sale, run, {"email": 6667, "google_search_paid": 3333})
    letter_task = add_attempt(database, tenant_id, "dead", error="attribution recompute failure requested")
    letter = make_letter(
        database,
        tenant_id,
        task_id=letter_task,
        traceback=TRACEBACK,
        task_name="skeldir.attribution.recompute_window",
        queue="attribution",
        task_kwargs=json.dumps({"tenant_id": str(tenant_id), "api_key": "[redacted]"}),
        message=message_of(letter_task, tenant_id),
    )
    abandoned = make_letter(database, tenant_id, status="abandoned")
    add_attempt(database, tenant_id, "done", task_id=task_id)
    add_job(database, tenant_id, "waiting")
    add_job(database, tenant_id, "scheduled")
    add_job(database, tenant_id, "running")
    return Side(tenant_id, letter, abandoned, run, sale, task_id)


def message_of(task_id: str, tenant_id: UUID | None) -> bytes:
    """Return a message of a ping, as the queue writes it."""
    from_queue = {"id": task_id, "name": "skeldir.housekeeping.ping", "kwargs": {"tenant_id": str(tenant_id)}}
    return json.dumps({"version": 1} | from_queue).encode()


def allocate(database: Database, tenant_id: UUID, event_id: UUID, run_id: UUID, cents: dict[str, int]) -> None:
    """Give an event's revenue to channels; the cents must sum to it, the database checks that."""
    total = sum(cents.values())
    ratios = {channel: round(part / total, 10) for channel, part in cents.items()}
    values = ", ".join(
        f"('{tenant_id}', '{event_id}', '{MODEL}', '{channel}', {ratios[channel]}, {part}, 'USD', false, 'linear',"
        f" '{run_id}', (select occurred_at from attribution_events where id = '{event_id}'))"
        for channel, part in cents.items()
    )
    database.query(
        "insert into attribution_allocations (tenant_id, event_id, model_version, channel_code, allocation_ratio,"
        f" allocated_revenue_cents, currency, is_fallback, model_type, run_id, converted_at) values {values}"
    )


def add_flow(database: Database, tenant_id: UUID | None, lane: str, *kinds: str) -> None:
    """Count one job in the ledger, once per kind, as the queue does in the statement that adds or ends it."""
    for kind in kinds:
        database.query(
            "insert into huey.flow (lane, tenant_id, kind, job_count) values (%s, %s, %s, 1)",
            (lane, tenant_id and str(tenant_id), kind),
        )


def add_attempt(
    database: Database,
    tenant_id: UUID | None,
    outcome: str,
    *,
    task_id: str | None = None,
    lane: str = "attribution",
    ago: str = "10 minutes",
    run_ms: float = 1200,
    error: str | None = None,
) -> str:
    """Insert one attempt and return its job's id."""
    task_id = task_id or str(uuid4())
    if outcome in ("done", "dead", "cancelled"):
        add_flow(database, tenant_id, lane, "enqueued", outcome)
    database.query(
        "insert into huey.job_attempt (task_id, task_name, lane, tenant_id, attempt, outcome, ended, worker,"
        " enqueued_at, claimed_at, ended_at, wait_ms, run_ms, error_class, error_message) values (%s,"
        " 'skeldir.attribution.recompute_window', %s, %s, 1, %s, %s, 'host:1:1',"
        " now() - %s::interval, now() - %s::interval, now() - %s::interval, 12, %s, %s, %s)",
        (
            task_id,
            lane,
            tenant_id and str(tenant_id),
            outcome,
            outcome in ("done", "dead", "cancelled"),
            *(ago, ago, ago),
            run_ms,
            error and "RuntimeError",
            error,
        ),
    )
    return task_id


def add_job(database: Database, tenant_id: UUID | None, state: str, *, lane: str = "attribution") -> str:
    """Insert a job that has not ended and return its id."""
    task_id = str(uuid4())
    add_flow(database, tenant_id, lane, "enqueued")
    database.query(
        "insert into huey.job (task_id, lane, task_name, tenant_id, message, state, run_at, claim_token, claimed_at)"
        " values (%s, %s, 'skeldir.housekeeping.ping', %s, '{}', %s, now() + %s::interval, %s, %s)",
        (task_id, lane, tenant_id and str(tenant_id), state, "1 hour" if state == "scheduled" else "-90 seconds")
        + ((str(uuid4()), "now") if state == "running" else (None, None)),
    )
    return task_id


def start_console() -> Flask:
    """Return the console; a start that is refused is a plain failure, not pytest's end."""
    try:
        return quick.make_quick(create_app())
    except SystemExit as refused:
        raise RuntimeError("the console did not start; its line is on stderr") from refused


def token_of(client: FlaskClient, path: str) -> str:
    """Return the CSRF token in a page."""
    text = client.get(path, follow_redirects=True).get_data(as_text=True)
    return text.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD) -> TestResponse:
    """Send the form of the sign-in page."""
    data = {"email": email, "password": password, "csrf_token": token_of(client, "/admin/login")}
    return client.post("/admin/login", data=data)


def act(
    client: FlaskClient,
    letter: UUID,
    verb: str,
    tenant: UUID | None,
    *,
    reason: str = "tests say so",
    query: str = "",
    page: str = "/admin/account/",
) -> TestResponse:
    """Send the form of a verb."""
    data = {"reason": reason, "tenant": str(tenant or "none"), "csrf_token": token_of(client, page + query)}
    return client.post(f"/admin/dead/{letter}/{verb}{query}", data=data)


def steer(
    client: FlaskClient, lane: str, verb: str, tenant: UUID | None, *, query: str = "", **fields: str
) -> TestResponse:
    """Send the form that pauses or resumes a lane, a task (in `query`) or a tenant."""
    data = {"reason": "tests say so", "tenant": str(tenant or "none")} | fields
    data["csrf_token"] = token_of(client, "/admin/account/" + (query if "tenant=" in query else ""))
    return client.post(f"/admin/queues/{lane}/{verb}{query}", data=data)
