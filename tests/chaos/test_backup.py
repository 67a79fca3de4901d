"""Promise 22 in full: a million rows dumped, restored on a fresh server, equal to the bit, with the time it takes."""

from datetime import timedelta
from time import perf_counter

import pytest
from sqlalchemy import text

from service.identity.use_cases import create_tenant
from service.kit import backup, clock
from tests.content import content_of
from tests.e2e.conftest import bank
from tests.e2e.test_backup import fresh, score_again, silent

__all__ = ["bank", "fresh"]

ROWS = 1_000_000
INVOICES = text("""
    insert into invoice (tenant_id, content_sha256, firm_id, observed_on, known_on, ingested_at, direction, number,
      counterparty, has_linked_codes, net_fen, vat_fen, gross_fen, is_void)
    select :tenant, sha256(n::text::bytea), md5((n % 5000)::text)::uuid, day, day, :at, 'output', n::text,
      'C' || n % 30000, false, n, n / 10, n + n / 10, false
    from (select n, :last - n % 3650 as day from generate_series(1, :rows) n) x
""")

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800), pytest.mark.xdist_group("bank")]


@pytest.fixture
def heavy(database):
    """Add a tenant with a million invoices of ten years, for as long as the test runs."""
    with database.session() as session:
        tenant_id = create_tenant(session, "bank with a million invoices")
    values = {"tenant": tenant_id, "at": clock.now(), "last": clock.today() - timedelta(1), "rows": ROWS}
    with database.engine.begin() as connection:
        connection.execute(INVOICES, values)
    database.analyze()
    yield
    with database.engine.begin() as connection:
        connection.execute(text("delete from invoice where tenant_id = :tenant"), {"tenant": tenant_id})


def test_a_million_rows(database, bank, heavy, fresh, tmp_path):
    file = tmp_path / "million.dump"
    started = perf_counter()
    manifest = backup.dump(database, file, silent)
    dumped = perf_counter()
    assert backup.restore(fresh, file, silent, jobs=2) == manifest
    restored = perf_counter()
    content = content_of(database)
    assert content_of(fresh) == content
    scores = score_again(database, bank)
    assert len(scores) >= 4
    assert score_again(fresh, bank) == scores
    rows = sum(manifest.rows.values())
    print(
        f"\npromise 22: {rows:,} rows of {len(content)} tables dumped in {dumped - started:.1f} s "
        f"({manifest.size / 2**20:.0f} MiB), restored on a fresh server in {restored - dumped:.1f} s; every "
        f"table's hash equal; {len(scores)} firms scored again, equal to the bit"
    )
    assert rows > ROWS
