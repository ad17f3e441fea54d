"""The command that asks for a run, and waits for its end."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable
from uuid import UUID

import pytest

from skeldir_huey import cli
from skeldir_huey.queue.executor import SkeldirHuey
from tests.attribution.runner import CHANNELS, make_version
from tests.cluster import Database
from tests.factories import make_event, make_tenant
from tests.waiting import until

WINDOW = ["--start", "2025-06-01T00:00Z", "--end", "2025-06-02T00:00Z"]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, minutes=60)
    return tenant_id


def test_asks_for_the_published_version_and_waits(
    database: Database, tenant: UUID, run_all: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(tenant, "even_split", publish=True, channels=CHANNELS)
    worker = threading.Thread(target=lambda: until(lambda: run_all() > 0))
    worker.start()
    assert cli.main(["recompute", "--tenant", "acme", *WINDOW, "--wait", "--timeout", "30"]) == 0
    worker.join()
    first, second = capsys.readouterr().out.splitlines()
    assert "2025-06-01 00:00 to 2025-06-02 00:00 UTC, even_split@1.0.0: pending" in first
    checksum: str = database.value("select encode(checksum, 'hex') from attribution_recompute_jobs")
    assert second == f"succeeded, execution 1: 1 conversions, 3 allocations, 3 rows changed, sha256 {checksum}"


def test_run_without_a_worker_is_said(tenant: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    make_version(tenant, "linear")
    arguments = ["recompute", "--tenant", "acme", *WINDOW, "--model", "linear@1.0.0", "--wait", "--timeout", "0.2"]
    assert cli.main(arguments) == 1
    assert "still pending after 0.2 s; is a worker up?" in capsys.readouterr().err


def test_failed_run_is_exit_code_1(
    database: Database, tenant: UUID, run_all: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    make_version(tenant, "linear", publish=True)
    database.query("alter table attribution_allocations add constraint full_disk check (converted_at < '2000-01-01')")
    worker = threading.Thread(target=lambda: until(lambda: run_all() > 0))
    worker.start()
    assert cli.main(["recompute", "--tenant", "acme", *WINDOW, "--wait", "--timeout", "30"]) == 1
    worker.join()
    said = capsys.readouterr().err
    assert "full_disk" in said and "its dead letter can be replayed" in said
    assert database.query("select status from attribution_recompute_jobs") == [("failed",)]
    assert database.query("select status from worker_failed_jobs") == [("pending",)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tenant", "acne", *WINDOW], "--tenant: no tenant 'acne'; there are: acme"),
        (["--tenant", "acme", *WINDOW], "--model: acme has published no version"),
        (["--tenant", "acme", *WINDOW, "--model", "linear@2"], "model_version: unknown version 'linear@2'"),
        (["--tenant", "acme", "--from", "x", "--to", "y", "--model", "a@1"], "--from: expected an ISO-8601"),
        (["--tenant", "acme", "--from", "2025-06-02", "--to", "2025-06-02"], "--to: must be after --from"),
        (["--tenant", "acme", *WINDOW, "--timeout", "soon"], "--timeout: expected seconds"),
    ],
)
def test_bad_input_is_exit_code_2(
    database: Database, tenant: UUID, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["recompute", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert database.value("select count(*) from attribution_recompute_jobs") == 0


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_several_versions_for_programs(
    database: Database, tenant: UUID, run_all: Callable[[], int], capsys: pytest.CaptureFixture[str], form: str
) -> None:
    for model in ("linear", "last_touch"):
        make_version(tenant, model)
    models = ["--model", "linear@1.0.0", "--model", "last_touch@1.0.0"]
    worker = threading.Thread(target=lambda: until(lambda: run_all() > 0))
    worker.start()
    assert cli.main(["recompute", "--tenant", "acme", *WINDOW, *models, "--wait", "--timeout", "30", form]) == 0
    worker.join()
    out = capsys.readouterr().out
    found = json.loads(out) if form == "--json" else list(csv.DictReader(out.splitlines()))
    assert [row["model_version"] for row in found] == ["last_touch@1.0.0", "linear@1.0.0"]
    assert [row["status"] for row in found] == ["succeeded"] * 2
    stored = database.query("select encode(checksum, 'hex') from attribution_recompute_jobs order by model_version")
    assert [(row["checksum"],) for row in found] == stored
    assert database.value("select count(distinct task_id) from attribution_recompute_jobs") == 1
