"""Score firms. One function serves one firm and a million: the same rows, bit for bit."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from features.as_of import known
from features.build import BUREAU_FEATURES, CATALOG, Matrix, build_matrix
from features.consent import refused_automated
from features.context import CONTEXT_KINDS, Context, build_context
from features.inputs import Inputs
from features.repayment import dated_statuses, in_default
from features.sufficiency import REQUIREMENTS, insufficient
from models.grades import DEFAULTED, stable_grade
from models.plan import Plan, plan
from models.reasons import Reason
from service.errors import Conflict, InsufficientData, InvalidPayload, NotFound
from service.firms.reach import whole_population
from service.firms.use_cases import firm_id_of, get_firm, list_keys, read_inputs
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.people.use_cases import data_withdrawn
from service.scoring import publication, repository
from service.scoring.tables import DayContext, Score
from service.training.use_cases import LoadedModel, live_model, model_version, product_of, version_name

IN_DEFAULT: dict[str, Any] = {
    "code": "in_default",
    "features": [],
    "points": None,
    "value": [],
    "text": {"zh-CN": "该企业目前处于违约状态", "en": "the firm is in default"},
}


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
    scored, refusals = score_range(session, loaded, as_of, (context_id, context), (key, key), actor, run_id=None)
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
    run_id: UUID | None,
) -> tuple[list[Scored], list[Refusal]]:
    """Score every firm whose key lies in a range, and keep the scores in the session's transaction.

    Those of a run become current when it is published.

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
    rows = _rows(loaded, matrix, defaulted, previous)
    is_refused = pl.col("key").is_in(_refused_today(session, keys).implode())
    rows = rows.with_columns(decision=pl.when(is_refused).then(pl.lit("person")).otherwise(pl.lit("automated")))
    rows = _with_provenance(session, rows, loaded, context[0], as_of, actor, run_id)
    current = [UUID(i) for i in rows["id"]] if run_id is None else []
    repository.insert_scores(session, rows.select(*Score.model_fields), current)
    return _scored(rows, loaded.product.code, as_of), refusals


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


def _rows(loaded: LoadedModel, matrix: Matrix, defaulted: pl.Series, previous: pl.DataFrame) -> pl.DataFrame:
    """Return one row a firm with all that the model says of it."""
    scores = loaded.model.score(matrix.values)
    used = {name for unit in loaded.model.additive.units for name in unit.features}
    reasons = loaded.model.reasons(matrix.values, scores, missing=matrix.missing)
    frame = pl.DataFrame(
        {
            "key": matrix.firm_ids,
            "pd": scores.pd,
            "interval_low": scores.low,
            "interval_high": scores.high,
            "grade": scores.grade.astype(str),
            "points": scores.points,
            "reasons": [json.dumps(items, ensure_ascii=False) for items in reasons],
            "features": _features_json(matrix),
            "missing": _missing_json(matrix, used),
            "reason_families": [_families_of(items) for items in reasons],
        }
    ).join(previous, on="key", how="left", maintain_order="left")
    stable = stable_grade(frame["previous_grade"].to_list(), scores.pd)
    is_default = pl.col("key").is_in(defaulted.implode())
    one, nothing = pl.lit(1.0), pl.lit(None, dtype=pl.Float64)
    basis = str(loaded.model.report["pd_basis"])
    return frame.with_columns(
        pl.when(is_default).then(one).otherwise("pd").alias("pd"),
        pl.when(is_default).then(one).otherwise("interval_low").alias("interval_low"),
        pl.when(is_default).then(one).otherwise("interval_high").alias("interval_high"),
        pl.when(is_default).then(pl.lit("observed")).otherwise(pl.lit(scores.interval_kind)).alias("interval_kind"),
        pl.when(is_default).then(pl.lit("default")).otherwise(pl.lit(basis)).alias("pd_basis"),
        pl.when(is_default).then(pl.lit(DEFAULTED)).otherwise("grade").alias("grade"),
        pl.when(is_default).then(pl.lit(DEFAULTED)).otherwise(pl.Series(stable)).alias("stable_grade"),
        pl.when(is_default).then(nothing).otherwise("points").alias("points"),
        pl.when(is_default).then(pl.lit(json.dumps([IN_DEFAULT], ensure_ascii=False))).otherwise("reasons")
        .alias("reasons"),
        pl.when(is_default).then(pl.lit("{default}")).otherwise("reason_families").alias("reason_families"),
    )  # fmt: skip


