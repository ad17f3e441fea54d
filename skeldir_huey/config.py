"""Settings: one frozen table, read from the environment and from `.env`, every error reported at once."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from skeldir_huey import parsers
from skeldir_huey.errors import ConfigError
from skeldir_huey.parsers import LANES
from skeldir_huey.parsers import ROOT as ROOT

# Not settings of a deployment: switches of the test suite, and the mark by which `make run` finds its processes again.
INTERNAL = re.compile(r"SKELDIR_(TEST_PG|RUN_ID|MUTANT.*)")


@dataclass(frozen=True)
class Setting:
    """One row of the table: the attribute, its variable, its default as text (None: no default), unit and help."""

    name: str
    variable: str
    default: str | None
    unit: str
    help: str
    parse: Callable[[str], Any]


_PORT = parsers.whole(1, 65535)
TABLE: tuple[Setting, ...] = (
    Setting("database_url", "DATABASE_URL", None, "URL", "The worker's login, role app_user.", parsers.read_url),
    Setting(
        "database_owner_url",
        "DATABASE_OWNER_URL",
        None,
        "URL",
        "The owner's login: migrations, set-up.",
        parsers.read_url,
    ),
    Setting("database_console_url", "DATABASE_CONSOLE_URL", None, "URL", "The console's login.", parsers.read_url),
    Setting(
        "database_direct_url",
        "DATABASE_DIRECT_URL",
        None,
        "URL",
        "The worker's login past a pooler, for LISTEN and locks.",
        parsers.read_url,
    ),
    Setting("lanes", "SKELDIR_LANES", ",".join(LANES), "names", "The lanes this consumer drains.", parsers.read_lanes),
    Setting("web_addr", "SKELDIR_WEB_ADDR", "127.0.0.1", "address", "Where the console listens.", parsers.read_text),
    Setting("web_port", "SKELDIR_WEB_PORT", "5000", "port", "The console's port.", _PORT),
    Setting(
        "worker_metrics_addr",
        "WORKER_METRICS_ADDR",
        "127.0.0.1",
        "address",
        "Where the worker's monitor listens.",
        parsers.read_text,
    ),
    Setting("worker_metrics_port", "WORKER_METRICS_PORT", "9540", "port", "The worker's /health and /metrics.", _PORT),
    Setting(
        "log_level",
        "SKELDIR_LOG_LEVEL",
        "INFO",
        "level",
        "The least level that is logged.",
        parsers.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    ),
    Setting(
        "secret_key",
        "SKELDIR_SECRET_KEY",
        None,
        "text",
        "Signs console sessions; 32 characters or more; must be set in production.",
        parsers.read_secret,
    ),
    Setting(
        "environment_name",
        "SKELDIR_ENVIRONMENT",
        "development",
        "name",
        "Shown in the console; production demands a secret key.",
        parsers.one_of("development", "test", "staging", "production"),
    ),
    Setting(
        "trusted_hosts",
        "SKELDIR_TRUSTED_HOSTS",
        "127.0.0.1,localhost,[::1]",
        "names",
        "The Host names under which the console answers; others get 400.",
        parsers.read_hosts,
    ),
    Setting(
        "https",
        "SKELDIR_HTTPS",
        "0",
        "1 or 0",
        "The console is reached over https, through one proxy that sets X-Forwarded-For and -Proto.",
        parsers.read_flag,
    ),
    Setting(
        "second_factor",
        "SKELDIR_SECOND_FACTOR",
        "auto",
        "role",
        "Who may act only with a second factor: nobody, admin, operator (and above); auto: operator in production.",
        parsers.one_of("auto", "nobody", "admin", "operator"),
    ),
    Setting(
        "metrics_token",
        "SKELDIR_METRICS_TOKEN",
        None,
        "text",
        "Bearer token for the console's /metrics from elsewhere than this machine; 32 characters or more.",
        parsers.read_secret,
    ),
    Setting(
        "max_deaths",
        "SKELDIR_MAX_DEATHS",
        "3",
        "count",
        "Consumers a job may kill before it is dead.",
        parsers.whole(1, 100),
    ),
    Setting("heartbeat_s", "SKELDIR_HEARTBEAT_S", "3", "seconds", "Between two heartbeats.", parsers.seconds(0.1, 60)),
    Setting(
        "frozen_after_s",
        "SKELDIR_FROZEN_AFTER_S",
        "15",
        "seconds",
        "Without heartbeat: the consumer counts as frozen.",
        parsers.seconds(0.2, 3600),
    ),
    Setting(
        "unknown_task_grace_s",
        "SKELDIR_UNKNOWN_TASK_GRACE_S",
        "3600",
        "seconds",
        "A job of an unknown task waits this long for a deploy that knows it.",
        parsers.seconds(0, 604800),
    ),
    Setting(
        "data_dir", "SKELDIR_DATA_DIR", ".skeldir", "folder", "Home of the embedded PostgreSQL.", parsers.read_path
    ),
    Setting("demo", "SKELDIR_DEMO", "0", "1 or 0", "Registers the demo's task; make run sets it.", parsers.read_flag),
    Setting("test_tasks", "SKELDIR_TEST_TASKS", "0", "1 or 0", "Lets tests ask tasks to fail.", parsers.read_flag),
    Setting(
        "env_file", "SKELDIR_ENV_FILE", ".env", "file", "Read after the environment, which wins.", parsers.read_path
    ),
)


@dataclass(frozen=True)
class Settings:
    """The settings of this process. A URL that is not set is None: then the embedded PostgreSQL is used."""

    database_url: str | None
    database_owner_url: str | None
    database_console_url: str | None
    database_direct_url: str | None
    lanes: tuple[str, ...]
    web_addr: str
    web_port: int
    worker_metrics_addr: str
    worker_metrics_port: int
    log_level: str
    secret_key: str | None = field(repr=False)
    environment_name: str
    trusted_hosts: tuple[str, ...]
    https: bool
    second_factor: str
    metrics_token: str | None = field(repr=False)
    max_deaths: int
    heartbeat_s: float
    frozen_after_s: float
    unknown_task_grace_s: float
    data_dir: Path
    demo: bool
    test_tasks: bool
    env_file: Path
    given: frozenset[str] = frozenset()
    """The attributes that somebody set: unset is not the same as default."""

    @property
    def second_factor_from(self) -> str | None:
        """Return the lowest role whose verbs need a second factor; None when nobody's do."""
        if self.second_factor == "auto":
            return "operator" if self.environment_name == "production" else None
        return None if self.second_factor == "nobody" else self.second_factor


