"""Backfills: day by day, stopped, failed, gone on with; and late data that never starves."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from skeldir_huey import cli
from skeldir_huey.commands import backfill as command
from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import dead_letters
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks.attribution import recompute_dirty, schedule_recompute_window
from skeldir_huey.tasks.backfill import cancel_backfill, resume_backfill, start_backfill
from tests.attribution.runner import CHANNELS, allocations, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant
from tests.waiting import until

RunAll = Callable[[], int]
VERSION = "even_split@1.0.0"
END = DAY + timedelta(days=4, hours=12)


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    tenant_id = make_tenant(database)
    for day in range(5):
        make_event(database, tenant_id, minutes=day * 1440 + 60, cents=300)
    make_version(tenant_id, "even_split", publish=True, channels=CHANNELS)
    return tenant_id


def one(huey: SkeldirHuey) -> str:
    """Execute one job; returns its name."""
    data = huey.storage.dequeue()
    assert data is not None
    task = huey.task_of(data)
    assert task is not None
    huey.execute(task)
    return str(data.claim.task_name).rpartition(".")[2]


def state(database: Database) -> list[tuple[object, ...]]:
    return database.query("select status, done_until from backfills")


def test_backfill_runs_day_by_day_and_ends_like_one_run(database: Database, tenant: UUID, run_all: RunAll) -> None:
    found = start_backfill(tenant, DAY + timedelta(hours=1), END, VERSION)
    assert (found.day_count, found.done_count) == (5, 0)
    run_all()
    assert state(database) == [("succeeded", END)]
    windows = database.query(
        "select window_start, window_end, status, run_count, reason from attribution_recompute_jobs order by 1"
    )
    day = timedelta(days=1)
    starts = [DAY + timedelta(hours=1), *(DAY + n * day for n in range(1, 5))]
    assert windows == [
        (start, end, "succeeded", 1, "backfill") for start, end in zip(starts, [*starts[1:], END], strict=True)
    ]
    whole = run_window(tenant, VERSION, DAY, END)
    assert (whole.changed_count, whole.conversion_count) == (0, 5)
    assert database.value("select count(*) from mv_channel_performance") == 15, "reports are refreshed at the end"


def test_cancelled_backfill_stops_after_its_day_and_goes_on_where_it_was(
    database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll
) -> None:
    found = start_backfill(tenant, DAY, END, VERSION)
    assert [one(huey), one(huey), one(huey)] == ["backfill_step", "recompute_window", "backfill_step"]
    cancel_backfill(tenant, found.id)
    assert run_all() == 2  # the day under way, and the step that stops
    assert state(database) == [("cancelled", DAY + timedelta(days=1))]
    resume_backfill(tenant, found.id)
    run_all()
    assert state(database) == [("succeeded", END)]
    counts = database.query("select run_count from attribution_recompute_jobs")
    assert sorted(counts) == [(1,)] * 5, "the day that was done when it was cancelled is not done again"


def test_failed_day_stops_the_backfill_and_its_replay_goes_on(
    database: Database, tenant: UUID, run_all: RunAll
) -> None:
    database.query("alter table attribution_allocations add constraint full_disk check (converted_at < '2025-06-03Z')")
    start_backfill(tenant, DAY, END, VERSION)
    run_all()
    ((status, done_until),) = state(database)
    assert (status, done_until) == ("failed", DAY + timedelta(days=2))
    assert "full_disk" in database.value("select error_message from backfills")
    database.query("alter table attribution_allocations drop constraint full_disk")
    letter = database.value("select id::text from worker_failed_jobs")
    with transaction(tenant) as connection:
        dead_letters.replay(connection, UUID(letter))
    run_all()
    assert state(database) == [("succeeded", END)]
    assert {row[0] for row in database.query("select status from attribution_recompute_jobs")} == {"succeeded"}


def test_day_that_somebody_else_does_is_waited_for(
    database: Database, tenant: UUID, huey: SkeldirHuey, run_all: RunAll
) -> None:
    start_backfill(tenant, DAY, DAY + timedelta(days=2), VERSION)
    schedule_recompute_window(tenant, DAY, DAY + timedelta(days=1), VERSION)
    run_all()
    assert state(database) == [("running", DAY)]
    assert database.query("select task_name, state from huey.job") == [
        ("skeldir.attribution.backfill_step", "scheduled")
    ]

    def looked_again() -> bool:
        database.query("update huey.job set state = 'waiting' where run_at <= now()")
        run_all()
        return state(database)[0][0] == "succeeded"

    until(looked_again, 30)


def test_command_watches_and_ctrl_c_says_how_to_go_on(
    database: Database,
    tenant: UUID,
    run_all: RunAll,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["backfill", "--tenant", "acme", "--from", "2025-06-01", "--to", "2025-06-04"]
    with monkeypatch.context() as patch:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(command, "_watch", interrupt)
        assert cli.main(arguments) == 130
    said = capsys.readouterr().err
    backfill_id = database.value("select id::text from backfills")
    resume = f"backfill --tenant acme --resume {backfill_id}"
    assert f"cancelled, 0 of 3 days done; go on with: python -m skeldir_huey {resume}" in said

    worker = threading.Thread(target=lambda: until(lambda: run_all() > 2))
    worker.start()
    assert cli.main(resume.split()) == 0
    worker.join()
    assert f"backfill {backfill_id} succeeded, 3 of 3 days done" in capsys.readouterr().out
    assert cli.main(resume.split()) == 1
    capsys.readouterr()
    assert cli.main(["backfill", "--tenant", "acme", "--show", backfill_id, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["status"], shown["done_count"], shown["day_count"]) == (backfill_id, "succeeded", 3, 3)
    assert cli.main(["backfill", "--tenant", "acme", "--show", backfill_id, "--csv"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert (row["id"], row["status"], row["done_count"]) == (backfill_id, "succeeded", "3")
    assert cli.main(["backfill", "--tenant", "acme"]) == 2
    assert cli.main([*arguments, "--model", "linear@9"]) == 2
    assert database.value("select count(*) from backfills") == 1


def test_command_cancels_and_resumes(
    database: Database, tenant: UUID, run_all: RunAll, capsys: pytest.CaptureFixture[str]
) -> None:
    of = ["backfill", "--tenant", "acme"]
    assert cli.main([*of, "--from", "2025-06-01", "--to", "2025-06-04", "--no-wait", "--json"]) == 0
    started = json.loads(capsys.readouterr().out)
    assert (started["status"], started["day_count"], started["done_count"]) == ("running", 3, 0)
    assert cli.main([*of, "--cancel", started["id"]]) == 0
    assert f"backfill {started['id']} cancelled, 0 of 3 days done" in capsys.readouterr().out
    run_all()
    assert database.value("select count(*) from attribution_recompute_jobs") == 0
    assert cli.main([*of, "--resume", started["id"], "--no-wait"]) == 0
    run_all()
    capsys.readouterr()
    assert cli.main([*of, "--cancel", started["id"]]) == 1
    assert "is done" in capsys.readouterr().err
    assert cli.main([*of, "--cancel", str(uuid4())]) == 1
    assert cli.main([*of, "--cancel", "soon"]) == 2
    assert "--cancel: " in capsys.readouterr().err


def test_a_range_of_thousands_of_years_is_a_slip_of_the_pen(
    database: Database, tenant: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["backfill", "--tenant", "acme", "--model", "linear@1.0.0", "--from", "0202-06-01", "--to", "2025-06-02"]
    assert cli.main(command) == 2
    assert "range_end: at most 3,660 days at a time, each is a run: this is 665,839" in capsys.readouterr().err
    assert database.value("select count(*) from backfills") == 0 == database.value("select count(*) from huey.job")


def test_late_data_of_a_busy_tenant_is_not_starved(database: Database, tenant: UUID, run_all: RunAll) -> None:
    database.query(
        "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason) values (%s, %s, %s, 'test')",
        (str(tenant), DAY, DAY + timedelta(hours=1)),
    )
    busy = schedule_recompute_window(tenant, DAY + timedelta(days=2), END, VERSION)
    recompute_dirty.call_local()
    assert database.value("select count(*) from attribution_recompute_jobs") == 1, "it gives way"
    database.query("update attribution_dirty_ranges set created_at = created_at - interval '6 minutes'")
    for day in (3, 5):
        recompute_dirty.call_local()
        late = DAY + timedelta(days=day)  # and has waited longer, so it would be next
        database.query(
            "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason, created_at)"
            " values (%s, %s, %s, 'test', now() - interval '20 minutes')",
            (str(tenant), late, late + timedelta(hours=1)),
        )
    found = database.query("select reason, status from attribution_recompute_jobs order by reason")
    assert found == [("asked", "pending"), ("dirty", "pending")], "no longer, and one at a time"
    run_all()
    assert busy.status == "pending" and database.value("select count(*) from attribution_dirty_ranges") == 1


def test_a_day_that_is_dirty_again_each_minute_does_not_starve_the_others(
    database: Database, tenant: UUID, run_all: RunAll
) -> None:
    def dirty(day: int) -> None:
        start = DAY + timedelta(days=day)
        database.query(
            "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason)"
            " values (%s, %s, %s, 'test')",
            (str(tenant), start, start + timedelta(hours=1)),
        )

    def done(day: int) -> bool:
        values = (DAY + timedelta(days=day),)
        statement = "select exists (select from attribution_recompute_jobs where window_start = %s)"
        return bool(database.value(statement, values))

    dirty(0)
    dirty(3)
    for _ in range(2):
        recompute_dirty.call_local()
        run_all()
        dirty(0)  # an import of old data goes on
    assert done(0) and done(3)


def test_late_conversion_under_reset_moves_the_later_ones(database: Database, tenant: UUID, run_all: RunAll) -> None:
    visitor = uuid4()
    version = make_version(tenant, "linear", "2", publish=True, repeat="reset")
    make_event(database, tenant, kind="touch", visitor=visitor, minutes=10, channel="email")
    make_event(database, tenant, visitor=visitor, minutes=5000, cents=70, channel="organic")
    run_window(tenant, version, DAY + timedelta(days=3), DAY + timedelta(days=4))
    assert allocations(database, version) == [("direct", 300), ("email", 70)]
