"""`python -m skeldir_huey COMMAND`: the table of commands, and how every one of them ends.

Exit codes: 0 done, 1 it failed, 2 the input or a setting is wrong (one line each on stderr), 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import uuid
from collections.abc import Sequence
from types import ModuleType

from sqlalchemy.exc import InterfaceError, OperationalError

from skeldir_huey.config import settings
from skeldir_huey.errors import ConfigError, InputError, SkeldirError
from skeldir_huey.log import bind, install

# name: (module in skeldir_huey.commands, help). A module is imported when its command is the one called.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "start everything: database, demo, console and worker; Ctrl-C stops it (`make run`)"),
    "stop": ("stop", "stop a `run` and the embedded PostgreSQL"),
    "status": ("status", "show database, migrations, roles, consumers and waiting jobs"),
    "doctor": ("doctor", "say in plain words what is wrong, as each login, and how to mend it"),
    "ping": ("ping", "enqueue a job, wait for its result: is a worker working?"),
    "demo": ("demo", "add the demo's tenants, events and models, or --reset the embedded database"),
    "tenants": ("tenants", "list tenants: their names, and the ids by which tasks and the log know them"),
    "import": ("import_", "read events from a CSV or JSON lines file"),
    "import-payments": ("import_payments", "read payment records, or with --claims what ad platforms claim"),
    "import-rates": ("import_rates", "read exchange rates, by which reports convert"),
    "revenue": ("revenue", "show what each channel earned, on demand converted into one currency"),
    "reconcile": ("reconcile", "compare claimed, verified and allocated revenue, order by order"),
    "backfill": ("backfill", "recompute a long range day by day, with progress; resume or cancel one"),
    "recompute": ("recompute", "request runs: tenant, window, model version"),
    "models": ("models", "list, create, train and publish model versions"),
    "compare": ("compare", "show two model versions side by side, per channel and per conversion"),
    "explain": ("explain", "follow every cent of one conversion to its touches and its run"),
    "user": ("user", "create or change an operator of the console"),
    "audit": ("audit", "check that no row of the console's audit log was changed, deleted or moved"),
    "views": ("views", "show how fresh summaries and materialized views are, or refresh them"),
    "retention": ("retention", "show or do what may no longer be kept; set how long a tenant's data is kept"),
    "web": ("web", "serve the console (the Procfile's web)"),
}


def parser_for(called: str | None) -> tuple[argparse.ArgumentParser, ModuleType | None]:
    """Return the parser, with the arguments of the command that is called, and that command's module."""
    parser = argparse.ArgumentParser(prog="python -m skeldir_huey", description="Skeldir Huey's own commands.")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    module = None
    for name, (module_name, help_text) in COMMANDS.items():
        subparser = commands.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        if name == called:
            module = importlib.import_module(f"skeldir_huey.commands.{module_name}")
            module.add_arguments(subparser)
    return parser, module


def _log_as_told() -> None:
    """Log JSON lines to stderr: what the level says where one was set, else warnings, since a person reads this."""
    try:
        given = settings()
    except ConfigError:  # the command says so itself, if it needs any
        install("WARNING")
    else:
        install(given.log_level if "log_level" in given.given else "WARNING")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    called = next((word for word in given if not word.startswith("-")), None)
    try:
        parser, module = parser_for(called)
        args = parser.parse_args(given)
        if module is None:
            parser.print_help()
            return 0
        with bind(correlation_id=str(uuid.uuid4())):  # of every job that this command enqueues
            _log_as_told()
            code: int = module.run(args)
        sys.stdout.flush()
        return code
    except SkeldirError as error:
        for line in str(error).splitlines():
            print(f"skeldir: {line}", file=sys.stderr)
        return 2 if isinstance(error, (ConfigError, InputError)) else 1
    except (OperationalError, InterfaceError) as error:
        print(f"skeldir: the database was lost: {str(error.orig).splitlines()[0]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `… | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
