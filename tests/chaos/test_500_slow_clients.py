"""Promise 17 in full: 500 slow sockets against `clustercredit serve` as it comes."""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import sleep
from uuid import uuid4

import httpx
import pytest
from http_client import make_client
from slow_clients import HOST, OPENINGS, attack

from service.firms.use_cases import firm_id_of, list_keys
from tests.e2e.conftest import bank  # noqa: F401 - the demo's cluster, trained and rescored

ROOT = Path(__file__).parents[2]
SLOW_CLIENTS, REQUESTS_PER_SECOND = 500, 20
SCORE_EVERY = 5
"""One healthy request of so many asks for a score, the others for ten firms."""
CUT_WITHIN_SECONDS, P99_SECONDS = 30, 0.3

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.allow_hosts([HOST]),
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("bank"),
]


@pytest.fixture(scope="module")
def port(database, tmp_path_factory):
    """Run `serve` at its default settings; give its port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("serve")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLUSTERCREDIT_")}
    environment["CLUSTERCREDIT_DATABASE_URL"] = database.url.replace("+psycopg", "")
    environment["CLUSTERCREDIT_LOCAL_DIR"] = str(folder)
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        while process.poll() is None and not _answers(port):
            sleep(0.1)
        assert process.poll() is None, (folder / "log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(timeout=60)


def _answers(port):
    try:
        return httpx.get(f"http://{HOST}:{port}/v1/firms").status_code == 401
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def requests(app, database, bank):  # noqa: F811
    """Return the healthy client's requests: its key, and the firms it asks scores of."""
    client = make_client(app, database, bank.name)
    headers = {"Authorization": f"Bearer {client.token}"}
    with database.session(bank.tenant_id) as session:
        keys = list_keys(session)
    asked_of = [
        firm_id
        for key in keys[:40]
        if client.post("/v1/scores", _score(firm_id := str(firm_id_of(bank.tenant_id, key)))).status_code == 201
    ]
    return headers, itertools.cycle(asked_of)


def _score(firm_id):
    return {"firm_id": firm_id, "product": "credit-score", "as_of": "2026-06-30"}


def test_500_slow_clients_are_cut_and_starve_nobody(port, requests):
    headers, firm_ids = requests
    turns = itertools.count()

    async def main(count):
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=60, headers=headers) as client:

            def send():
                if next(turns) % SCORE_EVERY:
                    return client.get("/v1/firms", params={"limit": 10})
                return client.post("/v1/scores", json=_score(next(firm_ids)), headers={"Idempotency-Key": uuid4().hex})

            return await attack(port, count, 1.0, send, REQUESTS_PER_SECOND)

    calm, outcome = asyncio.run(main(0)), asyncio.run(main(SLOW_CLIENTS))
    for kind in OPENINGS:
        seconds = sorted(outcome.cut_after[kind])
        print(f"\n{kind}: {len(seconds)} cut after {seconds[0]:.1f} to {seconds[-1]:.1f} s", end="")
    for name, measured in (("without slow clients", calm), ("among slow clients", outcome)):
        print(f"\n{name}: {len(measured.answers)} healthy requests; milliseconds p50, p99, worst: ", end="")
        for methods in (("GET",), ("POST",), ()):
            figures = (1000 * measured.quantile(share, *methods) for share in (0.5, 0.99, 1))
            print(", ".join(f"{figure:.0f}" for figure in figures), *methods, end="; ")
    assert sum(len(seconds) for seconds in outcome.cut_after.values()) == SLOW_CLIENTS
    assert outcome.slowest_cut() <= CUT_WITHIN_SECONDS
    assert outcome.statuses() == {200, 201}
    assert outcome.quantile(0.99) <= P99_SECONDS


def test_an_oversized_body_is_a_413(port, requests):
    headers, _ = requests
    answer = httpx.post(f"http://{HOST}:{port}/v1/scores", content=b"x" * (8 * 1024 * 1024 + 1), headers=headers)
    print(f"\n8 MiB and a byte: {answer.status_code}")
    assert answer.status_code == 413
