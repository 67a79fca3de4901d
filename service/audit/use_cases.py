"""Write entries of the audit log in the transaction of what they record; read and prove them; sign its tree."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import rfc8785

from service.audit import merkle, repository, verify_audit
from service.audit.repository import TreeDamagedError
from service.audit.signing import Handover, PublicKey, Signer, SigningKeyError, SigningKeys
from service.audit.tables import Checkpoint, Entry, PendingEntry
from service.errors import InvalidPayload, NotFound
from service.kit import clock
from service.kit.db import (
    SEQUENCER_ROLE,
    Author,
    Database,
    TenantSession,
    after_commit,
    author_of,
    in_role,
    tenant_of,
)

CHECKPOINT: Final = "clustercredit-checkpoint"


@dataclass(frozen=True)
class Inclusion:
    """A proof that an entry is in the log."""

    number: int
    size: int
    leaf: bytes
    path: list[bytes]
    root: bytes


@dataclass(frozen=True)
class TreeHead:
    """How many entries of the log are numbered, and the root over them."""

    size: int
    root: bytes


@dataclass(frozen=True)
class Signable:
    """What may be signed of a log, and by which key.

    Attributes
    ----------
    head
        As it was checked. Nothing else is signed: what is read again may have been rewritten in between.
    last
        The checkpoint kept beside the key that the log continues; None if there was none.
    """

    signer: Signer
    head: TreeHead
    last: bytes | None


@dataclass(frozen=True)
class Consistency:
    """A proof that the log of one size begins with the whole log of another."""

    from_size: int
    to_size: int
    from_root: bytes
    to_root: bytes
    path: list[bytes]


def append(
    session: TenantSession,
    action: str,
    subject: str,
    facts: Mapping[str, str | int | bool | None] | None = None,
    *,
    before: bytes | None = None,
    after: bytes | None = None,
    entry_id: UUID | None = None,
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
    entry_id
        The entry's id, where rows already name it; a fresh one if None.

    Returns
    -------
    UUID
        The entry's id.
    """
    author, now = author_of(session), clock.now()
    entry_id = entry_id or clock.new_id()
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


def list_entries(
    session: TenantSession,
    *,
    subject: str | None,
    actor: str | None,
    since: datetime | None,
    until: datetime | None,
    below: int | None,
    limit: int,
) -> list[Entry]:
    """Return numbered entries, the newest first: of a subject, of an actor, recorded in ``[since, until)``."""
    return repository.page_entries(
        session, subject=subject, actor=actor, since=since, until=until, below=below, limit=limit
    )


def get_entry(session: TenantSession, entry_id: UUID) -> Entry | PendingEntry:
    """Return an entry, with its number if it has one yet.

    Raises
    ------
    NotFound
        If there is none.
    """
    entry = repository.find_entry(session, entry_id)
    if entry is None:
        raise NotFound("No entry of the audit log has this id.")
    return entry


def prove_inclusion(session: TenantSession, entry_id: UUID, size: int | None) -> Inclusion | None:
    """Prove that an entry is in the log; None if it has no number yet.

    Parameters
    ----------
    size
        Of the tree that the proof leads to, such as a checkpoint's; the present one if None.

    Raises
    ------
    NotFound
        If there is no such entry.
    InvalidPayload
        If the tree of that size does not have the entry, or is not there yet.
    """
    entry = get_entry(session, entry_id)
    if isinstance(entry, PendingEntry):
        return None
    size = _size_of(session, size)
    if entry.number >= size:
        raise InvalidPayload(
            f"size {size}: this entry has number {entry.number}, so a tree must have {entry.number + 1}."
        )
    spans = [*merkle.inclusion_spans(entry.number, size), merkle.Span(0, size)]
    *path, root = repository.read_roots(session, tenant_of(session), spans)
    return Inclusion(entry.number, size, entry.leaf, path, root)


