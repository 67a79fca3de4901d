"""Promises 1, 2 and 3 on processes and a server of their own: killed, stopped and restarted, one score a firm a run.

Every test compares a hash over all that the run's scores say with that of a run that nobody disturbed.
"""

import random
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from time import monotonic, sleep

import pytest
from sqlalchemy import text

from service.kit import migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgres
from service.rescoring import repository
from service.rescoring.use_cases import check
from service.rescoring.work import steadily
from tests.service.rescoring.house import hash_of, make_bank, prepared

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(4 * 3600)]
ROOT = Path(__file__).parents[2]
WORKERS = 3
RESUMED_SECONDS = 10


class House:
    """A server of its own, and a bank with so many firms."""

    def __init__(self, folder: Path, firms: int) -> None:
        self.server = EmbeddedPostgres(folder)
        self.database = Database(self.server.start())
        migrations.upgrade(self.database.engine)
        self.firms = firms
        self.bank = make_bank(self.database, firms)
        self.database.analyze()

    def close(self) -> None:
        self.database.dispose()
        self.server.stop()
        shutil.rmtree(self.server.home, ignore_errors=True)

    def progress(self, run_id: uuid.UUID) -> repository.Progress:
        def act() -> repository.Progress:
            with self.database.session(self.bank) as session:
                return repository.progress_of(session, run_id)

        return steadily(act)

    def restart(self) -> None:
        """Let the server end without a word, as a crash would, and start it again."""
        self.server._run("pg_ctl", "stop", "-m", "immediate", "-w", "-t", 60, "-D", self.server.data)
        self.server.start()


class Workers:
    """Worker processes on one run; one that ends before its time is replaced."""

    def __init__(self, house: House, run_id: uuid.UUID, lease_seconds: float) -> None:
        self._arguments = [house.database.url, str(house.bank), str(run_id), str(lease_seconds)]
        self.processes = [self._start() for _ in range(WORKERS)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "tests.chaos.run_worker", *self._arguments], cwd=ROOT)

    def kill(self, chance: random.Random) -> None:
        place = chance.randrange(WORKERS)
        self.processes[place].send_signal(signal.SIGKILL)
        self.processes[place].wait(30)
        self.processes[place] = self._start()

    def join(self) -> None:
        for process in self.processes:
            assert process.wait(3 * 3600) == 0


@pytest.fixture
def house(request, tmp_path):
    house = House(tmp_path / "house", request.param)
    yield house
    house.close()


def run(house: House, chunk_firms: int, lease_seconds: float) -> tuple[uuid.UUID, Workers]:
    run_id = prepared(house.database, house.bank, chunk_firms=chunk_firms)
    return run_id, Workers(house, run_id, lease_seconds)


def finish(house: House, run_id: uuid.UUID) -> tuple[str, int]:
    """Return the run's hash, once it is checked that no firm is lost or scored twice."""
    with house.database.session(house.bank) as session:
        view = check(session, run_id, "nightly")
        query = text("select count(*), count(distinct firm_id) from score where run_id = :run")
        assert tuple(session.execute(query, {"run": run_id}).one()) == (house.firms, house.firms)
    assert (view.progress.scored, view.progress.refused) == (house.firms, 0)
    assert {c["level"] for c in view.run.report["checks"] if c["code"] in {"counts", "rows"}} == {"ok"}
    return hash_of(house.database, house.bank, run_id)


def undisturbed(house: House, chunk_firms: int) -> tuple[tuple[str, int], float]:
    """Return the hash of a run that nobody disturbs, and how long it took."""
    begin = monotonic()
    run_id, workers = run(house, chunk_firms, 60)
    workers.join()
    return finish(house, run_id), monotonic() - begin


@pytest.mark.parametrize(
    ("house", "chunk_firms", "kills"), [(20_000, 1_000, 20), (1_000_000, 10_000, 100)], indirect=["house"]
)
def test_killed_workers_lose_no_firm_and_score_none_twice(house, chunk_firms, kills):
    expected, seconds = undisturbed(house, chunk_firms)
    chance, lease, pause = random.Random(1), max(2.0, seconds / 60), max(1.5, seconds / kills)
    done = runs = 0
    while done < kills:
        run_id, workers = run(house, chunk_firms, lease)
        runs += 1
        while done < kills and house.progress(run_id).done < house.firms // chunk_firms:
            sleep(chance.uniform(0, 2 * pause))
            workers.kill(chance)
            done += 1
        workers.join()
        assert finish(house, run_id) == expected
    print(f"{house.firms:,} firms: {seconds:.0f} s undisturbed, {done} kills in {runs} runs")


@pytest.mark.parametrize("house", [20_000], indirect=True)
def test_workers_that_sleep_past_their_lease_commit_nothing(house):
    """50 times one of three is stopped for longer than its lease; it wakes up to a chunk that is another's."""
    expected, _ = undisturbed(house, 100)
    chance, lease, stops, taken_over = random.Random(2), 1.0, 0, 0
    while stops < 50:
        run_id, workers = run(house, 100, lease)
        while not house.progress(run_id).done:
            sleep(0.2)
        while stops < 50 and house.progress(run_id).done < 200:
            sleeper = chance.choice(workers.processes)
            sleeper.send_signal(signal.SIGSTOP)
            sleep(5 * lease)
            sleeper.send_signal(signal.SIGCONT)
            stops += 1
            sleep(chance.uniform(0, lease))
        workers.join()
        with house.database.session(house.bank) as session:
            query = text("select count(*) from rescoring_chunk where run_id = :run and attempt > 1")
            taken_over += session.execute(query, {"run": run_id}).scalar_one()
        assert finish(house, run_id) == expected
    print(f"{stops} stops, {taken_over} chunks taken over")
    assert taken_over >= 10


@pytest.mark.parametrize("house", [20_000], indirect=True)
def test_a_database_that_restarts_needs_no_operator(house):
    """20 immediate restarts while runs go on: work resumes within 10 s, and no chunk that was done is undone."""
    expected, _ = undisturbed(house, 200)
    chance, resumed = random.Random(3), []
    while len(resumed) < 20:
        run_id, workers = run(house, 200, 60)
        while not house.progress(run_id).done:
            sleep(0.2)
        while len(resumed) < 20 and house.progress(run_id).done < 90:
            sleep(chance.uniform(0.2, 2))
            acknowledged = _done(house, run_id)
            house.restart()
            begin = monotonic()
            while len(_done(house, run_id)) <= len(acknowledged) and house.progress(run_id).done < 100:
                sleep(0.05)
            resumed.append(monotonic() - begin)
            assert _done(house, run_id) >= acknowledged
        workers.join()
        assert finish(house, run_id) == expected
    print("resumed after", ", ".join(f"{seconds:.1f}" for seconds in resumed), "s")
    assert max(resumed) <= RESUMED_SECONDS


def _done(house: House, run_id: uuid.UUID) -> set[tuple[int, int]]:
    """Return the chunks that are done, and how many scores each says it has."""

    def act() -> set[tuple[int, int]]:
        with house.database.session(house.bank) as session:
            query = text("select number, scored from rescoring_chunk where run_id = :run and done_at is not null")
            return set(map(tuple, session.execute(query, {"run": run_id})))

    return steadily(act)
