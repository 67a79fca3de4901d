"""Routes of reviews, and of what firms say of automated decisions."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from service.errors import CHANGING, CREATING, responses
from service.identity.guard import Acting
from service.kit.etag import IfMatch, tag
from service.kit.http import Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of
from service.reviews import use_cases
from service.reviews.schemas import (
    AutomatedDecisionIn,
    AutomatedDecisionOut,
    DecisionIn,
    ReviewIn,
    ReviewOut,
    ReviewsOut,
)
from service.reviews.use_cases import State

router = APIRouter(prefix="/v1", tags=["reviews"])
FirmId = Annotated[UUID, Path(description="Id of a firm.", examples=["0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11"])]
ReviewId = Annotated[UUID, Path(description="Id of a review.", examples=["2f6a1c9e-8d0b-4f7a-9b3c-5e1d7c2a4b01"])]


@router.post(
    "/firms/{firm_id}/reviews",
    status_code=HTTPStatus.CREATED,
    response_model=ReviewOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Ask for a person's decision",
)
def post_review(session: Session, actor: Acting, once: OnceOnly, firm_id: FirmId, body: ReviewIn) -> Response:
    """Open a review of a firm and product; one may be open at a time."""
    return once.answer(
        session, lambda: ReviewOut.of(use_cases.open_review(session, actor, firm_id, body.request()), actor)
    )


@router.get("/reviews", responses=responses(), summary="List reviews")
def get_reviews(
    session: Session,
    actor: Acting,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    firm_id: Annotated[UUID | None, Query(description="Only those of one firm.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_SIZE,
) -> ReviewsOut:
    """Return a page of reviews, the longest waiting first."""
    after = decode_place(cursor)
    reviews, following = cut(
        use_cases.list_reviews(session, state=state, firm_id=firm_id, after=after, limit=limit + 1),
        limit,
        lambda review: place_of(review.opened_at, review.id),
    )
    return ReviewsOut(items=[ReviewOut.of(review, actor) for review in reviews], next=following)


@router.get("/reviews/{review_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a review")
def get_review(session: Session, response: Response, actor: Acting, review_id: ReviewId) -> ReviewOut:
    """Return a review."""
    review = use_cases.get_review(session, review_id)
    tag(response, review.version)
    return ReviewOut.of(review, actor)


@router.post(
    "/reviews/{review_id}/decision",
    responses=responses(*CHANGING, HTTPStatus.CONFLICT),
    summary="Approve or decline",
)
def post_decision(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, review_id: ReviewId, body: DecisionIn
) -> ReviewOut:
    """Decide a review, once. To approve, one of your limits must hold for the firm's grade and the amount.

    What was approved for the firm in the last 365 days, of all products, counts as well. Beyond your limits the answer
    is 403, `beyond-limits`. Grade D, no score, or one that a withdrawn consent has overtaken, nobody may approve: 409.
    """
    review = use_cases.decide(session, actor, review_id, body.verdict(), precondition)
    tag(response, review.version)
    return ReviewOut.of(review, actor)


@router.post(
    "/reviews/{review_id}/withdraw",
    responses=responses(*CHANGING, HTTPStatus.CONFLICT),
    summary="Withdraw a review",
)
def post_withdraw(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, review_id: ReviewId
) -> ReviewOut:
    """End an open review without a decision: by who opened it, or the firm.

    What a refusal of automated decisions opened ends by allowing them again, and not here: 409.
    """
    review = use_cases.withdraw(session, actor, review_id, precondition)
    tag(response, review.version)
    return ReviewOut.of(review, actor)


@router.post(
    "/firms/{firm_id}/automated-decision",
    status_code=HTTPStatus.CREATED,
    response_model=AutomatedDecisionOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Allow or refuse automated decisions",
)
def post_automated_decision(
    session: Session, actor: Acting, once: OnceOnly, firm_id: FirmId, body: AutomatedDecisionIn
) -> Response:
    """Take down what the firm says of decisions by machine alone. A refusal opens a review unless one is open.

    Once nobody refuses, the reviews that refusals opened are withdrawn. Scores from then on say `decision: person`.
    """
    return once.answer(
        session,
        lambda: AutomatedDecisionOut.of(
            use_cases.say(session, actor, firm_id, body.on, is_allowed=body.is_allowed),
        ),
    )


@router.get(
    "/firms/{firm_id}/automated-decision",
    responses=responses(HTTPStatus.NOT_FOUND),
    summary="Show whether automated decisions are allowed",
)
def get_automated_decision(session: Session, firm_id: FirmId) -> AutomatedDecisionOut:
    """Return whether a machine alone may decide on the firm, today."""
    return AutomatedDecisionOut.of(use_cases.standing_of(session, firm_id))
