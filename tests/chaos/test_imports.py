"""Ten million invoices go in whatever is killed: the process that loads them, or the server that takes them."""

import random
import shutil
import signal
from pathlib import Path
from time import monotonic, sleep

import pytest

from service.identity.use_cases import create_tenant
from service.kit import migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgres
from tests.service.imports.house import content_of, load, register, spawn, write_invoices

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(4 * 3600)]
ROOT = Path(__file__).parents[2]
FIRMS, KILLS = 20_000, 6


@pytest.mark.parametrize("rows", [1_000_000, 10_000_000])
def test_kills_of_either_side_change_nothing_of_what_is_there_in_the_end(rows, tmp_path):
    path, server = tmp_path / "invoices.csv", EmbeddedPostgres(ROOT / ".local" / "chaos-imports")
    write_invoices(path, FIRMS, rows)
    try:
        database = Database(server.start())
        migrations.upgrade(database.engine)
        with database.session() as session:
            calm, stormy = create_tenant(session, "calm"), create_tenant(session, "stormy")
        for tenant_id in (calm, stormy):
            register(database, tenant_id, FIRMS)
        begun = monotonic()
        (line,) = load(database, calm, path).files
        seconds = monotonic() - begun
        whole = content_of(database, calm)
        assert (line.read, line.added, whole[0]) == (rows, rows - rows // 100, rows - rows // 100)
        print(f"\n{rows:,} rows undisturbed in {seconds:.0f} s")
        for kill in range(KILLS):
            with spawn(database, stormy, path) as child:
                moment = seconds * random.uniform(kill, kill + 1) / KILLS
                sleep(moment)
                if kill % 2:
                    server._run("pg_ctl", "stop", "-m", "immediate", "-w", "-t", 60, "-D", server.data)
                    server.start()
                child.send_signal(signal.SIGKILL)
            database.dispose()
            count = content_of(database, stormy)[0]
            print(f"{'server' if kill % 2 else 'import'} killed after {moment:.0f} s: {count:,} rows")
            assert count in {0, whole[0]}
        load(database, stormy, path)
        assert content_of(database, stormy) == whole
        database.dispose()
    finally:
        server.stop()
        shutil.rmtree(server.home, ignore_errors=True)
