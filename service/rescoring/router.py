"""Routes of rescorings."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from service.errors import CHANGING, CREATING, responses
from service.identity.guard import Acting
from service.jobs.router import accept, accepting
from service.kit.etag import IfMatch, tag
from service.kit.http import Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of
from service.rescoring import use_cases
from service.rescoring.jobs import start_rescoring
from service.rescoring.schemas import PublishIn, ReasonIn, RerunIn, RescoringIn, RunOut, RunReportOut, RunsOut
from service.rescoring.use_cases import RunView

router = APIRouter(prefix="/v1", tags=["rescorings"])
RunId = Annotated[UUID, Path(description="Id of a rescoring.", examples=["5d0a7a3e-52a4-4f11-a3df-7d5b7c1f0e22"])]


@router.post("/rescorings", **accepting(HTTPStatus.NOT_FOUND), summary="Score every firm")
def post_rescoring(session: Session, actor: Acting, once: OnceOnly, body: RescoringIn) -> Response:
    """Start a job that scores every firm with the product's live model as of a day, checks and publishes the run.

    The asker's own run of the same product and day by the live model is gone on with if it broke off. One that is
    somebody else's, or by another model, is withdrawn first, unless it is being worked on: then the job fails. If a
    check fails, or a later day's run is being prepared, the run waits, checked, for somebody to publish or withdraw
    it. Chunks of firms are committed one by one, so a cancelled job leaves a run for the asker's next one.
    """
    return accept(
        session,
        actor,
        once,
        lambda: start_rescoring(session, actor, body.product, body.as_of, is_published=body.is_published),
    )


@router.get("/rescorings", responses=responses(), summary="List rescorings")
def get_rescorings(session: Session, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> RunsOut:
    """Return a page of rescorings, newest first."""
    found = use_cases.list_runs(session, decode_place(cursor), limit + 1)
    views, following = cut(found, limit, lambda view: place_of(view.run.started_at, view.run.id))
    return RunsOut(items=[RunOut.of(view) for view in views], next=following)


@router.get("/rescorings/{run_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a rescoring")
def get_rescoring(session: Session, response: Response, run_id: RunId) -> RunReportOut:
    """Return a rescoring: its state and counts, its checks, how grades move, the firms that move most, refusals."""
    view = use_cases.get_run(session, run_id)
    tag(response, view.run.version)
    return RunReportOut.of_report(view, use_cases.list_refusals(session, run_id))


@router.post("/rescorings/{run_id}/publish", responses=responses(*CHANGING, HTTPStatus.CONFLICT), summary="Publish")
def post_publish(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, run_id: RunId, body: PublishIn
) -> RunOut:
    """Let the scores of a checked rescoring count, all at once, and raise its alerts.

    If a check failed, a reason is needed: 409 without. 409, too, if one of the same day that began later is published.
    """
    view = use_cases.publish(session, run_id, actor.name, body.override_reason, precondition)
    return _changed(response, view)


@router.post("/rescorings/{run_id}/withdraw", responses=responses(*CHANGING, HTTPStatus.CONFLICT), summary="Withdraw")
def post_withdraw(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, run_id: RunId, body: ReasonIn
) -> RunOut:
    """End a rescoring that is not published: its scores never count, and it raises no alert."""
    return _changed(response, use_cases.withdraw(session, run_id, actor.name, body.reason, precondition))


@router.post("/rescorings/{run_id}/rollback", responses=responses(*CHANGING, HTTPStatus.CONFLICT), summary="Roll back")
def post_rollback(
    session: Session, response: Response, actor: Acting, precondition: IfMatch, run_id: RunId, body: ReasonIn
) -> RunOut:
    """Let the scores of a published rescoring count no more: what held without it holds again.

    Its alerts stay on record, withdrawn. What a run that was published since has found too is raised anew.
    """
    return _changed(response, use_cases.roll_back(session, run_id, actor.name, body.reason, precondition))


@router.post(
    "/rescorings/{run_id}/rerun",
    status_code=HTTPStatus.CREATED,
    response_model=RunOut,
    responses=responses(*CREATING, HTTPStatus.NOT_FOUND),
    summary="Score some firms again",
)
def post_rerun(session: Session, actor: Acting, once: OnceOnly, run_id: RunId, body: RerunIn) -> Response:
    """Score some firms of a rescoring again, by the live model and what is known now of its day.

    The answer is a checked rescoring of its own; publishing it moves these firms alone.
    """
    return once.answer(session, lambda: RunOut.of(use_cases.rerun(session, run_id, body.firm_ids, actor.name)))


def _changed(response: Response, view: RunView) -> RunOut:
    tag(response, view.run.version)
    return RunOut.of(view)
