"""Ten million invoices, file to committed rows, by the import and by psql alone, on one server in one run.

The file is one that a tax bureau might hand out: 20,000 firms, five years, in order of the days. The import is
`import_source` in a process of its own. psql has the same rows typed and hashed already, with the firms' ids: it COPYs
them into a temporary table and INSERTs from there, in the order of the key and ON CONFLICT DO NOTHING, into the same
table, emptied, as the same role under the same policies. Then a tenth more goes in on top by both: a ledger that has
rows. Limits: 60,000 rows a second, 3 GB, .8 of psql's speed; on a machine with other work the ratio swings.
`python benchmarks/import_invoices.py [rows]`
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parents[1]))
from features.kinds.trade import INVOICE
from service.demo.trades import social_credit_codes
from service.firms import repository
from service.firms.use_cases import register_firms
from service.identity.use_cases import create_tenant, tenant_id_of
from service.imports import use_cases
from service.imports.adapters.contract import Options
from service.kit import migrations
from service.kit.db import RUNTIME_ROLE, Database
from service.kit.embedded_postgres import EmbeddedPostgres, programs

ROOT = Path(__file__).parents[1]
ROWS, FIRMS, PARTNERS, DAYS, SLICE = 10_000_000, 20_000, 60_000, 1826, 500_000
FIRST_DAY, TODAY = date(2020, 1, 1), date(2025, 6, 30)
LEAST_RATE, MOST_KIB, LEAST_OF_PSQL = 60_000, 3_000_000_000 >> 10, 0.8
TENANT = "bench"


def main(rows: int) -> None:
    server = EmbeddedPostgres(ROOT / ".local" / "bench-invoices")
    folder = Path(tempfile.mkdtemp(prefix="invoices-"))
    try:
        database = Database(server.start())
        migrations.upgrade(database.engine)
        prepare(database, folder, rows)
        figures: dict[str, dict[str, float]] = {}
        for by, ending, load in (("psql", "staged", by_psql), ("import", "csv", by_import)):
            empty(database)
            for name, file in (("", "all"), (", a tenth more", "more")):
                before = processor_of(server)
                figure = load(database, server, folder / f"{file}.{ending}")
                figure["server's processor"] = processor_of(server) - before
                show(by + name, figure)
                figures[by + name] = figure
        database.dispose()
    finally:
        server.stop()
        shutil.rmtree(server.home, ignore_errors=True)
        shutil.rmtree(folder)
    report(rows, figures)


def show(name: str, figure: dict[str, float]) -> None:
    parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in figure.items() if part not in {"kib", "rows"})
    print(
        f"{name}: {figure['rows']:,.0f} rows, {figure['rows'] / figure['whole']:,.0f} rows/s; seconds: {parts}",
        flush=True,
    )


def report(rows: int, figures: dict[str, dict[str, float]]) -> None:
    rate, kib = rows / figures["import"]["whole"], figures["import"]["kib"]
    ratio, later = (
        figures[f"psql{part}"]["whole"] / figures[f"import{part}"]["whole"] for part in ("", ", a tenth more")
    )
    print(f"{rate:,.0f} rows/s (limit {LEAST_RATE:,}); peak {kib * 1024 / 1e9:.2f} GB (limit 3)")
    print(f"{ratio:.2f} of psql's speed (limit {LEAST_OF_PSQL}); into a ledger that has rows {later:.2f}")
    if rows == ROWS:
        assert rate >= LEAST_RATE
        assert kib <= MOST_KIB
        assert ratio >= LEAST_OF_PSQL


def prepare(database: Database, folder: Path, rows: int) -> None:
    """Make the firms and both forms of the files: what the import reads, and what psql copies."""
    keys = np.array(social_credit_codes(np.arange(FIRMS), ["331082"] * FIRMS))
    with database.session() as session:
        create_tenant(session, TENANT)
    with database.session(tenant_id_of(TENANT)) as session:
        register_firms(session, keys.tolist())
        stage = repository.Stage(session, INVOICE)
        for name, number, seed in (("all", rows, 1), ("more", rows // 10, 2)):
            with (folder / f"{name}.csv").open("wb") as plain, (folder / f"{name}.staged").open("wb") as staged:
                for frame in invoices(keys, number, seed):
                    frame.write_csv(plain, include_header=plain.tell() == 0)
                    stage.prepared(frame).write_csv(staged, include_header=False)
    size = (folder / "all.csv").stat().st_size
    print(f"{rows:,} invoices of {FIRMS:,} firms, {size / 1e9:.2f} GB of CSV")
    database.analyze()


def invoices(keys: np.ndarray, rows: int, seed: int) -> Iterator[pl.DataFrame]:
    """Yield invoices in order of their days; firms are of very different sizes, a third of all partners old codes."""
    dice = np.random.default_rng(seed)
    digits = dice.integers(10**10, 10**11, PARTNERS // 3)
    partners = np.array(
        social_credit_codes(np.arange(FIRMS, FIRMS + PARTNERS - len(digits)), ["330302"] * (PARTNERS - len(digits)))
        + [f"9133010{number}" for number in digits]
    )
    weights = dice.lognormal(0, 1, FIRMS)
    days = np.sort(dice.integers(0, DAYS, rows))
    for start in range(0, rows, SLICE):
        here = days[start : start + SLICE]
        number = len(here)
        net = np.exp(dice.normal(13, 1.5, number)).astype(np.int64) * dice.choice(
            [1, 1, 1, 1, 1, 1, 1, 1, 1, -1], number
        )
        vat = net * 13 // 100
        observed = np.datetime64(FIRST_DAY) + here
        yield pl.DataFrame(
            {
                "firm_id": keys[dice.choice(FIRMS, number, p=weights / weights.sum())],
                "observed_on": observed,
                "known_on": observed + dice.integers(0, 30, number),
                "direction": dice.choice(["output", "input"], number),
                "number": [f"{seed}433200000{serial:010}" for serial in range(start, start + number)],
                "counterparty": partners[dice.integers(0, PARTNERS, number)],
                "has_linked_codes": dice.random(number) < 0.1,
                "net_fen": net,
                "vat_fen": vat,
                "gross_fen": net + vat,
                "is_void": dice.random(number) < 0.05,
            },
            schema=INVOICE.schema,
        )


def empty(database: Database) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("truncate invoice"))
        connection.execute(text("checkpoint"))


def processor_of(server: EmbeddedPostgres) -> float:
    """Return the processor seconds of the connections that are over, which hang less on the neighbours than time."""
    process = (server.data / "postmaster.pid").read_text().split()[0]
    ticks = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[13:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def by_psql(database: Database, server: EmbeddedPostgres, staged: Path) -> dict[str, float]:
    """Return the seconds of COPY and of INSERT ... SELECT, in one transaction, and the rows."""
    columns = ", ".join([*INVOICE.schema, "content_sha256"])
    key = "firm_id, content_sha256, observed_on, known_on"
    with database.engine.connect() as connection:
        before = connection.scalar(text("select count(*) from invoice"))
    script = f"""
        begin;
        set local role {RUNTIME_ROLE};
        set local app.tenant = '{tenant_id_of(TENANT)}';
        set local work_mem = '{repository.WORK_MEM}';
        create temp table staged (like invoice) on commit drop;
        alter table staged drop column tenant_id, drop column ingested_at;
        \\timing on
        \\copy staged ({columns}) from '{staged}' with (format csv)
        insert into invoice (tenant_id, ingested_at, {columns})
        select '{tenant_id_of(TENANT)}', now(), {columns} from staged order by {key} on conflict do nothing;
        commit;
    """
    command = [str(programs() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", server.url()]
    begun = time.perf_counter()
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=True)
    whole = time.perf_counter() - begun
    copied, inserted, _ = (
        float(line.split()[1]) / 1000 for line in done.stdout.splitlines() if line.startswith("Time:")
    )
    with database.engine.connect() as connection:
        count = connection.scalar(text("select count(*) from invoice"))
        connection.execute(text("analyze invoice"))
        connection.commit()
    return {"rows": count - before, "whole": whole, "COPY": copied, "INSERT": inserted}


def by_import(database: Database, _server: EmbeddedPostgres, file: Path) -> dict[str, float]:
    """Return what a process of its own measures that imports a file, its memory among it."""
    command = [
        sys.executable,
        __file__,
        "--import",
        database.engine.url.render_as_string(hide_password=False),
        str(file),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    database.analyze()
    return figures


def import_here(url: str, file: Path) -> None:
    seconds: Counter[str] = Counter()
    watch(seconds)
    begun = time.perf_counter()
    with Database(url).session(tenant_id_of(TENANT)) as session:
        summary = use_cases.import_source(session, INVOICE.name, file, Options(today=TODAY))
    seconds["whole"] = time.perf_counter() - begun
    (line,) = summary.files
    assert line.added == line.read, line
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds["processor"] = used.ru_utime + used.ru_stime
    print(json.dumps({"rows": line.added, **seconds, "kib": used.ru_maxrss}))


def watch(seconds: Counter[str]) -> None:
    """Time the parts; reading and checking go on in a thread beside the others."""
    lock = threading.Lock()

    def timed(name: str, act: Callable[..., Any], within: str = "") -> Callable[..., Any]:
        @wraps(act)
        def run(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return act(*arguments, **named)
            finally:
                taken = time.perf_counter() - begun
                with lock:
                    seconds[name] += taken
                    seconds[within or name] -= taken if within else 0

        return run

    ahead = use_cases.ahead

    def watched(items: Iterator[Any]) -> Iterator[Any]:
        def each() -> Iterator[Any]:
            step = timed("read", lambda: next(items, None))
            while (item := step()) is not None:
                yield item

        return ahead(each())

    use_cases.ahead = watched
    use_cases.typed = timed("check", use_cases.typed, within="read")
    repository.content_sha256 = timed("hash", repository.content_sha256)
    repository.copy_in = timed("COPY", repository.copy_in)
    repository.Stage.insert = timed("INSERT", repository.Stage.insert)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--import"]:
        import_here(sys.argv[2], Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
