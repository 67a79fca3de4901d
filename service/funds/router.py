"""Routes of guarantee funds: what a bank grants and notes, and what a fund sees."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from service.errors import CHANGING, CREATING, InvalidPayload, responses
from service.funds import use_cases
from service.funds.schemas import (
    BankSumOut,
    BookLoanOut,
    BookOut,
    BookSummaryOut,
    GrantIn,
    GrantOut,
    GrantsOut,
    GuaranteeIn,
    GuaranteeOut,
    GuaranteePatch,
    GuaranteesOut,
)
from service.identity.guard import Acting
from service.kit.etag import IfMatch, tag
from service.kit.http import Code, Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import NOT_OURS, PAGE_SIZE, Cursor, Limit, cut, decode, decode_place, place_of

router = APIRouter(prefix="/v1", tags=["funds"])
GrantId = Annotated[UUID, Path(description="Id of a grant.", examples=["d2f1a0b3-4c5d-4e6f-8a9b-0c1d2e3f4a5b"])]
GuaranteeId = Annotated[UUID, Path(description="Id of a guarantee.", examples=["2c9a4f0e-7b1d-4c6e-9f3a-8e5d1b2a7c33"])]
LoanId = Annotated[Code, Path(description="The lender's own number of the loan.", examples=["L-2024-000123"])]
BankId = Annotated[UUID, Path(description="Id of the bank.", examples=["5b3e1f6e-9a52-5d0b-8a0e-3f1c2d4e5f60"])]


@router.post(
    "/guarantee-grants",
    status_code=HTTPStatus.CREATED,
    response_model=GrantOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Let a fund see the loans that it guarantees",
)
def post_grant(session: Session, actor: Acting, once: OnceOnly, body: GrantIn) -> Response:
    """Grant a fund its view: key and name of the borrower, limit, PD, grade and reason families, of its own loans."""
    return once.answer(session, lambda: GrantOut.of(use_cases.grant_view(session, body.fund, actor.name)))


@router.get("/guarantee-grants", responses=responses(), summary="List grants to funds")
def get_grants(session: Session, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> GrantsOut:
    """Return a page of grants, the oldest first, those that ended included."""
    grants, following = cut(
        use_cases.list_grants(session, decode_place(cursor), limit + 1),
        limit,
        lambda grant: place_of(grant.granted_at, grant.id),
    )
    return GrantsOut(items=[GrantOut.of(grant) for grant in grants], next=following)


@router.get("/guarantee-grants/{grant_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a grant to a fund")
def get_grant(session: Session, response: Response, grant_id: GrantId) -> GrantOut:
    """Return a grant."""
    grant = use_cases.get_grant(session, grant_id)
    tag(response, grant.version)
    return GrantOut.of(grant)


@router.delete("/guarantee-grants/{grant_id}", responses=responses(*CHANGING), summary="End a grant to a fund")
def delete_grant(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, grant_id: GrantId
) -> GrantOut:
    """End a grant at once; it stays in the list. The guarantees stay, unseen by the fund."""
    grant = use_cases.end_grant(session, grant_id, actor.name, precondition)
    tag(response, grant.version)
    return GrantOut.of(grant)


@router.post(
    "/loans/{loan_id}/guarantees",
    status_code=HTTPStatus.CREATED,
    response_model=GuaranteeOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Note that a fund guarantees a loan",
)
def post_guarantee(session: Session, actor: Acting, once: OnceOnly, loan_id: LoanId, body: GuaranteeIn) -> Response:
    """Add a fund's guarantee of a loan. While it is in force and the grant lives, the fund sees the loan."""

    def act() -> GuaranteeOut:
        view = use_cases.add_guarantee(
            session, loan_id, body.fund, body.terms(), actor.name, is_until_maturity=body.is_until_maturity
        )
        return GuaranteeOut.of(view)

    return once.answer(session, act)


@router.get(
    "/loans/{loan_id}/guarantees", responses=responses(HTTPStatus.NOT_FOUND), summary="List the guarantees of a loan"
)
def get_guarantees(session: Session, loan_id: LoanId, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> GuaranteesOut:
    """Return a page of a loan's guarantees, the oldest first, those that ended included."""
    views, following = cut(
        use_cases.list_guarantees(session, loan_id, decode_place(cursor), limit + 1),
        limit,
        lambda view: place_of(view.guarantee.created_at, view.guarantee.id),
    )
    return GuaranteesOut(items=[GuaranteeOut.of(view) for view in views], next=following)


@router.get("/guarantees/{guarantee_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a guarantee")
def get_guarantee(session: Session, response: Response, guarantee_id: GuaranteeId) -> GuaranteeOut:
    """Return a guarantee."""
    view = use_cases.get_guarantee(session, guarantee_id)
    tag(response, view.guarantee.version)
    return GuaranteeOut.of(view)


@router.patch(
    "/guarantees/{guarantee_id}",
    responses=responses(*CHANGING, HTTPStatus.CONFLICT),
    summary="Set when a guarantee ends",
)
def patch_guarantee(
    session: Session, response: Response, precondition: IfMatch, guarantee_id: GuaranteeId, body: GuaranteePatch
) -> GuaranteeOut:
    """Let a guarantee end on a day, or never. Its other terms do not change: end it, and add another."""
    view = use_cases.change_end(session, guarantee_id, body.ends_on, precondition)
    tag(response, view.guarantee.version)
    return GuaranteeOut.of(view)


@router.get("/book", responses=responses(), summary="List the loans that the fund guarantees")
def get_book(
    session: Session,
    bank_id: Annotated[UUID | None, Query(description="Only those of one bank.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_SIZE,
) -> BookOut:
    """Return a page of the loans whose guarantee is in force today, at the banks that let the fund look."""
    loans, following = cut(
        use_cases.list_book(session, bank_id, _decode(cursor), limit + 1),
        limit,
        lambda loan: [str(loan.bank_id), loan.loan_id, str(loan.guarantee_id)],
    )
    return BookOut(items=[BookLoanOut.of(loan) for loan in loans], next=following)


@router.get("/book/summary", responses=responses(), summary="Sum up the fund's book")
def get_book_summary(session: Session) -> BookSummaryOut:
    """Return loans, guaranteed amount and mean PD at each bank that lets the fund look."""
    return BookSummaryOut(banks=[BankSumOut.of(bank) for bank in use_cases.summarise_book(session)])


@router.get(
    "/book/{bank_id}/{loan_id}",
    responses=responses(HTTPStatus.NOT_FOUND),
    summary="Show a loan that the fund guarantees",
)
def get_book_loan(session: Session, bank_id: BankId, loan_id: LoanId) -> BookLoanOut:
    """Return a loan whose guarantee is in force today."""
    return BookLoanOut.of(use_cases.get_book_loan(session, bank_id, loan_id))


def _decode(cursor: str | None) -> tuple[UUID, str, UUID] | None:
    if cursor is None:
        return None
    bank_id, loan_id, guarantee_id = decode(cursor, 3)
    try:
        return UUID(bank_id), loan_id, UUID(guarantee_id)
    except ValueError:
        raise InvalidPayload(NOT_OURS) from None
