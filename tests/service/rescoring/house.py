"""A bank of many small firms, made by SQL, with a model written by hand: for tests of what becomes of a run."""

import hashlib
import json
import uuid
from datetime import date

from sqlalchemy import text

from models import artifact
from service.firms.use_cases import firm_id_of
from service.identity.use_cases import create_tenant
from service.kit import clock
from service.kit.db import Database, TenantSession, tenant_of
from service.rescoring import repository, use_cases
from service.training.tables import ModelVersion
from tests.models import handmade

PRODUCT = "credit-score"
FIRST, SECOND, THIRD = date(2024, 6, 30), date(2024, 9, 30), date(2025, 6, 30)
_FIRMS = text("""
    insert into firm (tenant_id, id, key, version, created_at)
    select :tenant, t.id, t.key, 1, now() from unnest(cast(:ids as uuid[]), cast(:keys as text[])) t (id, key)
""")
_OBSERVATIONS = text("""
    insert into firm_observation (tenant_id, firm_id, content_sha256, observed_on, known_on, ingested_at, name, cluster)
    select tenant_id, id, sha256(convert_to('firm' || key, 'UTF8')), '2023-01-01', '2023-01-01', now(), key, 'shoes'
    from firm where tenant_id = :tenant
""")
_INVOICES = text("""
    insert into invoice (tenant_id, firm_id, content_sha256, observed_on, known_on, ingested_at, direction, number,
      counterparty, has_linked_codes, net_fen, vat_fen, gross_fen, is_void)
    select f.tenant_id, f.id, sha256(convert_to(f.key || '/' || s.on, 'UTF8')), s.on, s.on, now(), 'output', null,
      'B' || s.n % 3, false, s.fen, 0, s.fen, false
    from firm f cross join lateral (
      select n, (date '2023-10-15' + n * interval '90 days')::date as on,
        100 * (1 + abs(hashtext(f.key || n)) % 10000)::bigint * case when n > 2 and hashtext(f.key) % 3 = 0
        then 1 else 1000 end as fen
      from generate_series(0, 4) n
    ) s
    where f.tenant_id = :tenant
""")
CONTENT = """
    select md5(string_agg(md5(row(firm.key, s.pd, s.interval_low, s.interval_high, s.grade, s.stable_grade, s.points,
      s.reasons::text, s.features::text, s.missing::text, s.decision, s.as_of)::text), '' order by firm.key)), count(*)
    from score s join firm on firm.tenant_id = s.tenant_id and firm.id = s.firm_id
    where s.tenant_id = :tenant and s.run_id = :run
"""


def make_bank(database: Database, firms: int) -> uuid.UUID:
    """Make a bank of firms with five sales each; every third firm's sales break down after the second day."""
    with database.session() as session:
        tenant_id = create_tenant(session, f"bank-{uuid.uuid4().hex[:12]}")
        add_model(session)
        keys = [f"F{number:07}" for number in range(firms)]
        ids = [firm_id_of(tenant_id, key) for key in keys]
        for start in range(0, firms, 100_000):
            part = slice(start, start + 100_000)
            session.execute(_FIRMS, {"tenant": tenant_id, "ids": ids[part], "keys": keys[part]})
        session.execute(_OBSERVATIONS, {"tenant": tenant_id})
        session.execute(_INVOICES, {"tenant": tenant_id})
    return tenant_id


def add_model(session: TenantSession, number: int = 1) -> None:
    """Make a model written by hand the live one; the versions before it, if there are any, are retired by then."""
    data = artifact.dump(handmade.model())
    session.add(
        ModelVersion(
            tenant_id=tenant_of(session), id=uuid.uuid4(), product=PRODUCT, number=number, state="live", as_of=FIRST,
            seed=7, artifact=data, artifact_sha256=hashlib.sha256(data).digest(), report=handmade.REPORT,
            created_at=clock.now(), created_by="trainer", live_at=clock.now(), live_by="trainer",
        )
    )  # fmt: skip
    session.flush()


def hash_of(database: Database, tenant_id: uuid.UUID, run_id: uuid.UUID) -> tuple[str, int]:
    """Return a hash over all that a run's scores say, and how many there are."""
    with database.session(tenant_id) as session:
        return tuple(session.execute(text(CONTENT), {"tenant": tenant_id, "run": run_id}).one())


def pointers(session: TenantSession) -> dict[str, str]:
    """Return the current score of each firm."""
    query = text("""
        select firm.key, score_id::text from current_score c
        join firm on firm.tenant_id = c.tenant_id and firm.id = c.firm_id where c.tenant_id = :tenant
    """)
    return dict(session.execute(query, {"tenant": tenant_of(session)}).all())


def prepared(
    database: Database, tenant_id: uuid.UUID, as_of: date = FIRST, *, chunk_firms: int = 100, actor: str = "nightly"
) -> uuid.UUID:
    """Begin a run that is to be worked on."""
    with database.session(tenant_id) as session:
        run, _ = use_cases.prepare(session, PRODUCT, as_of, actor, chunk_firms=chunk_firms)
        return run.id


def fail_a_check(session: TenantSession, run_id: uuid.UUID) -> None:
    """Let a checked run look as if a check had failed."""
    run = repository.find_run(session, run_id, for_update=True)
    failed = {"code": "balances", "level": "fail", "value": 1, "limit": 0, "text": {"zh-CN": "余额", "en": "balances"}}
    run.report = json.loads(json.dumps({**run.report, "checks": [failed]}))
    session.add(run)
    session.flush()
