"""The only way to a matrix, for one firm and for a million, online and in batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from features import cluster, customers, firm, person, supply_chain
from features.consent import permitted
from features.context import Context
from features.inputs import Inputs
from features.spec import CATALOG

__all__ = ["BUREAU_FEATURES", "CATALOG", "MODULES", "Matrix", "build_matrix", "firm_tables"]

MODULES = (supply_chain, customers, firm, person, cluster)
"""The modules whose features make up the catalogue."""
BUREAU_FEATURES: Final = frozenset(name for name, feature in CATALOG.items() if "bureau" in feature.tables)
"""The features that rest on what the credit bureau said of a person: no fund learns even that one weighed."""


@dataclass(frozen=True)
class Matrix:
    """One row a firm, one column a feature.

    Attributes
    ----------
    firm_ids
        Firms, sorted; length n.
    names
        Features, as asked for; length p.
    values
        Shape (n, p), float64, C-contiguous; NaN where unknown and the feature's rule leaves it so.
    missing
        Shape (n, p), bool; where the raw value was unknown, also where a rule put a value in its place.
    """

    firm_ids: list[str]
    names: tuple[str, ...]
    values: npt.NDArray[np.float64]
    missing: npt.NDArray[np.bool_]

    def frame(self) -> pl.DataFrame:
        """Return ``firm_id``, the features, and ``<name>__missing`` of those whose rule flags what it fills."""
        columns: dict[str, pl.Series] = {"firm_id": pl.Series(self.firm_ids, dtype=pl.String)}
        for j, name in enumerate(self.names):
            columns[name] = pl.Series(self.values[:, j])
        for j, name in enumerate(self.names):
            if CATALOG[name].missing in {"C", "N"}:
                columns[f"{name}__missing"] = pl.Series(self.missing[:, j])
        return pl.DataFrame(columns)


def build_matrix(inputs: Inputs, context: Context, names: Sequence[str], as_of: date) -> Matrix:
    """Compute features of every firm known on a day.

    Only what had happened, was known and might be used on ``as_of`` is read: of people, what they consented to. A
    firm's row depends on its own observations and the context alone, to the bit: it is the same among a million
    others, and in any order of rows.

    Parameters
    ----------
    inputs
        Observations of any dates; one row of the matrix for each firm of ``inputs.firms`` known on the day.
    context
        The population's tables of the same day.
    names
        Features to compute, in the order of the columns; only the passes these need are made.
    as_of
        The day.

    Raises
    ------
    ValueError
        If a name is not in the catalogue, or the context is of another day.

    Examples
    --------
    >>> from features.context import build_context
    >>> day = date(2024, 6, 30)
    >>> build_matrix(Inputs.empty(), build_context(Inputs.empty(), day), ["ln_sales", "growth"], day).values.shape
    (0, 2)
    """
    unknown = [name for name in names if name not in CATALOG]
    if unknown:
        raise ValueError(f"unknown features: {', '.join(unknown)}")
    if context.as_of != as_of:
        raise ValueError(f"context of {context.as_of} where {as_of} is expected")
    wanted = frozenset(table for name in names for table in CATALOG[name].tables)
    table = firm_tables(permitted(inputs, as_of), context, as_of, wanted)
    columns = [CATALOG[name].expression.cast(pl.Float64).alias(name) for name in names]
    stand_ins = {name: stand_in for name in names if (stand_in := CATALOG[name].stand_in) is not None}
    columns += [stand_in.alias(f"{name} of its cluster") for name, stand_in in stand_ins.items()]
    raw = table.select("firm_id", *columns).collect(engine="in-memory").head(-1)
    values = np.array(raw.select(names).fill_null(float("nan")).to_numpy(), dtype=np.float64, order="C")
    values = values.reshape(raw.height, len(names))
    missing = np.isnan(values)
    for j, name in enumerate(names):
        if name in stand_ins:
            of_cluster = raw[f"{name} of its cluster"].fill_null(float("nan")).to_numpy()
            values[missing[:, j], j] = of_cluster[missing[:, j]]
        values[np.isnan(values[:, j]), j] = _substitute(name, context)
    return Matrix(raw["firm_id"].to_list(), tuple(names), values, missing)


def firm_tables(seen: Inputs, context: Context, as_of: date, wanted: frozenset[str]) -> pl.LazyFrame:
    """Return one row a firm, sorted, with the columns of the wanted shared passes; null where a pass has none.

    A last row of nulls follows the firms. Polars divides by a column of length one as by a constant, multiplying with
    its reciprocal, which may differ in the last bit: with the extra row no column ever has length one.

    Parameters
    ----------
    seen
        Observations known on ``as_of``, of people those permitted.
    context
        The population's tables of the day.
    as_of
        The day; stands in the column ``as_of``.
    wanted
        Names of the passes, as in ``Feature.tables``.
    """
    firms = seen.firms.lazy().select(pl.col("firm_id").unique().sort())
    nobody = pl.LazyFrame({"firm_id": [None]}, schema={"firm_id": pl.String})
    table = pl.concat([firms, nobody]).with_columns(as_of=pl.lit(as_of, pl.Date))
    for module in MODULES:
        for part in module.passes(seen, context, as_of, wanted):
            table = table.join(part, on="firm_id", how="left", maintain_order="left")
    return table


def _substitute(name: str, context: Context) -> float:
    """Return what stands for an unknown value of a feature."""
    feature = CATALOG[name]
    if feature.fallback is not None:
        return feature.fallback(context)
    return float("nan") if feature.missing == "B" else 0.0
