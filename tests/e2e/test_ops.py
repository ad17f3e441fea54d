"""What stands in ops/: rules that fire when they should, metrics that exist, units and image that are not root."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from admin import create_app
from skeldir_huey import config
from skeldir_huey.config import TABLE as SETTINGS
from tests.conftest import ROOT, JsonLog, program
from tests.e2e.conftest import StartConsumer
from tests.e2e.test_worker_monitor import get

OPS = ROOT / "ops"
RULES = OPS / "prometheus/alerts.yml"
RULE_TESTS = OPS / "prometheus/alerts_test.yml"
DASHBOARD = OPS / "grafana/skeldir-huey.json"
UNITS = sorted((OPS / "systemd").glob("*.service"))
METRIC = re.compile(r"\b(?:huey|skeldir|flask)_[a-z_]+\b")


def rules() -> list[dict[str, str]]:
    """Return name and expression of each alert."""
    found = re.findall(r"- alert: (\w+)\n\s+expr: (.*?)\n\s+(?:for|labels):", RULES.read_text(), re.DOTALL)
    return [{"alert": name, "expr": expression} for name, expression in found]


def expressions(node: object) -> Iterator[str]:
    """Yield every query of the dashboard."""
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield node["expr"]
        for value in node.values():
            yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def used() -> set[str]:
    """Return the names of all metrics that rules and dashboard ask for."""
    texts = [rule["expr"] for rule in rules()] + list(expressions(json.loads(DASHBOARD.read_text())))
    return {name for text in texts for name in METRIC.findall(text)}


def exposed(text: str) -> set[str]:
    """Return the names that a scrape offers, those of a histogram with their endings."""
    names: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            names |= {f"{name}{end}" for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


@pytest.fixture
def app(env: dict[str, str], monkeypatch: pytest.MonkeyPatch, json_log: JsonLog) -> Flask:
    monkeypatch.setenv("SKELDIR_SECRET_KEY", env["SKELDIR_SECRET_KEY"])
    config.reload()
    return create_app()


def test_every_metric_that_is_asked_for_is_in_a_real_scrape(
    start_consumer: StartConsumer, env: dict[str, str], app: Flask
) -> None:
    start_consumer()
    client = app.test_client()
    client.get("/healthz")
    offered = exposed(get(env["WORKER_METRICS_PORT"], "/metrics")[1]) | exposed(client.get("/metrics").text)
    assert used() - offered == set()
    assert len(used()) > 20


def test_a_metric_that_is_not_there_would_be_found() -> None:
    text = "# TYPE huey_a_seconds histogram\n# TYPE huey_b_total counter\n# TYPE huey_c gauge\n"
    assert exposed(text) == {"huey_a_seconds_bucket", "huey_a_seconds_sum", "huey_a_seconds_count"} | {
        "huey_b_total",
        "huey_c",
    }
    assert METRIC.findall("sum by (lane) (rate(huey_gone_total[5m])) / skeldir_x") == ["huey_gone_total", "skeldir_x"]


def test_each_alert_has_its_runbook_and_its_test() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == RULES.read_text().count("- alert:") > 10
    headings = re.findall(r"^### (Skeldir\w+)$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(names)
    for name in names:
        assert f"runbook: docs/operations.md#{name.lower()}\n" in RULES.read_text()
        assert RULE_TESTS.read_text().count(f"alertname: {name}") == 2, "once firing, once not"


@pytest.mark.promtool
@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
        ("check", "config", "prometheus.yml"),
    ],
    ids=" ".join,
)
def test_promtool_agrees(command: tuple[str, ...]) -> None:
    tool = program("promtool")
    assert tool is not None
    done = subprocess.run([tool, *command], cwd=RULES.parent, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.promtool
def test_a_rule_that_never_fires_is_found(tmp_path: Path) -> None:
    tool = program("promtool")
    assert tool is not None
    (tmp_path / "alerts.yml").write_text(RULES.read_text().replace("huey_tick_lag_seconds) > 180", "no_such) > 180"))
    (tmp_path / "alerts_test.yml").write_text(RULE_TESTS.read_text())
    done = subprocess.run(
        [tool, "test", "rules", "alerts_test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0 and "SkeldirTickLate" in done.stdout + done.stderr


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}", "whoever imports it chooses"
        assert panel["targets"] and panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def unit(path: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parsed.optionxform = str  # type: ignore[assignment, method-assign]
    parsed.read_string(path.read_text())
    return parsed


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_as_nobody_special(path: Path) -> None:
    service = unit(path)["Service"]
    assert service["User"] == "skeldir" and service["NoNewPrivileges"] == "yes" and service["ProtectSystem"] == "strict"
    assert service["ExecStart"].startswith("/opt/skeldir-huey/.venv/bin/")


def test_the_worker_has_more_time_to_end_than_its_jobs() -> None:
    service = unit(OPS / "systemd/skeldir-worker@.service")["Service"]
    patience = re.search(r"-t (\d+)", service["ExecStart"])
    assert patience is not None and int(service["TimeoutStopSec"]) > int(patience[1])
    assert service["KillMode"] == "mixed", "the parent is asked, and asks its children"


def test_the_example_environment_names_settings_that_exist() -> None:
    lines = [line for line in (OPS / "systemd/env.example").read_text().splitlines() if line and line[0] != "#"]
    names = {line.split("=", 1)[0] for line in lines}
    assert names - {row.variable for row in SETTINGS} == {"WORKERS"}
    assert "DATABASE_OWNER_URL" not in names, "whoever breaks into a worker must not become the owner"


def test_the_image_is_not_root_and_has_what_it_needs() -> None:
    lines = [line.strip() for line in (OPS / "Containerfile").read_text().splitlines()]
    users = [line for line in lines if line.startswith("USER ")]
    assert users == ["USER 10001:10001"] and lines.index(users[0]) < lines.index(
        next(line for line in lines if line.startswith("CMD"))
    )
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)
