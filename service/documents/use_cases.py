"""Store documents about firms, show them, and destroy them.

A file is sealed under a key of its own beside the keyring of persons, since it may show whatever a person's papers
show: destroying the key destroys the file in every backup of the database at once.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from features.kinds.world import DOCUMENT
from service.audit.use_cases import append
from service.documents import repository
from service.documents.rules import TYPES, is_of_type
from service.documents.tables import DocumentFile
from service.errors import Conflict, Gone, InvalidPayload, NotFound
from service.firms.use_cases import ObservationView, documents_of
from service.kit import clock
from service.kit.db import Database, TenantSession, after_commit, tenant_of
from service.kit.keyring import ABANDONED, Keyring, KeyringError
from service.kit.vault import Vault
from service.observations.use_cases import observe
from service.settings import Settings

_UNKNOWN = "No document of this hash is known."
_TYPE_IS_TOLD_BY = (
    "Content-Type over HTTP, by the ending of its name on the command line",
    "HTTP 用 Content-Type，命令行用文件名后缀",
)


@dataclass(frozen=True)
class DocumentView:
    """A document: its file, None if only its hash is known here, and what is known of it about firms within reach."""

    sha256: str
    file: DocumentFile | None
    observations: list[ObservationView]


def vault_of(keyring: Keyring) -> Vault:
    """Return the vault of documents beside a keyring."""
    return Vault(keyring, "documents")


def add_document(
    session: TenantSession, vault: Vault, firm_id: UUID, content: bytes, media_type: str, facts: Mapping[str, Any]
) -> DocumentView:
    """Store a file unless it is there, and add to the ledger that it is about a firm.

    Parameters
    ----------
    facts
        The further columns of kind document.

    Raises
    ------
    NotFound
        If there is no such firm within reach.
    InvalidPayload
        If the file is empty or not of its type, or a fact is at fault.
    Conflict
        If the same bytes are kept as another type.
    """
    _check_type(content, media_type)
    digest = hashlib.sha256(content)
    own = {"media_type": media_type, "size_bytes": len(content), "sha256": digest.hexdigest()}
    observe(session, DOCUMENT, firm_id, {**facts, **own})
    _store(session, vault, digest.digest(), content, media_type)
    return get_document(session, digest.hexdigest())


def _check_type(content: bytes, media_type: str) -> None:
    if content and is_of_type(media_type, content):
        return
    suffix = TYPES[media_type].suffix
    reason = f"the file is no {suffix} file" if content else "the file is empty"
    reason_zh = f"文件不是 {suffix} 格式" if content else "文件为空"
    remedy, remedy_zh = (
        f"give the file itself, as what it is: by {_TYPE_IS_TOLD_BY[0]}",
        f"请提供文件本身及其真实类型：{_TYPE_IS_TOLD_BY[1]}",
    )
    words = {"reason": reason, "remedy": remedy, "reason_zh": reason_zh, "remedy_zh": remedy_zh}
    error = {"field": "body", "row": None, "value": media_type, **words}
    raise InvalidPayload(f"{reason}; {remedy}. {reason_zh}；{remedy_zh}。".capitalize(), errors=[error])


def _store(session: TenantSession, vault: Vault, sha256: bytes, content: bytes, media_type: str) -> None:
    repository.lock(session, sha256)
    file = repository.find_file(session, sha256)
    if file is not None and file.destroyed_at is None:
        if file.media_type != media_type:
            raise Conflict(
                f"These bytes are kept as {file.media_type} already: give that type, by {_TYPE_IS_TOLD_BY[0]}."
            )
        return
    if file is not None:
        _forget_later(session, vault, file.key_id)
    key_id = clock.new_id()
    sealed: dict[str, Any] = {
        "media_type": media_type,
        "size_bytes": len(content),
        "key_id": key_id,
        "parts": list(vault.seal(tenant_of(session), key_id, content)),
        "stored_at": clock.now(),
        "destroyed_at": None,
    }
    if file is None:
        file = DocumentFile(tenant_id=tenant_of(session), sha256=sha256, **sealed)
    for name, value in sealed.items():
        setattr(file, name, value)
    session.add(file)
    session.flush()
    facts: dict[str, str | int | bool | None] = {"media_type": media_type, "size_bytes": len(content)}
    append(session, "document.stored", f"document:{sha256.hex()}", facts, after=sha256)


def get_document(session: TenantSession, sha256: str) -> DocumentView:
    """Return what is known of a document.

    Raises
    ------
    NotFound
        If none of this hash is known about a firm within reach.
    """
    observations = documents_of(session, sha256)
    if not observations:
        raise NotFound(_UNKNOWN)
    return DocumentView(sha256, repository.find_file(session, bytes.fromhex(sha256)), observations)


def read_document(session: TenantSession, vault: Vault, sha256: str) -> tuple[DocumentFile, bytes]:
    """Return a document's file and its content: a disclosure, which goes on record in the session's transaction.

    Raises
    ------
    NotFound
        If none of this hash is known about a firm within reach, or only its hash is known here.
    Gone
        If it has been destroyed.
    KeyringError
        If its key is not in this server's keyring, or does not open it.
    """
    file = _file_of(get_document(session, sha256))
    tenant_id = tenant_of(session)
    if file.destroyed_at is not None or vault.keys.is_destroyed(tenant_id, file.key_id):
        raise Gone("The document's key was destroyed: nobody can read it any more.")
    content = vault.open(tenant_id, file.key_id, file.parts)
    if content is None:
        raise KeyringError("The key of this document is not in the keyring. Restore it from the keyring's backup.")
    data = content.getvalue()
    if hashlib.sha256(data).digest() != file.sha256:
        raise KeyringError("The document is damaged in the database. Restore it from a backup, or send it again.")
    append(session, "document.read", f"document:{sha256}", {"size_bytes": file.size_bytes}, after=file.sha256)
    return file, data


def destroy_document(session: TenantSession, vault: Vault, sha256: str) -> None:
    """Destroy a document's file for good; done again, it changes nothing.

    What the ledger says of it stays: its hash, title and size.

    Raises
    ------
    NotFound
        If none of this hash is known about a firm within reach, or only its hash is known here.
    """
    repository.lock(session, bytes.fromhex(sha256))
    file = _file_of(get_document(session, sha256))
    if file.destroyed_at is None:
        file.parts, file.destroyed_at = [], clock.now()
        session.add(file)
        session.flush()
        facts: dict[str, str | int | bool | None] = {"size_bytes": file.size_bytes}
        append(session, "document.destroyed", f"document:{sha256}", facts, before=file.sha256)
    _forget_later(session, vault, file.key_id)


def _forget_later(session: TenantSession, vault: Vault, key_id: UUID) -> None:
    tenant_id = tenant_of(session)
    after_commit(session, lambda: _forget(vault, tenant_id, key_id))


def _forget(vault: Vault, tenant_id: UUID, key_id: UUID) -> None:
    vault.keys.destroy(tenant_id, key_id)


def tidy(settings: Settings, database: Database) -> None:
    """Finish every tenant's destructions of files that a kill broke off between the commit and the key's end.

    Keys that no file names stay: to an old database beside a newer keyring they are those of files sent since.
    """
    vault = vault_of(Keyring(settings.keyring))
    for tenant_id in vault.keys.tenants():
        with database.session(tenant_id) as session:
            key_ids = repository.destroyed_keys(session)
        for key_id in key_ids:
            if vault.keys.has(tenant_id, key_id):
                _forget(vault, tenant_id, key_id)


def sweep(database: Database, vault: Vault) -> int:
    """Destroy every tenant's keys that no living file goes with, older than an hour, and return how many.

    They are those of requests that never committed, and of files whose destruction a kill broke off.
    """
    before, count = clock.now() - ABANDONED, 0
    for tenant_id in vault.keys.tenants():
        key_ids = vault.keys.keys(tenant_id, before)
        with database.session(tenant_id) as session:
            nobodys = set(key_ids) - repository.living_keys(session, key_ids)
        count += sum(vault.keys.destroy(tenant_id, key_id) for key_id in nobodys)
    return count


def _file_of(view: DocumentView) -> DocumentFile:
    if view.file is None:
        raise NotFound("Of this document only the hash is known: its file was never sent.")
    return view.file
