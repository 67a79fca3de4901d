"""Routes of firms and what is observed about them."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from service.errors import CHANGING, CREATING, responses
from service.firms import use_cases
from service.firms.schemas import (
    AddedOut,
    FirmIn,
    FirmOut,
    FirmPatch,
    FirmsOut,
    InvoicesIn,
    LoanIn,
    LoanOut,
    RepaymentStatusIn,
    RepaymentStatusOut,
)
from service.kit.etag import IfMatch, tag
from service.kit.http import Code, Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode

router = APIRouter(prefix="/v1", tags=["firms"])
FirmId = Annotated[UUID, Path(description="Id of a firm.", examples=["0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11"])]
LoanId = Annotated[Code, Path(description="The lender's own number of the loan.", examples=["L-2024-000123"])]


@router.post(
    "/firms",
    status_code=HTTPStatus.CREATED,
    response_model=FirmOut,
    responses=responses(*CREATING),
    summary="Add a firm, or what is newly known about it",
)
def post_firm(session: Session, once: OnceOnly, body: FirmIn) -> Response:
    """Register the firm unless its key is known, and add the observation to the ledger."""
    return once.answer(session, lambda: FirmOut.of(use_cases.observe_firm(session, body.row())[0]))


@router.get("/firms", responses=responses(), summary="List firms by key")
def get_firms(session: Session, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> FirmsOut:
    """Return a page of firms, as newest known."""
    after = None if cursor is None else decode(cursor, 1)[0]
    firms, following = cut(use_cases.list_firms(session, after, limit + 1), limit, lambda firm: [firm.key])
    return FirmsOut(items=[FirmOut.of(firm) for firm in firms], next=following)


@router.get("/firms/{firm_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a firm")
def get_firm(session: Session, response: Response, firm_id: FirmId) -> FirmOut:
    """Return a firm, as newest known."""
    firm = use_cases.get_firm(session, firm_id)
    tag(response, firm.version)
    return FirmOut.of(firm)


@router.patch("/firms/{firm_id}", responses=responses(*CHANGING), summary="Hand a firm over to a branch")
def patch_firm(
    session: Session, response: Response, precondition: IfMatch, firm_id: FirmId, body: FirmPatch
) -> FirmOut:
    """Let another branch look after the firm, or none."""
    firm = use_cases.assign_firm(session, firm_id, body.branch_id, precondition)
    tag(response, firm.version)
    return FirmOut.of(firm)


@router.post(
    "/firms/{firm_id}/invoices",
    status_code=HTTPStatus.CREATED,
    response_model=AddedOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Add up to 10,000 invoices of a firm",
)
def post_invoices(session: Session, once: OnceOnly, firm_id: FirmId, body: InvoicesIn) -> Response:
    """Add invoices, all or none. One whose content is known already is counted and left as it was."""
    rows = [invoice.row() for invoice in body.invoices]
    return once.answer(session, lambda: AddedOut.of(use_cases.add_invoices(session, firm_id, rows)))


@router.post(
    "/loans",
    status_code=HTTPStatus.CREATED,
    response_model=LoanOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Add a loan",
)
def post_loan(session: Session, once: OnceOnly, body: LoanIn) -> Response:
    """Add a loan of a firm."""

    def act() -> LoanOut:
        added = use_cases.add_loan(session, body.firm_id, body.row())
        return LoanOut(id=body.loan_id, firm_id=body.firm_id, added=added.added)

    return once.answer(session, act)


@router.post(
    "/loans/{loan_id}/status",
    status_code=HTTPStatus.CREATED,
    response_model=RepaymentStatusOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Add how a loan stood on a day",
)
def post_repayment_status(session: Session, once: OnceOnly, loan_id: LoanId, body: RepaymentStatusIn) -> Response:
    """Add a repayment status; more than 90 days past due, or a default event, is a default."""

    def act() -> RepaymentStatusOut:
        firm_id, added = use_cases.add_repayment_status(session, loan_id, body.row())
        return RepaymentStatusOut(loan_id=loan_id, firm_id=firm_id, added=added.added)

    return once.answer(session, act)
