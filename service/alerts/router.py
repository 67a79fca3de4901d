"""Routes of alerts."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query

from service.alerts import use_cases
from service.alerts.schemas import AcknowledgeIn, AlertOut, AlertsOut
from service.errors import responses
from service.identity.router import Reader, Writer
from service.kit.http import Session
from service.kit.paging import PAGE_SIZE, Cursor, Limit, decode_place, encode_place

router = APIRouter(prefix="/v1", tags=["alerts"])
AlertId = Annotated[UUID, Path(description="Id of an alert.", examples=["9f1c1d7e-3b7e-4d0b-8a51-1f2f3a4b5c6d"])]


@router.get("/alerts", responses=responses(), summary="List alerts")
def get_alerts(
    session: Session,
    _: Reader,
    is_acknowledged: Annotated[bool | None, Query(description="Only those seen, or only those not.")] = None,
    firm_id: Annotated[UUID | None, Query(description="Only those of one firm.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_SIZE,
) -> AlertsOut:
    """Return a page of alerts, newest first."""
    before = decode_place(cursor)
    alerts = use_cases.list_alerts(
        session, is_acknowledged=is_acknowledged, firm_id=firm_id, before=before, limit=limit
    )
    last = alerts[-1] if len(alerts) == limit else None
    following = None if last is None else encode_place(last.raised_at, last.id)
    return AlertsOut(items=[AlertOut.of(alert) for alert in alerts], next=following)


@router.post(
    "/alerts/{alert_id}/acknowledge",
    responses=responses(HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    summary="Acknowledge an alert",
)
def post_acknowledge(session: Session, actor: Writer, alert_id: AlertId, body: AcknowledgeIn) -> AlertOut:
    """Note that the key's holder has seen the alert; doing it again changes nothing."""
    return AlertOut.of(use_cases.acknowledge(session, alert_id, actor.name, body.note))
