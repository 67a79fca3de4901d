"""Score firms. One function serves one firm and a million: the same rows, bit for bit."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from features.as_of import known
from features.build import Matrix, build_matrix
from features.consent import refused_automated
from features.context import CONTEXT_KINDS, Context, build_context
from features.inputs import Inputs
from features.repayment import dated_statuses, in_default
from features.sufficiency import REQUIREMENTS, insufficient
from models.grades import DEFAULTED
from models.plan import Plan, plan
from service.audit import merkle
from service.errors import Conflict, InsufficientData, InvalidPayload, NotFound
from service.firms.reach import whole_population
from service.firms.use_cases import get_firm, list_keys, read_inputs
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.people.use_cases import data_withdrawn
from service.scoring import binary_row, publication, repository
from service.scoring.batch import Batch
from service.scoring.rows import Known, Origin, make_rows
from service.scoring.tables import DayContext, Score
from service.training.use_cases import LoadedModel, live_model, model_version, product_of, version_name


@dataclass(frozen=True)
class Scored:
    """A new score as other domains need it, with the last one that a published rescoring gave for an earlier day."""

    score_id: UUID
    firm_id: UUID
    key: str
    product: str
    as_of: date
    pd: float
    stable_grade: str
    previous_grade: str | None
    previous_as_of: date | None
    previous_pd: float | None


@dataclass(frozen=True)
class ScoreProof:
    """Why a stored score is one that the audit log holds.

    Attributes
    ----------
    row
        The score in the form `score-row/1` (docs/score-row.md).
    leaf
        The row's leaf hash.
    index, size
        The row's place in its batch, by firm id, and how many rows that has.
    path
        Hashes from the leaf to the batch's root (RFC 6962, section 2.1.1).
    root
        What leaf and path lead to: the ``after`` of the audit log's entry if no row of the batch was changed.
    entry_id
        Of the entry of the audit log.
    texts
        What the row holds the hashes of, to the letter as it is stored.
    """

    row: bytes
    leaf: bytes
    index: int
    size: int
    path: list[bytes]
    root: bytes
    entry_id: UUID
    texts: dict[str, str]


@dataclass(frozen=True)
class Refusal:
    """A firm that cannot be scored, and what is missing."""

    key: str
    missing: list[dict[str, Any]]


@dataclass(frozen=True)
class ScoreView:
    """A stored score, and the name of the model that made it."""

    score: Score
    model_version: str


@dataclass(frozen=True)
class PlanView:
    """The score that a plan starts from, and the plan."""

    view: ScoreView
    plan: Plan


@dataclass(frozen=True)
class GradeView:
    """A firm's grade on a day, and why."""

    key: str
    name: str | None
    grade: str
    pd: float
    pd_basis: str
    interval_low: float
    interval_high: float
    reasons: list[dict[str, Any]]


def context_of(session: TenantSession, as_of: date, *, refresh: bool = False) -> tuple[UUID, Context]:
    """Return the newest context of a day; build one if there is none, or if asked to and something changed."""
    newest = repository.find_context(session, as_of)
    if newest is None or refresh:
        with whole_population(session):
            inputs = read_inputs(session, as_of, kinds=CONTEXT_KINDS)
            context = build_context(inputs, as_of, *publication.pds_known(session, as_of))
        body = context.to_json()
        if newest is None or newest.body != body:
            newest = DayContext(
                tenant_id=tenant_of(session), id=clock.new_id(), as_of=as_of, body=body, built_at=clock.now()
            )
            session.add(newest)
            session.flush()
    return newest.id, Context.from_json(newest.body)


def get_context(session: TenantSession, context_id: UUID) -> Context:
    """Return a context that is there."""
    return Context.from_json(repository.get_context(session, context_id).body)


def score_firm(session: TenantSession, firm_id: UUID, product: str, as_of: date, actor: str) -> ScoreView:
    """Score one firm as of a day, and keep the score.

    Raises
    ------
    NotFound
        If there is no such firm or product.
    InvalidPayload
        If the day is in the future.
    Conflict
        If the product has no live model.
    InsufficientData
        If too little is known about the firm; ``missing`` says what.
    """
    if as_of > clock.today():
        raise InvalidPayload(f"as_of {as_of} is in the future.")
    key = get_firm(session, firm_id).key
    loaded = live_model(session, product)
    context_id, context = context_of(session, as_of)
    batch = Batch(product, as_of)
    scored, refusals = score_range(session, loaded, as_of, (context_id, context), (key, key), actor, batch)
    batch.enter(session)
    if refusals:
        what = "; ".join(item["text"]["en"] for item in refusals[0].missing)
        raise InsufficientData(f"No score: {what}.", missing=refusals[0].missing)
    return get_score(session, scored[0].score_id)


