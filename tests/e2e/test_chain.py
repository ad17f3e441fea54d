"""The main job from end to end: import, schedule, allocations; failure, dead letter, replay from the real page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import expect

from skeldir_huey import config
from skeldir_huey.tasks.attribution import schedule_recompute_window
from tests.admin.world import add_user
from tests.attribution.runner import make_version
from tests.cluster import Database
from tests.conftest import ROOT
from tests.e2e.chrome import arrived, browser, console, enter
from tests.e2e.conftest import StartConsumer
from tests.ingest.sample import ARGUMENTS, sample
from tests.waiting import until

WINDOW = ("2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z")
OPERATOR = "dana@example.com"


@pytest.mark.chromium
def test_from_a_file_to_allocations_and_from_a_failure_to_its_replay(
    database: Database,
    env: dict[str, str],
    start_consumer: StartConsumer,
    chromium: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # (b) import -> schedule -> allocations, by the commands and a consumer's process
    command = [sys.executable, "-m", "skeldir_huey", "import", str(sample(tmp_path)), "--tenant", "acme"]
    imported = subprocess.run(
        [*command, "--create-tenant", *ARGUMENTS],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr
    tenant = UUID(str(database.value("select id from tenants where name = 'acme'")))
    conversions, cents = database.query(
        "select count(*), sum(revenue_cents)::bigint from attribution_events where kind = 'conversion'"
    )[0]
    version = make_version(tenant, "linear", publish=True)
    failing = start_consumer()
    run = schedule_recompute_window(tenant, *WINDOW, version)
    until(lambda: run_state(database, run.id)[0] == "succeeded", 60, failing.log.read_text)
    assert database.value("select sum(allocated_revenue_cents)::bigint from attribution_allocations") == cents
    assert database.value("select count(distinct event_id) from attribution_allocations") == conversions
    until(lambda: database.value("select count(*) from mv_allocation_summary") == 1, 30)
    done = [line for line in failing.events("job_done") if line["task_id"] == run.task_id]
    assert [(line["task_name"], line["tenant_id"]) for line in done] == [
        ("skeldir.attribution.recompute_window", str(tenant))
    ]

    # (c) failure -> dead letter
    monkeypatch.setenv("SKELDIR_TEST_TASKS", "1")
    config.settings.cache_clear()
    narrow = ("2025-02-10T00:00:00Z", "2025-02-11T00:00:00Z")
    failed = schedule_recompute_window(tenant, *narrow, version, fail=True)
    until(lambda: run_state(database, failed.id)[0] == "failed", 30, failing.log.read_text)
    letter, error = database.query("select id, error_message from worker_failed_jobs")[0]
    assert error == "attribution recompute failure requested"
    failing.end()

    # -> replay from the page, run by a worker where the failure is not asked for
    start_consumer(SKELDIR_TEST_TASKS="0")
    add_user(database, OPERATOR, "operator")
    with console() as address, browser(chromium) as chrome:
        page = chrome.new_page()
        enter(page, address, OPERATOR, "/admin/dead/jobs/")
        page.get_by_role("link", name="recompute_window").click()
        arrived(page, re.compile("recompute_window"))
        expect(page.locator("body")).to_contain_text(error)
        page.get_by_role("link", name="Replay").click()
        page.get_by_label("Reason").fill("the cause is mended")
        page.locator("#confirm-go").click()
        expect(page.locator(".flash")).to_contain_text("Replay queued as job")
        until(lambda: letter_status(database, letter) == "resolved", 30)
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_contain_text("resolved")
        page.close()
    assert run_state(database, failed.id) == ("succeeded", 1)
    assert database.query("select actor, action, target_id, reason from console_audit where action = 'replay'") == [
        (OPERATOR, "replay", str(letter), "the cause is mended")
    ]


def run_state(database: Database, run_id: UUID) -> tuple[str, int]:
    """Return a run's status and run_count."""
    found = database.query("select status, run_count from attribution_recompute_jobs where id = %s", (str(run_id),))
    return found[0][0], found[0][1]


def letter_status(database: Database, letter: object) -> str:
    return str(database.value("select status from worker_failed_jobs where id = %s", (str(letter),)))
