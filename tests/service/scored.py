"""A live model written by hand and scores by it, for tests that need a current score and no training."""

import uuid
from datetime import date

import numpy as np
from sqlalchemy import text

from models.grades import DEFAULTED
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.scoring.repository import _POINT
from service.scoring.tables import DayContext, Score
from service.training.use_cases import _keep, live_model
from tests.models.handmade import NAMES, REPORT, model

PRODUCT = "credit-score"
AS_OF = date(2026, 6, 30)
ROW = {"ln_sales": 15.0, "sales_cv": 1.2, "void_rate": 0.1, "cust_hhi": 0.5, "owner_yrs": 12.0}


def make_live(session: TenantSession) -> None:
    """Keep the handmade model as the product's first version, which is live at once."""
    _keep(session, PRODUCT, AS_OF, "trainer", 1, model(), REPORT)


def give_score(session: TenantSession, firm_id, *, as_of=AS_OF, is_default=False, **features) -> Score:
    """Keep a score of the firm by the live model, and make it current."""
    loaded = live_model(session, PRODUCT)
    values = {**ROW, **features}
    scores = loaded.model.score(
        np.array([[np.nan if values[name] is None else values[name] for name in NAMES]], dtype=float)
    )
    context = DayContext(tenant_id=tenant_of(session), id=clock.new_id(), as_of=as_of, body="{}", built_at=clock.now())
    session.add(context)
    session.flush()
    score = Score(
        tenant_id=tenant_of(session), id=clock.new_id(), firm_id=uuid.UUID(str(firm_id)), product=PRODUCT, as_of=as_of,
        scored_at=clock.now(), actor="nightly", model_version_id=loaded.version.id, context_id=context.id, run_id=None,
        pd=1.0 if is_default else float(scores.pd[0]), pd_basis="observed", interval_low=0.0, interval_high=1.0,
        interval_kind="bootstrap", grade=DEFAULTED if is_default else str(scores.grade[0]),
        stable_grade=DEFAULTED if is_default else str(scores.grade[0]),
        points=None if is_default else float(scores.points[0]), reasons=[], features=values,
        missing=[{"name": name, "rule": "B"} for name in NAMES if values[name] is None], decision="automated",
        reason_families=[], batch_id=None,
    )  # fmt: skip
    session.add(score)
    session.flush()
    session.execute(_POINT, {"tenant": tenant_of(session), "ids": [score.id], "days": [str(as_of)]})
    assert session.execute(text("select count(*) from current_score where score_id = :id"), {"id": score.id}).scalar()
    return score