def score_range(
    session: TenantSession,
    loaded: LoadedModel,
    as_of: date,
    context: tuple[UUID, Context],
    keys: tuple[str, str],
    actor: str,
    batch: Batch,
) -> tuple[list[Scored], list[Refusal]]:
    """Score every firm whose key lies in a range, and keep the scores in the session's transaction.

    Those of a run become current when it is published.

    Parameters
    ----------
    batch
        Whose scores they are; the caller enters it in the audit log when it is whole.

    Returns
    -------
    tuple
        The new scores by key, and the firms that cannot be scored.
    """
    inputs = read_inputs(session, as_of, *keys)
    gates = insufficient(inputs, as_of, loaded.product.requirements)
    defaulted = _in_default(inputs, gates["firm_id"].to_list(), as_of)
    is_gradable = (pl.col("missing").list.len() == 0) | pl.col("firm_id").is_in(defaulted.implode())
    refusals = [Refusal(key, _lacking(missing)) for key, missing in gates.filter(~is_gradable).iter_rows()]
    known_keys = set(gates["firm_id"])
    refusals += [_unknown_yet(key, as_of) for key in list_keys(session, *keys) if key not in known_keys]
    wanted = gates.filter(is_gradable)["firm_id"].to_list()
    if not wanted:
        return [], refusals
    tables = publication.complete(session, context[1], loaded.model.names, inputs)
    matrix = build_matrix(inputs.of_firms(wanted), tables, loaded.model.names, as_of)
    previous = repository.read_previous(session, loaded.product.code, as_of, *keys)
    origin = Origin(tenant_of(session), loaded, context[0], as_of, clock.now(), actor, batch.run_id)
    rows = score_matrix(session, matrix, Known(defaulted, _refused_today(session, keys), previous), origin, batch)
    return _scored(rows.sort("key"), loaded.product.code, as_of), refusals


def score_matrix(session: TenantSession, matrix: Matrix, known: Known, origin: Origin, batch: Batch) -> pl.DataFrame:
    """Score every firm of a matrix and keep the scores, as part of a batch, in the session's transaction.

    Returns
    -------
    frame
        The rows of `make_rows`, by firm id.
    """
    rows = make_rows(matrix, known, origin)
    batch.add(rows)
    current = rows["id"].to_list() if origin.run_id is None else []
    repository.insert_scores(session, rows.with_columns(batch_id=pl.lit(batch.id.hex)), current)
    return rows


def _refused_today(session: TenantSession, keys: tuple[str, str]) -> pl.Series:
    """Return the firms that no machine alone may decide on from today on, whatever the day that is scored."""
    today = clock.today()
    return refused_automated(read_inputs(session, today, *keys, kinds=("consent",)), today)


def _unknown_yet(key: str, as_of: date) -> Refusal:
    en, zh = f"nothing was known about the firm on {as_of}", f"截至 {as_of} 没有该企业的任何信息"
    return Refusal(key, [{"name": "firm", "rule": "required", "text": {"zh-CN": zh, "en": en}}])


def _lacking(names: list[str]) -> list[dict[str, Any]]:
    needs = [REQUIREMENTS[name] for name in names]
    return [{"name": need.name, "rule": "required", "text": {"zh-CN": need.zh, "en": need.en}} for need in needs]


def _in_default(inputs: Inputs, firm_ids: list[str], as_of: date) -> pl.Series:
    candidates = pl.DataFrame({"firm_id": firm_ids}, schema={"firm_id": pl.String}).with_columns(on=pl.lit(as_of))
    return in_default(candidates, dated_statuses(known(inputs, as_of)))["firm_id"]


def _scored(rows: pl.DataFrame, product: str, as_of: date) -> list[Scored]:
    columns = ("id", "firm_id", "key", "pd", "stable_grade", "previous_grade", "previous_as_of", "previous_pd")
    return [
        Scored(
            score_id=UUID(score_id),
            firm_id=UUID(firm_id),
            key=key,
            product=product,
            as_of=as_of,
            pd=pd,
            stable_grade=stable,
            previous_grade=previous_grade,
            previous_as_of=previous_as_of,
            previous_pd=previous_pd,
        )
        for score_id, firm_id, key, pd, stable, previous_grade, previous_as_of, previous_pd in rows.select(
            columns
        ).iter_rows()
    ]


def get_score(session: TenantSession, score_id: UUID, *, even_unpublished: bool = False) -> ScoreView:
    """Return a stored score.

    Parameters
    ----------
    even_unpublished
        Also of a run that was never published: for those who check runs.

    Raises
    ------
    NotFound
        If the tenant has no such score, or none that the asker may see.
    """
    row = _find_score(session, score_id, even_unpublished=even_unpublished)
    return ScoreView(row, version_name(session, row.model_version_id))


