"""Promise 4 in full: the disk fills up under writers, and is grown: the service goes on by itself, with every row.

In between the server is killed, as when it cannot write its log: it recovers on a full disk, or as soon as it can.
"""

import os
import shutil
import signal
import subprocess
import threading
import uuid
from collections import Counter
from time import monotonic, perf_counter, sleep

import httpx
import pytest
from http_client import make_client
from sqlalchemy import text

from service.identity.use_cases import create_tenant
from service.kit import migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgres
from tests.chaos.own_server import HOST, OwnServer

SMALL, LARGE = "220m", "900m"
WRITERS, ROWS = 6, 100
BEFORE_SECONDS, FULL_SECONDS, AFTER_SECONDS, BACK_SECONDS = 5, 20, 10, 120
BANK = "bank on a small disk"
AWAY = (503, 507)
PHASES = ("before", "full", "full and crashed", "after")

pytestmark = [pytest.mark.chaos, pytest.mark.allow_hosts([HOST]), pytest.mark.timeout(900)]


@pytest.fixture
def small_disk(tmp_path):
    """Yield an embedded server whose folder is a small file system of its own."""
    postgres = EmbeddedPostgres(tmp_path)
    postgres.home.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL},mode=0700", "tmpfs", str(postgres.home)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        postgres.home.rmdir()
        pytest.skip(f"a file system of a size cannot be mounted here: {mounted.stderr.strip()}")
    yield postgres
    postgres.stop()
    subprocess.run(["umount", "--lazy", str(postgres.home)], check=True)
    shutil.rmtree(postgres.home, ignore_errors=True)


class Writer(threading.Thread):
    """Adds invoices, a request after the other, each again with its key until it is acknowledged."""

    def __init__(self, url, token, firm, over):
        super().__init__()
        self.url, self.token, self.firm, self.over = url, token, firm, over
        self.acknowledged: list[str] = []
        self.answers: Counter[int] = Counter()
        self.phase = "before"
        self.by_phase: dict[str, Counter[int]] = {}

    def run(self):
        with httpx.Client(timeout=60) as client:
            while not self.over.is_set():
                self.add(client, uuid.uuid4().hex)

    def add(self, client, key):
        common = {
            "direction": "output",
            "issued_on": "2026-01-01",
            "counterparty": "C",
            "net": "100.00",
            "vat": "10.00",
        }
        rows = [{**common, "number": f"{key}-{number}"} for number in range(ROWS)]
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        while True:
            answer = client.post(f"{self.url}/v1/firms/{self.firm}/invoices", headers=headers, json={"invoices": rows})
            self.by_phase.setdefault(self.phase, Counter())[answer.status_code] += 1
            if answer.status_code not in AWAY:
                assert answer.status_code == 201, answer.text
                self.acknowledged.append(key)
                return
            sleep(0.2)
            if self.over.is_set() and self.phase != "after":
                return


def _fill(folder):
    """Take every free byte of a file system."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


def test_a_disk_that_fills_up_and_is_grown(small_disk, tmp_path):
    database = Database(small_disk.start())
    migrations.upgrade(database.engine)
    with database.session() as session:
        tenant_id = create_tenant(session, BANK)
    token = make_client(None, database, BANK).token
    database.dispose()
    server = OwnServer(None, tmp_path)
    server.start()
    over = threading.Event()
    try:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "firm"}
        body = {"key": "E1", "name": "甲", "observed_on": "2024-01-01"}
        firm = httpx.post(f"{server.url}/v1/firms", headers=headers, json=body).json()["id"]
        writers = [Writer(server.url, token, firm, over) for _ in range(WRITERS)]
        for writer in writers:
            writer.start()
        sleep(BEFORE_SECONDS)
        _fill(small_disk.home)
        _enter(writers, "full")
        sleep(FULL_SECONDS)
        os.kill(int((small_disk.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
        _enter(writers, "full and crashed")
        sleep(FULL_SECONDS)
        is_up = small_disk.is_ready()
        subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(small_disk.home)], check=True)
        _enter(writers, "after")
        begun = perf_counter()
        back = _wait_until_each_writes(writers)
        sleep(AFTER_SECONDS)
    finally:
        over.set()
        for writer in writers:
            writer.join(60)
        server.kill()
    acknowledged = {key for writer in writers for key in writer.acknowledged}
    phases = {name: sum((writer.by_phase.get(name, Counter()) for writer in writers), Counter()) for name in PHASES}
    query = "select split_part(number, '-', 1), count(*) from invoice group by 1"
    with database.session(tenant_id) as session:
        rows = dict(session.execute(text(query)).all())
    database.dispose()
    print(
        f"\npromise 4: answers {[(name, dict(phases[name])) for name in PHASES]}; PostgreSQL, killed on the full disk, "
        f"was {'up' if is_up else 'down'} before there was room; {back - begun:.1f} s later every writer wrote again; "
        f"{len(acknowledged):,} requests acknowledged, {sum(rows.values()):,} rows there, "
        f"{len(acknowledged - rows.keys())} requests lost"
    )
    assert phases["full"][507] > 0
    assert set(phases["full and crashed"]) & set(AWAY)
    assert set(phases["before"]) == {201}
    assert acknowledged <= rows.keys()
    assert set(rows.values()) == {ROWS}
    assert phases["after"][201] > 0


def _enter(writers, phase):
    for writer in writers:
        writer.phase = phase


def _wait_until_each_writes(writers):
    deadline = monotonic() + BACK_SECONDS
    counts = [len(writer.acknowledged) for writer in writers]
    while any(len(writer.acknowledged) <= count for writer, count in zip(writers, counts, strict=True)):
        assert monotonic() < deadline, "the service does not come back"
        sleep(0.1)
    return perf_counter()
