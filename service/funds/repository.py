"""Queries of grants and guarantees, and of the book that a fund sees.

The book's queries read tables of several domains, and of several banks, as a role of the database's that may read just
these columns and rows (docs/adr/0020): that role is the interface, so no query here has to leave anything out.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from service.funds.tables import FundGuarantee, GuaranteeGrant
from service.kit.db import FUND_ROLE, LockSeed, TenantSession, in_role, tenant_of, wait_for_lock

BOOK = """
    with page as materialized (
      select tenant_id, id, firm_id, loan_id, coverage, cap_fen, starts_on, ends_on
      from fund_guarantee where fund_id = :fund {where}
      order by tenant_id, loan_id, id limit :limit
    )
    select page.tenant_id as bank_id, bank.name as bank, page.id as guarantee_id, page.loan_id, loan.product,
      firm.key as firm_key, seen.name as firm_name, loan.principal_fen, page.coverage,
      least(floor(loan.principal_fen * page.coverage), page.cap_fen)::bigint as guaranteed_fen,
      page.starts_on, page.ends_on, s.pd, s.pd_basis, s.grade, s.as_of, s.reason_families
    from page
    join tenant bank on bank.id = page.tenant_id
    join firm on firm.tenant_id = page.tenant_id and firm.id = page.firm_id
    join lateral (
      select l.product, l.principal_fen from loan l
      where l.tenant_id = page.tenant_id and l.firm_id = page.firm_id and l.loan_id = page.loan_id
      order by l.observed_on desc, l.known_on desc, l.principal_fen desc, l.product limit 1
    ) loan on true
    left join lateral (
      select o.name from firm_observation o where o.tenant_id = page.tenant_id and o.firm_id = page.firm_id
      order by o.observed_on desc, o.known_on desc, o.name limit 1
    ) seen on true
    left join current_score c
      on c.tenant_id = page.tenant_id and c.firm_id = page.firm_id and c.product = loan.product
    left join score s on s.tenant_id = c.tenant_id and s.id = c.score_id and s.as_of = c.as_of
    order by page.tenant_id, page.loan_id, page.id
"""
AFTER = " and (tenant_id, loan_id, id) > (:after_bank, :after_loan, :after_id)"
SUMMARY = """
    with loans as ({book})
    select bank.id as bank_id, bank.name as bank, count(loans.bank_id) as loans, count(pd) as scored,
      coalesce(sum(guaranteed_fen), 0)::bigint as guaranteed_fen,
      (sum(pd::numeric * guaranteed_fen) / nullif(sum(guaranteed_fen) filter (where pd is not null), 0))::float8 as pd
    from tenant bank left join loans on loans.bank_id = bank.id
    group by bank.id, bank.name order by bank.name, bank.id
"""


def insert_grant(session: TenantSession, row: dict[str, Any]) -> GuaranteeGrant | None:
    """Add a grant, unless the fund has a live one."""
    statement = insert(GuaranteeGrant).values(row).on_conflict_do_nothing().returning(GuaranteeGrant)
    return session.scalars(statement).one_or_none()


def find_grant(session: TenantSession, grant_id: UUID, *, for_update: bool) -> GuaranteeGrant | None:
    """Return a grant, locked if it is to be changed."""
    query = select(GuaranteeGrant).where(GuaranteeGrant.id == grant_id)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def is_live(session: TenantSession, fund_id: UUID) -> bool:
    """Tell whether the fund has a live grant."""
    live = (GuaranteeGrant.fund_id == fund_id, col(GuaranteeGrant.ended_at).is_(None))
    return session.exec(select(GuaranteeGrant.id).where(*live)).first() is not None


def page_grants(session: TenantSession, after: tuple[datetime, UUID] | None, limit: int) -> list[GuaranteeGrant]:
    """Return grants, the oldest first."""
    place = col(GuaranteeGrant.granted_at), col(GuaranteeGrant.id)
    query = select(GuaranteeGrant).order_by(*place).limit(limit)
    return list(session.exec(query if after is None else query.where(tuple_(*place) > tuple_(*after))))


def fund_names(session: TenantSession, fund_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the names of funds that the bank has granted their view at some time."""
    query = select(GuaranteeGrant.fund_id, GuaranteeGrant.fund).where(col(GuaranteeGrant.fund_id).in_(fund_ids))
    return dict(session.exec(query.distinct()).all())


def find_guarantee(session: TenantSession, guarantee_id: UUID, *, for_update: bool) -> FundGuarantee | None:
    """Return a guarantee of a firm within reach, locked if it is to be changed."""
    query = select(FundGuarantee).where(FundGuarantee.id == guarantee_id)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def page_guarantees(
    session: TenantSession, firm_id: UUID, loan_id: str, after: tuple[datetime, UUID] | None, limit: int
) -> list[FundGuarantee]:
    """Return the guarantees of a loan, the oldest first."""
    place = col(FundGuarantee.created_at), col(FundGuarantee.id)
    query = select(FundGuarantee).where(FundGuarantee.firm_id == firm_id, FundGuarantee.loan_id == loan_id)
    query = query.order_by(*place).limit(limit)
    return list(session.exec(query if after is None else query.where(tuple_(*place) > tuple_(*after))))


def lock_guarantees(session: TenantSession, fund_id: UUID, loan_id: str) -> None:
    """Let one transaction at a time say when a fund guarantees a loan."""
    wait_for_lock(session, LockSeed.GUARANTEES, fund_id, loan_id)


def find_overlapping(session: TenantSession, one: FundGuarantee) -> FundGuarantee | None:
    """Return another guarantee of the same loan by the same fund, in force on a day on which this one is."""
    query = select(FundGuarantee).where(
        FundGuarantee.firm_id == one.firm_id,
        FundGuarantee.loan_id == one.loan_id,
        FundGuarantee.fund_id == one.fund_id,
        FundGuarantee.id != one.id,
        col(FundGuarantee.starts_on) <= (one.ends_on or date.max),
        or_(col(FundGuarantee.ends_on).is_(None), col(FundGuarantee.ends_on) >= one.starts_on),
        or_(col(FundGuarantee.ends_on).is_(None), col(FundGuarantee.ends_on) >= FundGuarantee.starts_on),
    )
    return session.exec(query.limit(1)).first()


def page_book(
    session: TenantSession,
    *,
    bank_id: UUID | None,
    loan_id: str | None = None,
    after: tuple[UUID, str, UUID] | None = None,
    limit: int,
) -> list[Any]:
    """Return loans that the fund guarantees, by bank and loan, as the fund's role sees them."""
    where, values = "", {"fund": tenant_of(session), "limit": limit}
    if bank_id is not None:
        where, values = where + " and tenant_id = :bank", values | {"bank": bank_id}
    if loan_id is not None:
        where, values = where + " and loan_id = :loan", values | {"loan": loan_id}
    if after is not None:
        where += AFTER
        values |= dict(zip(("after_bank", "after_loan", "after_id"), after, strict=True))
    return _as_fund(session, BOOK.format(where=where), values)


def read_summary(session: TenantSession) -> list[Any]:
    """Return the sums of the fund's book at each bank that lets it look."""
    return _as_fund(session, SUMMARY.format(book=BOOK.format(where="")), {"fund": tenant_of(session), "limit": None})


def _as_fund(session: TenantSession, query: str, values: dict[str, Any]) -> list[Any]:
    with in_role(session, FUND_ROLE):
        return list(session.execute(text(query), values))