def _in_default(inputs: Inputs, firm_ids: list[str], as_of: date) -> pl.Series:
    candidates = pl.DataFrame({"firm_id": firm_ids}, schema={"firm_id": pl.String}).with_columns(on=pl.lit(as_of))
    return in_default(candidates, dated_statuses(known(inputs, as_of)))["firm_id"]


def _features_json(matrix: Matrix) -> list[str]:
    """Write what each firm's features were; null where unknown and nothing stood in."""
    rows = [[None if value != value else value for value in row] for row in matrix.values.tolist()]  # noqa: PLR0124
    return [json.dumps(dict(zip(matrix.names, row, strict=True))) for row in rows]


def _families_of(reasons: Sequence[Reason]) -> str:
    """Write the feature families of reasons, each once, as PostgreSQL writes an array; of bureau records, nothing.

    Examples
    --------
    >>> pair = {"features": ["sales_cv", "cust_hhi"]}
    >>> _families_of([{"features": ["owner_yrs"]}, pair]), _families_of([{"features": ["owner_dpd"]}])
    ('{owner,stability,buyers}', '{}')
    """
    told = [reason["features"] for reason in reasons if BUREAU_FEATURES.isdisjoint(reason["features"])]
    families = dict.fromkeys(CATALOG[name].family for names in told for name in names)
    return "{" + ",".join(families) + "}"


def _missing_json(matrix: Matrix, used: set[str]) -> list[str]:
    """Write which features that the model uses were unknown, and by what rule they were filled."""
    columns = [column for column, name in enumerate(matrix.names) if name in used]
    rules = [{"name": matrix.names[column], "rule": CATALOG[matrix.names[column]].missing} for column in columns]
    return [
        json.dumps([rule for rule, is_missing in zip(rules, row, strict=True) if is_missing])
        for row in matrix.missing[:, columns].tolist()
    ]


def _with_provenance(
    session: TenantSession,
    rows: pl.DataFrame,
    loaded: LoadedModel,
    context_id: UUID,
    as_of: date,
    actor: str,
    run_id: UUID | None,
) -> pl.DataFrame:
    tenant_id = tenant_of(session)
    return rows.with_columns(
        pl.lit(str(tenant_id)).alias("tenant_id"),
        pl.Series("id", [str(clock.new_id()) for _ in range(rows.height)]),
        pl.Series("firm_id", [str(firm_id_of(tenant_id, key)) for key in rows["key"]]),
        pl.lit(loaded.product.code).alias("product"),
        pl.lit(as_of).alias("as_of"),
        pl.lit(clock.now().isoformat()).alias("scored_at"),
        pl.lit(actor).alias("actor"),
        pl.lit(str(loaded.version.id)).alias("model_version_id"),
        pl.lit(str(context_id)).alias("context_id"),
        pl.lit(None if run_id is None else str(run_id), dtype=pl.String).alias("run_id"),
    )


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
    row = repository.find_score(session, score_id)
    is_hidden = row is not None and row.run_id is not None and not repository.is_published(session, row.run_id)
    if row is None or (is_hidden and not even_unpublished):
        raise NotFound("No score has this id.")
    return ScoreView(row, version_name(session, row.model_version_id))


def current_score(session: TenantSession, firm_id: UUID, product: str) -> ScoreView | None:
    """Return the current score of a firm and product, if the firm has one and is within reach."""
    row = repository.find_current(session, firm_id, product)
    return None if row is None else ScoreView(row, version_name(session, row.model_version_id))


def check_fresh(session: TenantSession, view: ScoreView) -> None:
    """Check that nothing that a score used was withdrawn since.

    Raises
    ------
    Conflict
        If a person behind the firm withdrew a consent to the use of its data, or was erased, since it was made.
    """
    if data_withdrawn(session, view.score.firm_id, view.score.scored_at):
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
