"""Say in plain words what is wrong with this deployment and how to mend it, asking as each login."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence

import sqlalchemy.exc

from skeldir_huey.config import settings
from skeldir_huey.db import embedded, urls
from skeldir_huey.db.bootstrap import dsn
from skeldir_huey.db.engine import engine, enter
from skeldir_huey.errors import ConfigError, SkeldirError
from skeldir_huey.observability import checks, queue_checks
from skeldir_huey.observability.checks import BAD, OK, WARN, Check
from skeldir_huey.observability.listening import listening
from skeldir_huey.observability.same_place import Place, place_at, place_of, same_place

MARKS = {OK: "ok  ", WARN: "WARN", BAD: "BAD "}
DISK_WARN, DISK_BAD = 0.1, 0.03

# As which role each login is probed for what it sees without a tenant, and as which it looks at the whole instance.
ROLES: dict[str, tuple[str | None, str | None]] = {
    "worker": (None, "app_rw"),
    "console": ("console_tenant", "console_all"),
    "owner": (None, None),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object instead of words")
    parser.add_argument("--quiet", "-q", action="store_true", help="only what is not ok")


def run(args: argparse.Namespace) -> int:
    """Print every finding.

    Returns:
        0 when nothing is bad, 1 when something is, 2 when the settings themselves cannot be used.
    """
    code = 0
    found: list[tuple[str, Check]] = []
    try:
        found = list(examine())
    except ConfigError as error:
        code = 2
        found = [("settings", Check("settings", BAD, line, "correct it in the environment or in .env")) for line in
                 str(error).splitlines()]  # fmt: skip
    state = checks.worst([check for _, check in found])
    code = code or int(state == BAD)
    if args.json:
        print(
            json.dumps({"state": state, "checks": [{"login": who} | check.as_dict() for who, check in found]}, indent=2)
        )
        return code
    _tell([(who, check) for who, check in found if not args.quiet or check.state != OK])
    count = sum(1 for _, check in found if check.state != OK)
    print(f"{len(found)} checks, {count} to look at" if count else f"{len(found)} checks, all is well")
    return code


def _tell(found: list[tuple[str, Check]]) -> None:
    width = max(60, shutil.get_terminal_size((100, 24)).columns)
    last = ""
    for who, check in found:
        if who != last:
            print(f"{who}:")
            last = who
        print(textwrap.fill(f"  {MARKS[check.state]}  {check.name}: {check.meaning}", width, subsequent_indent=" " * 8))
        if check.advice:
            print(textwrap.fill(f"        -> {check.advice}", width, subsequent_indent=" " * 11))


def examine() -> Iterator[tuple[str, Check]]:
    """Yield every finding with the login that found it.

    Raises:
        ConfigError: the settings cannot be read.
    """
    given = settings()
    yield "settings", Check("settings", OK, f"environment {given.environment_name}, lanes {', '.join(given.lanes)}")
    if urls.is_embedded(given):
        if embedded.running(given.data_dir) is None:
            text = f"the embedded PostgreSQL in {given.data_dir} does not run"
            yield "settings", Check("server", BAD, text, "start it with `make run`, or set DATABASE_URL")
            return
        yield "settings", _disk(given.data_dir)
    else:
        # The server may be anywhere, and tells its disk to superusers only.
        text = "the server's disk cannot be seen from here: watch it where it runs; what the database takes is below"
        yield "settings", Check("disk", OK, text)
    yield from _places()
    asked_instance = False
    for who in ROLES:
        if who == "owner" and not given.database_owner_url and not urls.is_embedded(given):
            yield who, Check("login", OK, "DATABASE_OWNER_URL is not set here; only migrations need it")
            continue
        for check in _as_login(who, with_instance=not asked_instance):
            asked_instance = asked_instance or check.name == "migrations"
            yield who, check


def _places() -> Iterator[tuple[str, Check]]:
    found: dict[str, Place] = {}
    given = settings()
    urls_given = (given.database_url, given.database_console_url, given.database_owner_url)
    for who, url in zip(("worker", "console", "owner"), urls_given, strict=True):
        if url is not None:
            with contextlib.suppress(sqlalchemy.exc.DBAPIError, SkeldirError), engine(who).connect() as connection:
                found[urls.variable_of(who)] = place_of(connection)
    if given.database_direct_url is not None:
        with contextlib.suppress(sqlalchemy.exc.DBAPIError):
            found["DATABASE_DIRECT_URL"] = place_at(given.database_direct_url)
    if len(found) > 1:  # who cannot be reached is told of with its login
        yield "settings", same_place(found)


def _disk(folder: object) -> Check:
    usage = shutil.disk_usage(str(folder))
    free = usage.free / usage.total
    text = f"{checks.size(usage.free)} of {checks.size(usage.total)} are free where the data is"
    state = BAD if free < DISK_BAD else WARN if free < DISK_WARN else OK
    return Check("disk", state, text, "" if state == OK else "make room: PostgreSQL stops when the disk is full")


def _as_login(who: str, *, with_instance: bool) -> list[Check]:
    try:
        url = urls.url_of(who)
    except SkeldirError as error:
        return [Check("login", BAD, str(error), "")]
    role, wide_role = ROLES[who]
    # The owner may make roles and owns the tables: that is its task, and nobody runs jobs or pages with it.
    login = (checks.transactions,) if who == "owner" else checks.LOGIN
    try:
        found = _ask(who, None, login) + _ask(who, role, checks.WALL)
        if with_instance:
            found += _ask(who, wide_role, (*checks.INSTANCE, queue_checks.upkeep))
        if who == "worker":
            found.append(_notify(who))
        if who == "console":
            found += _ask(who, wide_role, (checks.audit_chain,))
        return found
    except (sqlalchemy.exc.DBAPIError, SkeldirError) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        shown = url.rsplit("@", 1)[-1]
        return [
            Check("login", BAD, f"{urls.variable_of(who)}: cannot connect to {shown}: {reason}", "is the server up?")
        ]


def _ask(who: str, role: str | None, probes: Sequence[checks.Probe]) -> list[Check]:
    with engine(who).connect() as connection, connection.begin():
        connection.exec_driver_sql("set transaction read only")
        connection.exec_driver_sql("set local statement_timeout = '10s'")
        enter(connection, None, role)
        return checks.run(probes, connection)


def _notify(who: str) -> Check:
    direct = urls.direct_url()
    with engine(who).connect() as connection:
        return listening(connection, dsn(direct) if direct else None)
