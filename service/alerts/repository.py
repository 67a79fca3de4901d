"""Queries of alerts."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from service.alerts.tables import Alert, AlertCandidate
from service.kit.db import TenantSession

AT_ONCE = 1_000
"""Candidates in one statement, which takes 65,535 values at most."""


def newest_of(session: TenantSession, firm_ids: Sequence[UUID]) -> dict[tuple[str, UUID, str], tuple[date, str]]:
    """Return day and severity of the newest alert of each rule, firm and product; of those that hold."""
    query = select(Alert).where(col(Alert.firm_id).in_(firm_ids), col(Alert.withdrawn_at).is_(None))
    query = query.order_by(col(Alert.as_of))
    return {(row.rule, row.firm_id, row.product): (row.as_of, row.severity) for row in session.exec(query)}


def insert_alerts(session: TenantSession, rows: list[dict[str, Any]]) -> int:
    """Add alerts whose fingerprint is new; return how many were."""
    if not rows:
        return 0
    statement = insert(Alert).values(rows).on_conflict_do_nothing().returning(col(Alert.id))
    return len(session.scalars(statement).all())


def insert_candidates(session: TenantSession, rows: list[dict[str, Any]]) -> None:
    """Add what a run found."""
    for start in range(0, len(rows), AT_ONCE):
        session.execute(insert(AlertCandidate).values(rows[start : start + AT_ONCE]).on_conflict_do_nothing())


def page_candidates(
    session: TenantSession, run_id: UUID, after: str, alerted_by: UUID | None = None
) -> list[AlertCandidate]:
    """Return the next of what a run found, by fingerprint; if asked, about firms of which another one has alerted."""
    query = select(AlertCandidate).where(AlertCandidate.run_id == run_id, AlertCandidate.fingerprint > after)
    if alerted_by is not None:
        query = query.where(col(AlertCandidate.firm_id).in_(select(Alert.firm_id).where(Alert.run_id == alerted_by)))
    return list(session.exec(query.order_by(AlertCandidate.fingerprint).limit(AT_ONCE)))


def withdraw_alerts(session: TenantSession, run_id: UUID, at: datetime) -> None:
    """Withdraw the alerts that a run raised."""
    raised = (col(Alert.run_id) == run_id, col(Alert.withdrawn_at).is_(None))
    session.execute(update(Alert).where(*raised).values(withdrawn_at=at, version=Alert.version + 1))


def count_alerts(session: TenantSession, run_id: UUID) -> int:
    """Return how many alerts a run has raised."""
    return session.exec(select(func.count()).select_from(Alert).where(Alert.run_id == run_id)).one()


def find_alert(session: TenantSession, alert_id: UUID, *, for_update: bool) -> Alert | None:
    """Return an alert within reach, locked against a second hand if it is to be changed."""
    query = select(Alert).where(Alert.id == alert_id)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def page_alerts(
    session: TenantSession,
    *,
    is_acknowledged: bool | None,
    is_withdrawn: bool = False,
    firm_id: UUID | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Alert]:
    """Return alerts, newest first."""
    gone = col(Alert.withdrawn_at)
    query = select(Alert).where(gone.is_not(None) if is_withdrawn else gone.is_(None))
    if is_acknowledged is not None:
        at = col(Alert.acknowledged_at)
        query = query.where(at.is_not(None) if is_acknowledged else at.is_(None))
    if firm_id is not None:
        query = query.where(Alert.firm_id == firm_id)
    if before is not None:
        query = query.where(tuple_(col(Alert.raised_at), col(Alert.id)) < tuple_(*before))
    return list(session.exec(query.order_by(col(Alert.raised_at).desc(), col(Alert.id).desc()).limit(limit)))