def prove_consistency(session: TenantSession, from_size: int, to_size: int | None) -> Consistency:
    """Prove that the log of one size, the present one if None, begins with the whole log of an earlier size.

    Raises
    ------
    InvalidPayload
        If the log is not that long, or the earlier size is the greater.
    """
    size = _size_of(session, to_size)
    if not 0 < from_size <= size:
        raise InvalidPayload(f"from {from_size}: it must be at least 1 and at most the later size, {size}.")
    return _consistency(session, tenant_of(session), from_size, size)


def _consistency(session: TenantSession, tenant_id: UUID, from_size: int, size: int) -> Consistency:
    spans = [*merkle.consistency_spans(from_size, size), merkle.Span(0, from_size), merkle.Span(0, size)]
    *path, from_root, to_root = repository.read_roots(session, tenant_id, spans)
    return Consistency(from_size, size, from_root, to_root, path)


def is_in(head: TreeHead, entry: Entry | PendingEntry) -> bool:
    """Tell whether a tree has an entry; one without a number is in none."""
    return isinstance(entry, Entry) and entry.number < head.size


def tree_head(session: TenantSession) -> TreeHead:
    """Return size and root of the tenant's tree as they are now."""
    return _tree_head(session, tenant_of(session))


def _tree_head(session: TenantSession, tenant_id: UUID) -> TreeHead:
    size = repository.tree_size(session, tenant_id)
    (root,) = repository.read_roots(session, tenant_id, [merkle.Span(0, size)])
    return TreeHead(size, root)


def _size_of(session: TenantSession, size: int | None) -> int:
    present = repository.tree_size(session, tenant_of(session))
    if size is not None and size > present:
        raise InvalidPayload(f"size {size}: the log has {present} numbered entries.")
    return present if size is None else size


def list_checkpoints(
    session: TenantSession, before: tuple[datetime, UUID] | None, limit: int | None
) -> list[Checkpoint]:
    """Return checkpoints, the newest first."""
    return repository.page_checkpoints(session, before, limit)


def make_checkpoint(session: TenantSession, keys: SigningKeys, tenant: str, *, is_restored: bool = False) -> Checkpoint:
    """Sign the log as it is now, for who asks; that it was asked for is an entry.

    Parameters
    ----------
    is_restored
        Whether the log is taken as it is though it does not continue what was signed last, as after a restored
        backup or the loss of the keys; that is an entry too.

    Raises
    ------
    SigningKeyError
        If the key cannot be used, or is not the one that signed this log before.
    TreeDamagedError
        If the log does not continue what was signed last.
    """
    how = _accept if is_restored else sign_checkpoint
    checkpoint = how(session, keys, tenant_of(session), tenant)
    append(session, "audit_checkpoint.signed", f"audit_checkpoint:{checkpoint.id}", {"size": checkpoint.size})
    return checkpoint


def _accept(session: TenantSession, keys: SigningKeys, tenant_id: UUID, tenant: str) -> Checkpoint:
    append(session, "audit_log.accepted", "audit_log:restored", _head_facts(session, keys))
    signable = Signable(keys.signer(), _tree_head(session, tenant_id), keys.head(tenant_id))
    checkpoint = _sign(signable, tenant_id, tenant)
    session.add(checkpoint)
    session.flush()

    def keep() -> None:
        if not keys.keep_head(tenant_id, as_file(checkpoint, None), signable.last):
            raise SigningKeyError("Another process has just signed this log, as it was before. Accept it once more.")

    # Once that it was accepted is on record: until then the log must continue what was signed before.
    after_commit(session, keep)
    return checkpoint


def _head_facts(session: TenantSession, keys: SigningKeys) -> dict[str, str | int | bool | None]:
    """Return what is known of the log that was signed before, believed or not."""
    try:
        head = _last_signed(session, keys, tenant_of(session), keys.head(tenant_of(session)))
    except (TreeDamagedError, SigningKeyError):
        head = None
    return {"size_before": None, "root_before": None} if head is None else {
        "size_before": head.size, "root_before": head.root.hex()
    }  # fmt: skip


