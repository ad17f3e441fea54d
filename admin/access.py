"""One log line per request, and the id that follows what the request caused through every job.

The id comes from the header X-Request-ID when that holds a UUID (as proxies make them), else it is made here; the
response carries it. While the request is served it is bound as correlation_id, which jobs that are enqueued take over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID, uuid4

from flask import Flask

from skeldir_huey.log import bind, get_log

log = get_log("console")

ENVIRON = "skeldir.request_id"
# Asked every few seconds by machines and by pages; shown with SKELDIR_LOG_LEVEL=DEBUG.
QUIET = ("/static/", "/healthz", "/readyz", "/metrics")


class AccessLog:
    """WSGI middleware around the whole application."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request_id = environ[ENVIRON] = read_id(environ.get("HTTP_X_REQUEST_ID"))
        began = time.monotonic()
        answer: dict[str, Any] = {"status": None, "size": None}

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            answer["status"] = int(status.split(" ", 1)[0])
            answer["size"] = next((int(text) for name, text in headers if name.lower() == "content-length"), None)
            return start_response(status, headers, *rest)

        with bind(correlation_id=str(request_id)):
            try:
                return self._app(environ, start)
            finally:
                path = environ.get("PATH_INFO", "")
                write = log.debug if path.startswith(QUIET) else log.info
                # Without the query: people type names and addresses into search fields.
                write(
                    "http_request",
                    method=environ.get("REQUEST_METHOD"),
                    path=path[:200],
                    run_ms=round((time.monotonic() - began) * 1000, 1),
                    **answer,
                )


def read_id(text: str | None) -> UUID:
    """Return the id that a header holds, or a new one when it holds none."""
    try:
        return UUID(text) if text and len(text) <= 36 else uuid4()
    except ValueError:
        return uuid4()


def install(app: Flask) -> None:
    """Put the log around the application; to be called after everything else that wraps it."""
    app.wsgi_app = AccessLog(app.wsgi_app)  # type: ignore[method-assign]
    logger = logging.getLogger("werkzeug")
    if _is_no_access_line not in logger.filters:
        logger.addFilter(_is_no_access_line)


def _is_no_access_line(record: logging.LogRecord) -> bool:
    # `flask run` logs each request by itself: it would be there twice.
    return " - - [" not in str(record.msg)
