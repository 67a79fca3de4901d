"""A bank grants a guarantee fund its view and ends it; the fund sees the loans that it guarantees, and no others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from service.errors import Conflict, InvalidPayload, NotFound
from service.firms.use_cases import LoanView, get_loan
from service.funds import repository
from service.funds.tables import FundGuarantee, GuaranteeGrant
from service.identity.use_cases import find_fund
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.kit.etag import Precondition, save

Place = tuple[datetime, UUID]


@dataclass(frozen=True)
class Terms:
    """What a fund guarantees of a loan, and when; both days are within it."""

    coverage: Decimal
    cap_fen: int | None
    starts_on: date
    ends_on: date | None


@dataclass(frozen=True)
class GuaranteeView:
    """A guarantee, and the name of the fund that gives it."""

    guarantee: FundGuarantee
    fund: str


@dataclass(frozen=True)
class BookLoan:
    """A loan as the fund that guarantees it may see it; the last five are None where its product has no score."""

    bank_id: UUID
    bank: str
    guarantee_id: UUID
    loan_id: str
    product: str
    firm_key: str
    firm_name: str | None
    principal_fen: int
    coverage: Decimal
    guaranteed_fen: int
    starts_on: date
    ends_on: date | None
    pd: float | None
    pd_basis: str | None
    grade: str | None
    as_of: date | None
    reason_families: list[str] | None


@dataclass(frozen=True)
class BankSum:
    """A fund's loans at one bank; ``pd`` is the mean over those scored, each with the weight of what is guaranteed."""

    bank_id: UUID
    bank: str
    loans: int
    scored: int
    guaranteed_fen: int
    pd: float | None


def grant_view(session: TenantSession, fund: str, actor: str) -> GuaranteeGrant:
    """Let a fund see the loans that it guarantees, from now on.

    Raises
    ------
    NotFound
        If there is no fund of this name.
    Conflict
        If it sees them already.
    """
    fund_id = find_fund(session, fund)
    row = {
        "tenant_id": tenant_of(session),
        "id": clock.new_id(),
        "fund_id": fund_id,
        "fund": fund,
        "granted_at": clock.now(),
        "granted_by": actor,
        "version": 1,
    }
    grant = repository.insert_grant(session, row)
    if grant is None:
        raise Conflict(f"'{fund}' has a live grant already.")
    return grant


def get_grant(session: TenantSession, grant_id: UUID, *, for_update: bool = False) -> GuaranteeGrant:
    """Return a grant.

    Raises
    ------
    NotFound
        If the bank has made no such grant.
    """
    grant = repository.find_grant(session, grant_id, for_update=for_update)
    if grant is None:
        raise NotFound("No grant has this id.")
    return grant


def list_grants(session: TenantSession, after: Place | None, limit: int) -> list[GuaranteeGrant]:
    """Return grants, the oldest first, those that ended included."""
    return repository.page_grants(session, after, limit)


def end_grant(session: TenantSession, grant_id: UUID, actor: str, precondition: Precondition) -> GuaranteeGrant:
    """End a grant: from the next request on the fund sees nothing of the bank's.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such grant, or it is no longer what it was.
    """
    grant = get_grant(session, grant_id, for_update=True)
    precondition.check(grant)
    if grant.ended_at is None:
        grant.ended_at, grant.ended_by = clock.now(), actor
        save(session, grant)
    return grant


def add_guarantee(
    session: TenantSession, loan_id: str, fund: str, terms: Terms, actor: str, *, is_until_maturity: bool = False
) -> GuaranteeView:
    """Note that a fund guarantees a loan; until the loan matures, if so and if that day is known.

    Raises
    ------
    NotFound
        If there is no such loan within reach, or no such fund.
    InvalidPayload
        If the loan matures before the guarantee starts.
    Conflict
        If the fund has no live grant, or guarantees the loan already on one of these days.
    """
    loan, fund_id = get_loan(session, loan_id), find_fund(session, fund)
    if not repository.is_live(session, fund_id):
        raise Conflict(f"'{fund}' has no live grant. A risk manager makes one first: POST /v1/guarantee-grants.")
    if is_until_maturity:
        terms = replace(terms, ends_on=_maturity(loan, terms.starts_on))
    guarantee = FundGuarantee(
        tenant_id=tenant_of(session),
        firm_id=loan.firm_id,
        id=clock.new_id(),
        loan_id=loan_id,
        product=loan.product,
        fund_id=fund_id,
        **vars(terms),
        created_at=clock.now(),
        created_by=actor,
    )
    _check_overlap(session, guarantee)
    session.add(guarantee)
    session.flush()
    return GuaranteeView(guarantee, fund)


