"""Rescorings as jobs: the job's checkpoint names the run, so a later attempt goes on with that one and no other."""

from dataclasses import asdict
from datetime import date
from typing import Any
from uuid import UUID

from service.errors import InvalidPayload
from service.identity.actor import Actor
from service.jobs.context import Context, Kind
from service.jobs.tables import Job
from service.jobs.use_cases import start
from service.kit import clock
from service.kit.db import TenantSession
from service.rescoring.use_cases import RunSummary, conclude, prepare
from service.rescoring.work import work_on
from service.training.use_cases import live_model

KIND = "rescoring"


def start_rescoring(session: TenantSession, actor: Actor, product: str, as_of: date, *, is_published: bool) -> Job:
    """Start the rescoring of every firm.

    Parameters
    ----------
    is_published
        Whether the run is to be published if no check fails.

    Raises
    ------
    NotFound, Conflict
        If there is no such product, or it has no live model.
    InvalidPayload
        If the day is in the future.
    """
    live_model(session, product)
    if as_of > clock.today():
        raise InvalidPayload("body.as_of: the day is in the future.")
    args = {"product": product, "as_of": as_of.isoformat(), "is_published": is_published}
    return start(session, actor, KIND, args)


def _run(context: Context) -> None:
    (run_id, is_resumed), actor = _run_of(context), context.author.name
    work_on(context.database, context.tenant_id, run_id, actor, context.progress)
    with context.session() as session:
        is_published = context.args["is_published"]
        summary = conclude(session, run_id, actor, is_published=is_published, is_resumed=is_resumed)
        counts = {name: getattr(summary, name) for name in ("firms", "scored", "refused", "alerts")}
        context.finish(session, _result(summary), counts)


def _run_of(context: Context) -> tuple[UUID, bool]:
    """Return the job's run, and whether it had broken off; the first attempt prepares it, or takes on one that had."""
    if "run_id" in context.checkpoint:
        return UUID(context.checkpoint["run_id"]), True
    with context.session() as session:
        day = date.fromisoformat(context.args["as_of"])
        run, is_resumed = prepare(session, context.args["product"], day, context.author.name)
        context.keep(session, run_id=str(run.id))
    return run.id, is_resumed


def _result(summary: RunSummary) -> dict[str, Any]:
    return asdict(summary) | {"run_id": str(summary.run_id), "as_of": summary.as_of.isoformat()}


RESCORING = Kind(KIND, _run)
