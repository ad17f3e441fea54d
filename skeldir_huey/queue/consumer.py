"""The consumer: Huey's, with workers that take from the desk, and a scheduler that promotes, rescues and ticks."""

from __future__ import annotations

import datetime as dt
import functools
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from huey.consumer import Consumer, ProcessEnvironment, Scheduler, Worker, WorkerRecycle
from huey.exceptions import ConfigurationError

from skeldir_huey.config import settings
from skeldir_huey.db import engine as engines
from skeldir_huey.db import urls
from skeldir_huey.errors import ConfigError, SkeldirError
from skeldir_huey.log import get_log, install
from skeldir_huey.queue import control, cron
from skeldir_huey.queue.claims import ClaimedMessage
from skeldir_huey.queue.lanes import check_lanes
from skeldir_huey.queue.process import name_sessions
from skeldir_huey.queue.rescue import Rescuer
from skeldir_huey.queue.storage import statement

if TYPE_CHECKING:
    from skeldir_huey.queue.executor import SkeldirHuey

log = get_log("queue.consumer")

SHUTDOWN_TIMEOUT_S = 4.0  # honcho kills after 5
TAKE_WAIT_S = 1.0  # workers look at least this often, whatever `-m` says
FOLD_S = 5.0
EXIT_WITHIN_S = 3.0  # after the parent's end was noticed, which takes up to 1 s


class DeskWorker(Worker):
    """Takes claims from the process's desk and executes them."""

    worker_description: dict[str, Any]  # set by the consumer that made it
    replaced = False  # its task is past its timeout and did not stop: another thread has its place
    owns_process = False  # a forked child, which makes and closes its own process state

    def initialize(self) -> None:
        self.huey.open_process(self.worker_description, is_child=self.owns_process)
        super().initialize()

    def loop(self, now: dt.datetime | None = None) -> None:
        try:
            claim = self.huey.desk.take(min(self.max_delay, TAKE_WAIT_S))
        except Exception as error:
            log.error("claim_failed", error=str(error).strip())
            self.stop_flag.wait(1.0)
            return
        if claim is None:
            return
        self.task_count += 1
        try:
            task = self.huey.task_of(ClaimedMessage.of(claim))
            if task is not None:
                self.huey.execute(task, now)
        except Exception:
            log.exception("execution_failed", task_id=claim.task_id)  # the sweep gives the claim back
        if self.replaced or (self.max_tasks and self.task_count >= self.max_tasks):
            self.huey.desk.flush()
            raise WorkerRecycle()

    def shutdown(self) -> None:
        super().shutdown()
        if self.huey.desk is not None:
            self.huey.desk.flush()
        if self.owns_process:
            self.huey.close_process()


class QueueScheduler(Scheduler):
    """Once a second: promotes due jobs in place, rescues, and adds the jobs of due minutes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rescuer = Rescuer(self.huey)
        self._last_minute = 0.0
        self._last_fold = 0.0
        self._expired = False  # whether there may be results whose time is over

    def loop(self, now: dt.datetime | None = None) -> None:
        began = time.monotonic()
        self._step("promote_failed", lambda: self.huey.storage.run(statement("promote"), {"now": now}))
        self._step("rescue_failed", self._rescuer.sweep)
        if self.periodic:
            self._step("tick_failed", lambda: cron.tick(self.huey, now))
        self._step("resume_failed", self._resume_due)
        if began - self._last_fold >= FOLD_S:
            self._last_fold = began
            for fold in ("fold_flow", "fold_runs", "fold_errors"):
                self._step("fold_failed", functools.partial(self.huey.storage.run, statement(fold)))
        if began - self._last_minute >= 60:
            self._last_minute = began
            self._expired = True
            self._step("rotation_failed", lambda: self.huey.storage.run(statement("rotate_history")))
            self._step("rotation_failed", lambda: self.huey.storage.run(statement("forget_runs")))
        if self._expired:
            self._step("expiry_failed", self._expire)
        self.sleep_for_interval(began, min(self.interval, self._rescuer.next_look_s()))

    def _expire(self) -> None:
        """Delete a batch of expired results, and the next one in the next second until there are none."""
        self._expired = self.huey.storage.run(statement("expire_results"))[0]["n"] > 0

    def _resume_due(self) -> None:
        if self.huey.storage.run(statement("due_resumes"), {"now": None}):
            with engines.transaction(None, role="app_rw") as connection:
                control.resume_due(connection)

    @staticmethod
    def _step(event: str, action: Any) -> None:
        try:
            action()
        except Exception as error:
            log.error(event, error=str(error).strip())


class DrainingProcesses(ProcessEnvironment):
    """Process workers that finish on INT and TERM (the whole group gets them) and are interrupted by USR1 only."""

    def __init__(self, *_: Any) -> None:
        super().__init__(signal.SIGINT, signal.SIGUSR1)

    def init_child(self, process: Any) -> None:
        super().init_child(process)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        name_sessions(process.huey.storage.application_name)
        watch = threading.Thread(target=_exit_with_parent, args=(process.huey,), name="skeldir-parent", daemon=True)
        watch.start()

    def interrupt_workers(self, procs: list[Any]) -> None:
        super().interrupt_workers(procs)
        for proc in procs:
            if proc.is_alive():
                proc.kill()  # its claims are rescued by whoever lives


def _exit_with_parent(huey: SkeldirHuey) -> None:
    """Give back this child's claims and exit once its parent is gone: a kill -9 of the parent leaves nobody behind."""
    parent = os.getppid()
    gone = threading.Event()
    while os.getppid() == parent:
        gone.wait(1.0)
    log.error("parent_gone", pid=os.getpid())
    _exit(huey)


