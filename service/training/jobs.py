"""Trainings as jobs."""

from datetime import date
from typing import Any

from models.product import CentralTendency
from models.train import TrainingError
from service.errors import InvalidPayload
from service.identity.actor import Actor
from service.jobs.context import Context, Kind
from service.jobs.tables import Job
from service.jobs.use_cases import start
from service.kit import clock
from service.kit.db import TenantSession
from service.training.use_cases import product_of, train

KIND = "training"
COUNTED = ("rows", "firms", "defaulted_firms")
"""What is told of the sample."""


def start_training(
    session: TenantSession,
    actor: Actor,
    product: str,
    as_of: date,
    *,
    seed: int,
    estimator: str,
    central_tendency: CentralTendency | None,
) -> Job:
    """Start the training of a product's model.

    Raises
    ------
    NotFound
        If there is no such product.
    InvalidPayload
        If the day is in the future.
    """
    product_of(product)
    if as_of > clock.today():
        raise InvalidPayload("body.as_of: the day is in the future.")
    args: dict[str, Any] = {"product": product, "as_of": as_of.isoformat(), "seed": seed, "estimator": estimator}
    if central_tendency is not None:
        args |= {"central_tendency": central_tendency.rate, "source": central_tendency.source}
    return start(session, actor, KIND, args)


def _run(context: Context) -> None:
    """Train, and keep the version, in the one transaction that ends the job."""
    args = context.args
    tendency = CentralTendency(args["central_tendency"], args["source"]) if "central_tendency" in args else None
    with context.session() as session:
        version = train(
            session,
            args["product"],
            date.fromisoformat(args["as_of"]),
            actor=context.author.name,
            seed=args["seed"],
            estimator=args["estimator"],
            central_tendency=tendency,
            progress=context.progress,
        )
        result = {"model_id": str(version.id), "name": version.name, "state": version.state}
        sample = version.report["sample"]
        context.finish(session, result, {name: int(sample[name]) for name in COUNTED})


TRAINING = Kind(KIND, _run, {TrainingError: ("training-failed", "The data cannot carry a model; none was kept")})
