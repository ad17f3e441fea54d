"""An operation on many dead letters outlives its worker: kill -9 in the middle, and each letter is replayed once."""

from __future__ import annotations

import signal

from tests.cluster import Database
from tests.e2e.conftest import StartConsumer
from tests.factories import make_tenant
from tests.queue.test_bulk_letters import add_letters, add_operation
from tests.waiting import until

LETTERS = 900


def test_a_killed_worker_replays_nothing_twice(database: Database, start_consumer: StartConsumer) -> None:
    tenants = [make_tenant(database, name) for name in ("alpha", "beta")]
    for tenant in tenants:
        add_letters(database, tenant, LETTERS // 2)
    first = start_consumer()
    add_operation(database)
    done = "select count(*) from huey.bulk_item"
    until(lambda: database.value(done) > 0, 30, first.log.read_text)
    first.end(signal.SIGKILL)
    handled = database.value(done)
    assert 0 < handled < LETTERS and handled % 50 == 0, "it died between two batches or inside of one"
    start_consumer()
    state = "select state from huey.bulk_operation"
    until(lambda: database.value(state) == "done", 60, lambda: str(database.query("select * from huey.bulk_share")))
    left = "select count(*) from huey.job where letter_id is not null"
    until(lambda: database.value(left) == 0, 60)
    assert database.value("select count(*) from huey.bulk_item where result = 'done'") == LETTERS
    once = "select count(*), count(distinct letter_id) from huey.job_attempt where letter_id is not null and ended"
    assert database.query(once) == [(LETTERS, LETTERS)]
    assert database.value("select count(*) from worker_failed_jobs where status = 'resolved'") == LETTERS
    assert database.query("select sum(done_count)::int, sum(failed_count)::int from huey.bulk_share") == [(LETTERS, 0)]
