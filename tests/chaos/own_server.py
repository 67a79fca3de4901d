"""`clustercredit serve` as a process of its own, and a proxy before it that can break an answer off."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
START_SECONDS = 120


def environment(database_url: str | None, folder: Path) -> dict[str, str]:
    """Return the environment of a process of its own: this one's, with settings of its own."""
    url = {} if database_url is None else {"CLUSTERCREDIT_DATABASE_URL": database_url.replace("+psycopg", "")}
    return (
        {n: v for n, v in os.environ.items() if not n.startswith("CLUSTERCREDIT_")}
        | url
        | {
            "CLUSTERCREDIT_LOCAL_DIR": str(folder),
            "CLUSTERCREDIT_JOB_LEASE_SECONDS": "4",
            "CLUSTERCREDIT_LOG_LEVEL": "ERROR",
            "CLUSTERCREDIT_REQUESTS_PER_MINUTE": "0",
            "CLUSTERCREDIT_TENANT_REQUESTS_PER_MINUTE": "0",
        }
    )


class OwnServer:
    """A server that is killed and started again.

    Parameters
    ----------
    database_url
        Of a migrated database; None for an embedded one of its own.
    folder
        For its log, and its local files.
    options
        Further ones of `serve`.
    """

    def __init__(self, database_url: str | None, folder: Path, *options: str) -> None:
        self._options = options
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = int(probe.getsockname()[1])
        self.log = folder / "server.log"
        self._environment = environment(database_url, folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "service", "serve", "--port", str(self.port), *self._options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        deadline = monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, self.log.read_text()
            assert monotonic() < deadline, "the server does not start"
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            sleep(0.05)

    def kill(self) -> None:
        """Kill it with SIGKILL, and return when it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(30)
            self._process = None


class OwnWorker:
    """`clustercredit worker` as a process of its own, killed and started again."""

    def __init__(self, database_url: str, folder: Path, number: int) -> None:
        self.log = folder / f"worker-{number}.log"
        self._environment = environment(database_url, folder)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it works as soon as it can."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "service", "worker"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """Kill it with SIGKILL, and return when it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(30)
            self._process = None


class Proxy:
    """Passes one request on, and calls ``on_answer`` with the first bytes of the answer, which nobody else gets."""

    def __init__(self, port: int, on_answer: Callable[[], None], on_request: Callable[[], None]) -> None:
        self._target, self._on_answer, self._on_request = port, on_answer, on_request
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self.swallowed = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Wait until the one request is dealt with."""
        self._thread.join(60)
        self._listener.close()

    def _serve(self) -> None:
        inbound, _ = self._listener.accept()
        with inbound, socket.create_connection((HOST, self._target)) as outbound:
            inbound.settimeout(30)
            outbound.settimeout(30)
            request = b""
            while not _is_whole(request):
                request += inbound.recv(1 << 16)
            outbound.sendall(request)
            self._on_request()
            with contextlib.suppress(ConnectionError):
                self.swallowed = outbound.recv(1 << 16)
            if self.swallowed:
                self._on_answer()


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= int(lengths[0] if lengths else 0)
