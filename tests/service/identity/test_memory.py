"""Promise 18: logins cannot exhaust memory. A real server, measured from outside."""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Event

import httpx
import pytest
from http_client import make_client

from tests.service.identity.people import PASSWORD, add_person

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc"),
]
AT_ONCE = 50
MAX_GROWTH = 200 * 1000 * 1000


@dataclass
class Server:
    url: str
    process: subprocess.Popen

    def memory(self, name: str) -> int:
        """Return VmRSS, what is resident now, or VmHWM, the most that was since `forget`, in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    def forget(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@pytest.fixture
def server_process(app, database, request) -> Iterator[Server]:
    """Serve with so many connections: the tests' server has 60, of which two workers of the gate may hold 40."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "CLUSTERCREDIT_DATABASE_URL": database.url.replace("+psycopg", ""),
        "CLUSTERCREDIT_KEYRING_DIR": str(app.state.settings.keyring),
        "CLUSTERCREDIT_SIGNING_DIR": str(app.state.settings.signing),  # it signs every tenant's log
        "CLUSTERCREDIT_POOL_SIZE": str(request.param),
        "CLUSTERCREDIT_LOGIN_ATTEMPTS_PER_ADDRESS": "0",
        "CLUSTERCREDIT_LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}", process)
    try:
        while True:
            assert process.poll() is None, "the server ended"
            try:
                assert httpx.get(f"{server.url}/v1/me").status_code == 401
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def storm(server: Server, tenant: str, token: str, rounds: int) -> tuple[list[httpx.Response], list[int]]:
    """Sign fifty people in at once, some rounds long; return the answers, and those to other requests meanwhile."""
    barrier, is_over = Barrier(AT_ONCE), Event()

    def sign_in(number: int) -> list[httpx.Response]:
        body = {"organisation": tenant, "login": f"person{number}", "password": PASSWORD}
        with httpx.Client(base_url=server.url, timeout=120) as client:
            barrier.wait(60)
            return [client.post("/v1/sessions", json=body) for _ in range(rounds)]

    def ask() -> list[int]:
        with httpx.Client(base_url=server.url, timeout=120, headers={"Authorization": f"Bearer {token}"}) as client:
            statuses = []
            while not is_over.is_set():
                statuses.append(client.get("/v1/me").status_code)
            return statuses

    with ThreadPoolExecutor(AT_ONCE + 1) as pool:
        others = pool.submit(ask)
        answers = [answer for found in pool.map(sign_in, range(AT_ONCE)) for answer in found]
        is_over.set()
        return answers, others.result()


@pytest.mark.parametrize(
    ("server_process", "rounds"),
    [(12, 1), pytest.param(20, 100, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)])],
    indirect=["server_process"],
)
def test_fifty_logins_at_once(server_process, app, database, tenant, rounds):
    for number in range(AT_ONCE):
        add_person(database, tenant, f"person{number}")
    key = make_client(app, database, tenant)
    server_process.forget()
    before = server_process.memory("VmRSS")
    answers, others = storm(server_process, tenant, key.token, rounds)
    growth = server_process.memory("VmHWM") - before
    statuses = Counter(answer.status_code for answer in answers)
    print(f"{growth / 1e6:.0f} MB more at the most; {dict(statuses)}; {len(others)} other requests")  # noqa: T201
    assert growth <= MAX_GROWTH
    assert set(statuses) == {201, 429}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 429)
    assert statuses[201] >= rounds
    assert others
    assert set(others) == {200}, "others are answered meanwhile"
