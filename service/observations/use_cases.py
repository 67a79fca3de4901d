"""Add to the ledger one by one, as an import adds in bulk, and read back what is there."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

import polars as pl

from features.consent import SCOPES
from features.kinds import KINDS
from features.kinds.contract import Kind
from service.errors import Forbidden, InvalidPayload, NotFound
from service.firms import reach
from service.firms import use_cases as firms
from service.firms.use_cases import ObservationView
from service.imports.checks import Check, canonical_checks, split
from service.imports.chunks import fault
from service.kit import clock
from service.kit.db import TenantSession
from service.kit.near import must_be_one_of
from service.people.use_cases import erased_among

WITH_ROUTES: Final = {
    "firm": "POST /v1/firms",
    "person": "POST /v1/firms/{firm_id}/people",
    "invoice": "POST /v1/firms/{firm_id}/invoices",
    "loan": "POST /v1/loans",
    "repayment_status": "POST /v1/loans/{loan_id}/status",
    "consent": "POST /v1/people/{person_id}/consents",
    "personal_record": "POST /v1/people/{person_id}/records",
    "document": "POST /v1/firms/{firm_id}/documents",
}
"""Kinds that other routes add, and which: these know more of them than their columns say."""
ADDED: Final = tuple(name for name in KINDS if name not in WITH_ROUTES)
"""Kinds that are added here."""
READ: Final = tuple(name for name in KINDS if name != "consent" and name not in SCOPES)
"""Kinds that are read here. What people consented to, and what needs their consent, is read by rules of its own
(docs/adr/0016): on their own routes."""
_ERASED = fault(
    "this person has been erased", "该人员信息已删除", "add nothing more about this person", "请勿再登记该人员的信息"
)


@dataclass(frozen=True)
class Observed:
    """What became of a row that was sent.

    Attributes
    ----------
    content_sha256
        The hash of its content, in hexadecimal: the same, however the row comes in.
    is_new
        False if a row of this content was in the ledger.
    """

    kind: str
    firm_id: UUID | None
    content_sha256: str
    is_new: bool


def kind_of(name: str) -> Kind:
    """Return a kind.

    Raises
    ------
    NotFound
        If there is none of this name.
    """
    if name not in KINDS:
        raise NotFound(f"There is no kind of this name: it {must_be_one_of(name, KINDS)}.")
    return KINDS[name]


def observe(session: TenantSession, kind: Kind, firm_id: UUID | None, values: dict[str, Any]) -> Observed:
    """Add one row, checked as an import checks it.

    Parameters
    ----------
    firm_id
        The firm that it is about; None of a kind that is about the lender's whole world.
    values
        By column, typed; ``known_on`` may be None, and is the kind's usual day then.

    Raises
    ------
    NotFound
        If there is no such firm within reach.
    Forbidden
        If the kind is about the lender's whole world, and the asker does not reach all of it.
    InvalidPayload
        Naming the column at fault, its value, the reason and the remedy, in both languages.
    """
    if firm_id is None and reach.of(session) != reach.EVERYTHING:
        raise Forbidden(f"A row of kind {kind.name} is about every firm; who reaches all of them may add it.")
    key = {} if firm_id is None else {"firm_id": firms.get_firm(session, firm_id).key}
    today, frame = clock.today(), pl.DataFrame([{**values, **key}], schema=kind.schema)
    rows = frame.with_columns(pl.col(pl.Float64) + 0.0, kind.known_on(today))
    checks = [*canonical_checks(rows, kind, today), *_of_persons(session, kind, rows)]
    _, rejects = split(rows.with_columns(line=pl.lit(1, pl.Int64)), checks, "")
    if rejects.height:
        raise _refused(rejects.row(0, named=True))
    digest, added = firms.add_observation(session, kind, rows)
    return Observed(kind.name, firm_id, digest, is_new=added.added == 1)


def _of_persons(session: TenantSession, kind: Kind, rows: pl.DataFrame) -> list[Check]:
    if "person_id" not in kind.schema:
        return []
    erased = sorted(erased_among(session, rows["person_id"].drop_nulls()))
    return [Check("person_id", pl.col("person_id").is_in(erased), _ERASED)]


def _refused(reject: dict[str, Any]) -> InvalidPayload:
    """Say what is wrong with a row in the words of an import's list of rejects."""
    words = {name: reject[name] for name in ("value", "reason", "remedy", "reason_zh", "remedy_zh")}
    error = {"field": reject["column"], "row": None, **words}
    detail = f"{reject['column']}: {reject['reason']}; {reject['remedy']}."
    return InvalidPayload(f"{detail} {reject['reason_zh']}；{reject['remedy_zh']}。", errors=[error])


def list_observations(
    session: TenantSession,
    kind: Kind,
    *,
    firm_id: UUID | None,
    known_by: date | None,
    before: tuple[date, bytes] | None,
    limit: int,
) -> list[ObservationView]:
    """Return rows of a kind, newest first.

    Raises
    ------
    NotFound
        If there is no such firm within reach.
    InvalidPayload
        If a firm is named for a kind that is about none, or none for one that is about firms.
    """
    if kind.is_of_firms and firm_id is None:
        raise InvalidPayload(f"Rows of kind {kind.name} are listed by firm: give firm_id. A whole kind is exported.")
    if firm_id is not None and not kind.is_of_firms:
        raise InvalidPayload(f"Rows of kind {kind.name} are about no firm: leave out firm_id.")
    return firms.list_observations(session, kind, firm_id=firm_id, known_by=known_by, before=before, limit=limit)
