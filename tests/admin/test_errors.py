"""Errors: counted when letters are written, decided about by operators, tried out with one letter first."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from skeldir_huey.queue.fingerprint import fingerprint, parts_of
from skeldir_huey.queue.storage import statement
from tests.admin.world import World, act, token_of
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]

COUNTS = """
select fingerprint, sum(seen_count)::int, sum(open_count)::int from (
  select fingerprint, seen_count, open_count from huey.error_delta union all
  select fingerprint, seen_count, open_count from huey.error_total) counted group by 1 order by 1
"""
TRUTH = """
select fingerprint, count(*)::int, (count(*) filter (where status = 'pending'))::int
  from worker_failed_jobs group by 1 order by 1
"""


@pytest.fixture
def three(world: World) -> list[str]:
    """Three errors of many letters, whose messages vary in what they mention; the world's own letters are away."""
    world.database.query("delete from worker_failed_jobs")
    world.database.query("delete from huey.error_delta")
    made = []
    for number, (kind, text) in enumerate(
        (
            ("TimeoutError", "window {n} of '{n}' timed out after 2026-11-{d} 10:00:00"),
            ("ValueError", "expected 0x{n}ff at 3d0c2a1b-0000-4000-8000-00000000000{d}"),
            ("KeyError", "no such key"),
        )
    ):
        for i in range(1, 5):
            message = text.format(n=i * 7, d=f"0{i}" if number == 0 else i)
            name = fingerprint("skeldir.housekeeping.ping", kind, message, "")
            tenant = world.a.tenant_id if i % 2 or number == 2 else world.b.tenant_id
            make_letter(world.database, tenant, exception_class=kind, error_message=message, fingerprint=name)
        made.append(name)
    return made


def cards(text: str) -> dict[str, str]:
    """Return fingerprint -> the card's text."""
    parts = re.split(r'id="error-(?=[0-9a-f]{8,16}")', text)[1:]
    return {part[: part.index('"')]: part.split("</article>")[0] for part in parts}


def test_the_message_in_pieces() -> None:
    assert parts_of("took 12.5 s at 'x'") == [
        ("took ", False),
        ("<n>", True),
        (" s at ", False),
        ("<text>", True),
    ]


def test_three_errors_make_three_cards(world: World, client_of: Client, three: list[str]) -> None:
    client = client_of(world.admin)
    found = cards(client.get("/admin/dead/").get_data(as_text=True))
    assert set(found) == set(three)
    for name, tenants in zip(three, (2, 2, 1), strict=True):
        assert "<b>4</b></a></dd>" in found[name], found[name]
        assert re.search(rf"<dt>Tenants?</dt><dd>{tenants}</dd>", found[name])
    of_a = cards(client.get(f"/admin/dead/?tenant={world.a.tenant_id}").get_data(as_text=True))
    assert ["<b>2</b></a></dd>" in of_a[name] for name in three] == [True, True, False]
    assert '<span class="muted">&lt;n&gt;</span>' in found[three[0]], "what varies is greyed"


def test_counts_follow_every_change_of_letters(world: World, three: list[str]) -> None:
    database = world.database
    for change in (
        "select 1",
        "update worker_failed_jobs set status = 'abandoned' where exception_class = 'KeyError'",
        "update worker_failed_jobs set status = 'pending' where exception_class = 'KeyError'",
        "update worker_failed_jobs set status = 'in_progress' where exception_class = 'ValueError'",
        "update worker_failed_jobs set worker = 'nobody'",
        "delete from worker_failed_jobs where exception_class = 'KeyError' and status = 'pending'"
        " and id = (select min(id::text)::uuid from worker_failed_jobs where exception_class = 'KeyError')",
    ):
        database.query(change)
        seen = {name: count for name, count, _ in database.query(TRUTH)}
        pending_of = {name: count for name, _, count in database.query(TRUTH)}
        for name, count, pending in database.query(COUNTS):
            assert (count, pending) == (max(seen[name], count), pending_of[name])
        database.query(str(statement("fold_errors")))
        assert database.value("select count(*) from huey.error_delta") == 0
    # Another error than the last time: the letter moves to its group.
    database.query("update worker_failed_jobs set status = 'pending', fingerprint = 'ffffffff', failed_at = now()")
    assert [row for row in database.query(COUNTS) if row[2]] == [("ffffffff", 11, 11)]


def test_folding_twice_at_once_counts_once(world: World, three: list[str]) -> None:
    before = world.database.query(COUNTS)
    with world.database.connect() as first, first.cursor() as one, world.database.connect() as second:
        one.execute(str(statement("fold_errors")))
        with second.cursor() as two:
            two.execute(str(statement("fold_errors")))
        second.commit()
        first.commit()
    assert world.database.query(COUNTS) == before
    assert world.count("huey.error_group") == 5


