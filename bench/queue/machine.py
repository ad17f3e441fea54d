"""How fast and how disturbed this machine is right now: written beside every measurement."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

CALM_PERCENT = 15.0
CALM_FSYNC_MS = 2.0
SPIN = 300_000


@dataclass(frozen=True)
class Probe:
    """One look: median of 30 fdatasync of 8 KB in ms, a fixed Python loop in ms, CPU in use before it in percent."""

    fsync_ms: float
    spin_ms: float
    load_percent: float
    waited_s: float

    def __str__(self) -> str:
        waited = f", waited {self.waited_s:.0f} s" if self.waited_s >= 2 else ""
        return f"fsync {self.fsync_ms:.2f} ms, spin {self.spin_ms:.0f} ms, load {self.load_percent:.0f} %{waited}"


def _fsync_ms(folder: Path) -> float:
    path, times = folder / "fsync.probe", []
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for place in range(30):
            began = time.perf_counter()
            os.pwrite(handle, b"x" * 8192, 8192 * place)
            os.fdatasync(handle)
            times.append(time.perf_counter() - began)
    finally:
        os.close(handle)
        path.unlink()
    return statistics.median(times) * 1000


def _spin_ms() -> float:
    began = time.perf_counter()
    sum(number * number for number in range(SPIN))
    return (time.perf_counter() - began) * 1000


def calm(folder: Path, patience_s: float) -> Probe:
    """Wait for a calm machine, but not longer than `patience_s` seconds, then probe it."""
    began = time.monotonic()
    look = min(0.5, patience_s / 2)
    while True:
        load, fsync = psutil.cpu_percent(look), _fsync_ms(folder)
        waited = time.monotonic() - began
        if (load <= CALM_PERCENT and fsync <= CALM_FSYNC_MS) or waited >= patience_s:
            return Probe(round(fsync, 3), round(_spin_ms(), 1), load, round(waited, 1))


def machine_busy_s() -> float:
    """Return the CPU seconds that the whole machine has used."""
    used = psutil.cpu_times()
    return float(used.user + used.system + used.nice + getattr(used, "softirq", 0) + getattr(used, "steal", 0))


def cpu_s(roots: Iterable[int]) -> float:
    """Return the CPU seconds that these processes and everything below them have used, children that ended included."""
    total = 0.0
    for root in roots:
        try:
            process = psutil.Process(root)
            for one in [process, *process.children(recursive=True)]:
                try:
                    used = one.cpu_times()
                    total += used.user + used.system + used.children_user + used.children_system
                except psutil.NoSuchProcess:
                    continue
        except psutil.NoSuchProcess:
            continue
    return total


def memory_mb(roots: Iterable[int]) -> tuple[float, int]:
    """Return the resident memory of these process trees in MiB, and how many processes they are."""
    found = []
    for root in roots:
        process = psutil.Process(root)
        found += [one.memory_info().rss for one in [process, *process.children(recursive=True)]]
    return sum(found) / 2**20, len(found)


def describe() -> dict[str, str | int]:
    """Return what this machine is."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": psutil.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
