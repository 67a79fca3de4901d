"""Add to the ledger, and read what was known on a date."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

import polars as pl

from features.consent import PURPOSE, SCOPES, consenting, refused_automated
from features.inputs import INPUT_KINDS, Inputs
from features.kinds import KINDS
from features.kinds.contract import Kind
from features.kinds.parties import PERSONAL_RECORD
from features.kinds.world import DOCUMENT
from service.errors import Conflict, InvalidPayload, NotFound
from service.firms import reach, repository
from service.firms.repository import Added, Rehearsal, Stage
from service.firms.tables import Firm
from service.identity.use_cases import get_branch
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.kit.etag import Precondition, save
from service.kit.personal_id import holds_national_id, is_national_id

__all__ = ["Added", "Rehearsal", "Stage", "firm_id_of", "firm_ids_of"]

firm_id_of = repository.firm_id_of
firm_ids_of = repository.firm_ids_of
_USCC_DIGITS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
USCC_LENGTH = 18


@dataclass(frozen=True)
class FirmView:
    """A firm and the newest thing known about what it is."""

    id: UUID
    key: str
    name: str | None
    industry: str | None
    cluster: str | None
    place: str | None
    founded_on: date | None
    is_lead: bool | None
    branch_id: UUID | None
    version: int


@dataclass(frozen=True)
class LoanView:
    """A loan, as newest known."""

    loan_id: str
    firm_id: UUID
    product: str
    principal_fen: int
    matures_on: date | None


@dataclass(frozen=True)
class AutomatedDecision:
    """Whether a machine alone may decide on a firm.

    Attributes
    ----------
    is_allowed
        False if the firm, or a person behind it, refuses.
    own_is_allowed, own_observed_on
        What the firm itself said last, and when; None if nothing.
    """

    is_allowed: bool
    own_is_allowed: bool | None
    own_observed_on: date | None


@dataclass(frozen=True)
class Link:
    """What a person is to a firm, as newest known."""

    person_id: str
    firm_id: UUID
    role: str
    trade_since: date | None
    observed_on: date


@dataclass(frozen=True)
class ConsentView:
    """What a person consented to or refused on a day, for a firm."""

    firm_id: UUID
    scope: str
    purpose: str
    is_given: bool
    observed_on: date
    known_on: date
    content_sha256: bytes


@dataclass(frozen=True)
class ObservationView:
    """A row of the ledger: whom it is about, its times, and what it says by column."""

    firm_id: UUID | None
    content_sha256: bytes
    observed_on: date
    known_on: date
    ingested_at: datetime
    values: dict[str, Any]


def check_firm_key(key: str) -> str:
    """Check a firm's key: a unified social credit code (18 characters, GB 32100-2015 check character) or a local id.

    A key of 18 characters is taken for a unified social credit code.

    Raises
    ------
    ValueError
        Saying what is wrong with the key.

    Examples
    --------
    >>> check_firm_key("91350211M000100Y46")
    '91350211M000100Y46'
    >>> check_firm_key("91350211M000100Y44")
    Traceback (most recent call last):
    ...
    ValueError: the check character of this unified social credit code should be '6'
    """
    if not _KEY.fullmatch(key):
        raise ValueError(
            "a firm's key is 1 to 64 letters, digits, '.', '_', ':' or '-', and starts with one of the first"
        )
    if is_national_id(key) or holds_national_id(key):
        raise ValueError(
            "this is or holds a person's identity number, which is never kept; give the firm's code or a local id"
        )
    if len(key) != USCC_LENGTH:
        return key
    if strange := sorted(set(key) - set(_USCC_DIGITS)):
        raise ValueError(f"a key of 18 characters is a unified social credit code, which has no {strange[0]!r}")
    total = sum(_USCC_DIGITS.index(c) * weight for c, weight in zip(key, _USCC_WEIGHTS, strict=False))
    expected = _USCC_DIGITS[-total % 31]
    if key[-1] != expected:
        raise ValueError(f"the check character of this unified social credit code should be '{expected}'")
    return key


def register_firms(session: TenantSession, keys: Iterable[str]) -> None:
    """Make sure that firms of these checked keys are there; a new one belongs to the branch of who registers it."""
    series = pl.Series("key", list(keys), dtype=pl.String)
    repository.register_firms(session, series, clock.now(), reach.of(session).branch_id)


def observe_firm(session: TenantSession, row: dict[str, Any]) -> tuple[FirmView, Added]:
    """Register a firm unless it is there, and add what is now known about it.

    Raises
    ------
    Conflict
        If another branch looks after the firm, or none does and somebody has observed it.
    """
    register_firms(session, [row["firm_id"]])
    firm_id = firm_id_of(tenant_of(session), row["firm_id"])
    if repository.find_firm(session, firm_id) is None:
        _take_over(session, firm_id)
    added = _add(session, "firm", [row])
    return get_firm(session, firm_id), added


def _take_over(session: TenantSession, firm_id: UUID) -> None:
    """Let the asker's branch look after a firm that no branch does and of which nothing but its key is known."""
    branch_id = reach.of(session).branch_id
    with reach.whole_population(session):
        firm = repository.find_firm(session, firm_id, for_update=True)
        is_observed = bool(repository.newest_observations(session, [firm_id]))
    if firm is None or branch_id is None or firm.branch_id not in {None, branch_id}:
        raise Conflict("Another branch looks after the firm of this key. Ask it, or a risk manager, to hand it over.")
    if firm.branch_id is None and is_observed:
        raise Conflict("No branch looks after the firm of this key yet. Ask a risk manager to assign it to yours.")
    if firm.branch_id is None:
        firm.branch_id = branch_id
        save(session, firm)