def _find_score(session: TenantSession, score_id: UUID, *, even_unpublished: bool = False) -> Score:
    row = repository.find_score(session, score_id)
    is_hidden = row is not None and row.run_id is not None and not repository.is_published(session, row.run_id)
    if row is None or (is_hidden and not even_unpublished):
        raise NotFound("No score has this id.")
    return row


def prove_score(session: TenantSession, score_id: UUID) -> ScoreProof:
    """Prove a stored score, as its row is now, by the audit log's entry over the batch it was written in.

    Raises
    ------
    NotFound
        If the tenant has no such score.
    Conflict
        If the score is older than such entries, or is not what was entered.
    """
    return prove(session, _find_score(session, score_id))


def prove(session: TenantSession, score: Score) -> ScoreProof:
    """Prove a score that was read already.

    Raises
    ------
    Conflict
        If the score is older than entries over scores, or is not what was entered.
    """
    if score.batch_id is None:
        raise Conflict("The score was made before scores were entered in the audit log. Score the firm again.")
    frame = repository.read_row(session, score.id, binary_row.COLUMNS)
    row = binary_row.encode(frame)
    (leaf,) = binary_row.leaves(row)
    leaves = repository.read_leaves(session, score.batch_id)
    if leaf not in leaves:
        raise Conflict("The score is not what was entered in the audit log when it was made: it was changed since.")
    index = leaves.index(leaf)
    return ScoreProof(
        row=row.tobytes(),
        leaf=leaf,
        index=index,
        size=len(leaves),
        path=merkle.inclusion_path(leaves, index),
        root=merkle.root(leaves),
        entry_id=score.batch_id,
        texts=frame.select(binary_row.TEXTS).row(0, named=True),
    )


def current_score(session: TenantSession, firm_id: UUID, product: str) -> ScoreView | None:
    """Return the current score of a firm and product, if the firm has one and is within reach."""
    row = repository.find_current(session, firm_id, product)
    return None if row is None else ScoreView(row, version_name(session, row.model_version_id))


def is_stale(session: TenantSession, view: ScoreView) -> bool:
    """Tell whether something that a score used was withdrawn since."""
    return data_withdrawn(session, view.score.firm_id, view.score.scored_at)


def check_fresh(session: TenantSession, view: ScoreView) -> None:
    """Check that nothing that a score used was withdrawn since.

    Raises
    ------
    Conflict
        If a person behind the firm withdrew a consent to the use of its data, or was erased, since it was made.
    """
    if is_stale(session, view):
        raise Conflict(
            "Since the firm was scored, a person behind it withdrew the consent to the use of its data, or was erased."
            " Score the firm again."
        )


def scored_products(session: TenantSession, firm_id: UUID) -> list[str]:
    """Return the products that a firm within reach has a score of."""
    return repository.scored_products(session, firm_id)


def plan_firm(session: TenantSession, firm_id: UUID, product: str) -> PlanView:
    """Find what would lift a firm by one grade, from its current score and by the model that gave it.

    Raises
    ------
    NotFound
        If there is no such firm or product, or no score of them.
    Conflict
        If the firm is in default, or the score is stale.
    """
    get_firm(session, firm_id)
    product_of(product)
    view = current_score(session, firm_id, product)
    if view is None:
        raise NotFound("The firm has no score of this product yet. Score it first.")
    check_fresh(session, view)
    if view.score.grade == DEFAULTED:
        raise Conflict("The firm is in default (grade D). The default must be cured first; then score it again.")
    model = model_version(session, view.score.model_version_id).model
    known_values = [view.score.features[name] for name in model.names]
    row = np.array([np.nan if value is None else value for value in known_values])
    unknown = {item["name"] for item in view.score.missing}
    return PlanView(view, plan(model, row, unknown))


def list_scores(
    session: TenantSession, firm_id: UUID, product: str | None, before: tuple[datetime, UUID] | None, limit: int
) -> list[ScoreView]:
    """Return a firm's scores, newest first: those given online, and those of published runs.

    Raises
    ------
    NotFound
        If there is no such firm.
    """
    get_firm(session, firm_id)
    rows = repository.page_scores(session, firm_id, product, before, limit)
    names = {version_id: version_name(session, version_id) for version_id in {row.model_version_id for row in rows}}
    return [ScoreView(row, names[row.model_version_id]) for row in rows]


def grades_of_day(session: TenantSession, product: str, as_of: date) -> list[GradeView]:
    """Return the newest grade of every firm that was scored as of a day, riskiest first."""
    return [GradeView(**row._asdict()) for row in repository.read_grades(session, product, as_of)]
