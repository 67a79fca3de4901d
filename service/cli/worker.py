"""worker, and the worker that `serve --worker` and `demo` keep beside themselves."""

import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from types import TracebackType
from typing import Annotated, Self

import typer

from service.app import CHORES, KINDS
from service.audit.sequencer import Sequencer
from service.cli.runtime import kept_running, open_database
from service.jobs.worker import Worker
from service.kit.logs import configure_logging
from service.settings import Settings

STOP_SECONDS, RESTART_SECONDS = 15.0, 1.0


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("worker")(worker)


def worker(
    concurrency: Annotated[int, typer.Option(help="Jobs at a time.", min=1, max=16)] = 1,
    *,
    with_parent: Annotated[bool, typer.Option(hidden=True, help="Stop when standard input is closed.")] = False,
) -> None:
    """Run the jobs that HTTP requests start: imports, trainings, rescorings. Log lines are JSON on standard error.

    Run as many as you like, on as many machines, on one database. SIGTERM lets the jobs at work finish for five
    seconds, and gives them back to other workers after that. A worker also numbers the audit log's entries while no
    server does; signing its checkpoints is left to `serve` and `audit checkpoint`, where the keys are.

    Example: clustercredit worker --concurrency 2
    """
    settings = Settings()
    configure_logging(settings.log_level)
    database = open_database(settings)
    working = Worker(database, settings, KINDS, concurrency=concurrency, chores=CHORES)
    if with_parent:
        threading.Thread(target=_stop_with_parent, args=(working,), daemon=True).start()
    # A worker beside a server leaves the audit log to it. One that stands alone numbers entries, and never signs: a
    # machine without the signing keys would make new ones.
    with nullcontext() if with_parent else Sequencer(database, keys=None), kept_running(settings):
        working.run()


def _stop_with_parent(working: Worker) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    working.stop()


class OwnWorker:
    """A worker as a child process, so that its work does not slow requests down; started again whenever it dies.

    It ends with its parent, however that ends: its standard input is then closed.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        """Start it."""
        self._keeper.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Let it stop; kill it if it does not: its job's lease then runs out."""
        self._ended.set()
        child = self._child
        if child is not None and child.stdin is not None:
            child.stdin.close()
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
        self._keeper.join(RESTART_SECONDS)

    def _keep(self) -> None:
        command = [sys.executable, "-m", "service", "worker", "--with-parent"]
        while not self._ended.is_set():
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - our own command
            self._child.wait()
            self._ended.wait(RESTART_SECONDS)
