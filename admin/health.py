"""What machines ask: /healthz (alive), /readyz (the database answers), /metrics (for Prometheus, guarded)."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable
from typing import Any

from flask import Flask, abort, jsonify, request
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.wrappers import Response

from admin.security import is_loopback
from skeldir_huey.config import Settings
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import SkeldirError
from skeldir_huey.log import get_log

log = get_log("console")


def install(app: Flask, given: Settings) -> None:
    """Add the three addresses. None needs a sign-in, none tells more than it must."""

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            with transaction(None, who="console", read_only=True) as connection:
                connection.exec_driver_sql("set local statement_timeout = '2s'")
                connection.exec_driver_sql("select 1")
        except (SQLAlchemyError, SkeldirError) as error:
            log.warning("not_ready", error_class=type(error).__name__)
            return jsonify(status="unavailable"), 503
        return jsonify(status="ready"), 200

    def guard(page: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(page)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not may_scrape(given.metrics_token):
                abort(403)
            return page(*args, **kwargs)

        return guarded

    # A registry of its own: two apps in one process, as in tests, must not share counters.
    PrometheusMetrics(app, group_by="endpoint", registry=CollectorRegistry(), metrics_decorator=guard)


def may_scrape(token: str | None) -> bool:
    """Return whether this request comes from this machine, and not through a proxy on it, or carries the token."""
    sent = request.headers.get("Authorization", "")
    if token and hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        return True
    proxied = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"))
    return is_loopback(request.remote_addr) and not proxied
