"""The route of rescorings."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from service.identity.guard import Acting
from service.jobs.router import accept, accepting
from service.kit.http import Session
from service.kit.idempotency import OnceOnly
from service.rescoring.jobs import start_rescoring
from service.rescoring.schemas import RescoringIn

router = APIRouter(prefix="/v1", tags=["rescorings"])


@router.post("/rescorings", **accepting(HTTPStatus.NOT_FOUND), summary="Score every firm")
def post_rescoring(session: Session, actor: Acting, once: OnceOnly, body: RescoringIn) -> Response:
    """Start a job that scores every firm with the product's live model as of a day, and raises alerts.

    A rescoring of the same product and day that broke off is finished. Chunks of firms are committed one by one: a
    cancelled rescoring leaves the scores of those that were done.
    """
    return accept(session, actor, once, lambda: start_rescoring(session, actor, body.product, body.as_of))
