"""Routes of scores."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from service.errors import CREATING, responses
from service.identity.access import CHECKING
from service.identity.guard import Acting
from service.kit import clock
from service.kit.http import Code, Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of
from service.scoring import use_cases
from service.scoring.schemas import PlanOut, ScoreOut, ScoreRequest, ScoresOut

router = APIRouter(prefix="/v1", tags=["scores"])
ScoreId = Annotated[UUID, Path(description="Id of a score.", examples=["3b0e9a3e-2f0d-4a57-8a63-0f7f2a9b7c01"])]
FirmId = Annotated[UUID, Path(description="Id of a firm.", examples=["0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11"])]


@router.post(
    "/scores",
    status_code=HTTPStatus.CREATED,
    response_model=ScoreOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Score a firm",
)
def post_score(session: Session, actor: Acting, once: OnceOnly, body: ScoreRequest) -> Response:
    """Score a firm with the product's live model, from what was known on `as_of`, and keep the score.

    A firm of which too little is known is refused: 422, `insufficient-data`, with `missing`.
    """
    as_of = body.as_of or clock.today()
    return once.answer(
        session,
        lambda: ScoreOut.of(use_cases.score_firm(session, body.firm_id, body.product, as_of, actor.name)),
    )


@router.get("/scores/{score_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a score")
def get_score(session: Session, actor: Acting, score_id: ScoreId) -> ScoreOut:
    """Return a score as it was given; one of a run that was never published only to those who check runs."""
    return ScoreOut.of(use_cases.get_score(session, score_id, even_unpublished=actor.role in CHECKING))


@router.get("/firms/{firm_id}/scores", responses=responses(HTTPStatus.NOT_FOUND), summary="List a firm's scores")
def get_firm_scores(
    session: Session,
    firm_id: FirmId,
    product: Annotated[Code | None, Query(description="Code of a loan product; all if not given.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_SIZE,
) -> ScoresOut:
    """Return a page of a firm's scores, newest first."""
    views, following = cut(
        use_cases.list_scores(session, firm_id, product, decode_place(cursor), limit + 1),
        limit,
        lambda view: place_of(view.score.scored_at, view.score.id),
    )
    return ScoresOut(items=[ScoreOut.of(view) for view in views], next=following)


@router.get(
    "/firms/{firm_id}/plan",
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    summary="Show what would lift a firm by one grade",
)
def get_plan(
    session: Session,
    firm_id: FirmId,
    product: Annotated[Code, Query(description="Code of a loan product.", examples=["credit-score"])],
) -> PlanOut:
    """Return the smallest changes that lift the firm to the next better grade, by the model of its current score.

    Only what a firm can act on is moved, all else equal; every figure is the model's own prediction. A firm in
    default must cure it first: 409.
    """
    return PlanOut.of(use_cases.plan_firm(session, firm_id, product))
