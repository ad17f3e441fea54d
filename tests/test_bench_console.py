"""The console's benchmark runs and says what it should; how fast a page is depends on the machine: not asserted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.console.reach import reach
from tests.processes import bare_env, run

PAGES = {"overview", "queues", "dead letters", "recompute", "tenants", "allocations", "audit log", "sale", "tenant"}


@pytest.mark.timeout(240)
def test_a_small_run_times_every_page(tmp_path: Path) -> None:
    out = tmp_path / "console.json"
    sizes = ["--scale", "3000", "--reps", "1", "--no-growth", "--out", str(out)]
    done = run([sys.executable, "-m", "bench.console", *sizes], bare_env(tmp_path), timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["rows"]["worker_failed_jobs"] == 400 and found["rows"]["huey.job_attempt"] >= 1400
    assert 2500 <= found["rows"]["attribution_allocations"] <= 3500
    assert {line["page"] for line in found["pages"]} >= PAGES
    for line in found["pages"]:
        assert line["median_ms"] > 0 and line["statements"] > 0 and line["gave_up"] == 0, line
        assert line["requests"] >= 3 and line["kb"] > 10, line
    assert len(found["reach"]) == len(found["pages"]) + 4
    for one in found["reach"]:
        assert set(one) == {"name", "value", "goal", "met"} and one["met"] is not None, one
    assert "median ms" in done.stdout and "goal" in done.stdout


def test_a_list_that_grows_with_its_rows_is_missed() -> None:
    line = {"page": "dead letters", "goal_ms": 150, "statements": 3, "kb": 9, "requests": 3, "gave_up": 0}

    def met(before_ms: float, after_ms: float) -> dict[str, bool | None]:
        found = reach(
            [line | {"median_ms": after_ms, "min_ms": after_ms}], {"dead letters": before_ms}, {"dead letters"}
        )
        return {one["name"]: one["met"] for one in found}

    aims = met(30.0, 60.0)
    assert aims["dead letters: median ms"] and not aims["dead letters: ten times the rows"]
    # Two times that are both tiny differ by noise alone.
    assert met(3.0, 9.0)["dead letters: ten times the rows"]
