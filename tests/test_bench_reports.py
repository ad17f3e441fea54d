"""The benchmark of reports runs, ends cleanly in the middle of a statement, and its figures make the capacity table."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench import capacity
from bench.reports.guards import CASES
from tests.conftest import ROOT
from tests.processes import bare_env, run

BENCH = [sys.executable, "-m", "bench.reports", "--times", "1"]


@pytest.mark.timeout(240)
def test_a_small_run_measures_every_aim(tmp_path: Path) -> None:
    out = tmp_path / "reports.json"
    done = run([*BENCH, "--scale", "3000", "--out", str(out)], bare_env(tmp_path), timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert len(found["reach"]) == 3 + len(CASES)
    for aim in found["reach"]:
        assert set(aim) == {"name", "value", "goal", "met"} and aim["value"] is not None, aim
    assert [row["allocations"] for row in found["refreshes"]] == [300, 3000]
    assert found["import"]["events"] == 37, "30 lines, and a touch with each of 7 sales"
    assert "share" in done.stdout and "written to" in done.stdout
    table = capacity.table(tmp_path)
    assert re.search(r"\| a summary after a change \| [\d.]+ ms for .* among 3,000 allocations \|", table)
    assert re.search(r"\| import of a file \| [\d,]+ lines per second \|", table)
    assert f"| short jobs, one process | {capacity.NONE} |" in table, "what was not measured is a dash"


def test_a_signal_ends_it_in_the_middle_of_a_statement(tmp_path: Path) -> None:
    """As Ctrl-C does; to SIGINT a child of a shell's background job may be deaf."""
    process = subprocess.Popen(
        [*BENCH, "--scale", "40000000", "--out", str(tmp_path / "no.json")],
        cwd=ROOT,
        env=bare_env(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "4,000,000 allocations" in line:  # which is more than a minute of statements
            break
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in told and "cleaned up" in told, told
    assert not (tmp_path / "no.json").exists()


def test_the_documented_table_has_the_rows_of_the_command() -> None:
    docs = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    shown = docs.split("<!-- capacity")[1].split("<!-- /capacity -->")[0]

    def rows(text: str) -> list[tuple[str, str]]:
        found = [line.split("|") for line in text.splitlines() if line.startswith("| ")]
        return [(cells[1].strip(), cells[3].strip()) for cells in found]

    assert rows(shown) == rows(capacity.table(Path("/nowhere")))
