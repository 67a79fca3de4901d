"""What the rows of new scores say, made for all firms of a matrix at once and the same, bit for bit, for one."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.build import BUREAU_FEATURES, CATALOG, Matrix
from models.additive import Unit
from models.fitted import Scores
from models.grades import DEFAULTED, stable_grade
from service.firms.use_cases import firm_ids_of
from service.kit import clock
from service.training.use_cases import LoadedModel

IN_DEFAULT: Final[dict[str, Any]] = {
    "code": "in_default",
    "features": [],
    "points": None,
    "value": [],
    "text": {"zh-CN": "该企业目前处于违约状态", "en": "the firm is in default"},
}


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of firms beside their features.

    Attributes
    ----------
    defaulted, refused
        Keys of the firms in default, and of those that no machine alone may decide on.
    previous
        Each firm's last score of an earlier day from a rescoring: ``key``, ``previous_grade``, ``previous_as_of``,
        ``previous_pd``.
    """

    defaulted: pl.Series
    refused: pl.Series
    previous: pl.DataFrame


@dataclass(frozen=True)
class Origin:
    """What scores that are made together rest on, and who made them when.

    Attributes
    ----------
    run_id
        Of the rescoring; None of an online score.
    """

    tenant_id: UUID
    loaded: LoadedModel
    context_id: UUID
    as_of: date
    scored_at: datetime
    actor: str
    run_id: UUID | None


def make_rows(matrix: Matrix, known: Known, origin: Origin) -> pl.DataFrame:
    """Return a row a firm, by firm id: the columns of `Score` but for `batch_id`, ``key`` and those of `previous`.

    Ids are hexadecimal, ``scored_at`` in microseconds since 1970, in UTC: as `binary_row.encode` takes them.
    """
    scores = origin.loaded.model.score(matrix.values)
    frame = _said(origin.loaded, matrix, scores).join(known.previous, on="key", how="left", maintain_order="left")
    stable = stable_grade(frame["previous_grade"].to_list(), scores.pd).tolist()
    is_refused = pl.col("key").is_in(known.refused.implode())
    is_default = pl.col("key").is_in(known.defaulted.implode())
    said = frame.lazy().with_columns(
        pl.Series("stable_grade", stable, dtype=pl.String),
        pl.lit(scores.interval_kind).alias("interval_kind"),
        pl.lit(str(origin.loaded.model.report["pd_basis"])).alias("pd_basis"),
        pl.when(is_refused).then(pl.lit("person")).otherwise(pl.lit("automated")).alias("decision"),
        pl.Series("firm_id", firm_ids_of(origin.tenant_id, matrix.firm_ids)),
        pl.Series("id", [clock.new_id().hex for _ in matrix.firm_ids]),
        *_of_all(origin),
    )
    rows = said.with_columns(
        pl.when(is_default).then(value).otherwise(name).alias(name) for name, value in _OF_DEFAULT.items()
    )
    return rows.sort("firm_id").collect()


def _said(loaded: LoadedModel, matrix: Matrix, scores: Scores) -> pl.DataFrame:
    """Return what the model says of each firm."""
    units = loaded.model.additive.units
    explained = loaded.model.reasons(matrix.values, scores, missing=matrix.missing)
    return pl.DataFrame(
        {
            "key": matrix.firm_ids,
            "pd": scores.pd,
            "interval_low": scores.low,
            "interval_high": scores.high,
            "grade": scores.grade.tolist(),
            "points": scores.points,
            "reasons": explained.texts,
            "features": features_json(matrix),
            "missing": _missing_json(matrix, {name for unit in units for name in unit.features}),
            "reason_families": _families(explained.units, units),
        },
        schema_overrides={"grade": pl.String, "reason_families": pl.String},
    )


def _of_all(origin: Origin) -> list[pl.Expr]:
    """Return the columns that are the same in every row."""
    run_id = None if origin.run_id is None else origin.run_id.hex
    texts = {
        "tenant_id": origin.tenant_id.hex,
        "product": origin.loaded.product.code,
        "actor": origin.actor,
        "model_version_id": origin.loaded.version.id.hex,
        "context_id": origin.context_id.hex,
        "run_id": run_id,
    }
    return [
        *(pl.lit(text, dtype=pl.String).alias(name) for name, text in texts.items()),
        pl.lit(origin.as_of).alias("as_of"),
        pl.lit(origin.scored_at).dt.cast_time_unit("us").dt.epoch("us").alias("scored_at"),
    ]


def features_json(matrix: Matrix) -> pl.Series:
    """Write what each firm's features were, to the last bit; null where unknown and nothing stood in.

    Examples
    --------
    >>> row = np.array([[1.4, np.nan]])
    >>> features_json(Matrix(["E1"], ("sales_cv", "owner_yrs"), row, np.isnan(row))).item()
    '{"sales_cv":1.4,"owner_yrs":null}'
    """
    frame = pl.DataFrame(matrix.values, schema=list(matrix.names), orient="row", nan_to_null=True)
    return frame.to_struct("features").struct.json_encode()


def _missing_json(matrix: Matrix, used: set[str]) -> list[str]:
    """Write which features that the model uses were unknown, and by what rule they were filled."""
    columns = [column for column, name in enumerate(matrix.names) if name in used]
    rules = [_json({"name": matrix.names[column], "rule": CATALOG[matrix.names[column]].missing}) for column in columns]
    packed = np.packbits(matrix.missing[:, columns], axis=1)
    data, width = packed.tobytes(), packed.shape[1]
    keys = [data[at : at + width] for at in range(0, len(data), width)] if width else [b""] * len(matrix.firm_ids)
    row_of = dict(zip(keys, range(len(keys)), strict=True))
    texts = {
        key: f"[{','.join([rules[place] for place in np.flatnonzero(matrix.missing[row, columns])])}]"
        for key, row in row_of.items()
    }
    return [texts[key] for key in keys]


def _families(chosen: NDArray[np.intp], units: tuple[Unit, ...]) -> list[str]:
    """Write the feature families of each row's units, as `families_of` does."""
    numbers = (chosen + 1) @ (len(units) + 1) ** np.arange(chosen.shape[1])
    _, firsts, places = np.unique(numbers, return_index=True, return_inverse=True)
    written = [families_of(units[unit].features for unit in row if unit >= 0) for row in chosen[firsts].tolist()]
    return [written[place] for place in places.tolist()]


def families_of(told: Iterable[Iterable[str]]) -> str:
    """Write the feature families of reasons, each once, as PostgreSQL writes an array; of bureau records, nothing.

    Parameters
    ----------
    told
        The features of each reason.

    Examples
    --------
    >>> families_of([["owner_yrs"], ["sales_cv", "cust_hhi"]]), families_of([["owner_dpd"]])
    ('{owner,stability,buyers}', '{}')
    """
    shown = [names for names in map(list, told) if BUREAU_FEATURES.isdisjoint(names)]
    families = dict.fromkeys(CATALOG[name].family for names in shown for name in names)
    return "{" + ",".join(families) + "}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_OF_DEFAULT: Final = {
    "pd": pl.lit(1.0),
    "interval_low": pl.lit(1.0),
    "interval_high": pl.lit(1.0),
    "interval_kind": pl.lit("observed"),
    "pd_basis": pl.lit("default"),
    "grade": pl.lit(DEFAULTED),
    "stable_grade": pl.lit(DEFAULTED),
    "points": pl.lit(None, dtype=pl.Float64),
    "reasons": pl.lit(_json([IN_DEFAULT])),
    "reason_families": pl.lit("{default}"),
}
"""What stands in the row of a firm in default in place of what the model says."""
