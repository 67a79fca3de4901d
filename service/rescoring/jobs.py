"""Rescorings as jobs: a run's chunks commit one by one, so a later attempt goes on with the run of the earlier."""

from dataclasses import asdict
from datetime import date
from typing import Any
from uuid import UUID

from sqlmodel import select

from service.errors import InvalidPayload
from service.identity.actor import Actor
from service.jobs.context import Context, Kind
from service.jobs.tables import Job
from service.jobs.use_cases import start
from service.kit import clock
from service.kit.db import TenantSession
from service.rescoring.tables import Run
from service.rescoring.use_cases import OnScores, RunSummary, _summary, rescore
from service.scoring.use_cases import Scored
from service.training.use_cases import live_model

KIND = "rescoring"
SHOWN_REFUSALS = 100


def start_rescoring(session: TenantSession, actor: Actor, product: str, as_of: date) -> Job:
    """Start the rescoring of every firm.

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
    return start(session, actor, KIND, {"product": product, "as_of": as_of.isoformat()})


def rescoring(on_scores: OnScores) -> Kind:
    """Return the kind of job; ``on_scores`` is what else a chunk's transaction does with its scores."""

    def run(context: Context) -> None:
        def noting_the_run(session: TenantSession, scored: list[Scored], run_id: UUID) -> int:
            raised = on_scores(session, scored, run_id)
            context.keep(session, run_id=str(run_id))
            return raised

        summary = _finished_before(context) or rescore(
            context.database,
            context.tenant_id,
            context.args["product"],
            date.fromisoformat(context.args["as_of"]),
            context.author.name,
            noting_the_run,
            context.progress,
        )
        with context.session() as session:
            counts = {"firms": summary.firms, "scored": summary.scored, "alerts": summary.alerts}
            context.finish(session, _result(summary), {**counts, "refused": len(summary.refusals)})

    return Kind(KIND, run)


def _finished_before(context: Context) -> RunSummary | None:
    """Return what an earlier attempt's run did, if all that it lacked was the job's end."""
    run_id = context.checkpoint.get("run_id")
    if run_id is None:
        return None
    with context.session() as session:
        run = session.exec(select(Run).where(Run.id == UUID(run_id))).one()
        return None if run.finished_at is None else _summary(session, run, is_resumed=True)


def _result(summary: RunSummary) -> dict[str, Any]:
    facts = asdict(summary) | {"run_id": str(summary.run_id), "as_of": summary.as_of.isoformat()}
    return facts | {"refusals": summary.refusals[:SHOWN_REFUSALS]}
