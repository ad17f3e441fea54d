"""The worker's own little web server: /health for probes, /metrics for Prometheus. It never holds the worker up."""

from __future__ import annotations

import errno
import json
import os
import socketserver
import threading
import weakref
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from skeldir_huey import metrics
from skeldir_huey.log import get_log
from skeldir_huey.observability.database import DatabaseMetrics
from skeldir_huey.observability.health import QUEUE_STATEMENT, Checker
from skeldir_huey.observability.workers import Workers

log = get_log("monitor")
_running: weakref.WeakSet[Monitor] = weakref.WeakSet()


class Monitor(ThreadingHTTPServer):
    """Serves one process; each request has a thread of its own that dies with the process."""

    daemon_threads = True

    def __init__(self, addr: str, port: int, checker: Checker, registry: CollectorRegistry) -> None:
        self.checker = checker
        self.registry = registry
        self.address_family = AF_INET6 if ":" in addr else AF_INET
        super().__init__((addr, port), Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks DNS for the name of the address.
        socketserver.TCPServer.server_bind(self)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        log.exception("monitor_request_failed")

    def stop(self) -> None:
        """Stop listening; open requests end with their threads."""
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of two paths."""

    server: Monitor
    timeout = 5  # seconds for a client to send its request
    server_version = "skeldir"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.split("?", 1)[0]
        if path == "/health":
            health = self.server.checker.health()
            self._answer(200 if health.ok else 503, "application/json", json.dumps(health.as_dict()).encode())
        elif path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        else:
            self._answer(404, "text/plain; charset=utf-8", b"not found: try /health or /metrics\n")

    do_HEAD = do_GET

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug("monitor_request", request=format % args)


def start(
    addr: str,
    port: int,
    dsn: Callable[[], str],
    broker_check: str = QUEUE_STATEMENT,
    *,
    workers: Workers | None = None,
    periodic: Callable[[], Collection[str]] = tuple,
) -> Monitor | None:
    """Serve /health and /metrics from a background thread.

    Args:
        addr: where to listen, e.g. 127.0.0.1.
        port: 0 takes any free one.
        dsn: returns the worker's libpq URL; asked for each check.
        broker_check: a statement that works as app_rw when the queue does.
        workers: whose state counts; None where there are none.
        periodic: returns the names of the periodic tasks.

    Returns:
        The server; None when the port is taken or cannot be opened, which is logged once: work goes on without it.
    """
    registry = CollectorRegistry()
    registry.register(metrics.store)
    registry.register(DatabaseMetrics(dsn, periodic))
    checker = Checker(dsn, broker_check, workers.all_stuck) if workers else Checker(dsn, broker_check)
    try:
        monitor = Monitor(addr, port, checker, registry)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            log.warning("monitor_port_taken", addr=addr, port=port, error=str(error))
        else:
            log.warning("monitor_not_started", addr=addr, port=port, error=str(error))
        return None
    threading.Thread(target=monitor.serve_forever, name="monitor", daemon=True).start()
    _running.add(monitor)
    log.info("monitor_started", addr=addr, port=monitor.port)
    return monitor


def _forget_in_child() -> None:
    # A forked worker must not hold the port after its parent is gone.
    for monitor in list(_running):
        monitor.socket.close()
    _running.clear()


os.register_at_fork(after_in_child=_forget_in_child)
