"""Queries of documents' files."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.orm import defer
from sqlmodel import col, select

from service.documents.tables import DocumentFile
from service.kit.db import LockSeed, TenantSession, wait_for_lock


def lock(session: TenantSession, sha256: bytes) -> None:
    """Let one transaction at a time store or destroy a file."""
    wait_for_lock(session, LockSeed.DOCUMENTS, sha256.hex())


def find_file(session: TenantSession, sha256: bytes) -> DocumentFile | None:
    """Return a file, destroyed or not; its parts are read when they are asked for."""
    query = select(DocumentFile).where(DocumentFile.sha256 == sha256)
    return session.exec(query.options(defer(DocumentFile.parts))).one_or_none()  # type: ignore[arg-type]


def living_keys(session: TenantSession, key_ids: Collection[UUID]) -> set[UUID]:
    """Return which of these keys are those of files that are not destroyed."""
    query = select(DocumentFile.key_id).where(
        col(DocumentFile.key_id).in_(key_ids), col(DocumentFile.destroyed_at).is_(None)
    )
    return set(session.exec(query))


def destroyed_keys(session: TenantSession) -> list[UUID]:
    """Return the keys of files that are destroyed."""
    return list(session.exec(select(DocumentFile.key_id).where(col(DocumentFile.destroyed_at).is_not(None))))
