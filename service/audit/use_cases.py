"""Write entries of the audit log in the transaction of what they record."""

from collections.abc import Mapping
from uuid import UUID

import rfc8785

from service.audit.tables import PendingEntry
from service.kit import clock
from service.kit.db import TenantSession, author_of, tenant_of


def append(
    session: TenantSession,
    action: str,
    subject: str,
    facts: Mapping[str, str | int | bool | None] | None = None,
    *,
    before: bytes | None = None,
    after: bytes | None = None,
) -> UUID:
    """Add an entry to the tenant's log: it is there exactly if the session's transaction commits.

    Changes of single rows record themselves, by triggers; this is for what is changed in bulk.

    Parameters
    ----------
    action
        What was done, such as ``scores.added``.
    subject
        To what: a table's name and the row's key, such as ``score:0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11``.
    facts
        What else an auditor needs; no personal data.
    before, after
        SHA-256 of what was there, and of what is.

    Returns
    -------
    UUID
        The entry's id.
    """
    author, entry_id, now = author_of(session), clock.new_id(), clock.now()
    body = {
        "action": action,
        "actor": author.name,
        "actor_id": None if author.id is None else str(author.id),
        "after": None if after is None else after.hex(),
        "at": now.isoformat(timespec="microseconds"),
        "before": None if before is None else before.hex(),
        "facts": dict(facts or {}),
        "id": str(entry_id),
        "request_id": author.request_id,
        "subject": subject,
        "tenant_id": str(tenant_of(session)),
        "version": 1,
    }
    session.add(
        PendingEntry(
            tenant_id=tenant_of(session),
            id=entry_id,
            recorded_at=now,
            actor=author.name,
            subject=subject,
            body=rfc8785.dumps(body).decode(),
        )
    )
    session.flush()
    return entry_id
