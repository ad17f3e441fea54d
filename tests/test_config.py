"""The table of settings: read in one way, and the same in `.env.example` and README."""

from __future__ import annotations

import re
import stat
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from skeldir_huey import config
from skeldir_huey.commands import _envfile
from skeldir_huey.config import TABLE, Settings, read
from skeldir_huey.errors import ConfigError

ROOT = Path(__file__).parents[1]
NO_FILE = {"SKELDIR_ENV_FILE": "/nonexistent/.env"}


def error_of(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(NO_FILE | environ)
    return str(caught.value).splitlines()


def test_every_row_of_the_table_is_an_attribute() -> None:
    assert [row.name for row in TABLE] == [field.name for field in fields(Settings) if field.name != "given"]
    assert len({row.variable for row in TABLE}) == len(TABLE)


def test_nothing_set_gives_the_defaults_and_no_urls() -> None:
    given = read(NO_FILE)
    assert given.database_url is given.database_owner_url is given.database_console_url is None
    assert (given.web_addr, given.web_port, given.worker_metrics_port) == ("127.0.0.1", 5000, 9540)
    assert given.lanes == ("housekeeping", "maintenance", "attribution", "llm", "ingest")
    assert given.data_dir == ROOT / ".skeldir"
    assert given.given == {"env_file"}


def test_unset_is_not_the_same_as_default() -> None:
    assert "web_port" not in read(NO_FILE).given
    assert "web_port" in read(NO_FILE | {"SKELDIR_WEB_PORT": "5000"}).given


def test_an_empty_value_counts_as_unset() -> None:
    given = read(NO_FILE | {"DATABASE_URL": "", "SKELDIR_WEB_PORT": "  "})
    assert given.database_url is None and given.web_port == 5000
    assert given.given == {"env_file"}


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        read(NO_FILE).web_port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg2://u:p@h/d"],
)
def test_every_way_to_write_a_postgresql_url_names_the_same_driver(text: str) -> None:
    assert read(NO_FILE | {"DATABASE_URL": text}).database_url == "postgresql+psycopg2://u:p@h/d"


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("DATABASE_URL", "mysql://u:geheim@h/d", "expected a PostgreSQL URL"),
        ("DATABASE_OWNER_URL", "nonsense geheim", "got no URL"),
        ("DATABASE_CONSOLE_URL", "postgresql://u:geheim@h:port/d", "got no URL"),
        ("DATABASE_DIRECT_URL", "postgresql://u:geheim@h", "names no database"),
        ("SKELDIR_WEB_PORT", "65536", "whole number from 1 to 65535"),
        ("SKELDIR_WEB_PORT", "5e3", "whole number"),
        ("WORKER_METRICS_PORT", "-1", "whole number"),
        ("SKELDIR_LANES", "attribution,typo", "unknown lane typo"),
        ("SKELDIR_LANES", ",", "unknown lane"),
        ("SKELDIR_LOG_LEVEL", "loud", "expected one of DEBUG, INFO, WARNING, ERROR"),
        ("SKELDIR_DEMO", "maybe", "expected 1 or 0"),
        ("SKELDIR_HEARTBEAT_S", "nan", "expected seconds"),
        ("SKELDIR_SECRET_KEY", "geheim", "shorter than 32"),
        ("SKELDIR_LANE", "ingest", "did you mean SKELDIR_LANES?"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_name_and_without_the_secret(
    variable: str, text: str, expected: str
) -> None:
    (line,) = error_of({variable: text})
    assert line.startswith(f"{variable}: ") and expected in line
    assert "geheim" not in line


def test_all_errors_are_reported_at_once() -> None:
    lines = error_of({"SKELDIR_WEB_PORT": "x", "DATABASE_URL": "mysql://h/d", "SKELDIR_NOPE": "1"})
    assert [line.split(":")[0] for line in lines] == ["SKELDIR_NOPE", "DATABASE_URL", "SKELDIR_WEB_PORT"]


def test_contradictions_are_errors() -> None:
    assert "twice" in error_of({"SKELDIR_HEARTBEAT_S": "10"})[0]
    production = error_of({"SKELDIR_ENVIRONMENT": "production", "SKELDIR_TEST_TASKS": "1"})
    assert [line.split(":")[0] for line in production] == ["SKELDIR_SECRET_KEY", "SKELDIR_TEST_TASKS"]


def test_a_secret_is_not_in_the_repr() -> None:
    assert "k" * 40 not in repr(read(NO_FILE | {"SKELDIR_SECRET_KEY": "k" * 40}))


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SKELDIR_WEB_PORT=5001\nWORKER_METRICS_PORT=9541\nSKELDIR_LANES=\n")
    given = read({"SKELDIR_ENV_FILE": str(file), "SKELDIR_WEB_PORT": "5002"})
    assert (given.web_port, given.worker_metrics_port) == (5002, 9541)
    assert "lanes" not in given.given


OWNER, WORKER = "postgresql://boss:p%23w@h/d", "postgresql://app_user:x@h/d"


def test_the_owners_url_in_the_shell_yields_to_the_recorded_workers_url(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    _envfile.record(file, {"DATABASE_OWNER_URL": OWNER, "DATABASE_URL": WORKER})
    environ = {"SKELDIR_ENV_FILE": str(file)}
    for shell in ({}, {"DATABASE_URL": OWNER}, {"DATABASE_URL": OWNER.replace("postgresql", "postgres")}):
        assert read(environ | shell).database_url == WORKER.replace("postgresql:", "postgresql+psycopg2:")
    other = "postgresql+psycopg2://other@h/d"
    assert read(environ | {"DATABASE_URL": other}).database_url == other


def test_recording_keeps_other_lines_and_lets_only_the_owner_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nSKELDIR_WEB_PORT=5001\nexport DATABASE_URL=old\n")
    file.chmod(0o644)
    _envfile.record(file, {"DATABASE_URL": WORKER})
    assert file.read_text() == f"# mine\nSKELDIR_WEB_PORT=5001\nDATABASE_URL='{WORKER}'\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_settings_are_read_once_and_anew_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELDIR_WEB_PORT", "5003")
    assert config.reload().web_port == 5003
    monkeypatch.setenv("SKELDIR_WEB_PORT", "5004")
    assert config.settings().web_port == 5003
    monkeypatch.undo()
    config.settings.cache_clear()


def test_env_example_is_the_table() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    expected = []
    for row in TABLE:
        default = "no default" if row.default is None else f"default {row.default}"
        expected += [f"# {row.help} ({row.unit}; {default})", f"#{row.variable}={row.default or ''}"]
    assert [line for line in lines[2:] if line] == expected


def test_the_readmes_settings_are_the_table() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    expected = [(row.variable, "" if row.default is None else f"`{row.default}`", row.unit, row.help) for row in TABLE]
    assert rows == expected
