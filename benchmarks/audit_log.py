"""What recording costs a transaction, each against a peer in the same run, and how fast the sequencer numbers.

`python benchmarks/audit_log.py`; the limit is 3,000 entries numbered a second, so that "within a second" holds for
bursts of thousands.
"""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import UUID, uuid4

import polars as pl
from sqlalchemy import text

from features.kinds import KINDS
from service.audit.sequencer import number_all
from service.firms.repository import Stage
from service.firms.use_cases import register_firms
from service.identity.use_cases import create_tenant
from service.kit import migrations
from service.kit.db import Database, tenant_of
from service.kit.embedded_postgres import EmbeddedPostgres
from service.kit.logs import configure_logging

ROOT = Path(__file__).parents[1]
ROWS, INVOICES, REPEATS, LEAST_A_SECOND = 5_000, 100_000, 5, 3_000
BRANCHES = text("""
    insert into branch (tenant_id, id, name, created_at, version)
    select :tenant, gen_random_uuid(), gen_random_uuid()::text, now(), 1 from generate_series(1, :rows)
""")


def main() -> None:
    configure_logging("ERROR")
    server = EmbeddedPostgres(ROOT / ".local" / "bench")
    try:
        database = Database(server.start())
        migrations.upgrade(database.engine)
        with database.session() as session:
            tenant_id = create_tenant(session, f"bench-{uuid4().hex}")
        of_triggers(database, tenant_id)
        rate = of_numbering(database)
        of_bulk(database, tenant_id)
        database.dispose()
    finally:
        server.stop()
        shutil.rmtree(server.home, ignore_errors=True)
        shutil.rmtree(server.local_dir, ignore_errors=True)
    assert rate >= LEAST_A_SECOND


def of_triggers(database: Database, tenant_id: UUID) -> None:
    """Compare rows that are recorded with rows that are not."""
    taken: dict[str, list[float]] = {"recorded": [], "not recorded": []}
    for _ in range(REPEATS):
        for name, times in taken.items():
            with database.engine.begin() as connection:
                connection.execute(
                    text(f"set session_replication_role = {'origin' if name == 'recorded' else 'replica'}")
                )
                begun = perf_counter()
                connection.execute(BRANCHES, {"tenant": tenant_id, "rows": ROWS})
                times.append((perf_counter() - begun) / ROWS * 1e6)
                connection.execute(text("set session_replication_role = origin"))
    said = ", ".join(f"{name} {median(times):.0f} us" for name, times in taken.items())
    print(f"a row inserted: {said}")


def of_numbering(database: Database) -> float:
    """Return how many entries are numbered a second."""
    begun = perf_counter()
    number = number_all(database)
    rate = number / (perf_counter() - begun)
    print(f"{number:,} entries numbered: {rate:,.0f} a second")
    return rate


def of_bulk(database: Database, tenant_id: UUID) -> None:
    """Compare rows that go into the ledger, with the digest over them, with the same statement without."""
    taken: dict[str, list[float]] = {"recorded": [], "not recorded": []}
    for repeat in range(REPEATS):
        for shift, (name, times) in enumerate(taken.items()):
            with database.session(tenant_id) as session:
                frame = _invoices(repeat * len(taken) + shift)
                register_firms(session, frame["firm_id"])
                stage = Stage(session, KINDS["invoice"])
                stage.add(frame)
                begun = perf_counter()
                if name == "recorded":
                    assert stage.insert(datetime.now(UTC)).added == INVOICES
                else:
                    columns = ", ".join([*stage.kind.schema, "content_sha256"])
                    insert = text(
                        f"insert into invoice (tenant_id, ingested_at, {columns})"
                        f" select :tenant, now(), {columns} from {stage.table} order by content_sha256, known_on"
                        " on conflict do nothing"
                    )
                    session.execute(insert, {"tenant": tenant_of(session)})
                times.append(perf_counter() - begun)
    said = ", ".join(f"{name} {median(times):.2f} s" for name, times in taken.items())
    print(f"{INVOICES:,} rows into the ledger: {said}")


def _invoices(batch: int) -> pl.DataFrame:
    first = date(2024, 1, 1)
    rows = pl.int_range(INVOICES, eager=True)
    days = pl.Series([first + timedelta(n % 300) for n in range(INVOICES)])
    columns = {
        "firm_id": "F" + (rows % 100).cast(pl.String),
        "direction": "output", "number": f"{batch}-" + rows.cast(pl.String),
        "counterparty": "B", "observed_on": days, "known_on": days, "net_fen": 100, "vat_fen": 13, "gross_fen": 113,
        "is_void": False, "has_linked_codes": False,
    }  # fmt: skip
    return pl.DataFrame(columns).select(KINDS["invoice"].schema.keys()).cast(dict(KINDS["invoice"].schema))


if __name__ == "__main__":
    main()
