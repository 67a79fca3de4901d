"""Which runs count: publishing is one switch, rolling back restores what held without the run.

A run's scores are nobody's grade until the run is published: pointers to current scores, grades of the day, previous
grades and the PDs that other firms' features may read all go by this.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from features.build import CATALOG
from features.context import Context
from features.inputs import Inputs
from models.stability import POINTS, stability
from models.validation import Stability
from service.firms.reach import whole_population
from service.kit.db import TenantSession
from service.scoring import repository
from service.training.use_cases import LoadedModel

SAMPLE = 20_000
"""Firms of which the stability of features is measured: beyond them, chance is no longer what moves it."""
MOVERS = 20


@dataclass(frozen=True)
class Move:
    """A firm whose PD a run would move, and why it is what it is now."""

    key: str
    before: str
    after: str
    pd_before: float
    pd_after: float
    reasons: list[dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """A run's scores beside those that it would replace, and beside the model's development.

    Attributes
    ----------
    scores
        Rows that the run has.
    before
        Runs that hold now: the newest whole one of this day or an earlier one, and the subsets since.
    matrix
        Firms by grade before and after; None where there was, or is, none.
    movers
        The firms whose PD moves most, by its absolute change.
    stability
        Of the points and of the model's features, in the bins of development.
    """

    scores: int
    before: list[UUID]
    matrix: dict[tuple[str | None, str | None], int]
    movers: list[Move]
    stability: dict[str, Stability]


def publish(
    session: TenantSession, run_id: UUID, product: str, as_of: date, started_at: datetime, *, is_whole: bool
) -> None:
    """Let a run's scores count from the commit on, all at once."""
    repository.publish(session, run_id, product, as_of, started_at, is_whole=is_whole)


def replaced_by(session: TenantSession, product: str, as_of: date, started_at: datetime) -> UUID | None:
    """Return a published run of every firm that hides a run of the same day, because it began later."""
    return repository.find_newer(session, product, as_of, started_at)


def roll_back(session: TenantSession, run_id: UUID) -> None:
    """Let a run's scores count no more: online scores and the other published runs hold, as if it had not been."""
    repository.roll_back(session, run_id)


def published_since(session: TenantSession, run_id: UUID) -> list[UUID]:
    """Return the runs of a run's product that were published after it and are in force, in that order."""
    return repository.runs_since(session, run_id)


def lock(session: TenantSession, product: str) -> None:
    """Let one transaction at a time begin a run of a product, or say which of them count."""
    repository.lock_publications(session, product)


def pds_known(session: TenantSession, as_of: date) -> tuple[pl.DataFrame, list[str]]:
    """Return the last PDs that were published by the end of a day in runs of earlier days, and these runs.

    One that was rolled back since counts no more, whatever the day: what was found wrong is not learnt from.
    """
    runs = repository.runs_known(session, as_of)
    return repository.read_pds(session, runs, None), [str(run_id) for run_id in runs]


def complete(session: TenantSession, context: Context, names: Sequence[str], inputs: Inputs) -> Context:
    """Return the context with the published PDs that some features need of the firms in these inputs.

    They are read by the context's own runs, whose scores never change: today as on the day it was built.
    """
    is_asked = any("customers" in CATALOG[name].tables for name in names)
    if context.published.pds is not None or not is_asked:
        return context
    partners = inputs.invoices["counterparty"].unique().to_list()
    with whole_population(session):
        return context.with_pds(repository.read_pds(session, [UUID(run) for run in context.published.runs], partners))


def compare(session: TenantSession, run_id: UUID, loaded: LoadedModel, as_of: date) -> Comparison:
    """Set a run's scores beside those that it would replace, and beside development."""
    before = repository.runs_before(session, run_id, loaded.product.code, as_of)
    return Comparison(
        scores=repository.count_scores(session, run_id),
        before=before,
        matrix={(row.before, row.after): row.firms for row in repository.read_matrix(session, run_id, before)},
        movers=[Move(**row._asdict()) for row in repository.read_movers(session, run_id, before, MOVERS)],
        stability=_stability(session, run_id, loaded),
    )


def _stability(session: TenantSession, run_id: UUID, loaded: LoadedModel) -> dict[str, Stability]:
    """Compare a sample of the firms that are not in default, which have no points."""
    rows = [row for row in repository.read_sample(session, run_id, SAMPLE) if row.points is not None]
    if not rows:
        return {}
    now = {POINTS: np.array([row.points for row in rows])}
    for name in loaded.model.names:
        column = [row.features[name] for row in rows]
        now[name] = np.array([np.nan if value is None else value for value in column], dtype=np.float64)
    return stability(loaded.version.report, now)
