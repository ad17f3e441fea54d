"""Messages that nobody understands: 5,000 of them, and no row disappears, no worker stops and no code runs."""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from skeldir_huey import config
from skeldir_huey.queue.claims import ClaimedMessage
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.storage import statement
from tests import work
from tests.cluster import Database

RunAll = Callable[[], int]
COUNT = int(os.environ.get("UNREADABLE", "5000"))
GOOD = 50  # among them


def messages(huey: SkeldirHuey, rng: random.Random) -> list[bytes]:
    """Return COUNT messages: random bytes, foreign JSON, unknown names, other versions, 1 MiB, and mutations."""
    good = huey.serialize_task(work.add.s(1, 2))

    def mutated() -> bytes:
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)

    makers: list[Callable[[], bytes]] = [
        lambda: rng.randbytes(rng.randint(0, 300)),
        lambda: good.replace(b"test.add", b"test.no_such_task_%d" % rng.randrange(9)),
        lambda: good.replace(b'"v":1', b'"v":%d' % rng.choice((0, 2, 99)), 1),
        lambda: json.dumps(rng.choice(([], {}, 1, None, {"v": 1}, {"v": 1, "d": {"$": "os.system"}}))).encode(),
        lambda: pickle.dumps({"n": rng.random()}),
        lambda: good[: rng.randrange(len(good))],
        mutated,
    ]
    made = [rng.choice(makers)() for _ in range(COUNT - 5)]
    made += [rng.randbytes(2**20), b"x" * 2**20, b'{"v":1,"d":"' + b"y" * 2**20 + b'"}', b"[" * 2**20, b""]
    rng.shuffle(made)
    return made


def add(huey: SkeldirHuey, made: list[bytes], run_at: dt.datetime | None) -> None:
    """Put messages into the table as they are, past every check of the producer's side."""
    for begin in range(0, len(made), 500):
        batch = made[begin : begin + 500]
        parameters: dict[str, Any] = {
            "lane": "ingest",
            "task_name": "raw",
            "tenant_id": None,
            "correlation_id": uuid.uuid4(),
            "task_ids": [str(uuid.uuid4()) for _ in batch],
            "messages": batch,
            "priorities": [0.0] * len(batch),
            "run_ats": [run_at] * len(batch),
            "now": None,
        }
        huey.storage.run(statement("enqueue_many"), parameters)


def run_batches(huey: SkeldirHuey) -> None:
    """Do what workers do with claims, in batches."""
    while claims := huey.storage.claim(uuid.uuid4(), 50):
        for claim in claims:
            task = huey.task_of(ClaimedMessage.of(claim))
            if task is not None:
                huey.execute(task)


@pytest.mark.timeout(180)
def test_no_message_makes_a_row_disappear(
    database: Database, huey: SkeldirHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 6. Seen with a plain SqlHuey: an unknown task, corrupt bytes and a class that cannot be imported, and corrupt
    bytes in the schedule: 4 of 4 rows were gone after dequeue and read_schedule (HueyException, UnpicklingError,
    ModuleNotFoundError, and an empty list).
    """
    made = messages(huey, random.Random(7))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    add(huey, made[: COUNT // 4], later)
    add(huey, made[COUNT // 4 :], None)
    huey.enqueue_many(work.echo.s(number) for number in range(GOOD))
    huey.storage.run(work.promote, {"now": later})
    run_batches(huey)
    left = database.value("select count(*) from huey.job where state = 'scheduled' and unknown_since is not null")
    ended = database.value("select count(*) from huey.job_attempt where ended and task_name = 'raw'")
    again = database.value("select count(*) from huey.job where unknown_since is null")
    assert (left + ended, again) == (COUNT, 0), "every message is kept, or was understood after all and ended"
    assert left > COUNT * 0.8
    assert ended == database.value("select count(*) from huey.job_attempt where ended") - GOOD
    assert database.value("select count(*) from huey.job where attempt <> 0 or deaths <> 0") == 0
    assert database.value("select coalesce(sum(abs(gap)), 0) from (" + statement("ledger") + ") l") == 0

    monkeypatch.setenv("SKELDIR_UNKNOWN_TASK_GRACE_S", "0")
    config.settings.cache_clear()
    few = database.query("select id from huey.job order by octet_length(message) desc limit 300")
    database.query("update huey.job set state = 'waiting' where id = any(%s)", ([one for (one,) in few],))
    run_batches(huey)
    letters = database.query(
        "select error_type, count(*), max(octet_length(message)) from worker_failed_jobs"
        " where error_type = 'unknown_task' group by 1"
    )
    assert letters == [("unknown_task", 300, 2**20 + 14)], "after the grace: a letter that has the whole message"


def test_a_pickle_in_the_table_runs_nowhere(database: Database, huey: SkeldirHuey, run_all: RunAll) -> None:
    """Row 26. Seen with a plain SqlHuey: `huey.pending()` of a row that holds this bomb ran it, in whoever looks."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a message ran code",))

    for _ in range(2):
        huey.storage.enqueue(pickle.dumps(Bomb()))
    huey.storage.add_to_schedule(pickle.dumps(Bomb()), dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
    huey.storage.put_data("a result", pickle.dumps(Bomb()), is_result=True)
    assert huey.pending() == [] and huey.scheduled() == []
    with pytest.raises(Exception, match="not a message"):
        huey.get("a result")
    assert run_all() == 2
    assert database.value("select count(*) from huey.job") == 3
