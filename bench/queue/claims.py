"""What a claim costs on an empty table, after many finished jobs, and with many scheduled ones, measured in turns."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench.queue import machine
from bench.queue.server import Server
from bench.queue.systems import ROOT, System
from bench.queue.trial import Trial, TrialFailed

CASES = ("empty", "finished", "scheduled")
WARM = 8  # the server settles on a plan within its first uses
ROUNDS = 100


class Prober:
    """A claim_probe on a trial's database, asked line by line."""

    def __init__(self, trial: Trial) -> None:
        self._errors = trial.server.folder / f"{trial.database}.probe"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(trial.system.bin / "python"), "-m", "bench.queue.claim_probe"],
                cwd=ROOT,
                env=trial.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        trial.processes.append(self._process)

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Send one request and wait for its answer.

        Raises:
            TrialFailed: the probe ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise TrialFailed(f"claim probe: {self._errors.read_text(errors='replace')[-1500:]}")
        found: dict[str, Any] = json.loads(answer)
        return found


def claims(
    server: Server, system: System, scale: int, patience_s: float, rounds: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Prepare the three databases, then claim batches of 50 in turns; returns medians and their ratios to empty."""
    with ExitStack() as stack:
        trials = {case: stack.enter_context(Trial(server, system)) for case in CASES}
        probers = {case: Prober(trial) for case, trial in trials.items()}
        tell(f"claims: {scale:,} scheduled jobs")
        probers["scheduled"].ask("schedule", count=scale)
        tell(f"claims: {scale:,} jobs enqueued and run to their end")
        consumer = trials["finished"].consume(1)
        finished = probers["finished"].ask("finish", count=scale)["count"]
        trials["finished"].end(consumer, gently=True)
        probe = machine.calm(server.folder, patience_s)  # autovacuum counts as load, so it is waited for, too
        found: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
        for turn in range(WARM + rounds):
            for case in CASES:
                answer = probers[case].ask("claim")
                if turn >= WARM:
                    found[case].append(answer)
        line: dict[str, Any] = {"system": system.key, **vars(probe), "scale": scale, "finished": finished}
        for case in CASES:
            for name in ("ms", "buffers_per_job"):
                line[f"{case}_{name}"] = statistics.median(one[name] for one in found[case])
        for case in CASES[1:]:
            for name in ("ms", "buffers_per_job"):
                line[f"{case}_{name}_ratio"] = line[f"{case}_{name}"] / line[f"empty_{name}"]
        return line
