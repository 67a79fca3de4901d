"""What an economy's own rows say of its firms by month, for further rows to agree with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.inputs import DAYS_PAST_DUE_AT_DEFAULT
from features.kinds.contract import Kind
from service.demo.economy import Economy
from service.demo.window import Days, Floats, Ints, Window

Flags = NDArray[np.bool_]
YUAN = 100
_MONTHS_OF_TENSION = 9
_NEVER = 10_000
_BORROWS_ELSEWHERE = 0.5
_ELSEWHERE_TO_SALES = (0.03, 0.12)
_LOAN_STEP, _CAPITAL_STEP = 10_000 * YUAN, 100_000 * YUAN
_OWN_STREAM = 7


@dataclass(frozen=True)
class Ground:
    """n firms, in order of their codes, over T months.

    Attributes
    ----------
    window
        The months.
    economy
        The rows.
    firms
        Their rows of kind ``firm``.
    owners
        The owner's pseudonym of each, null if none is known.
    first : ndarray of shape (n,)
        Month at whose end the bank knows the firm.
    sales, purchases, vat : ndarray of shape (n, T)
        Invoiced in the month without VAT, in fen; VAT on sales less VAT on purchases. Void invoices left out.
    owed : ndarray of shape (n, T)
        Balance of the bank's loans at the month's end, in fen.
    late : ndarray of shape (n, T)
        Days past due at the month's end, 0 without a loan.
    fails : ndarray of shape (n,)
        Month in which a default is first seen; far away if in none.
    strength : ndarray of shape (n,)
        The mean log-odds of not defaulting, standardised; 0 of firms without a loan.
    elsewhere, registered, paid_in : ndarray of shape (n,)
        What the firm owes to others, its capital as registered and the part of it that is paid in, in fen.
    """

    window: Window
    economy: Economy
    firms: pl.DataFrame
    owners: pl.Series
    first: Ints
    sales: Ints
    purchases: Ints
    vat: Ints
    owed: Ints
    late: Ints
    fails: Ints
    strength: Floats
    elsewhere: Ints
    registered: Ints
    paid_in: Ints

    @classmethod
    def of(cls, economy: Economy, window: Window, seed: int) -> "Ground":
        """Sum up an economy of this window; what several kinds must agree on is drawn here."""
        inputs = economy.inputs
        firms = inputs.firms.sort("firm_id")
        codes = firms["firm_id"]
        grid = _Grid(codes, window)
        invoices = inputs.invoices.filter(~pl.col("is_void"))
        sold, bought = (invoices.filter(pl.col("direction") == direction) for direction in ("output", "input"))
        statuses = inputs.repayment_statuses
        late = grid.sum(statuses.filter(~pl.col("is_closed")), "days_past_due")
        is_default = (pl.col("days_past_due") > DAYS_PAST_DUE_AT_DEFAULT) | pl.col("default_event").is_not_null()
        failed = grid.sum(statuses.with_columns(is_default.cast(pl.Int64).alias("failed")), "failed") > 0
        owners = inputs.persons.filter(pl.col("role") == "owner").unique("firm_id", keep="first", maintain_order=True)
        sales = grid.sum(sold, "net_fen")
        rng, annual = np.random.default_rng([seed, _OWN_STREAM]), _annual(sales, window.months)
        elsewhere = _elsewhere(rng, annual)
        registered = _registered(rng, annual)
        return cls(
            window=window,
            economy=economy,
            firms=firms,
            owners=firms.join(owners, on="firm_id", how="left", maintain_order="left")["person_id"],
            first=grid.month_of(firms["observed_on"]).clip(0),
            sales=sales,
            purchases=grid.sum(bought, "net_fen"),
            vat=grid.sum(sold, "vat_fen") - grid.sum(bought, "vat_fen"),
            owed=grid.sum(statuses, "balance_fen"),
            late=late,
            fails=np.where(failed.any(axis=1), failed.argmax(axis=1), _NEVER),
            strength=_strength(economy.truth, codes),
            elsewhere=elsewhere,
            registered=registered,
            paid_in=in_yuan(registered * rng.uniform(0.3, 1.0, len(registered))),
        )

    @property
    def codes(self) -> pl.Series:
        """The firms' codes."""
        return self.firms["firm_id"]

    @property
    def begun(self) -> Days:
        """When the bank learnt of each firm."""
        return np.asarray(self.firms["observed_on"].to_numpy(), dtype="datetime64[D]")

    @property
    def n(self) -> int:
        """How many firms."""
        return self.firms.height

    @property
    def annual(self) -> Ints:
        """Mean sales of a year of the months in which the bank knows the firm, in fen."""
        known = self.window.months - self.first
        return np.asarray(np.maximum(self.sales, 0).sum(axis=1) * 12 // np.maximum(known, 1))

    @property
    def tension(self) -> Floats:
        """How near a default is, shape (n, T): from 0 nine months before it to 1 in it and after."""
        months = np.arange(self.window.months)
        return np.asarray((1 - (self.fails[:, None] - months) / _MONTHS_OF_TENSION).clip(0.0, 1.0))

    @property
    def is_known(self) -> Flags:
        """Whether the bank knows the firm at the month's end, shape (n, T)."""
        return np.asarray(np.arange(self.window.months) >= self.first[:, None])

    def drawn(self, rng: np.random.Generator, chance: NDArray[np.floating[Any]]) -> tuple[Ints, Ints]:
        """Draw firms and months, each with its chance; only where the bank knows the firm."""
        firm, month = np.nonzero((rng.random((self.n, self.window.months)) < chance) & self.is_known)
        return firm, month

    def each(self, months: Ints) -> tuple[Ints, Ints]:
        """Return every firm with each of these months in which the bank knows it."""
        firm, place = np.nonzero(self.is_known[:, months])
        return firm, months[place]

    def month_ends_of(self, *in_year: int) -> Ints:
        """Return the months of the window that are these of the calendar year."""
        months = np.arange(self.window.months)
        number = self.window.month_starts(months).astype("datetime64[M]").astype(int) % 12 + 1
        return months[np.isin(number, in_year)]

    def summed(self, amounts: Ints, firm: Ints, month: Ints, length: int) -> Ints:
        """Sum amounts by month over so many months up to and including one, those before the window left out."""
        running = np.concatenate([np.zeros((self.n, 1), dtype=np.int64), amounts.cumsum(axis=1)], axis=1)
        return np.asarray(running[firm, month + 1] - running[firm, np.maximum(month + 1 - length, 0)])

    def table(self, kind: Kind, firm: Ints, observed: Days, known: Days, **columns: Any) -> pl.DataFrame:
        """Make rows of a kind: a value of each firm's or one of all, null where none is given.

        Rows that became known after the window are left out.
        """
        given = {
            "firm_id": self.codes.gather(firm),
            "observed_on": dates(observed),
            "known_on": dates(known),
            **columns,
        }
        frame = pl.DataFrame(given).select(
            (pl.col(name) if name in given else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in kind.schema.items()
        )
        return frame.filter(pl.col("known_on") <= self.window.end_on)


class _Grid:
    """Sums rows by firm and month."""

    def __init__(self, codes: pl.Series, window: Window) -> None:
        self.places = pl.DataFrame({"firm_id": codes, "place": np.arange(len(codes))})
        self.shape = (len(codes), window.months)
        start = window.month_starts(np.zeros(1, dtype=np.int64)).astype("datetime64[M]").astype(int)[0]
        self.start = int(start)

    def month_of(self, days: pl.Series) -> Ints:
        months = days.to_numpy().astype("datetime64[M]").astype(np.int64)
        return np.asarray(months - self.start)

    def sum(self, rows: pl.DataFrame, column: str) -> Ints:
        place = rows.join(self.places, on="firm_id", how="left", maintain_order="left")["place"].to_numpy()
        cell = place * self.shape[1] + self.month_of(rows["observed_on"])
        # Exact: sums of fen stay below 2 to the 53rd.
        sums = np.bincount(cell, rows[column].fill_null(0).to_numpy(), minlength=self.shape[0] * self.shape[1])
        return np.asarray(np.rint(sums), dtype=np.int64).reshape(self.shape)


def _strength(truth: pl.DataFrame, codes: pl.Series) -> Floats:
    pd = pl.col("true_pd").clip(1e-6, 1 - 1e-6)
    odds = truth.group_by("firm_id").agg((((1 - pd) / pd).log()).mean().alias("odds"))
    own = pl.DataFrame({"firm_id": codes}).join(odds, on="firm_id", how="left", maintain_order="left")["odds"]
    values = own.to_numpy()
    spread = np.nanstd(values) or 1.0
    return np.asarray(np.nan_to_num((values - np.nanmean(values)) / spread))


def _annual(sales: Ints, months: int) -> Ints:
    return np.asarray(np.maximum(sales, 0).sum(axis=1) * 12 // months)


def _elsewhere(rng: np.random.Generator, annual: Ints) -> Ints:
    """Draw what half of the firms owe to others, in steps of 10,000 yuan."""
    share = rng.uniform(*_ELSEWHERE_TO_SALES, len(annual)) * (rng.random(len(annual)) < _BORROWS_ELSEWHERE)
    return np.asarray(np.rint(share * annual / _LOAN_STEP).astype(np.int64) * _LOAN_STEP)


def _registered(rng: np.random.Generator, annual: Ints) -> Ints:
    """Draw registered capital, about a fifth of a year's sales, in steps of 100,000 yuan."""
    steps = np.rint(annual * rng.uniform(0.1, 0.3, len(annual)) / _CAPITAL_STEP)
    return np.asarray(np.maximum(steps, 1).astype(np.int64) * _CAPITAL_STEP)


def dates(days: Days) -> pl.Series:
    """Return days as a column; no day is null."""
    return pl.Series(np.asarray(days, dtype="datetime64[D]"), dtype=pl.Date)


def later(rng: np.random.Generator, days: Days, fewest: int, most: int) -> Days:
    """Return each day some days on."""
    return np.asarray(days + rng.integers(fewest, most + 1, len(days)).astype("timedelta64[D]"))


def sparse(values: Any, is_there: Flags) -> pl.Series:
    """Return values where they are there, null elsewhere."""
    column = values if isinstance(values, pl.Series) else pl.Series(values)
    return pl.select(pl.when(pl.Series(is_there)).then(column)).to_series()


def of_rows(columns: Mapping[str, Any], rows: Ints) -> dict[str, Any]:
    """Return columns of some rows; what is one of all stays."""
    return {
        name: value[rows] if isinstance(value, pl.Series | np.ndarray) else value for name, value in columns.items()
    }


def chosen(options: tuple[str, ...], places: Ints) -> pl.Series:
    """Return the option of each place."""
    return pl.Series(options).gather(places)


def numbered(prefix: str, n: int, digits: int = 6) -> pl.Series:
    """Return n codes, from 1."""
    return prefix + pl.Series(np.arange(1, n + 1)).cast(pl.String).str.zfill(digits)


def in_yuan(fen: Any) -> Ints:
    """Round amounts in fen to whole yuan, still in fen."""
    return np.asarray(np.rint(np.asarray(fen, dtype=np.float64) / YUAN).astype(np.int64) * YUAN)