def _given(environ: Mapping[str, str]) -> dict[str, str]:
    """Merge `.env` below the environment; an empty value counts as unset in both."""
    env_file = parsers.read_path((environ.get("SKELDIR_ENV_FILE") or "").strip() or ".env")
    recorded = dotenv_values(env_file, interpolate=False) if env_file.is_file() else {}
    filed = {name: value.strip() for name, value in recorded.items() if value and value.strip()}
    shell = {name: value.strip() for name, value in environ.items() if value.strip()}
    # `make run` was given an owner's URL as DATABASE_URL and wrote the roles' own to .env: the shell may still hold it.
    if "DATABASE_URL" in filed and _same(shell.get("DATABASE_URL"), filed.get("DATABASE_OWNER_URL")):
        del shell["DATABASE_URL"]
    return filed | shell


def _same(one: str | None, other: str | None) -> bool:
    try:
        return one is not None and other is not None and parsers.read_url(one) == parsers.read_url(other)
    except ValueError:  # reported by `read`
        return False


def read(environ: Mapping[str, str]) -> Settings:
    """Return the settings of an environment.

    Raises:
        ConfigError: one line for each setting that is unknown, unreadable or contradicts another.
    """
    texts = _given(environ)
    errors: list[str] = []
    known = {row.variable for row in TABLE}
    for name in sorted(texts):
        if name.startswith("SKELDIR_") and name not in known and not INTERNAL.fullmatch(name):
            near = difflib.get_close_matches(name, known, 1)
            errors.append(f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else ""))
    values: dict[str, Any] = {}
    for row in TABLE:
        text = texts.get(row.variable, row.default)
        try:
            values[row.name] = None if text is None else row.parse(text)
        except ValueError as error:
            errors.append(f"{row.variable}: {error}")
    if not errors:
        errors = _contradictions(values)
    if errors:
        raise ConfigError("\n".join(errors))
    given = frozenset(row.name for row in TABLE if row.variable in texts)
    return Settings(**values, given=given)


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    errors = []
    if values["frozen_after_s"] < 2 * values["heartbeat_s"]:
        errors.append(
            "SKELDIR_FROZEN_AFTER_S: must be at least twice SKELDIR_HEARTBEAT_S, or live consumers look frozen"
        )
    if values["environment_name"] == "production" and values["secret_key"] is None:
        errors.append("SKELDIR_SECRET_KEY: must be set when SKELDIR_ENVIRONMENT is production")
    if values["environment_name"] == "production" and values["test_tasks"]:
        errors.append("SKELDIR_TEST_TASKS: must be off when SKELDIR_ENVIRONMENT is production")
    return errors


@functools.lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        ConfigError: as `read`.
    """
    return read(os.environ)


def reload() -> Settings:
    """Read the settings anew; for tests and for set-up, which writes `.env`."""
    settings.cache_clear()
    return settings()
