"""Queries of reviews."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from service.kit.db import LockSeed, TenantSession, wait_for_lock
from service.reviews.tables import Review


def insert_open(session: TenantSession, row: dict[str, Any]) -> bool:
    """Add an open review unless one is open about the firm and product; tell whether it was added."""
    statement = insert(Review).values(row).on_conflict_do_nothing().returning(col(Review.id))
    return session.scalar(statement) is not None


def find_review(session: TenantSession, review_id: UUID, *, for_update: bool = False) -> Review | None:
    """Return a review of a firm within reach, locked against a second hand if it is to be changed."""
    query = select(Review).where(Review.id == review_id)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def find_open(
    session: TenantSession, firm_id: UUID, *, of_reason: str | None = None, for_update: bool = False
) -> list[Review]:
    """Return the open reviews about a firm, one a product, locked if they are to be changed."""
    query = select(Review).where(Review.firm_id == firm_id, Review.state == "open").order_by(col(Review.product))
    if of_reason is not None:
        query = query.where(Review.reason_code == of_reason)
    return list(session.exec(query.with_for_update() if for_update else query))


def lock_approvals(session: TenantSession, firm_id: UUID) -> None:
    """Let one transaction at a time decide about a firm."""
    wait_for_lock(session, LockSeed.APPROVALS, firm_id)


def sum_approved(session: TenantSession, firm_id: UUID, since: datetime) -> int:
    """Return what was approved for a firm from an instant on, in fen."""
    query = select(func.sum(col(Review.decided_amount_fen))).where(
        Review.firm_id == firm_id, Review.state == "approved", col(Review.decided_at) >= since
    )
    return int(session.exec(query).one() or 0)


def page_reviews(
    session: TenantSession,
    *,
    state: str | None,
    firm_id: UUID | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Review]:
    """Return reviews, the longest waiting first."""
    query = select(Review)
    if state is not None:
        query = query.where(Review.state == state)
    if firm_id is not None:
        query = query.where(Review.firm_id == firm_id)
    if after is not None:
        query = query.where(tuple_(col(Review.opened_at), col(Review.id)) > tuple_(*after))
    return list(session.exec(query.order_by(col(Review.opened_at), col(Review.id)).limit(limit)))