def _exit(huey: SkeldirHuey) -> None:
    limit = threading.Timer(EXIT_WITHIN_S, os._exit, (1,))  # a server that does not answer must not keep us
    limit.daemon = True
    limit.start()
    try:
        huey.close_process()
    finally:
        os._exit(1)


class SkeldirConsumer(Consumer):
    """Huey's consumer that drains on INT and TERM, gives back what it cannot finish, and refuses what it cannot keep.

    The first INT or TERM is graceful, the second interrupts. Greenlet workers are refused.
    """

    worker_class = DeskWorker
    scheduler_class = QueueScheduler
    huey: SkeldirHuey

    def __init__(self, huey: SkeldirHuey, **options: Any) -> None:
        if options.get("worker_type") in ("greenlet", "gevent"):
            raise ConfigurationError("greenlet workers are refused: psycopg2 would block all of them; use -k process")
        if options.get("shutdown_timeout") is None:
            options["shutdown_timeout"] = SHUTDOWN_TIMEOUT_S
        self._description = {
            "worker_type": options.get("worker_type", "thread"),
            "worker_count": options.get("workers", 1),
        }
        super().__init__(huey, **options)
        huey.watchdog.on_stuck = self._replace
        self._signal_actions[signal.SIGTERM] = (False, True)
        self._signal_actions[signal.SIGINT] = (False, True)

    def get_environment(self, worker_type: str) -> Any:
        return DrainingProcesses() if worker_type == "process" else super().get_environment(worker_type)

    def _create_worker(self) -> Any:
        worker = super()._create_worker()
        worker.worker_description = self._description
        worker.owns_process = bool(self.environment.forks)
        return worker

    def _replace(self, thread_id: int) -> None:
        """Give the place of a worker whose task does not stop to a new one: a thread, or by its end a process."""
        if self.environment.forks:
            _exit(self.huey)  # in the child; its parent sees that it is gone
        for place, (worker, thread) in enumerate(self.worker_threads):
            if thread.ident == thread_id:
                worker.replaced = True
                made = self._create_worker()
                self.worker_threads[place] = made, self._create_process(made, f"Worker-{place + 1}")
                self.worker_threads[place][1].start()

    def start(self) -> None:
        engines.dispose()
        self.huey.storage.new_identity()
        # Before any thread opens one: a session without the consumer's name is one that a rescue cannot end.
        name_sessions(self.huey.storage.application_name)
        for hook in self.huey.on_consumer_start:
            hook(self)
        super().start()
        log.info("consumer_started", workers=self.workers, worker_type=self.worker_type, pid=os.getpid())

    def stop(self, graceful: bool = False) -> None:
        if self.huey.desk is not None:
            self.huey.desk.stopping = True
            self.huey.desk.wake()
        super().stop(graceful)
        if self._restart:
            self.huey.close_process()  # exec follows, which no `finally` sees

    def run(self) -> None:
        """Run until stopped; what is still held then is given back, not lost."""
        try:
            super().run()
        finally:
            self.huey.close_process()

    def _handle_signal(self, signum: int, frame: Any) -> None:
        self._signum = signum
        self._restart, self._graceful = self._signal_actions[signum]
        if not self._restart:
            for again in (signal.SIGINT, signal.SIGTERM):
                signal.signal(again, signal.default_int_handler)  # the second one interrupts the shutdown


def create_consumer(huey: SkeldirHuey, options: dict[str, Any]) -> SkeldirConsumer:
    """Make a consumer with JSON logs, after a check of the database and its roles.

    Raises:
        SystemExit: what is wrong stands on stderr in one line; code 2 for settings and options, else 1.
    """
    try:
        _json_logs()
        urls.check_ready("worker")
        huey.storage.lanes = check_lanes(settings().lanes)
        return SkeldirConsumer(huey, **options)
    except (SkeldirError, ConfigurationError) as error:
        sys.stderr.write(f"skeldir: {error}\n")
        raise SystemExit(2 if isinstance(error, (ConfigError, ConfigurationError)) else 1) from None


def _json_logs() -> None:
    """Turn the log that `huey_consumer` set up into JSON lines, keeping its level (-v, -q) and file (-l)."""
    logger = logging.getLogger("huey")
    path = next((handler.baseFilename for handler in logger.handlers if isinstance(handler, logging.FileHandler)), None)
    install(logger.level or settings().log_level, path, service=True)
