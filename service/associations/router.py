"""Routes of acts of associations and peer reports."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from service.associations import use_cases
from service.associations.schemas import (
    AssociationActIn,
    AssociationActOut,
    AssociationActsOut,
    PeerReportIn,
    PeerReportOut,
    PeerReportsOut,
)
from service.associations.use_cases import ACTS, REPORTS, EntryView
from service.errors import CHANGING, CREATING, responses
from service.firms.schemas import FirmKey
from service.identity.guard import Acting
from service.kit.etag import IfMatch, tag
from service.kit.http import Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of

router = APIRouter(prefix="/v1", tags=["associations"])
ActId = Annotated[UUID, Path(description="Id of an act.", examples=["6c0f2b1e-4d3a-4e8f-8a7b-0b5c9d1e2f01"])]
ReportId = Annotated[UUID, Path(description="Id of a report.", examples=["8e1d3c2f-5b4a-4f9e-9b8c-1c6d0e2f3a01"])]
OfFirm = Annotated[FirmKey | None, Query(description="Only those about the firm of this key.")]


@router.post(
    "/association-acts",
    status_code=HTTPStatus.CREATED,
    response_model=AssociationActOut,
    responses=responses(*CREATING),
    summary="Enter an act of an association",
)
def post_act(session: Session, actor: Acting, once: OnceOnly, body: AssociationActIn) -> Response:
    """Add what an association did about a member: it stays as it was entered."""
    return once.answer(
        session, lambda: AssociationActOut.of(use_cases.enter_act(session, actor, body.firm_key, body.row()))
    )


@router.get("/association-acts", responses=responses(), summary="List acts of associations")
def get_acts(
    session: Session, firm_key: OfFirm = None, cursor: Cursor = None, limit: Limit = PAGE_SIZE
) -> AssociationActsOut:
    """Return a page of acts, newest first."""
    found = use_cases.list_entries(session, ACTS, firm_key, decode_place(cursor), limit + 1)
    views, following = cut(found, limit, _place_of)
    return AssociationActsOut(items=[AssociationActOut.of(view) for view in views], next=following)


@router.get("/association-acts/{act_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show an act")
def get_act(session: Session, act_id: ActId) -> AssociationActOut:
    """Return an act."""
    return AssociationActOut.of(use_cases.get_act(session, act_id))


@router.post(
    "/peer-reports",
    status_code=HTTPStatus.CREATED,
    response_model=PeerReportOut,
    responses=responses(*CREATING),
    summary="Enter a peer report",
)
def post_report(session: Session, actor: Acting, once: OnceOnly, body: PeerReportIn) -> Response:
    """Add what one firm says of another. It moves no score; verifying it takes a second person."""
    return once.answer(
        session, lambda: PeerReportOut.of(use_cases.enter_report(session, actor, body.firm_key, body.row()))
    )


@router.get("/peer-reports", responses=responses(), summary="List peer reports")
def get_reports(
    session: Session, firm_key: OfFirm = None, cursor: Cursor = None, limit: Limit = PAGE_SIZE
) -> PeerReportsOut:
    """Return a page of reports, newest first."""
    found = use_cases.list_entries(session, REPORTS, firm_key, decode_place(cursor), limit + 1)
    views, following = cut(found, limit, _place_of)
    return PeerReportsOut(items=[PeerReportOut.of(view) for view in views], next=following)


@router.get("/peer-reports/{report_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a peer report")
def get_report(session: Session, response: Response, report_id: ReportId) -> PeerReportOut:
    """Return a report."""
    view = use_cases.get_report(session, report_id)
    tag(response, view.row.version)
    return PeerReportOut.of(view)


@router.post(
    "/peer-reports/{report_id}/verify",
    responses=responses(*CHANGING, HTTPStatus.CONFLICT),
    summary="Verify a peer report",
)
def post_verify(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, report_id: ReportId
) -> PeerReportOut:
    """Take note that a report was found to be true, by somebody other than who entered it."""
    view = use_cases.verify(session, actor, report_id, precondition)
    tag(response, view.row.version)
    return PeerReportOut.of(view)


def _place_of(view: EntryView[Any]) -> list[str]:
    return place_of(view.row.ingested_at, view.row.id)
