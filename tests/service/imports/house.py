"""A file of invoices, an import of it in a process of its own that can be killed, and what the ledger then holds."""

import subprocess
import sys
from datetime import date
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl
from sqlalchemy import text

from service.firms.use_cases import register_firms
from service.imports.adapters.contract import Options
from service.imports.use_cases import ImportSummary, import_source
from service.kit.db import Database

TODAY = Options(today=date(2026, 1, 1))
ROOT = Path(__file__).parents[3]
_CODE = """
import sys
from pathlib import Path
from uuid import UUID
from tests.service.imports.house import load
from service.kit.db import Database

print("begun", flush=True)
load(Database(sys.argv[1]), UUID(sys.argv[2]), Path(sys.argv[3]))
print("committed", flush=True)
"""
_CONTENT = text("""
    select coalesce(sum(number), 0)::bigint,
      encode(sha256(coalesce(string_agg(digest, '' order by first_byte), '')), 'hex') from (
      select get_byte(content_sha256, 0) as first_byte, count(*) as number,
        sha256(string_agg(
          sha256(convert_to((to_jsonb(i) - array['tenant_id', 'firm_id', 'ingested_at'])::text, 'UTF8')), ''
          order by content_sha256
        )) as digest
      from invoice i where tenant_id = :tenant group by 1
    ) part
""")


def keys(firms: int) -> list[str]:
    return [f"E{number:05}" for number in range(firms)]


def write_invoices(path: Path, firms: int, rows: int) -> None:
    """Write a file of so many rows, in order of their days, of which a hundredth stand twice."""
    dice = np.random.default_rng(7)
    with path.open("wb") as file:
        for start in range(0, rows, 500_000):
            number = min(500_000, rows - start)
            serials = np.arange(start, start + number)
            serials[1::100] = serials[0 : number - 1 : 100]
            net = serials % 1_000_003
            days = np.datetime64("2021-01-01") + serials * 1800 // rows
            columns = {
                "firm_id": np.array(keys(firms))[serials * 7919 % firms],
                "observed_on": days,
                "known_on": days + dice.integers(0, 9, number),
                "direction": np.where(serials % 2, "input", "output"),
                "number": [f"2433200000{serial:010}" for serial in serials.tolist()],
                "counterparty": [f"B{serial % 4001}" for serial in serials.tolist()],
                "has_linked_codes": serials % 3 == 0,
                "net_fen": net,
                "vat_fen": net // 10,
                "gross_fen": net + net // 10,
                "is_void": serials % 20 == 0,
            }
            pl.DataFrame(columns).write_csv(file, include_header=start == 0)


def register(database: Database, tenant_id: UUID, firms: int) -> None:
    with database.session(tenant_id) as session:
        register_firms(session, keys(firms))


def load(database: Database, tenant_id: UUID, path: Path) -> ImportSummary:
    with database.session(tenant_id) as session:
        return import_source(session, "invoice", path, TODAY)


def spawn(database: Database, tenant_id: UUID, path: Path) -> "subprocess.Popen[str]":
    """Start a process that imports, and return it when it begins to."""
    url = database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", _CODE, url, str(tenant_id), str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "begun"
    return child


def content_of(database: Database, tenant_id: UUID) -> tuple[int, str]:
    """Return how many invoices a tenant has, and a hash over all that they say."""
    with database.session(tenant_id) as session:
        count, digest = session.execute(_CONTENT, {"tenant": tenant_id}).one()
        return count, digest
