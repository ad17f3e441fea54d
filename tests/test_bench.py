"""The benchmark runs and says what it should; how fast anything is depends on the machine and is not asserted."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from bench.queue import serverlog
from bench.queue.drain import rate
from bench.queue.trial import Note
from tests.processes import ROOT, bare_env, run

PEERS = {"bench", "procrastinate", "pgqueuer", "asyncpg", "celery", "kombu", "psycopg", "uvloop"}
FIGURES = {
    "enqueue_per_s",
    "bulk_per_s",
    "drain_w1_per_s",
    "drain_w4_per_s",
    "drain_p2_per_s",
    "p50_ms",
    "p99_ms",
    "statements",
    "commits",
    "wal_fsyncs",
    "consumer_cpu_ms",
    "sessions_idle",
    "rss_mb",
    "alone_statements",
    "alone_durable_commits",
    "empty_ms",
    "finished_buffers_per_job_ratio",
    "scheduled_ms_ratio",
}
# Of 200 jobs, whose commits a server may share and which take less than a tick of the clock that counts processor time.
SMALL = {"wal_fsyncs", "consumer_cpu_ms"}


@pytest.mark.timeout(240)
def test_a_small_run_measures_us(tmp_path: Path) -> None:
    out = tmp_path / "queue.json"
    sizes = ["-n", "200", "--latency", "10", "--scale", "200", "--out", str(out)]
    done = run(
        [sys.executable, "-m", "bench.queue", "--quick", "--only", "skeldir", *sizes], bare_env(tmp_path), timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["failures"] == []
    row = found["systems"]["skeldir"]
    assert not {name for name in FIGURES if row.get(name) is None}, row
    assert {name for name in FIGURES if not row[name]} <= SMALL, row
    assert found["versions"]["postgresql"].startswith("18.")
    assert len(found["reach"]) >= 15
    for aim in found["reach"]:
        assert set(aim) == {"name", "value", "goal", "met"}
        assert (aim["met"] is None) == (aim["value"] is None), aim
    unmeasured = [aim["name"] for aim in found["reach"] if aim["met"] is None]
    assert unmeasured == ["drain -w 1, times stock SqlHuey -w 1"], "the peer was not asked to run"
    assert all({"fsync_ms", "spin_ms", "load_percent"} <= set(line) for line in found["lines"])
    assert "Skeldir Huey" in done.stdout and "goal" in done.stdout


@pytest.mark.parametrize(
    "path", [*ROOT.glob("skeldir_huey/**/*.py"), *ROOT.glob("admin/**/*.py")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_product_imports_no_peer(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert PEERS.isdisjoint(name.split(".")[0] for name in names)


def test_the_rate_of_two_processes_counts_from_when_both_work() -> None:
    def at(*moments: tuple[float, int]) -> list[Note]:
        return [Note(moment, number, pid) for number, (moment, pid) in enumerate(moments)]

    assert rate(at((0, 1), (1, 1), (2, 2), (2.5, 1), (3, 2)), 2) == 2
    assert rate(at((0, 1), (1, 1), (2, 1), (4, 2)), 2) == 3 / 4, "the other one came for the last job only"
    assert rate(at((0, 1)), 1) is None


def test_statements_are_counted_as_the_server_logs_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "1.5|7|d|LOG:  statement: set local role x; -- a; comment\n"
        "\tinsert into t values ('a;b'); select 1\n"
        "1.6|8|d|LOG:  execute s1: BEGIN\n"
        "1.7|7|other|LOG:  statement: select 2\n"
        "1.8|8|d|LOG:  execute s2: delete from t\n"
        "1.8|8|d|DETAIL:  Parameters: $1 = '1'\n"
        "1.9|8|d|LOG:  statement: COMMIT\n"
        "2.0|7|d|LOG:  statement: set local synchronous_commit to off; update t set a = 1\n"
        "2.1|7|d|LOG:  duration: 1 ms\n",
        encoding="utf-8",
    )
    entries = serverlog.read(log, 0, "d")
    assert [entry.work for entry in entries] == [
        ["insert into t values ('a;b')", "select 1"],
        [],
        ["delete from t"],
        [],
        ["update t set a = 1"],
    ]
    commits = serverlog.committed(entries)
    assert [(one.pid, one.lazy, one.writes) for one in commits] == [
        (7, False, True),
        (8, False, True),
        (7, True, True),
    ]