def _maturity(loan: LoanView, starts_on: date) -> date | None:
    if loan.matures_on is not None and loan.matures_on < starts_on:
        raise InvalidPayload(f"The loan matures on {loan.matures_on}, before starts_on. Give ends_on.")
    return loan.matures_on


def get_guarantee(session: TenantSession, guarantee_id: UUID) -> GuaranteeView:
    """Return a guarantee.

    Raises
    ------
    NotFound
        If there is no such guarantee of a firm within reach.
    """
    return _views(session, [_find(session, guarantee_id, for_update=False)])[0]


def list_guarantees(session: TenantSession, loan_id: str, after: Place | None, limit: int) -> list[GuaranteeView]:
    """Return the guarantees of a loan, the oldest first, those that ended included.

    Raises
    ------
    NotFound
        If there is no such loan within reach.
    """
    loan = get_loan(session, loan_id)
    return _views(session, repository.page_guarantees(session, loan.firm_id, loan_id, after, limit))


def change_end(
    session: TenantSession, guarantee_id: UUID, ends_on: date | None, precondition: Precondition
) -> GuaranteeView:
    """Let a guarantee end on a day, or never; on the day before it starts, and it never was in force.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such guarantee, or it is no longer what it was.
    InvalidPayload
        If the day is too early.
    Conflict
        If the fund guarantees the loan on one of the days anyhow.
    """
    guarantee = _find(session, guarantee_id, for_update=True)
    precondition.check(guarantee)
    if ends_on is not None and ends_on < guarantee.starts_on - timedelta(days=1):
        raise InvalidPayload(f"ends_on is more than a day before the guarantee starts, {guarantee.starts_on}.")
    guarantee.ends_on = ends_on
    with session.no_autoflush:
        _check_overlap(session, guarantee)
    save(session, guarantee)
    return _views(session, [guarantee])[0]


def list_book(
    session: TenantSession, bank_id: UUID | None, after: tuple[UUID, str, UUID] | None, limit: int
) -> list[BookLoan]:
    """Return the loans that the session's fund guarantees, of one bank or of all, by bank and loan."""
    rows = repository.page_book(session, bank_id=bank_id, after=after, limit=limit)
    return [BookLoan(**row._asdict()) for row in rows]


def get_book_loan(session: TenantSession, bank_id: UUID, loan_id: str) -> BookLoan:
    """Return one loan that the session's fund guarantees.

    Raises
    ------
    NotFound
        If the fund does not guarantee such a loan now, or may not see it.
    """
    rows = repository.page_book(session, bank_id=bank_id, loan_id=loan_id, limit=1)
    if not rows:
        raise NotFound("You guarantee no such loan now, or the bank does not let you see it.")
    return BookLoan(**rows[0]._asdict())


def summarise_book(session: TenantSession) -> list[BankSum]:
    """Return the sums of the session's fund at each bank that lets it look, by the bank's name."""
    return [BankSum(**row._asdict()) for row in repository.read_summary(session)]


def _find(session: TenantSession, guarantee_id: UUID, *, for_update: bool) -> FundGuarantee:
    guarantee = repository.find_guarantee(session, guarantee_id, for_update=for_update)
    if guarantee is None:
        raise NotFound("No guarantee has this id.")
    return guarantee


def _check_overlap(session: TenantSession, guarantee: FundGuarantee) -> None:
    repository.lock_guarantees(session, guarantee.fund_id, guarantee.loan_id)
    other = repository.find_overlapping(session, guarantee)
    if other is not None:
        until = "on" if other.ends_on is None else f"to {other.ends_on}"
        raise Conflict(f"The fund guarantees this loan already, from {other.starts_on} {until}: guarantee {other.id}.")


def _views(session: TenantSession, guarantees: Sequence[FundGuarantee]) -> list[GuaranteeView]:
    names = repository.fund_names(session, [guarantee.fund_id for guarantee in guarantees])
    return [GuaranteeView(guarantee, names[guarantee.fund_id]) for guarantee in guarantees]
