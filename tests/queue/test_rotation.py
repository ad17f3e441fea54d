"""History partitions are made while jobs are settled: no settlement fails.

Seen in a drain by two processes that had just started: "new row for relation job_attempt_default violates partition
constraint" in the settlement of up to 50 jobs, which then ran twice.
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.storage import statement
from skeldir_huey.tasks.housekeeping import ping
from tests.cluster import Database
from tests.waiting import until

PARTITIONS = "select relname from pg_class where relname ~ '^job_attempt_[0-9]{8}$' and relkind = 'r'"
BY_HAND = """
create table huey.job_attempt_by_hand
  (like huey.job_attempt including defaults including constraints including indexes);
grant all on huey.job_attempt_by_hand to public;
alter table huey.job_attempt attach partition huey.job_attempt_by_hand for values from ('2020-01-01') to ('2100-01-01');
"""


def settle_one(huey: SkeldirHuey) -> set[int]:
    (claim,) = huey.storage.claim(uuid.uuid4(), 1)
    columns: dict[str, Any] = {"ids": claim.id, "tokens": claim.token, "results": None, "run_ms": 1.0, "workers": "w"}
    rows = {name: [value] for name, value in columns.items()} | {"revoke_keys": [None], "now": None}
    return huey.storage.settle_done(rows)


@pytest.mark.parametrize("by_hand", [False, True], ids=["ours", "by hand"])
def test_a_settlement_while_partitions_are_made(database: Database, huey: SkeldirHuey, by_hand: bool) -> None:
    """Ours locks the whole history first. What the server has rolled back all the same is settled once more."""
    for (name,) in database.query(PARTITIONS):
        database.query(f"drop table huey.{name}")
    huey.enqueue_many(ping.s() for _ in range(2))
    settled = [settle_one(huey)]  # its session has looked at the table
    database.query("delete from huey.job_attempt")
    rotating = database.connect("postgres")
    with rotating.cursor() as cursor:
        cursor.execute(BY_HAND if by_hand else "set local role app_rw; " + statement("rotate_history"))
        settler = threading.Thread(target=lambda: settled.append(settle_one(huey)), daemon=True)
        settler.start()
        until(lambda: database.value("select count(*) from pg_locks where not granted") > 0, 30)
    rotating.commit()
    rotating.close()
    settler.join(10)
    assert [len(ids) for ids in settled] == [1, 1]
    assert database.query("select outcome from huey.job_attempt") == [("done",)]
