"""Routes of jobs, and how other routes answer that they have started one."""

import json
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from service.errors import CREATING, responses
from service.identity.actor import Actor
from service.identity.guard import Acting
from service.jobs import use_cases
from service.jobs.context import wind_up
from service.jobs.events import Streams, is_over
from service.jobs.rules import State
from service.jobs.schemas import JobOut, JobsOut
from service.jobs.tables import Job
from service.kit.db import TenantSession
from service.kit.http import Code, Session
from service.kit.idempotency import Once
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of
from service.kit.server import STOPPING

router = APIRouter(prefix="/v1", tags=["jobs"])
JobId = Annotated[UUID, Path(description="Id of a job.", examples=["6f1f5a53-4f0e-4f4e-9a51-6a1d9a2f7b10"])]
_LOCATION = {
    "Location": {"description": "Path of the job.", "schema": {"type": "string"}, "required": True},
}
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Events `progress`, and `end` when the job is over; the data of each is the job.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "description": "One event.",
                    "required": ["id", "event", "data"],
                    "properties": {
                        "id": {"type": "string", "description": "Send it as Last-Event-ID when you come back."},
                        "event": {"type": "string", "enum": ["progress", "end"]},
                        "data": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": {"$ref": "#/components/schemas/JobOut"},
                        },
                    },
                }
            }
        },
    },
    204: {"description": "The job is over, and Last-Event-ID names its last event: do not come back."},
}


def accepting(*errors: HTTPStatus) -> dict[str, Any]:
    """Return what a route that starts a job declares."""
    accepted: dict[int | str, dict[str, Any]] = {202: {"description": "A job was started.", "headers": _LOCATION}}
    return {
        "status_code": HTTPStatus.ACCEPTED,
        "response_model": JobOut,
        "responses": accepted | responses(*CREATING, *errors),
    }


def accept(session: TenantSession, actor: Actor, once: Once, start: Callable[[], Job]) -> Response:
    """Start a job once, and say where it can be looked at."""
    answer = once.answer(session, lambda: JobOut.of(start(), actor), HTTPStatus.ACCEPTED)
    answer.headers["Location"] = f"/v1/jobs/{json.loads(bytes(answer.body))['id']}"
    return answer


@router.get("/jobs", responses=responses(), summary="List jobs")
def get_jobs(
    session: Session,
    actor: Acting,
    state: Annotated[State | None, Query(description="Only those in this state.")] = None,
    kind: Annotated[Code | None, Query(description="Only those of this kind.")] = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_SIZE,
) -> JobsOut:
    """Return a page of jobs, the newest first."""
    before = decode_place(cursor)
    jobs, following = cut(
        use_cases.list_jobs(session, state=state, kind=kind, before=before, limit=limit + 1),
        limit,
        lambda job: place_of(job.created_at, job.id),
    )
    return JobsOut(items=[JobOut.of(job, actor) for job in jobs], next=following)


@router.get("/jobs/{job_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a job")
def get_job(session: Session, actor: Acting, job_id: JobId) -> JobOut:
    """Return a job: its state, how far it is, and what became of it."""
    return JobOut.of(use_cases.get_job(session, job_id), actor)


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses=_EVENTS | responses(HTTPStatus.NOT_FOUND),
    summary="Follow a job",
)
def get_job_events(
    request: Request,
    session: Session,
    actor: Acting,
    job_id: JobId,
    last_event_id: Annotated[
        str | None,
        Header(pattern="^[0-9]{1,9}$", description="`id` of the last event that you have; browsers send it."),
    ] = None,
) -> Response:
    """Stream a job's changes as server-sent events until it is over, or for some minutes: then come back."""
    job, seen = use_cases.get_job(session, job_id), int(last_event_id or 0)
    if is_over(job) and seen == job.version:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    streams: Streams = request.app.state.job_streams
    return streams.answer(actor, job_id, seen, request.scope.get("state", {}).get(STOPPING))


@router.post("/jobs/{job_id}/cancel", responses=responses(HTTPStatus.NOT_FOUND), summary="Cancel a job")
def post_cancel(request: Request, session: Session, actor: Acting, job_id: JobId) -> JobOut:
    """Ask for a job's end, once or often. What waits is over at once; what is at work ends at its next safe point.

    Nothing of a cancelled import or training stays. A job that has ended stays as it is.
    """
    state = request.app.state
    return JobOut.of(use_cases.cancel(session, job_id, partial(wind_up, state.job_kinds, state.settings)), actor)
