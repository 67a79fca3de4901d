"""Routes of model versions."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from models.product import CentralTendency
from service.errors import responses
from service.identity.guard import Acting
from service.jobs.router import accept, accepting
from service.kit.http import Session
from service.kit.idempotency import OnceOnly
from service.kit.paging import PAGE_SIZE, Cursor, Limit, cut, decode_place, place_of
from service.training import use_cases
from service.training.jobs import start_training
from service.training.schemas import ModelIn, ModelOut, ModelReportOut, ModelsOut

router = APIRouter(prefix="/v1", tags=["models"])
ModelId = Annotated[UUID, Path(description="Id of a version.", examples=["2c1b8e0a-52a4-4f11-a3df-7d5b7c1f0e22"])]


@router.post("/models", **accepting(HTTPStatus.NOT_FOUND), summary="Train a model")
def post_model(session: Session, actor: Acting, once: OnceOnly, body: ModelIn) -> Response:
    """Start a job that fits a product's model to the ledger as of a day, and keeps it as a new version.

    It is a candidate until somebody makes it live; a product's first version is live at once.
    """
    stated = body.central_tendency
    tendency = None if stated is None else CentralTendency(stated.rate, stated.source)
    return accept(
        session,
        actor,
        once,
        lambda: start_training(
            session,
            actor,
            body.product,
            body.as_of,
            seed=body.seed,
            estimator=body.estimator,
            central_tendency=tendency,
        ),
    )


@router.get("/models", responses=responses(), summary="List model versions")
def get_models(session: Session, cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> ModelsOut:
    """Return a page of model versions of all products, the oldest first."""
    versions, following = cut(
        use_cases.page_versions(session, decode_place(cursor), limit + 1),
        limit,
        lambda version: place_of(version.created_at, version.id),
    )
    return ModelsOut(items=[ModelOut.of(version) for version in versions], next=following)


@router.get("/models/{model_id}", responses=responses(HTTPStatus.NOT_FOUND), summary="Show a model version")
def get_model(session: Session, model_id: ModelId) -> ModelReportOut:
    """Return a model version with the report of its training."""
    return ModelReportOut.of(use_cases.get_version(session, model_id))