def test_settlements_do_not_wait_for_each_other(world: World) -> None:
    """Two transactions write letters of the same two errors in opposite order, and both come to their end."""
    make = (
        "set local lock_timeout = '2s'; insert into worker_failed_jobs (tenant_id, task_id, task_name, queue,"
        " error_type, fingerprint, message) values (%s, gen_random_uuid()::text, 'x', 'ingest', 'permanent', %s, '{}')"
    )
    tenant = str(world.a.tenant_id)
    with world.database.connect() as first, world.database.connect() as second:
        with first.cursor() as one, second.cursor() as two:
            one.execute(make, (tenant, "aaaaaaaa"))
            two.execute(make, (tenant, "bbbbbbbb"))
            one.execute(make, (tenant, "bbbbbbbb"))
            two.execute(make, (tenant, "aaaaaaaa"))
        first.commit()
        second.commit()
    assert [row[:2] for row in world.database.query(COUNTS) if row[0] > "a"] == [("aaaaaaaa", 2), ("bbbbbbbb", 2)]


def decide(client: FlaskClient, name: str, tenant: UUID | None = None, **fields: str) -> int:
    query = f"?tenant={tenant}" if tenant else ""
    data = {"reason": "looked at it", "tenant": str(tenant or "none"), "days": "7"} | fields
    data["csrf_token"] = token_of(client, f"/admin/account/{query}")
    return client.post(f"/admin/dead/error/{name}{query}", data=data).status_code


def state(client: FlaskClient, name: str, query: str = "?state=any") -> str:
    found = re.search(
        r'class="status status-(\w+)"', cards(client.get(f"/admin/dead/{query}").get_data(as_text=True))[name]
    )
    assert found
    return found[1]


def test_acknowledged_fixed_back_ignored_and_new(world: World, client_of: Client, three: list[str]) -> None:
    client, name = client_of(world.admin), three[0]
    assert state(client, name) == "new"
    assert decide(client, name, kind="acknowledged", owner="dana") == 303
    text = cards(client.get("/admin/dead/").get_data(as_text=True))[name]
    assert state(client, name) == "acknowledged" and "<b>dana</b>" in text and "looked at it" in text
    assert decide(client, name, kind="fixed") == 400, "a version is needed"
    assert decide(client, name, kind="fixed", version="1.4.2") == 303
    assert state(client, name) == "fixed"
    world.database.query("update worker_failed_jobs set failed_at = clock_timestamp() where fingerprint = %s", (name,))
    assert state(client, name) == "back"
    assert "back, was fixed in 1.4.2" in client.get("/admin/dead/?state=back").get_data(as_text=True)
    assert decide(client, name, kind="ignored", days="1") == 303
    assert name not in cards(client.get("/admin/dead/").get_data(as_text=True)), "ignored errors are not in the way"
    world.database.query("update huey.error_group set ignored_until = now() - interval '1 second'")
    assert state(client, name) == "new"
    assert decide(client, name, kind="new") == 303 and state(client, name) == "new"
    kinds = world.database.query("select detail->>'kind' from console_audit where action = 'acknowledge' order by id")
    assert kinds == [("acknowledged",), ("fixed",), ("ignored",), ("new",)]


def test_a_decision_of_one_tenant_is_that_tenants(world: World, client_of: Client, three: list[str]) -> None:
    operator, scope = client_of(world.operator_a), f"?tenant={world.a.tenant_id}"
    assert decide(operator, three[0], world.a.tenant_id, kind="fixed", version="2") == 303
    assert state(operator, three[0], f"{scope}&state=any") == "fixed"
    assert state(client_of(world.admin), three[0], f"?tenant={world.b.tenant_id}&state=any") == "new"
    assert decide(client_of(world.viewer_a), three[0], world.a.tenant_id, kind="fixed", version="2") == 403
    assert decide(operator, "ffffffff", world.a.tenant_id, kind="fixed", version="2") == 404
    assert operator.get(f"/admin/dead/error/nonsense{scope}").status_code == 404


def test_a_canary_shows_its_result_and_then_offers_the_others(
    world: World, client_of: Client, three: list[str]
) -> None:
    client, name = client_of(world.admin), three[2]
    card = cards(client.get("/admin/dead/").get_data(as_text=True))[name]
    (letter,) = re.findall(r"/admin/dead/([0-9a-f-]{36})/replay\?canary=", card)
    assert "Replay all" in card
    for code in (303, 409):  # a double click
        assert act(client, UUID(letter), "replay", world.a.tenant_id, query=f"?canary={name}").status_code == code
    assert world.count("huey.job", "letter_id is not null") == 1
    card = cards(client.get("/admin/dead/").get_data(as_text=True))[name]
    assert "not done yet" in card and "<b>3</b></a></dd>" in card
    world.database.query(
        "update worker_failed_jobs set status = 'resolved', resolved_at = now() where id = %s", (letter,)
    )
    card = cards(client.get("/admin/dead/").get_data(as_text=True))[name]
    assert "status-succeeded" in card and "Replay the other 3" in card and "Replay one" not in card
    assert world.database.query("select detail->>'canary_of' from console_audit where action = 'replay'") == [(name,)]


def test_bad_places_in_the_list(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    for query in ("start=-1", "start=x", "start=99999", "state=nonsense", "start=1&start=2"):
        assert client.get(f"/admin/dead/?{query}").status_code == 400, query
    assert client.get("/admin/dead/?start=25").status_code == 200
