"""Routes of alerts."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from service.alerts import use_cases
from service.alerts.schemas import AcknowledgeIn, AlertOut, AlertsOut
from service.errors import CHANGING, responses
from service.identity.guard import Acting
from service.kit.etag import IfMatch, tag
from service.kit.http import Session
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of

router = APIRouter(prefix="/v1", tags=["alerts"])
AlertId = Annotated[UUID, Path(description="Id of an alert.", examples=["9f1c1d7e-3b7e-4d0b-8a51-1f2f3a4b5c6d"])]


@router.get("/alerts", responses=responses(), summary="List alerts")
def get_alerts(
    session: Session,
    is_acknowledged: Annotated[bool | None, Query(description="Only those seen, or only those not.")] = None,
    is_withdrawn: Annotated[
        bool | None,
        Query(description="True: those that a run raised which was rolled back since, instead of those that hold."),
    ] = None,
    firm_id: Annotated[UUID | None, Query(description="Only those of one firm.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_SIZE,
) -> AlertsOut:
    """Return a page of alerts, newest first."""
    before = decode_place(cursor)
    found = use_cases.list_alerts(
        session,
        is_acknowledged=is_acknowledged,
        is_withdrawn=bool(is_withdrawn),
        firm_id=firm_id,
        before=before,
        limit=limit + 1,
    )
    alerts, following = cut(found, limit, lambda alert: place_of(alert.raised_at, alert.id))
    return AlertsOut(items=[AlertOut.of(alert) for alert in alerts], next=following)


@router.get("/alerts/{alert_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show an alert")
def get_alert(session: Session, response: Response, alert_id: AlertId) -> AlertOut:
    """Return an alert."""
    alert = use_cases.get_alert(session, alert_id)
    tag(response, alert.version)
    return AlertOut.of(alert)


@router.post("/alerts/{alert_id}/acknowledge", responses=responses(*CHANGING), summary="Acknowledge an alert")
def post_acknowledge(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, alert_id: AlertId, body: AcknowledgeIn
) -> AlertOut:
    """Note who has seen the alert; the first to do so stays on record."""
    alert = use_cases.acknowledge(session, alert_id, actor.name, body.note, precondition)
    tag(response, alert.version)
    return AlertOut.of(alert)
