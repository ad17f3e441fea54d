"""A job's rank follows its tenant's last one, which is found by one look at an index however many wait."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from skeldir_huey.queue import bulk
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.storage import statement
from skeldir_huey.tasks.housekeeping import ping
from tests.cluster import Database

WAITING = 3000
RANKING = ("enqueue", "enqueue_many", "promote", "settle_again")


def _parameters(huey: SkeldirHuey, name: str) -> dict[str, Any]:
    """Return what each statement is called with, after making the job that it ranks."""
    if name == "enqueue":
        return huey.row_of(ping.s()) | {"always_notify": False}
    if name == "enqueue_many":
        row = huey.row_of(ping.s())
        return bulk._parameters((row["task_name"], row["tenant_id"]), [row])
    if name == "promote":
        huey.enqueue(ping.s(eta=dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(days=1)))
        return {"now": dt.datetime.now(dt.UTC) + dt.timedelta(days=2)}
    (claim,) = huey.storage.claim(uuid.uuid4(), 1)
    return {
        **dict.fromkeys(re.findall(r"%\((\w+)\)s", statement("settle_again"))),
        "id": claim.id,
        "token": claim.token,
        "outcome": "errored",
        "counted": True,
        "unknown": False,
        "cut": False,
    }


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for part in plan.get("Plans", []) for node in _nodes(part))]


def _rows_read_of_shares(huey: SkeldirHuey, name: str) -> float:
    """Run a statement and return how many waiting jobs of the tenant it looked at to rank one more."""
    answer = huey.storage.run(f"explain (analyze, format json) {statement(name)}", _parameters(huey, name))
    (plan,) = answer[0]["QUERY PLAN"]
    read = [node for node in _nodes(plan["Plan"]) if node.get("Index Name") == "job_share"]
    assert read, f"{name}: ranked without the index job_share"
    return sum(float(node["Actual Rows"]) * float(node["Actual Loops"]) for node in read)


@pytest.mark.parametrize("known", [False, True], ids=["before statistics", "after analyze"])
@pytest.mark.parametrize("name", RANKING)
def test_one_more_job_is_ranked_by_one_look(huey: SkeldirHuey, database: Database, name: str, known: bool) -> None:
    """All of the tenant's waiting jobs were read and sorted: with 100,000 of them, 50 ms to add one."""
    huey.enqueue_many(ping.s() for _ in range(WAITING))
    if known:
        database.query("analyze huey.job")
    assert _rows_read_of_shares(huey, name) == 1


def test_without_the_order_of_the_index_all_are_read(
    huey: SkeldirHuey, mutate: Callable[[str, str, str], None]
) -> None:
    """What the planner makes of `order by rank` alone, though lane and tenant are given: an index on an expression."""
    text = statement("enqueue_many")
    (order,) = re.findall(r"order by (j\.lane desc, .*), j\.rank desc", text)
    mutate("enqueue_many", f"{order}, ", "")
    huey.enqueue_many(ping.s() for _ in range(WAITING))
    assert _rows_read_of_shares(huey, "enqueue_many") >= WAITING
