"""Routes of kinds, of observations one by one, and of questionnaires."""

from datetime import date
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query, Response

from features.instruments import INSTRUMENTS
from features.kinds import KINDS
from service.errors import CREATING, InvalidPayload, NotFound, responses
from service.kit.http import AnyDay, Code, Session, one_of
from service.kit.idempotency import OnceOnly
from service.kit.paging import NOT_OURS, PAGE_SIZE, Cursor, Limit, cut, decode
from service.observations import use_cases
from service.observations.schemas import (
    EXAMPLES,
    InstrumentOut,
    InstrumentsOut,
    KindOut,
    KindsOut,
    ObservationIn,
    ObservationOut,
    ObservationsOut,
    ObservedOut,
    facts_of,
)
from service.observations.use_cases import READ

router = APIRouter(prefix="/v1", tags=["observations"])
_SHOWN: Any = {name: {"value": EXAMPLES[name]} for name in ("event", "utility_bill")}
"""Each kind's own shape has an example, too."""


def _place(cursor: str | None) -> tuple[date, bytes] | None:
    if cursor is None:
        return None
    day, digest = decode(cursor, 2)
    try:
        return date.fromisoformat(day), bytes.fromhex(digest)
    except ValueError:
        raise InvalidPayload(NOT_OURS) from None


@router.get("/kinds", responses=responses(), summary="List the kinds of observations")
def get_kinds() -> KindsOut:
    """Return every kind with its layout: columns, limits, rules, examples, in both languages."""
    return KindsOut(items=list(map(KindOut.of, KINDS.values())))


@router.get("/kinds/{kind}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a kind of observations")
def get_kind(kind: Annotated[Code, Path(description="Name of a kind.", examples=["event"])]) -> KindOut:
    """Return a kind with its layout."""
    return KindOut.of(use_cases.kind_of(kind))


@router.post(
    "/observations",
    status_code=HTTPStatus.CREATED,
    response_model=ObservedOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Add an observation",
)
def post_observation(
    session: Session, once: OnceOnly, body: Annotated[ObservationIn, Body(openapi_examples=_SHOWN)]
) -> Response:
    """Add one row of a kind, checked as an import checks it: sent here or in a file, it is the same row, once.

    `firm_id` is the firm's id, a UUID that `GET /v1/firms` shows, and not its key. A loan or document that the row
    names need not be known. Where a rule is broken, the error has the value, the reason and the remedy in English and
    Chinese. A kind that is about no firm is added by who reaches every firm. Not here: firms, invoices, loans and
    their statuses, people, consents and personal records, documents, which have routes of their own.
    """
    kind, firm_id, values = facts_of(body)
    return once.answer(session, lambda: ObservedOut.of(use_cases.observe(session, kind, firm_id, values)))


@router.get("/observations", responses=responses(HTTPStatus.NOT_FOUND), summary="List observations of a kind")
def get_observations(
    session: Session,
    kind: Annotated[
        str,
        one_of(READ),
        Query(description="Kind of the rows.", examples=["event"], json_schema_extra={"enum": list(READ)}),
    ],
    firm_id: Annotated[UUID | None, Query(description="The firm; needed unless the kind is about no firm.")] = None,
    known_by: Annotated[AnyDay | None, Query(description="Only what the lender could know on this day.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_SIZE,
) -> ObservationsOut:
    """Return a page of rows of a kind, about a firm within reach or about none, the newest first.

    Not here: people, consents and personal records. What a person consented to decides on what may be read of it
    (docs/adr/0016), so these have routes of their own.
    """
    found = use_cases.list_observations(
        session, KINDS[kind], firm_id=firm_id, known_by=known_by, before=_place(cursor), limit=limit + 1
    )
    views, following = cut(found, limit, lambda view: [str(view.observed_on), view.content_sha256.hex()])
    return ObservationsOut(items=list(map(ObservationOut.of, views)), next=following)


@router.get("/instruments", responses=responses(), summary="List the questionnaires")
def get_instruments() -> InstrumentsOut:
    """Return the questionnaires whose answers are observations of kinds soft_assessment and digital_maturity."""
    return InstrumentsOut(items=list(map(InstrumentOut.of, INSTRUMENTS.values())))


@router.get("/instruments/{name}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a questionnaire")
def get_instrument(
    name: Annotated[Code, Path(description="Name of a questionnaire, with its version.", examples=["soft-1"])],
) -> InstrumentOut:
    """Return a questionnaire: questions, and the behaviour that anchors each scale, in both languages."""
    if name not in INSTRUMENTS:
        raise NotFound(f"There is no questionnaire of this name. There are: {', '.join(INSTRUMENTS)}.")
    return InstrumentOut.of(INSTRUMENTS[name])
