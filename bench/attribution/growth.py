"""A whole run in a real consumer, at one and at ten times the events: its time, and the worker's memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any
from uuid import UUID

import psutil

from bench.attribution import ours
from bench.attribution.data import START
from bench.attribution.place import Place
from bench.queue.server import clean_environment
from bench.queue.systems import ROOT
from skeldir_huey.attribution import runs
from skeldir_huey.db.engine import transaction
from skeldir_huey.tasks.attribution import schedule_recompute_window

PATIENCE_S = 1200


def through_worker(place: Place, tenant_id: UUID, version: str) -> dict[str, Any]:
    """Let a consumer that was just started do one run over all events of a tenant."""
    place.forget_allocations()
    output = place.server.folder / f"consumer-{tenant_id}.out"
    command = ["-m", "huey.bin.huey_consumer", "skeldir_huey.main.huey", "-w", "1"]
    env = clean_environment() | place.env | {"SKELDIR_LANES": "attribution", "WORKER_METRICS_PORT": str(_free_port())}
    with output.open("wb") as sink:
        worker = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=env, stdout=sink, stderr=subprocess.STDOUT)
    try:
        asked = schedule_recompute_window(tenant_id, START, ours.END, version)
        peak_mb, deadline = 0.0, time.monotonic() + PATIENCE_S
        while True:
            if worker.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the consumer did not do the run:\n{output.read_text()[-3000:]}")
            peak_mb = max(peak_mb, _peak_mb(worker.pid))
            with transaction(tenant_id, read_only=True) as connection:
                now = runs.read(connection, tenant_id, asked.id)
            if now.status == "failed":
                raise SystemExit(f"the run failed: {now.error_message}")
            if now.status == "succeeded" and now.started_at and now.finished_at:
                break
            time.sleep(0.2)
    finally:
        worker.send_signal(signal.SIGINT)
        try:
            worker.wait(10)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
    return {
        "seconds": (now.finished_at - now.started_at).total_seconds(),
        "rows": now.allocation_count,
        "conversions": now.conversion_count,
        "rss_mb": peak_mb,
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _peak_mb(pid: int) -> float:
    """Return the resident memory of a process and those below it in MiB; the most that Linux saw, elsewhere of now."""
    total = 0.0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += _high_water(process.pid) or process.memory_info().rss / 2**20
    except psutil.NoSuchProcess:
        pass
    return total


def _high_water(pid: int) -> float | None:
    try:
        with open(os.path.join("/proc", str(pid), "status"), encoding="ascii") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None