def assign_firm(session: TenantSession, firm_id: UUID, branch_id: UUID | None, precondition: Precondition) -> FirmView:
    """Hand a firm over to a branch, or to none.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such firm or branch, or the firm is no longer what it was.
    """
    firm = repository.find_firm(session, firm_id, for_update=True)
    if firm is None:
        raise NotFound("No firm has this id.")
    precondition.check(firm)
    if branch_id is not None:
        get_branch(session, branch_id)
    view = _views(session, [firm])[0]
    firm.branch_id = branch_id
    save(session, firm)
    return replace(view, branch_id=branch_id, version=firm.version)


def get_firm(session: TenantSession, firm_id: UUID) -> FirmView:
    """Return a firm.

    Raises
    ------
    NotFound
        If the tenant has no such firm.
    """
    firm = repository.find_firm(session, firm_id)
    if firm is None:
        raise NotFound("No firm has this id.")
    return _views(session, [firm])[0]


def list_firms(session: TenantSession, after: str | None, limit: int) -> list[FirmView]:
    """Return firms in order of their keys, from the one after ``after`` on."""
    return _views(session, repository.page_firms(session, after, limit))


def list_keys(session: TenantSession, first_key: str | None = None, last_key: str | None = None) -> list[str]:
    """Return the keys of a range of firms, or of all, in order of their bytes."""
    return [key for key, _ in repository.read_ids(session, first_key, last_key)]


def add_invoices(session: TenantSession, firm_id: UUID, rows: list[dict[str, Any]]) -> Added:
    """Add invoices of one firm; those that are known already stay as they were."""
    key = get_firm(session, firm_id).key
    return _add(session, "invoice", [{**row, "firm_id": key} for row in rows])


