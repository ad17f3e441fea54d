"""The benchmark of attribution runs, compares like with like, and says what it should; speed is not asserted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.processes import bare_env, run


@pytest.mark.timeout(240)
def test_a_small_run_measures_every_aim(tmp_path: Path) -> None:
    out = tmp_path / "attribution.json"
    sizes = ["--scale", "3000", "--peers", "3000", "--without-pandas", "--out", str(out)]
    done = run([sys.executable, "-m", "bench.attribution", "--quick", *sizes], bare_env(tmp_path), timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert len(found["reach"]) >= 12
    for aim in found["reach"]:
        assert set(aim) == {"name", "value", "goal", "met"} and aim["value"] is not None, aim
    by_part: dict[str, list[dict[str, object]]] = {}
    for line in found["lines"]:
        by_part.setdefault(line["part"], []).append(line)
        assert {"fsync_ms", "spin_ms", "load_percent"} <= set(line)
    assert set(by_part) == {"rules", "together", "peers", "day", "markov", "growth"}
    rows = {line["model"]: line["rows"] for line in by_part["rules"]}
    assert len(rows) == 9 and by_part["together"][0]["rows"] == sum(map(int, map(str, rows.values())))
    linear = {line["rows"] for line in by_part["peers"] if str(line["peer"]).endswith("linear")}
    assert len(linear) == 1, "plain Python wrote the rows that ours did"
    assert "Bitmap Index Scan on attribution_allocations_time" in "\n".join(map(str, by_part["day"][0]["plan"]))  # type: ignore[call-overload]
    assert "the sum check of that day's rows" in done.stdout and "x floor" in done.stdout


def test_wrong_options_say_so(tmp_path: Path) -> None:
    for wrong in (["--parts", "rules,speed"], ["--scale", "0"], ["--reps", "x"]):
        done = run([sys.executable, "-m", "bench.attribution", *wrong], bare_env(tmp_path), timeout=60)
        assert done.returncode == 2 and ("choose from" in done.stderr or "invalid" in done.stderr), done.stderr