def sign_checkpoint(session: TenantSession, keys: SigningKeys, tenant_id: UUID, tenant: str) -> Checkpoint:
    """Sign size and root of a tenant's tree as they are now, if it continues what was signed last.

    Raises
    ------
    SigningKeyError
        If the key cannot be used, or is not the one that signed this log before.
    TreeDamagedError
        If the log does not continue what was signed last.
    """
    while True:
        signable = check_signable(session, keys, tenant_id)
        checkpoint = _sign(signable, tenant_id, tenant)
        # Before the commit: entries that are numbered stay, whatever becomes of this transaction.
        if keys.keep_head(tenant_id, as_file(checkpoint, None), signable.last):
            break
    session.add(checkpoint)
    session.flush()
    return checkpoint


def check_signable(session: TenantSession, keys: SigningKeys, tenant_id: UUID) -> Signable:
    """Return what may be signed of a tenant's log, once it is sure that it continues what was signed last.

    Who owns the database can rewrite all of the log: a signature over it would make the forgery ours.

    Raises
    ------
    SigningKeyError
        If the key cannot be used, or is not the one that signed this log before.
    TreeDamagedError
        If the log does not continue what was signed last.
    """
    kept = keys.head(tenant_id)
    last = _last_signed(session, keys, tenant_id, kept)
    head = _tree_head(session, tenant_id) if last is None or last.size == 0 else _continued(session, tenant_id, last)
    return Signable(keys.signer(), head, kept)


def _continued(session: TenantSession, tenant_id: UUID, last: verify_audit.Checkpoint) -> TreeHead:
    """Return the head of a log that is proven to continue a checkpoint's."""
    size = repository.tree_size(session, tenant_id)
    if last.size <= size:
        # The path too, not both roots alone: hashes kept above it may be of another log than those below.
        proof = _consistency(session, tenant_id, last.size, size)
        is_path = merkle.verify_consistency(last.size, size, last.root, proof.to_root, proof.path)
        if proof.from_root == last.root and is_path:
            return TreeHead(size, proof.to_root)
    raise TreeDamagedError(
        f"The audit log of {size} entries does not continue the one of {last.size} that was signed at {last.at}: "
        "nothing more is signed of it. Find out what was changed: clustercredit audit verify, with a checkpoint that "
        "was kept elsewhere. If a backup was restored: clustercredit audit checkpoint --restored"
    )


def _last_signed(
    session: TenantSession, keys: SigningKeys, tenant_id: UUID, kept: bytes | None
) -> verify_audit.Checkpoint | None:
    """Return what was signed last of a tenant's log: what is kept beside the key, else the database's newest."""
    if kept is None:
        row = repository.newest_checkpoint(session, tenant_id)
        if row is None:
            return None
        kept = as_file(row, None)
    trusted = {key.id for key in keys.public_keys()}
    try:
        head = verify_audit.read_checkpoint(kept, trusted)
    except verify_audit.UntrustedError as error:
        raise SigningKeyError(
            f"{keys.folder} (CLUSTERCREDIT_SIGNING_DIR) has not the key {error.key_id} that signed this log before. "
            "Name the folder that has it, or restore it from its backup. If it is lost: clustercredit audit "
            "checkpoint --restored, and hand the new key over."
        ) from None
    except verify_audit.UnusableError:
        head = None
    if head is None or head.tenant_id != str(tenant_id):
        raise TreeDamagedError(
            "The newest checkpoint of the audit log is not one that was signed: nothing more is signed. Run: "
            "clustercredit audit verify, with a checkpoint that was kept elsewhere."
        )
    return head


def _sign(signable: Signable, tenant_id: UUID, tenant: str) -> Checkpoint:
    signer, head, now = signable.signer, signable.head, clock.now()
    signed = said_of(signer.public, tenant_id, tenant, head.size, head.root, now)
    return Checkpoint(
        tenant_id=tenant_id,
        id=clock.new_id(),
        at=now,
        size=head.size,
        root=head.root,
        key_id=signer.public.id,
        signed=signed.decode(),
        signature=signer.sign(signed),
    )