def keys_of(session: TenantSession, firm_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the keys of those firms that are within reach."""
    return repository.keys_of(session, firm_ids)


def automated_decision(session: TenantSession, firm_id: UUID) -> AutomatedDecision:
    """Return whether a machine alone may decide on a firm, by what is known today.

    Raises
    ------
    NotFound
        If there is no such firm.
    """
    key, today = get_firm(session, firm_id).key, clock.today()
    known = read_inputs(session, today, key, key, kinds=("consent",))
    own = known.consents.filter(
        pl.col("person_id").is_null(), pl.col("scope") == "automated_decision", pl.col("purpose") == PURPOSE
    ).sort("observed_on", pl.col("is_given"), descending=[True, False])  # of one day a refusal outweighs
    said, said_on = own.select("is_given", "observed_on").row(0) if own.height else (None, None)
    return AutomatedDecision(key not in refused_automated(known, today), said, said_on)


def say_automated_decision(
    session: TenantSession, firm_id: UUID, observed_on: date, *, is_allowed: bool
) -> AutomatedDecision:
    """Add that a firm allows or refuses automated decisions, known today, and return what holds now.

    Raises
    ------
    NotFound
        If there is no such firm.
    """
    row = {
        "firm_id": get_firm(session, firm_id).key,
        "observed_on": observed_on,
        "known_on": clock.today(),
        "person_id": None,
        "scope": "automated_decision",
        "purpose": PURPOSE,
        "is_given": is_allowed,
    }
    _add(session, "consent", [row])
    return automated_decision(session, firm_id)


def add_loan(session: TenantSession, firm_id: UUID, row: dict[str, Any]) -> Added:
    """Add a loan. Its number is the lender's own, one for the whole bank.

    Raises
    ------
    Conflict
        If the loan's id is taken by a loan of another content, or of another firm, within reach or not; or loans are
        being imported.
    """
    key = get_firm(session, firm_id).key
    if not repository.may_add_loan(session):
        raise Conflict("Loans are being imported, and no other is added meanwhile. Try again in a minute.")
    with reach.whole_population(session):
        taken = repository.find_loan(session, row["loan_id"])
    if taken is not None and taken.firm_id != firm_id:
        raise Conflict(f"The loan number '{row['loan_id']}' is taken. Loan numbers are unique in the whole bank.")
    added = _add(session, "loan", [{**row, "firm_id": key}])
    if taken is not None and added.added:
        raise Conflict(f"Loan '{row['loan_id']}' is there already, with other content.")
    return added


def get_loan(session: TenantSession, loan_id: str) -> LoanView:
    """Return a loan.

    Raises
    ------
    NotFound
        If there is no such loan.
    """
    loan = repository.find_loan(session, loan_id)
    if loan is None:
        raise NotFound("No loan has this id.")
    return LoanView(loan.loan_id, loan.firm_id, loan.product, loan.principal_fen, loan.matures_on)


def loan_owners(session: TenantSession, loan_ids: list[str], *, to_add: bool = False) -> dict[str, str]:
    """Return the key of the firm that each loan belongs to, of those that are known.

    Parameters
    ----------
    to_add
        Let nobody else add loans until the transaction ends.
    """
    if to_add:
        repository.lock_loans(session)
    return repository.loan_owners(session, loan_ids)


def add_repayment_status(session: TenantSession, loan_id: str, row: dict[str, Any]) -> tuple[UUID, Added]:
    """Add how a loan stood on a day, and return whose loan it is.

    Raises
    ------
    NotFound
        If there is no such loan.
    InvalidPayload
        If the day is before the loan's start.
    """
    loan = repository.find_loan(session, loan_id)
    if loan is None:
        raise NotFound("No loan has this id.")
    if row["observed_on"] < loan.observed_on:
        raise InvalidPayload(f"observed_on is before the loan's start, {loan.observed_on}.")
    key = repository.key_of(session, loan.firm_id)
    return loan.firm_id, _add(session, "repayment_status", [{**row, "loan_id": loan_id, "firm_id": key}])


def observe_person(session: TenantSession, firm_id: UUID, row: dict[str, Any]) -> Added:
    """Add what is now known about a person behind a firm."""
    return _add(session, "person", [{**row, "firm_id": get_firm(session, firm_id).key}])


def links_of(session: TenantSession, person_ids: Sequence[str]) -> list[Link]:
    """Return what people are to the firms within reach."""
    rows = repository.newest_links(session, person_ids)
    return [Link(**{field.name: getattr(row, field.name) for field in fields(Link)}) for row in rows]


def entered_at(session: TenantSession, person_ids: Sequence[str]) -> dict[str, datetime]:
    """Return when each person was first entered for a firm within reach."""
    return repository.first_ingested(session, person_ids)


def sees_all_of(session: TenantSession, person_id: str) -> bool:
    """Tell whether every firm of a person's is within reach."""
    within = {link.firm_id for link in links_of(session, [person_id])}
    with reach.whole_population(session):
        return within == {link.firm_id for link in links_of(session, [person_id])}


def withdraw(session: TenantSession, person_id: str) -> None:
    """Withdraw as of today whatever a person may have consented to of the use of its data, for every firm of its."""
    with reach.whole_population(session):
        given = repository.page_consents(session, person_id, None, None, None)
        subjects = {(row.firm_id, row.scope, row.purpose) for row in given if row.scope in SCOPES.values()}
        links = repository.newest_links(session, [person_id])
        subjects |= {(link.firm_id, scope, PURPOSE) for link in links for scope in SCOPES.values()}
        keys = repository.keys_of(session, {firm_id for firm_id, _, _ in subjects})
    today = clock.today()
    said = {"person_id": person_id, "is_given": False, "observed_on": today, "known_on": today}
    rows = [
        {**said, "firm_id": keys[firm_id], "scope": scope, "purpose": purpose}
        for firm_id, scope, purpose in sorted(subjects)
    ]
    if rows:
        _add(session, "consent", rows)


def list_people(session: TenantSession, firm_id: UUID, after: str | None, limit: int) -> list[str]:
    """Return the people of a firm whose pseudonyms have the form of our ids, in order, after one of them.

    Raises
    ------
    NotFound
        If there is no such firm within reach.
    """
    get_firm(session, firm_id)
    return repository.page_people(session, firm_id, after, limit)


def add_consent(session: TenantSession, firm_id: UUID, row: dict[str, Any]) -> Added:
    """Add what a person consented to or refused on a day."""
    return _add(session, "consent", [{**row, "firm_id": get_firm(session, firm_id).key}])


def list_consents(
    session: TenantSession, person_id: str, after: tuple[date, bytes] | None, limit: int
) -> list[ConsentView]:
    """Return a person's consents for the firms within reach, the oldest first."""
    rows = repository.page_consents(session, person_id, after, limit, None)
    return [ConsentView(**{field.name: getattr(row, field.name) for field in fields(ConsentView)}) for row in rows]


def has_consent(session: TenantSession, firm_id: UUID, person_id: str, scope: str) -> bool:
    """Tell whether a person's consent to a scope is in force today, for a firm."""
    rows = repository.page_consents(session, person_id, None, None, firm_id)
    known = [{**row.model_dump(), "firm_id": str(row.firm_id)} for row in rows if row.known_on <= clock.today()]
    return not consenting(pl.DataFrame(known, schema=KINDS["consent"].schema), scope).is_empty()


def has_withdrawal(session: TenantSession, firm_id: UUID, since: datetime) -> bool:
    """Tell whether, from an instant on, a person withdrew or refused the use of its data for a firm."""
    return repository.has_withdrawal(session, firm_id, since)


def people_of(session: TenantSession, firm_id: UUID) -> list[str]:
    """Return the people of a firm within reach whose pseudonyms have the form of our ids, in order."""
    return repository.page_people(session, firm_id, None, None)


def add_personal_record(session: TenantSession, firm_id: UUID, row: dict[str, Any]) -> Added:
    """Add a negative record of a person behind a firm; whether its use is consented to is the caller's to check."""
    return _add(session, "personal_record", [{**row, "firm_id": get_firm(session, firm_id).key}])


def read_inputs(
    session: TenantSession,
    as_of: date,
    first_key: str | None = None,
    last_key: str | None = None,
    kinds: tuple[str, ...] = tuple(INPUT_KINDS),
) -> Inputs:
    """Read what was known on a date about the firms with keys from ``first_key`` to ``last_key``, or about all."""
    return repository.read_inputs(session, as_of, clock.today(), kinds, (first_key, last_key))


def arrivals(session: TenantSession, as_of: date, days: int, periods: int) -> dict[str, list[int]]:
    """Return the rows that became known in each of some periods to a day, the last first, of the kinds of features.

    What no feature reads cannot fail a score; much of it comes once a year.
    """
    return {kind: repository.count_arrivals(session, kind, as_of, days, periods) for kind in INPUT_KINDS}


def impossible_balances(session: TenantSession, as_of: date) -> tuple[int, dict[str, int]]:
    """Return how many loans have a status, and of how many the newest balance cannot be, by what is wrong.

    ``above_principal``: more is owed than was lent; ``owed_after_end``: the loan is closed and something is owed;
    ``of_no_loan``: no loan of this number is known.
    """
    return repository.count_impossible(session, as_of)


def add_observation(session: TenantSession, kind: Kind, rows: pl.DataFrame) -> tuple[str, Added]:
    """Add one checked row of a kind, ``firm_id`` being the firm's key; return its content's hash in hexadecimal."""
    stage = Stage(session, kind)
    return stage.add(rows).item().removeprefix("\\x"), stage.insert(clock.now())


def list_observations(
    session: TenantSession,
    kind: Kind,
    *,
    firm_id: UUID | None,
    known_by: date | None,
    before: tuple[date, bytes] | None,
    limit: int,
) -> list[ObservationView]:
    """Return rows of a kind about a firm within reach, or about the lender's whole world, newest first.

    Raises
    ------
    NotFound
        If there is no such firm within reach.
    """
    if firm_id is not None:
        get_firm(session, firm_id)
    rows = repository.page_observations(session, kind, firm_id, known_by, before, limit)
    return [_observation(kind, row) for row in rows]


def documents_of(session: TenantSession, sha256: str) -> list[ObservationView]:
    """Return what is known of a document's file, by its hash, about firms within reach, newest first."""
    return [_observation(DOCUMENT, row) for row in repository.find_documents(session, sha256)]


def _observation(kind: Kind, row: Any) -> ObservationView:
    own = [name for name in kind.schema if name not in {"firm_id", "observed_on", "known_on"}]
    return ObservationView(
        firm_id=row.firm_id if kind.is_of_firms else None,
        content_sha256=row.content_sha256,
        observed_on=row.observed_on,
        known_on=row.known_on,
        ingested_at=row.ingested_at,
        values={name: getattr(row, name) for name in own},
    )


def add_inputs(session: TenantSession, inputs: Inputs, progress: Callable[[str, int, int], None]) -> dict[str, Added]:
    """Add observations of every kind that features read; firms that are new are registered."""
    return add_rows(session, inputs.frames(), progress)


def add_rows(
    session: TenantSession, frames: Mapping[str, pl.DataFrame], progress: Callable[[str, int, int], None]
) -> dict[str, Added]:
    """Add rows by the name of their kind; firms that have a row of kind ``firm`` and are new are registered."""
    now = clock.now()
    if "firm" in frames:
        register_firms(session, frames["firm"]["firm_id"])
    added = {}
    for done, (name, frame) in enumerate(frames.items()):
        progress(f"loading {frame.height:,} rows of kind {name}", done, len(frames))
        stage = Stage(session, KINDS[name])
        stage.add(frame)
        added[name] = stage.insert(now)
    return added


def count_known(session: TenantSession, kind: Kind, known_by: date) -> dict[str, int]:
    """Return how many rows of a kind the ledger gives out, by the keys of the firms within reach, in order of these.

    Of a kind that is of no firm: in all, under the empty key. It may give out fewer: of rows that are alike once what
    they may not tell is withheld, one.
    """
    counts = repository.count_rows(session, kind, known_by, clock.today())
    if not kind.is_of_firms:
        return counts
    ids = repository.read_ids(session, None, None)
    return {key: counts[str(firm_id)] for key, firm_id in ids if str(firm_id) in counts}


def read_known(session: TenantSession, kind: Kind, known_by: date, keys: Sequence[str]) -> pl.DataFrame:
    """Return what the ledger gives out of a kind, of some firms within reach, in the order of the kind's columns.

    As `read_inputs`, it withholds the rows of people who withdrew, and what lapsed records say (docs/adr/0016). Of
    records that are ``none`` since then, alike but for when they were known, the one known first is left: the ledger
    takes them for one row.
    """
    by_id = None
    if kind.is_of_firms:
        ids = firm_ids_of(tenant_of(session), keys)
        by_id = {str(UUID(hexed)): key for hexed, key in zip(ids, keys, strict=True)}
    rows = repository.read_rows(session, kind, known_by, clock.today(), by_id).sort(list(kind.schema))
    if kind is not PERSONAL_RECORD:
        return rows
    content = [name for name in kind.schema if name != "known_on"]
    return rows.unique(content, keep="first", maintain_order=True)


def _add(session: TenantSession, kind_name: str, rows: list[dict[str, Any]]) -> Added:
    kind = KINDS[kind_name]
    stage = Stage(session, kind)
    stage.add(pl.DataFrame(rows, schema=kind.schema))
    return stage.insert(clock.now())


def _views(session: TenantSession, firms: list[Firm]) -> list[FirmView]:
    seen = repository.newest_observations(session, [firm.id for firm in firms])
    names = ("name", "industry", "cluster", "place", "founded_on", "is_lead")
    return [
        FirmView(
            id=firm.id,
            key=firm.key,
            branch_id=firm.branch_id,
            version=firm.version,
            **{name: getattr(seen.get(firm.id), name, None) for name in names},
        )
        for firm in firms
    ]
