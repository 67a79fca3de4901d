"""Import the contest's 1,099,441 real invoices into a fresh database, and reconcile every row.

Limits of the issue: under 60 s and under 2 GB. Peer: the same rows, already parsed, by COPY and INSERT ... SELECT
alone, in the same run. `python benchmarks/import_cumcm.py`; needs ../shared/data/cumcm2020c.
"""

import resource
import shutil
import time
from datetime import date
from pathlib import Path

from sqlalchemy import text

from features.kinds.trade import INVOICE
from service.firms.repository import Stage
from service.firms.use_cases import read_inputs
from service.identity.use_cases import create_tenant, tenant_id_of
from service.imports.adapters.contract import Options
from service.imports.use_cases import import_source
from service.kit import clock, migrations
from service.kit.db import Database, copy_in
from service.kit.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data" / "cumcm2020c"
LIMIT_SECONDS, LIMIT_BYTES = 60, 2 << 30


def main() -> None:
    if not DATA.exists():
        print(f"{DATA} is not here: nothing to measure")
        return
    server = EmbeddedPostgres(ROOT / ".local" / "bench")
    try:
        database = Database(server.start())
        migrations.upgrade(database.engine)
        measure(database)
        database.dispose()
    finally:
        server.stop()
        shutil.rmtree(server.home)


def measure(database: Database) -> None:
    started = time.perf_counter()
    with database.session() as session:
        create_tenant(session, "bench")
        summary = import_source(session, "cumcm2020c", DATA, Options(today=clock.today()))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    lines = [line for line in summary.files if line.kind == "invoice"]
    read, added, repeated, rejected = (
        sum(getattr(line, name) for line in lines) for name in ("read", "added", "repeated", "rejected")
    )
    with database.session(tenant_id_of("bench")) as session:
        stored = session.execute(text("select count(*) from invoice")).scalar_one()
    assert stored == added == read - repeated - rejected
    print(f"{read:,} rows read = {stored:,} in the database + {repeated:,} repeated + {rejected:,} rejected")
    speed, size = read / seconds, peak / 2**30
    print(f"import {seconds:.1f} s (limit {LIMIT_SECONDS}), {speed:,.0f} rows/s, peak {size:.2f} GiB (limit 2)")
    bare = load_alone(database)
    print(
        f"COPY + INSERT SELECT of the parsed rows alone: {bare:.1f} s; the import takes {seconds / bare:.2f} times that"
    )
    with database.session(tenant_id_of("bench")) as session:
        started = time.perf_counter()
        rows = read_inputs(session, date(2020, 2, 22)).invoices.height
    print(f"reading them back: {rows / (time.perf_counter() - started):,.0f} rows/s")
    assert seconds < LIMIT_SECONDS
    assert peak < LIMIT_BYTES


def load_alone(database: Database) -> float:
    """Return the seconds that the database needs for rows that are parsed and hashed already."""
    with database.session(tenant_id_of("bench")) as session:
        invoices = read_inputs(session, date(2020, 2, 22)).invoices
    with database.session() as session:
        tenant_id = create_tenant(session, "bare")
        stage = Stage(session, INVOICE)
        rows = stage.prepared(invoices)
        started = time.perf_counter()
        copy_in(session, stage.table, rows)
        assert stage.insert(clock.now()).added == len(rows)
    assert tenant_id == tenant_id_of("bare")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
