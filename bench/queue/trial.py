"""One system in one fresh database with one file of notes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.queue import machine
from bench.queue.noop import NOTES
from bench.queue.notes import Tail
from bench.queue.peers import where
from bench.queue.server import Server, clean_environment
from bench.queue.systems import ROOT, System

STOP_S = 6.0


class TrialFailed(Exception):
    """A system did not do what was asked; the message says what it printed."""


@dataclass(frozen=True)
class Note:
    """One line of the task."""

    at: float
    number: int
    pid: int


class Trial:
    """Made with a fresh database; `close` ends its processes and drops it. Usable as a context manager."""

    def __init__(self, server: Server, system: System) -> None:
        self.server, self.system = server, system
        self.processes: list[subprocess.Popen[bytes]] = []
        self.database = server.make_database(system.ours)
        self.notes_file = server.folder / f"{self.database}.notes"
        self._tail = Tail(self.notes_file)
        self.output = server.folder / f"{self.database}.out"
        self.env = clean_environment() | {
            NOTES: str(self.notes_file),
            where.SOCKET: str(server.socket),
            where.DATABASE: self.database,
            **(server.settings(self.database) if system.ours else {}),
            **system.env,
        }
        try:
            if not system.ours:
                self.produce("install", 0, 0)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def produce(self, what: str, first: int, count: int, *more: float) -> dict[str, Any]:
        """Run the producer to its end and return what it found. See bench.queue.producer."""
        python = self.system.bin / "python"
        arguments = [self.system.module, what, str(first), str(count), *map(str, more)]
        return self._answer([str(python), "-m", "bench.queue.producer", *arguments])

    def probe(self, module: str, *arguments: object) -> dict[str, Any]:
        """Run a module of ours on this database, and return the JSON that it prints."""
        return self._answer([str(self.system.bin / "python"), "-m", module, *map(str, arguments)])

    def _answer(self, command: list[str]) -> dict[str, Any]:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.processes.append(process)
        try:
            printed, complaint = process.communicate()
        finally:
            self.end(process)
        if process.returncode:
            raise TrialFailed(f"{' '.join(command[1:4])}: {complaint.decode(errors='replace')[-1500:]}")
        found: dict[str, Any] = json.loads(printed.decode().strip().splitlines()[-1])
        return found

    def consume(self, workers: int = 1) -> subprocess.Popen[bytes]:
        """Start a consumer; what it logs goes to a file, as in production."""
        program, *arguments = self.system.command(workers, len(self.processes))
        env = self.env | ({"WORKER_METRICS_PORT": str(_free_port())} if self.system.ours else {})
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [str(self.system.bin / program), *arguments],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is ours: we end them
            )
        self.processes.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes], gently: bool = False) -> None:
        """End a process with everything in its session."""
        if gently and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def count(self) -> int:
        """Count the lines of the notes."""
        self._tail.new_lines()
        return self._tail.count

    def notes(self) -> list[Note]:
        """Return the notes, earliest first."""
        if not self.notes_file.exists():
            return []
        split = (line.split() for line in self.notes_file.read_text().splitlines())
        return sorted((Note(float(at), int(number), int(pid)) for at, number, pid in split), key=lambda note: note.at)

    def until_noted(self, count: int, timeout_s: float, every_s: float = 0.02) -> None:
        """Wait until there are so many notes.

        Raises:
            TrialFailed: the time is over, or a consumer ended.
        """
        deadline = time.monotonic() + timeout_s
        while self.count() < count:
            dead = [process for process in self.processes if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                why = f"a consumer ended with {dead[0].returncode}" if dead else f"not done after {timeout_s:.0f} s"
                printed = self.output.read_text(errors="replace")[-1500:] if self.output.exists() else ""
                raise TrialFailed(f"{self.system.key}: {why}, {self.count()} of {count} jobs ran\n{printed}")
            time.sleep(every_s)

    def pids(self) -> list[int]:
        """Return the process ids of the consumers."""
        return [process.pid for process in self.processes]

    def cpu_s(self) -> float:
        return machine.cpu_s(self.pids())

    def until_alone(self, timeout_s: float = 5.0) -> None:
        """Wait until nobody is connected to the database, so that the server's counters are complete."""
        deadline = time.monotonic() + timeout_s
        while self.server.clients(self.database) and time.monotonic() < deadline:
            time.sleep(0.02)

    def close(self) -> None:
        for process in list(self.processes):
            self.end(process)
        self.server.drop_database(self.database)
        for path in (self.notes_file, self.output):
            Path(path).unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
