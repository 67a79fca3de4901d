"""Write a firm's credit history as a document that is signed and carries its proofs: 企业信用历史查询和公证."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import polars as pl
import rfc8785

from service.audit.use_cases import (
    Signable,
    TreeHead,
    append,
    get_entry,
    is_in,
    list_checkpoints,
    prove_consistency,
    prove_inclusion,
)
from service.errors import Conflict
from service.firms.use_cases import FirmView, get_firm, read_inputs
from service.identity.use_cases import own_organisation
from service.kit import clock
from service.kit.db import TenantSession, author_of
from service.scoring.use_cases import ScoreProof, ScoreView, is_stale, list_scores, prove

STATEMENT: Final = "clustercredit-statement"
SHOWN: Final = (
    "as_of",
    "decision",
    "grade",
    "id",
    "interval_high",
    "interval_kind",
    "interval_low",
    "pd",
    "pd_basis",
    "points",
    "product",
    "scored_at",
    "stable_grade",
)
"""Columns of a score that are written out beside its binary row."""


@dataclass(frozen=True)
class SignedStatement:
    """A statement, as RFC 8785 JSON, and the Ed25519 signature over it."""

    signed: bytes
    signature: bytes


def make_statement(
    session: TenantSession,
    signable: Signable,
    firm_id: UUID,
    *,
    product: str | None,
    limit: int,
    from_size: int | None,
    with_reasons: bool,
) -> SignedStatement | None:
    """Write what is on record of a firm: its published scores, each proven by the audit log, its loans and repayments.

    That it was made, and the hash of what it says, is an entry of the log.

    Parameters
    ----------
    signable
        The log as it was checked, which the proofs lead to, and what signs.
    product
        Only scores of this loan product; all if None.
    limit
        Of the newest scores.
    from_size
        Numbered entries of a checkpoint that somebody keeps, which the log is proven to begin with; of the newest
        checkpoint if None.
    with_reasons
        Whether reasons are written out, but for scores whose data was withdrawn since.

    Returns
    -------
    SignedStatement or None
        None while the log as it was checked has not a score's entry yet, which takes about a second.

    Raises
    ------
    NotFound
        If no firm within reach has this id.
    Conflict
        If a score is not what was entered in the log.
    InvalidPayload
        If the log is not as long as the checkpoint.
    """
    signer, head = signable.signer, signable.head
    firm = get_firm(session, firm_id)
    newest = list_scores(session, firm_id, product, None, limit + 1)
    views = [view for view in newest[:limit] if view.score.batch_id is not None]
    proofs = [prove(session, view.score) for view in views]
    found = {entry_id: get_entry(session, entry_id) for entry_id in sorted({proof.entry_id for proof in proofs})}
    if not all(is_in(head, entry) for entry in found.values()):
        return None
    for proof in proofs:
        _check_root(proof, found[proof.entry_id].body)
    places = {entry_id: place for place, entry_id in enumerate(found)}
    organisation, now = own_organisation(session), clock.now()
    said = {
        "at": _instant(now),
        "earlier": _earlier(session, from_size, head),
        "entries": [_prove_entry(session, entry_id, entry.body, head) for entry_id, entry in found.items()],
        "firm": {"id": str(firm.id), "key": firm.key, "name": firm.name},
        "key_id": signer.public.id,
        "loans": _loans(session, firm),
        "made_for": author_of(session).name,
        "limit": limit,
        "more_scores": len(newest) > limit,
        "product": product,
        "public_key": signer.public.raw.hex(),
        "repayments": _repayments(session, firm),
        "root": head.root.hex(),
        "scores": [
            _shown(view, proof, places[proof.entry_id], with_reasons and not is_stale(session, view))
            for view, proof in zip(views, proofs, strict=True)
        ],
        "size": head.size,
        "tenant": organisation.name,
        "tenant_id": str(organisation.id),
        "type": STATEMENT,
        "unproven_scores": len(newest[:limit]) - len(views),
        "version": 1,
    }
    signed = rfc8785.dumps(said)
    append(session, "statement.made", f"firm:{firm.id}", {"scores": len(views)}, after=sha256(signed).digest())
    return SignedStatement(signed, signer.sign(signed))


def _prove_entry(session: TenantSession, entry_id: UUID, body: str, head: TreeHead) -> dict[str, Any]:
    proof = prove_inclusion(session, entry_id, head.size)
    assert proof is not None
    return {"body": body, "number": proof.number, "path": _hex(proof.path)}


def _check_root(proof: ScoreProof, body: str) -> None:
    if json.loads(body)["after"] != proof.root.hex():
        raise Conflict(
            "The hashes kept beside the firm's scores are not those that the audit log has: they were changed."
        )


def _earlier(session: TenantSession, from_size: int | None, head: TreeHead) -> dict[str, Any] | None:
    """Prove that the log begins with a checkpoint's; None if there is none."""
    if from_size is None:
        sizes = [checkpoint.size for checkpoint in list_checkpoints(session, None, 1)]
        from_size = next((size for size in sizes if 0 < size <= head.size), None)
    if from_size is None:
        return None
    return {"path": _hex(prove_consistency(session, from_size, head.size).path), "size": from_size}


def _shown(view: ScoreView, proof: ScoreProof, entry: int, with_reasons: bool) -> dict[str, Any]:  # noqa: FBT001
    score = view.score
    values = {name: getattr(score, name) for name in SHOWN}
    return {
        "entry": entry,
        "index": proof.index,
        "path": _hex(proof.path),
        "row": proof.row.hex(),
        "shown": {name: _plain(value) for name, value in values.items()} | {"model_version": view.model_version},
        "size": proof.size,
        "texts": {"reasons": proof.texts["reasons"]} if with_reasons else {},
    }


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _hex(path: Sequence[bytes]) -> list[str]:
    return [step.hex() for step in path]


def _loans(session: TenantSession, firm: FirmView) -> list[dict[str, Any]]:
    frame = read_inputs(session, clock.today(), firm.key, firm.key, kinds=("loan",)).loans
    return _stated(frame, ("observed_on", "loan_id", "product", "principal_fen", "matures_on"))


def _repayments(session: TenantSession, firm: FirmView) -> list[dict[str, Any]]:
    kinds = ("repayment_status",)
    frame = read_inputs(session, clock.today(), firm.key, firm.key, kinds=kinds).repayment_statuses
    return _stated(frame, ("observed_on", "loan_id", "days_past_due", "balance_fen", "default_event", "is_closed"))


def _stated(frame: pl.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the ledger holds, the oldest first: the lender's word for it, not the log's proof."""
    rows = frame.select(columns).unique().sort(columns)
    return [{name: _plain(value) for name, value in row.items()} for row in rows.iter_rows(named=True)]
