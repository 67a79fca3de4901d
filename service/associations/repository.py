"""Queries of acts of associations and peer reports."""

from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import tuple_
from sqlmodel import col, select

from service.associations.tables import AssociationAct, PeerReport
from service.kit.db import TenantSession

Entry = TypeVar("Entry", AssociationAct, PeerReport)


def find_entry(session: TenantSession, table: type[Entry], entry_id: UUID, *, for_update: bool = False) -> Entry | None:
    """Return an act or a report about a firm within reach, locked if it is to be changed."""
    query = select(table).where(table.id == entry_id)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def page_entries(
    session: TenantSession,
    table: type[Entry],
    firm_id: UUID | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Entry]:
    """Return acts or reports, newest first."""
    query = select(table)
    if firm_id is not None:
        query = query.where(table.firm_id == firm_id)
    if before is not None:
        query = query.where(tuple_(col(table.ingested_at), col(table.id)) < tuple_(*before))
    return list(session.exec(query.order_by(col(table.ingested_at).desc(), col(table.id).desc()).limit(limit)))
