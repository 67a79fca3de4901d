"""Open a review, decide it within limits, withdraw it; and take down what a firm says of automated decisions."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from models.grades import DEFAULTED
from models.products import PRODUCTS
from service.errors import BeyondLimits, Conflict, Forbidden, InvalidPayload, NotFound
from service.firms.use_cases import AutomatedDecision, automated_decision, get_firm, say_automated_decision
from service.identity.access import Role
from service.identity.actor import Actor, ApprovalLimit
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.kit.etag import Precondition, save
from service.kit.http import fen_of, yuan_of
from service.reviews import repository
from service.reviews.tables import Review
from service.scoring.use_cases import ScoreView, check_fresh, current_score, scored_products
from service.training.use_cases import product_of

Reason = Literal["refusal_of_automated_decision", "beyond_limit", "borderline", "other"]
State = Literal["open", "approved", "declined", "withdrawn"]
REFUSAL: Final = "refusal_of_automated_decision"
EXPOSURE_DAYS: Final = 365
"""What was approved for a firm in so many days counts against an approver's limit."""


@dataclass(frozen=True)
class Request:
    """What a person is asked."""

    product: str
    reason_code: Reason
    amount_fen: int | None = None
    words: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What a person answers; with an amount: approved."""

    amount_fen: int | None
    words: str


@dataclass(frozen=True)
class Standing:
    """What a firm, or anybody behind it, says of automated decisions, and the reviews that are open about it."""

    firm_id: UUID
    said: AutomatedDecision
    open_reviews: list[Review]


def open_review(session: TenantSession, actor: Actor, firm_id: UUID, request: Request) -> Review:
    """Ask for a person's decision about a firm and product.

    Raises
    ------
    NotFound
        If there is no such firm or product.
    Conflict
        If a review of the firm and product is open.
    """
    get_firm(session, firm_id)
    product_of(request.product)
    review_id = _open(session, actor, firm_id, request)
    if review_id is None:
        raise Conflict("A review of this firm and product is open already. Add to that one, or withdraw it.")
    return get_review(session, review_id)


def _open(session: TenantSession, actor: Actor, firm_id: UUID, request: Request) -> UUID | None:
    """Return the id of a new review; None if one is open."""
    score = current_score(session, firm_id, request.product)
    row: dict[str, Any] = dict.fromkeys(Review.model_fields)
    row |= {
        "tenant_id": tenant_of(session),
        "id": clock.new_id(),
        "version": 1,
        "firm_id": firm_id,
        "product": request.product,
        "amount_fen": request.amount_fen,
        "reason_code": request.reason_code,
        "words": request.words,
        "opened_at": clock.now(),
        "opened_by": actor.name,
        "opened_by_id": actor.id,
        "score_id": None if score is None else score.score.id,
        "score_as_of": None if score is None else score.score.as_of,
        "state": "open",
    }
    return row["id"] if repository.insert_open(session, row) else None


def list_reviews(
    session: TenantSession,
    *,
    state: State | None,
    firm_id: UUID | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Review]:
    """Return reviews, the longest waiting first."""
    return repository.page_reviews(session, state=state, firm_id=firm_id, after=after, limit=limit)


def get_review(session: TenantSession, review_id: UUID, *, for_update: bool = False) -> Review:
    """Return a review.

    Raises
    ------
    NotFound
        If no review within reach has this id.
    """
    review = repository.find_review(session, review_id, for_update=for_update)
    if review is None:
        raise NotFound("No review has this id.")
    return review


def decide(
    session: TenantSession, actor: Actor, review_id: UUID, verdict: Verdict, precondition: Precondition
) -> Review:
    """Approve or decline, once, on the score that is current now, which goes on record with model, grade and limits.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such review, or it is no longer what it was.
    Conflict
        If it is decided or withdrawn already; to approve, if the firm has no score, a stale one, or is in default.
    Forbidden
        If the actor opened it.
    BeyondLimits
        If none of the actor's limits holds for the grade and what was approved for the firm lately, with the amount.
    InvalidPayload
        If more is approved than was asked for.
    """
    review = _still_open(session, review_id, precondition)
    if review.opened_by_id == actor.id:
        raise Forbidden("You opened this review; another person must decide it.")
    score = current_score(session, review.firm_id, review.product)
    approved_fen = _approved_lately(session, review.firm_id)
    if verdict.amount_fen is not None and score is not None:
        check_fresh(session, score)
    limit = None if verdict.amount_fen is None else _limit_for(actor, review, score, verdict.amount_fen, approved_fen)
    _close(review, actor, "declined" if verdict.amount_fen is None else "approved")
    review.decided_amount_fen, review.decision_words = verdict.amount_fen, verdict.words
    if score is not None:
        review.score_id_at_decision, review.score_as_of_at_decision = score.score.id, score.score.as_of
        review.grade_at_decision, review.pd_at_decision = score.score.grade, score.score.pd
    review.basis = _basis(actor, score, limit, approved_fen)
    save(session, review)
    return review


def _still_open(session: TenantSession, review_id: UUID, precondition: Precondition) -> Review:
    review = get_review(session, review_id, for_update=True)
    precondition.check(review)
    if review.state != "open":
        raise Conflict(f"The review is {review.state} already, and that is final. Open another.")
    return review


def _close(review: Review, actor: Actor, state: State) -> None:
    review.state, review.decided_at = state, clock.now()
    review.decided_by, review.decided_by_id = actor.name, actor.id


def _approved_lately(session: TenantSession, firm_id: UUID) -> int:
    """Return what was approved for a firm, of all products and by anybody; no other approval of it may go on now."""
    repository.lock_approvals(session, firm_id)
    return repository.sum_approved(session, firm_id, clock.now() - timedelta(days=EXPOSURE_DAYS))


def _limit_for(
    actor: Actor, review: Review, score: ScoreView | None, amount_fen: int, approved_fen: int
) -> ApprovalLimit:
    """Return the limit within which the actor may approve."""
    if score is None:
        raise Conflict("The firm has no score of this product, so no limit holds for it. Score it first, or decline.")
    if score.score.grade == DEFAULTED:
        raise Conflict("The firm is in default (grade D): nobody may approve.")
    if review.amount_fen is not None and amount_fen > review.amount_fen:
        raise InvalidPayload(f"amount is more than was asked for, {yuan_of(review.amount_fen)}.")
    within = limit_within(actor.limits, int(score.score.grade), approved_fen + amount_fen)
    if within is None:
        raise BeyondLimits(
            f"None of your limits holds for {yuan_of(approved_fen + amount_fen)} yuan at grade {score.score.grade}:"
            f" {yuan_of(approved_fen)} approved for the firm in the last {EXPOSURE_DAYS} days, of all products, and"
            f" {yuan_of(amount_fen)} now. Leave it to an approver of wider limits, approve less, or decline."
        )
    return within


def limit_within(limits: tuple[ApprovalLimit, ...], grade: int, amount_fen: int) -> ApprovalLimit | None:
    """Return the narrowest limit that holds for a grade and an amount; None if none does.

    Examples
    --------
    >>> limits = tuple(ApprovalLimit(worst_grade=g, amount=yuan) for g, yuan in ((5, "3000000"), (10, "500000")))
    >>> [str(limit_within(limits, 5, yuan * 100).amount) for yuan in (500_000, 500_001)]
    ['500000', '3000000']
    >>> limit_within(limits, 10, 50_000_001), limit_within(limits, 11, 1)
    (None, None)
    """
    holding = [limit for limit in limits if grade <= limit.worst_grade and amount_fen <= fen_of(limit.amount)]
    return min(holding, key=lambda limit: (limit.amount, -limit.worst_grade), default=None)


def _basis(actor: Actor, score: ScoreView | None, limit: ApprovalLimit | None, approved_fen: int) -> dict[str, Any]:
    """Return what a decision rested on, as it was."""
    seen = None
    if score is not None:
        row = score.score
        seen = {
            "score_id": str(row.id), "as_of": row.as_of.isoformat(), "model_version": score.model_version,
            "grade": row.grade, "pd": row.pd, "decision": row.decision,
        }  # fmt: skip
    return {
        "score": seen,
        "limits": [own.model_dump(mode="json") for own in actor.limits],
        "limit_used": None if limit is None else limit.model_dump(mode="json"),
        "approved_before": str(yuan_of(approved_fen)),
    }


def withdraw(session: TenantSession, actor: Actor, review_id: UUID, precondition: Precondition) -> Review:
    """End a review without a decision.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such review, or it is no longer what it was.
    Conflict
        If it is decided or withdrawn already, or a refusal of automated decisions keeps it open.
    Forbidden
        If the actor neither opened it nor is the firm.
    """
    review = _still_open(session, review_id, precondition)
    if not automated_decision(session, review.firm_id).is_allowed:
        if review.reason_code == REFUSAL:
            raise Conflict("Automated decisions are refused. Allowing them again withdraws this review.")
        if actor.role is not Role.FIRM:
            raise Conflict(
                "Automated decisions are refused, and this review stands for it. Only the firm withdraws it."
            )
    if actor.role is not Role.FIRM and review.opened_by_id != actor.id:
        raise Forbidden("A review is withdrawn by who opened it, or by the firm.")
    _close(review, actor, "withdrawn")
    save(session, review)
    return review


def standing_of(session: TenantSession, firm_id: UUID) -> Standing:
    """Return whether a firm may be decided on by a machine alone, today.

    Raises
    ------
    NotFound
        If there is no such firm.
    """
    return Standing(firm_id, automated_decision(session, firm_id), repository.find_open(session, firm_id))


def say(session: TenantSession, actor: Actor, firm_id: UUID, observed_on: date, *, is_allowed: bool) -> Standing:
    """Take down that a firm allows or refuses automated decisions; a refusal in force opens a review.

    Of each product that the firm has a score of, or of every product if it has none; where a review is open already,
    that one stands. Once nobody refuses, what refusals opened is withdrawn.

    Raises
    ------
    NotFound
        If there is no such firm.
    """
    say_automated_decision(session, firm_id, observed_on, is_allowed=is_allowed)
    return follow_refusals(session, actor, firm_id)


def follow_refusals(session: TenantSession, actor: Actor, firm_id: UUID) -> Standing:
    """Open reviews while anybody refuses automated decisions of a firm; withdraw what refusals opened once none does.

    Raises
    ------
    NotFound
        If there is no such firm.
    """
    said = automated_decision(session, firm_id)
    if said.is_allowed:
        for review in repository.find_open(session, firm_id, of_reason=REFUSAL, for_update=True):
            _close(review, actor, "withdrawn")
            save(session, review)
    else:
        for product in scored_products(session, firm_id) or PRODUCTS:
            _open(session, actor, firm_id, Request(product, REFUSAL))
    return Standing(firm_id, said, repository.find_open(session, firm_id))
