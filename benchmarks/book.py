"""A page of a fund's book under its role's policies, against the same query by the owner without any.

20,000 guaranteed loans among 100,000 scores of 50,000 firms, each fund seeing 20,000 of 40,000 guarantees of two
funds. The owner is a superuser of the embedded server, so it passes row-level security: the peer does the same work
but for the policies. `python benchmarks/book.py`.
"""

import json
import re
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from service.funds.repository import AFTER, BOOK, FUND_ROLE, SUMMARY
from service.identity.access import Organisation
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import migrations
from service.kit.db import Database, in_role
from service.kit.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[1]
BANK, FUND, OTHER = "bank", "fund", "other"
PAGE, ROUNDS = 100, 30
LIMIT_RATIO = 5
SEED = """
    insert into model_version (tenant_id, id, product, number, state, as_of, seed, artifact, artifact_sha256, report,
      created_at, created_by)
    values (:bank, :bank, 'p0', 1, 'live', '2026-01-31', 1, '', '', '{}', now(), 'bench');
    insert into day_context (tenant_id, id, as_of, body, built_at) values (:bank, :bank, '2026-01-31', '', now());
    create temp table f as select n, gen_random_uuid() as id from generate_series(1, 50000) n;
    insert into firm (tenant_id, id, key, created_at, version) select :bank, id, 'F' || n, now(), 1 from f;
    insert into firm_observation (tenant_id, content_sha256, firm_id, observed_on, known_on, ingested_at, name)
    select :bank, sha256(('o' || n)::bytea), id, '2025-01-01', '2025-01-01', now(), 'firm ' || n from f;
    create temp table s as
    select gen_random_uuid() as id, f.id as firm_id, 'p' || p as product, random() as pd
    from f, generate_series(0, 1) p;
    insert into score (tenant_id, id, firm_id, product, as_of, scored_at, actor, model_version_id, context_id, pd,
      pd_basis, interval_low, interval_high, interval_kind, grade, stable_grade, points, reasons, features, missing,
      decision, reason_families)
    select :bank, id, firm_id, product, '2026-01-31', now(), 'bench', :bank, :bank, pd, 'observed', 0, 1, 'bootstrap',
      '7', '7', 500, '[]', jsonb_build_object('sales', repeat('x', 500)), '[]', 'automated', '{sales}' from s;
    insert into current_score (tenant_id, firm_id, product, score_id, as_of, scored_at)
    select :bank, firm_id, product, id, '2026-01-31', now() from s;
    insert into loan (tenant_id, content_sha256, firm_id, observed_on, known_on, ingested_at, loan_id, product,
      principal_fen)
    select :bank, sha256(('l' || n)::bytea), id, '2025-01-01', '2025-01-01', now(), 'L' || n, 'p0', 50000000 from f;
    insert into guarantee_grant (tenant_id, version, id, fund_id, fund, granted_at, granted_by)
    select :bank, 1, gen_random_uuid(), id, name, now(), 'bench' from tenant where kind = 'fund';
    insert into fund_guarantee (tenant_id, firm_id, version, id, loan_id, product, fund_id, coverage, starts_on,
      created_at, created_by)
    select :bank, id, 1, gen_random_uuid(), 'L' || n, 'p0', case mod(n, 2) when 0 then :fund else :other end::uuid, 0.8,
      '2025-01-01', now(), 'bench' from f where n <= 40000;
"""


def main() -> None:
    server = EmbeddedPostgres(ROOT / ".local" / "bench-book")
    try:
        database = Database(server.start())
        migrations.upgrade(database.engine)
        seed(database)
        measure(database)
        database.dispose()
    finally:
        server.stop()
        shutil.rmtree(server.home)


def seed(database: Database) -> None:
    for name, kind in ((BANK, Organisation.BANK), (FUND, Organisation.FUND), (OTHER, Organisation.FUND)):
        with database.session() as session:
            create_tenant(session, name, kind)
    ids = {f":{name}": f"'{tenant_id_of(name)}'" for name in (BANK, FUND, OTHER)}
    with database.engine.connect() as connection:
        connection.exec_driver_sql(re.sub("|".join(ids), lambda match: ids[match[0]], SEED))
        connection.commit()
    database.analyze()


def measure(database: Database) -> None:
    fund_id = tenant_id_of(FUND)
    with database.session(fund_id) as fund, database.engine.connect() as owner, in_role(fund, FUND_ROLE):
        for name, after in {"first": None, **places(owner)}.items():
            where, values = ("", {}) if after is None else (AFTER, after)
            query, values = BOOK.format(where=where), {"fund": fund_id, "limit": PAGE, **values}
            compare(f"{name} page of {PAGE}", fund, owner, query, values, ROUNDS)
        compare("summary", fund, owner, SUMMARY.format(book=BOOK.format(where="")), {"fund": fund_id, "limit": None}, 5)
        scanned = scans(fund, BOOK.format(where=""), {"fund": fund_id, "limit": PAGE})
    print(f"tables that a page of the fund's reads whole: {', '.join(sorted(scanned)) or 'none'}")
    assert not scanned & {"score", "current_score", "loan", "firm", "firm_observation", "fund_guarantee"}


def compare(name: str, fund: Any, owner: Any, query: str, values: dict[str, Any], rounds: int) -> None:
    rows = [list(session.execute(text(query), values)) for session in (fund, owner)]
    assert rows[0] == rows[1] or name == "summary"
    ours, theirs = (timed(lambda s=s: s.execute(text(query), values).all(), rounds) for s in (fund, owner))
    print(f"{name}: {ours:.1f} ms as the fund, {theirs:.1f} ms as the owner: {ours / theirs:.1f} x")
    assert ours / theirs < LIMIT_RATIO


def places(owner: Any) -> dict[str, dict[str, Any]]:
    """Return the places before the middle page and the last."""
    query = text("""
        select tenant_id as after_bank, loan_id as after_loan, id as after_id from fund_guarantee
        where fund_id = :fund order by tenant_id, loan_id, id offset :n limit 1
    """)
    return {
        name: dict(owner.execute(query, {"fund": tenant_id_of(FUND), "n": n}).mappings().one())
        for name, n in (("middle", 9_999), ("last", 19_899))
    }


def timed(act: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Return the median milliseconds."""
    took = []
    for _ in range(rounds):
        started = time.perf_counter()
        act()
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


def scans(session: Any, query: str, values: dict[str, Any]) -> set[str]:
    """Return the tables that a query reads whole."""
    plan = session.execute(text(f"explain (format json) {query}"), values).scalar_one()
    return set(re.findall(r'"Node Type": "Seq Scan".*?"Relation Name": "(\w+)"', json.dumps(plan)))


if __name__ == "__main__":
    main()
