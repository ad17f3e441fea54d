"""Serve the console with waitress at the address and port of the settings."""

from __future__ import annotations

import argparse
import pkgutil
import signal
from typing import Any

import waitress

from skeldir_huey.config import settings
from skeldir_huey.db import urls
from skeldir_huey.errors import SkeldirError
from skeldir_huey.log import get_log, install

log = get_log("console")

# Named, not imported: the console stands above the commands, and any WSGI server loads it in this way.
APPLICATION = "admin:create_app"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take none: address and port are settings, so that every command agrees on them."""


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it.

    Raises:
        SkeldirError: the port is taken.
        ConfigError, DatabaseError: as `urls.check_ready`.
    """
    given = settings()
    install(given.log_level, service=True)
    urls.check_ready("console")
    app = pkgutil.resolve_name(APPLICATION)()
    try:
        server = waitress.create_server(app, host=given.web_addr, port=given.web_port, threads=8, ident=None)
    except OSError as error:
        raise SkeldirError(
            f"SKELDIR_WEB_PORT: cannot listen on {given.web_addr}:{given.web_port}: {error.strerror or error}"
        ) from None
    signal.signal(signal.SIGTERM, _leave)
    log.info("console_started", url=f"http://{given.web_addr}:{given.web_port}/admin/")
    server.run()
    return 0


def _leave(number: int, frame: Any) -> None:
    raise SystemExit(0)  # waitress then finishes the requests that it has begun
