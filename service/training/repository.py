"""Queries of model versions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, tuple_
from sqlalchemy.orm import defer
from sqlmodel import col, select

from service.kit.db import LockSeed, TenantSession, wait_for_lock
from service.training.tables import ModelVersion


def lock_product(session: TenantSession, product: str) -> None:
    """Let one transaction at a time number or promote a product's versions."""
    wait_for_lock(session, LockSeed.TRAINING, product)


def next_number(session: TenantSession, product: str) -> int:
    """Return the number of a product's next version."""
    newest = session.exec(select(func.max(ModelVersion.number)).where(ModelVersion.product == product)).one()
    return (newest or 0) + 1


def find_live(session: TenantSession, product: str) -> ModelVersion | None:
    """Return the live version of a product."""
    query = select(ModelVersion).where(ModelVersion.product == product, ModelVersion.state == "live")
    return session.exec(query).one_or_none()


def find_version(session: TenantSession, product: str, number: int) -> ModelVersion | None:
    """Return a version of a product by its number."""
    query = select(ModelVersion).where(ModelVersion.product == product, ModelVersion.number == number)
    return session.exec(query).one_or_none()


def find_version_by_id(session: TenantSession, version_id: UUID) -> ModelVersion | None:
    """Return a version of the session's tenant."""
    return session.exec(select(ModelVersion).where(ModelVersion.id == version_id)).one_or_none()


def get_version(session: TenantSession, version_id: UUID) -> ModelVersion:
    """Return a version that is there."""
    return session.exec(select(ModelVersion).where(ModelVersion.id == version_id)).one()


def page_versions(session: TenantSession, after: tuple[datetime, UUID] | None, limit: int) -> list[ModelVersion]:
    """Return versions of all products, the oldest first, without their artifacts."""
    query = (
        select(ModelVersion)
        .options(defer(ModelVersion.artifact, raiseload=True))  # type: ignore[arg-type]
        .order_by(col(ModelVersion.created_at), col(ModelVersion.id))
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(col(ModelVersion.created_at), col(ModelVersion.id)) > tuple_(*after))
    return list(session.exec(query))


def list_versions(session: TenantSession) -> list[ModelVersion]:
    """Return every version, by product and number."""
    return list(session.exec(select(ModelVersion).order_by(ModelVersion.product, col(ModelVersion.number))))