def record_handovers(database: Database, handovers: Sequence[Handover], author: Author) -> int:
    """Enter into every tenant's log which keys took over, with the old key's word for each; return how many logs.

    What a log has already is not entered again: whatever was broken off is finished by the next time.
    """
    with database.session() as session, in_role(session, SEQUENCER_ROLE):
        tenants = repository.read_tenants(session)
    subjects = {f"audit_key:{handover.new.id}": handover for handover in handovers}
    for tenant_id in tenants:
        with database.session(tenant_id, author) as session:
            recorded = repository.read_recorded(session, subjects)
            for subject, handover in subjects.items():
                if subject not in recorded:
                    append(session, "audit_key.rotated", subject, _facts_of(handover))
    return len(tenants)


def _facts_of(handover: Handover) -> dict[str, str]:
    return {
        "key_id": handover.old.id,
        "new_key_id": handover.new.id,
        "signed": handover.signed.decode(),
        "signature": handover.signature.hex(),
    }


def said_of(key: PublicKey, tenant_id: UUID, tenant: str, size: int, root: bytes, at: datetime) -> bytes:
    """Return the text that a checkpoint signs."""
    return rfc8785.dumps(
        {
            "at": at.isoformat(timespec="microseconds"),
            "key_id": key.id,
            "public_key": key.raw.hex(),
            "root": root.hex(),
            "size": size,
            "tenant": tenant,
            "tenant_id": str(tenant_id),
            "type": CHECKPOINT,
            "version": 1,
        }
    )


def export(session: TenantSession) -> Iterator[bytes]:
    """Yield the log as lines of NDJSON, an entry each, in order: what `verify_audit.py` reads."""
    for number, leaf, body in repository.stream_entries(session):
        yield f'{{"body":{body},"leaf":"{leaf.hex()}","number":{number}}}\n'.encode()


def checkpoint_file(session: TenantSession, checkpoint: Checkpoint, *, with_leaves: bool) -> bytes:
    """Return a checkpoint as `verify_audit.py` reads it, perhaps with the leaf hashes, which its root authenticates."""
    return as_file(checkpoint, repository.read_leaves(session, checkpoint.size) if with_leaves else None)


def as_file(checkpoint: Checkpoint, leaves: bytes | None) -> bytes:
    """Return a checkpoint and leaf hashes as `verify_audit.py` reads them."""
    shown = {"signed": checkpoint.signed, "signature": checkpoint.signature.hex()}
    if leaves is not None:
        shown["leaves"] = base64.b64encode(leaves).decode()
    return json.dumps(shown).encode() + b"\n"


def damaged_nodes(session: TenantSession) -> list[merkle.Subtree]:
    """Return the subtrees whose kept hash does not follow from the entries' leaf hashes, or is missing, or too much.

    Entries may be numbered meanwhile: what belongs to them is left for the next time.
    """
    size = repository.tree_size(session, tenant_of(session))
    row, level = repository.read_leaves(session, size), 0
    right: dict[merkle.Subtree, bytes] = {}
    while len(row) >= 2 * merkle.DIGEST:
        row, level = merkle.parents(row[: len(row) - len(row) % (2 * merkle.DIGEST)]), level + 1
        for place in range(len(row) // merkle.DIGEST):
            right[merkle.Subtree(level, place)] = row[place * merkle.DIGEST : (place + 1) * merkle.DIGEST]
    wrong = [subtree for subtree, digest in repository.stream_nodes(session) if right.pop(subtree, None) != digest]
    grown = repository.tree_size(session, tenant_of(session))
    wrong = [subtree for subtree in wrong if not size < (subtree.place + 1) << subtree.level <= grown]
    return sorted([*wrong, *right])
