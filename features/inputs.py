"""The raw observations that features are made of: one table a kind, each row with its two business dates.

``observed_on`` is when the fact was true, ``known_on`` when the lender could know it. Money is whole fen (Int64),
so that sums are exact in any order. The kinds, read by features or not yet, are in `features.kinds`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final

import polars as pl

from features.kinds import KINDS
from features.kinds.contract import Kind

DAYS_PAST_DUE_AT_DEFAULT: Final = 90
"""More days past due than this are a default (methods.md section 1, Basel)."""
INPUT_KINDS: Final[dict[str, Kind]] = {
    name: KINDS[name]
    for name in ("firm", "person", "invoice", "loan", "repayment_status", "consent", "personal_record")
}
"""The kinds that features read."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Every observation of some firms that features read: one table a kind.

    Examples
    --------
    >>> Inputs.empty().of_firms(["F1"]).invoices.height
    0
    """

    firms: pl.DataFrame
    persons: pl.DataFrame
    invoices: pl.DataFrame
    loans: pl.DataFrame
    repayment_statuses: pl.DataFrame
    consents: pl.DataFrame
    personal_records: pl.DataFrame

    @classmethod
    def of_frames(cls, frames: Mapping[str, pl.DataFrame]) -> "Inputs":
        """Make inputs of checked tables by kind name; a kind left out has no rows.

        Raises
        ------
        ValueError
            If a kind is unknown or a table breaks its kind's contract.
        """
        unknown = sorted(set(frames) - set(INPUT_KINDS))
        if unknown:
            raise ValueError(f"unknown kinds: {', '.join(unknown)}")
        tables = [kind.check(frames[name]) if name in frames else kind.empty() for name, kind in INPUT_KINDS.items()]
        return cls(**dict(zip(cls._table_names(), tables, strict=True)))

    @classmethod
    def empty(cls) -> "Inputs":
        """Return inputs without rows."""
        return cls.of_frames({})

    @classmethod
    def concat(cls, parts: Iterable["Inputs"]) -> "Inputs":
        """Stack several inputs; the order of rows carries no meaning."""
        parts = [cls.empty(), *parts]
        return cls(**{name: pl.concat([getattr(part, name) for part in parts]) for name in cls._table_names()})

    def frames(self) -> dict[str, pl.DataFrame]:
        """Tables by kind name."""
        return dict(zip(INPUT_KINDS, (getattr(self, name) for name in self._table_names()), strict=True))

    def only(self, *kinds: str) -> "Inputs":
        """Keep the rows of some kinds; the others have none."""
        return Inputs.of_frames({name: frame for name, frame in self.frames().items() if name in kinds})

    def of_firms(self, firm_ids: Collection[str]) -> "Inputs":
        """Keep the rows of some firms."""
        wanted = pl.Series(list(firm_ids), dtype=pl.String)
        return self.filter(pl.col("firm_id").is_in(wanted.implode()))

    def filter(self, *predicates: pl.Expr) -> "Inputs":
        """Keep the rows of every table that satisfy the predicates."""
        return Inputs(**{name: getattr(self, name).filter(*predicates) for name in self._table_names()})

    @classmethod
    def _table_names(cls) -> list[str]:
        """Name the tables, in the order of INPUT_KINDS."""
        return [field.name for field in fields(cls)]
