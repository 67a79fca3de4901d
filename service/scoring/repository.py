"""Queries of contexts and scores."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import polars as pl
from sqlalchemy import text, tuple_
from sqlmodel import col, select

from service.kit.db import TenantSession, copy_in, tenant_of
from service.scoring.tables import CurrentScore, DayContext, Score

_PREVIOUS = text("""
    select distinct on (s.firm_id) firm.key, s.stable_grade, s.as_of, s.pd
    from score s join firm on firm.tenant_id = s.tenant_id and firm.id = s.firm_id
    where s.tenant_id = :tenant and s.product = :product and s.as_of < :as_of and s.run_id is not null
      and firm.key between :first and :last
    order by s.firm_id, s.as_of desc, s.scored_at desc, s.id
""")
PREVIOUS = {
    "key": pl.String(),
    "previous_grade": pl.String(),
    "previous_as_of": pl.Date(),
    "previous_pd": pl.Float64(),
}
_POINT = text("""
    insert into current_score (tenant_id, firm_id, product, score_id, as_of)
    select tenant_id, firm_id, product, id, as_of from score
    where tenant_id = :tenant and id = any(:ids) and as_of = any(cast(:days as date[]))
    order by firm_id
    on conflict (tenant_id, firm_id, product) do update
    set score_id = excluded.score_id, as_of = excluded.as_of
    where excluded.as_of >= current_score.as_of
""")


def find_context(session: TenantSession, as_of: date) -> DayContext | None:
    """Return the newest context of a day."""
    query = select(DayContext).where(DayContext.as_of == as_of)
    return session.exec(query.order_by(col(DayContext.built_at).desc(), col(DayContext.id)).limit(1)).one_or_none()


def get_context(session: TenantSession, context_id: UUID) -> DayContext:
    """Return a context that is there."""
    return session.exec(select(DayContext).where(DayContext.id == context_id)).one()


def read_previous(session: TenantSession, product: str, as_of: date, first_key: str, last_key: str) -> pl.DataFrame:
    """Return each firm's last score of an earlier ``as_of`` from a rescoring, for a range of keys.

    Online scores do not count: a look at a firm must not change what the next rescoring compares with.
    """
    values = {"tenant": tenant_of(session), "product": product, "as_of": as_of, "first": first_key, "last": last_key}
    rows = [tuple(row) for row in session.execute(_PREVIOUS, values)]
    return pl.DataFrame(rows, schema=PREVIOUS, orient="row")


def insert_scores(session: TenantSession, rows: pl.DataFrame, ids: Sequence[UUID]) -> None:
    """Add scores, and move the pointers of current scores that they are newer than."""
    session.execute(text("create temp table staged_score on commit drop as table score with no data"))
    copy_in(session, "staged_score", rows)
    session.execute(text("insert into score select * from staged_score"))
    session.execute(text("drop table staged_score"))
    days = [str(day) for day in rows["as_of"].unique()]
    session.execute(_POINT, {"tenant": tenant_of(session), "ids": list(ids), "days": days})


def find_score(session: TenantSession, score_id: UUID) -> Score | None:
    """Return a score of a firm within reach."""
    return session.exec(select(Score).where(Score.id == score_id)).one_or_none()


def find_current(session: TenantSession, firm_id: UUID, product: str) -> Score | None:
    """Return the current score of a firm within reach."""
    query = (
        select(Score)
        .join(
            CurrentScore,
            (col(CurrentScore.score_id) == Score.id)
            & (col(CurrentScore.as_of) == Score.as_of)
            & (col(CurrentScore.tenant_id) == Score.tenant_id),
        )
        .where(CurrentScore.firm_id == firm_id, CurrentScore.product == product)
    )
    return session.exec(query).one_or_none()


def scored_products(session: TenantSession, firm_id: UUID) -> list[str]:
    """Return the products that a firm within reach has a score of."""
    query = select(CurrentScore.product).where(CurrentScore.firm_id == firm_id).order_by(CurrentScore.product)
    return list(session.exec(query))


def page_scores(
    session: TenantSession, firm_id: UUID, product: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[Score]:
    """Return a firm's scores, newest first."""
    query = select(Score).where(Score.firm_id == firm_id)
    if product is not None:
        query = query.where(Score.product == product)
    if before is not None:
        query = query.where(tuple_(col(Score.scored_at), col(Score.id)) < tuple_(*before))
    return list(session.exec(query.order_by(col(Score.scored_at).desc(), col(Score.id).desc()).limit(limit)))


def read_grades(session: TenantSession, product: str, as_of: date) -> list[Any]:
    """Return key, name and newest score of each firm that was scored as of a day, riskiest first."""
    query = text("""
        select firm.key, s.grade, s.pd, s.pd_basis, s.interval_low, s.interval_high, s.reasons,
          (select o.name from firm_observation o where o.tenant_id = s.tenant_id and o.firm_id = s.firm_id
           order by o.observed_on desc, o.known_on desc, o.content_sha256 limit 1) as name
        from (
          select distinct on (firm_id) * from score
          where tenant_id = :tenant and product = :product and as_of = :as_of
          order by firm_id, scored_at desc, id
        ) s join firm on firm.tenant_id = s.tenant_id and firm.id = s.firm_id
        order by s.pd desc, firm.key
    """)
    return list(session.execute(query, {"tenant": tenant_of(session), "product": product, "as_of": as_of}))
