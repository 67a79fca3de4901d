"""Queries of documents' files."""

from collections.abc import Collection
from uuid import UUID

from sqlmodel import col, select

from service.documents.tables import DocumentFile
from service.kit.db import LockSeed, TenantSession, wait_for_lock


def lock(session: TenantSession, sha256: bytes) -> None:
    """Let one transaction at a time store or destroy a file."""
    wait_for_lock(session, LockSeed.DOCUMENTS, sha256.hex())


def find_file(session: TenantSession, sha256: bytes) -> DocumentFile | None:
    """Return a file, destroyed or not."""
    return session.exec(select(DocumentFile).where(DocumentFile.sha256 == sha256)).one_or_none()


def living_keys(session: TenantSession, key_ids: Collection[UUID]) -> set[UUID]:
    """Return which of these keys are those of files that are not destroyed."""
    query = select(DocumentFile.key_id).where(
        col(DocumentFile.key_id).in_(key_ids), col(DocumentFile.destroyed_at).is_(None)
    )
    return set(session.exec(query))
