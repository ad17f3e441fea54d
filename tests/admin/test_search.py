"""The search box: what is understood, what is refused with a pointer, and that it finds what SQL finds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from admin.search import SearchError, parse
from tests.admin.test_pages import page
from tests.admin.world import World, add_attempt, add_job
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]


def test_words_are_read() -> None:
    query = parse('task:recompute_window error:"timed out" tries:>=3 args.a.b:7 status:dead')
    assert [(term.key, term.value) for term in query.terms] == [
        ("task", "recompute_window"),
        ("error", "timed out"),
        ("tries", ">=3"),
        ("args", "7"),
        ("status", "dead"),
    ]
    assert (query.terms[2].operator, query.terms[2].number) == (">=", 3)
    assert query.terms[3].contained() == [{"a": {"b": "7"}}, {"a": {"b": 7}}]
    assert parse("").terms == () and parse("  ").uuid is None
    wanted = uuid4()
    assert parse(f" {wanted} ").uuid == wanted


@pytest.mark.parametrize(
    ("text", "pointed", "words"),
    [
        ("task:ping colour:red", "colour", "unknown word"),
        ("timeout", "timeout", "say where to look"),
        ("tries:many", "many", "expected a number"),
        ("queue:attic", "attic", "no such queue"),
        ("status:lost", "lost", "no such status"),
        ("correlation:12", "12", "whole uuid"),
        ("task:", "task:", "say what task must be"),
        ('error:"open', '"open', "quotation mark"),
        ("args.:x", "args.", "unknown word"),
    ],
)
def test_a_wrong_word_is_pointed_at(text: str, pointed: str, words: str) -> None:
    with pytest.raises(SearchError) as caught:
        parse(text)
    error = caught.value
    assert text[error.start : error.start + error.length] == pointed and words in error.reason
    assert error.pointer.index("^") == text.index(pointed) and error.pointer.count("^") == len(pointed)


def found(text: str, kind: str) -> set[str]:
    return set(re.findall(rf'<a href="/admin/{kind}/([0-9a-f-]{{36}})/', text))


def test_what_it_finds_equals_sql(world: World, client_of: Client) -> None:
    database = world.database
    add_attempt(database, world.a.tenant_id, "errored", error="no route to bank 4711")
    database.query("update huey.job_attempt set attempt = 5 where outcome = 'errored'")
    add_job(database, world.b.tenant_id, "waiting", lane="ingest")
    nested = {"window": {"start": "2026-11-19"}, "n": 3}
    make_letter(database, world.a.tenant_id, task_kwargs=json.dumps(nested), queue="ingest")
    make_letter(
        database, world.b.tenant_id, task_kwargs=json.dumps({"owner": {"$": "uuid", "v": str(world.a.run)}}),
        error_message="100% of_it",
    )  # fmt: skip
    client = client_of(world.admin)
    for text, kind, table, where in (
        ("queue:ingest", "dead", "worker_failed_jobs", "queue = 'ingest'"),
        ("queue:ingest", "jobs", "huey.job", "lane = 'ingest'"),
        ("task:ping status:waiting", "jobs", "huey.job", "state = 'waiting'"),
        ("task:pin", "jobs", "huey.job", "false"),
        ("tenant:acme", "dead", "worker_failed_jobs", f"tenant_id = '{world.a.tenant_id}'"),
        ("tenant:nobody", "dead", "worker_failed_jobs", "false"),
        ("tries:>3", "jobs", "huey.job_attempt", "attempt > 3"),
        ("tries:>3 tries:<5", "jobs", "huey.job_attempt", "false"),
        ('error:"route to BANK"', "jobs", "huey.job_attempt", "error_message like '%%route to bank%%'"),
        ("error:%", "dead", "worker_failed_jobs", "error_message like '%%100\\%% of%%'"),
        (
            "args.window.start:2026-11-19",
            "dead",
            "worker_failed_jobs",
            "task_kwargs->'window'->>'start' = '2026-11-19'",
        ),
        ("args.n:3", "dead", "worker_failed_jobs", "task_kwargs->>'n' = '3'"),
        (f"args.owner:{world.a.run}", "dead", "worker_failed_jobs", "task_kwargs ? 'owner'"),
        ("status:abandoned", "dead", "worker_failed_jobs", "status = 'abandoned'"),
    ):
        column = "id::text" if kind == "dead" else "task_id"
        wanted = {row[0] for row in database.query(f"select {column} from {table} where {where.replace('%%', '%')}")}
        response = client.get("/admin/search/", query_string={"q": text, "range": "all"})
        assert response.status_code == 200
        assert found(response.get_data(as_text=True), kind) == wanted, text
        if where != "false":
            assert wanted, text


def test_a_bare_id_leads_to_what_has_it(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    correlation = str(uuid4())
    job = add_job(world.database, world.a.tenant_id, "waiting")
    world.database.query("update huey.job set correlation_id = %s where task_id = %s", (correlation, job))
    for wanted, path in (
        (job, f"/admin/jobs/{job}/"),
        (world.a.letter, f"/admin/dead/{world.a.letter}/"),
        (world.a.run, f"/admin/recompute/{world.a.run}/"),
        (world.a.sale, f"/admin/allocations/{world.a.sale}/?tenant={world.a.tenant_id}"),
        (correlation, f"/admin/jobs/correlation/{correlation}/"),
        (world.a.tenant_id, f"/admin/?tenant={world.a.tenant_id}"),
    ):
        response = client.get("/admin/search/", query_string={"q": str(wanted)})
        assert (response.status_code, response.headers.get("Location")) == (302, path)
        assert client.get(path).status_code == 200, path
    assert "Nothing has this id" in page(client, f"/admin/search/?q={uuid4()}")


def test_an_id_of_another_tenant_is_not_found(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    for wanted in (world.b.letter, world.b.run, world.b.sale, world.b.tenant_id, world.b.task_id, world.global_letter):
        text = page(client, f"/admin/search/?tenant={world.a.tenant_id}&q={wanted}")
        assert "Nothing has this id" in text, wanted
    text = page(client, f"/admin/search/?tenant={world.a.tenant_id}&q=tenant:bolt&range=all")
    assert found(text, "dead") == set() == found(text, "jobs")


def test_errors_stand_under_the_box_and_the_text_stays(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    for path in ("/admin/search/", "/admin/jobs/"):
        response = client.get(path, query_string={"q": "status:<b>lost"})
        text = response.get_data(as_text=True)
        assert response.status_code == 200 and "no such status" in text and "^^^^^^^" in text
        assert "<b>lost" not in text and "status:&lt;b&gt;lost" in text
    assert client.get("/admin/search/", query_string={"q": "x" * 10_000}).status_code == 400
    assert client.get("/admin/search/?range=x").status_code == 400
