"""The months an economy covers, and how much is done on each of their days."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Days = NDArray[np.datetime64]

MIN_MONTHS = 6
_WEEKEND = 0.3
_FESTIVAL = 0.08
_FESTIVAL_FROM, _FESTIVAL_TO = -8, 13
_NATIONAL_DAY = 0.3
_NATIONAL_DAY_LENGTH = 7
_SEASON = 0.2
_SPRING_FESTIVALS = np.array(
    [
        *("2015-02-19", "2016-02-08", "2017-01-28", "2018-02-16", "2019-02-05", "2020-01-25", "2021-02-12"),
        *("2022-02-01", "2023-01-22", "2024-02-10", "2025-01-29", "2026-02-17", "2027-02-06", "2028-01-26"),
        *("2029-02-13", "2030-02-03", "2031-01-23", "2032-02-11", "2033-01-31", "2034-02-19", "2035-02-08"),
    ],
    dtype="datetime64[D]",
)


@dataclass(frozen=True)
class Window:
    """Whole months up to a last day; month 0 is the first, negative months lie before it.

    Attributes
    ----------
    end_on : date
        The last day, a month end.
    months : int
        How many months, at least 6.

    Examples
    --------
    >>> Window(date(2024, 12, 31), 12).month_ends(np.array([-1, 0, 11])).astype(str).tolist()
    ['2023-12-31', '2024-01-31', '2024-12-31']
    """

    end_on: date
    months: int

    def __post_init__(self) -> None:
        if (self.end_on + timedelta(days=1)).day != 1:
            raise ValueError(f"an economy ends with a month, not on {self.end_on}")
        if self.months < MIN_MONTHS:
            raise ValueError(f"an economy needs {MIN_MONTHS} months")

    @property
    def end(self) -> np.datetime64:
        """The last day."""
        return np.datetime64(self.end_on, "D")

    def month_starts(self, months: Ints) -> Days:
        """Return the first day of each month."""
        last = self.end.astype("datetime64[M]")
        return np.asarray(last + (months - self.months + 1), dtype="datetime64[D]")

    def month_ends(self, months: Ints) -> Days:
        """Return the last day of each month."""
        return self.month_starts(months + 1) - np.timedelta64(1, "D")


@dataclass(frozen=True)
class Activity:
    """How much business a trade does on each day of a window, 1 on an ordinary working day out of season.

    Attributes
    ----------
    days : ndarray of shape (d,)
        Every day of the window.
    cumulative : ndarray of shape (d,)
        Sum of the days' weights up to and including each day.
    month_bounds : ndarray of shape (T + 1,)
        Sum of weights before each month, and in all.
    """

    days: Days
    cumulative: Floats
    month_bounds: Floats

    @property
    def by_month(self) -> Floats:
        """Each month's business relative to the mean month, shape (T,)."""
        weights = np.diff(self.month_bounds)
        return np.asarray(weights / weights.mean())

    def day_of(self, month: Ints, draw: Floats) -> Days:
        """Return a day of each month, drawn by weight with uniform draws in [0, 1)."""
        position = self.month_bounds[month] + draw * np.diff(self.month_bounds)[month]
        day = np.minimum(np.searchsorted(self.cumulative, position, side="right"), len(self.days) - 1)
        return self.days[day]


def activity(window: Window, peak_month: int) -> Activity:
    """Weigh the days of a window: less at weekends, hardly any around the Spring Festival, more in season.

    Parameters
    ----------
    window : Window
        The months.
    peak_month : int
        Month of the year with the highest sales, 1 to 12.
    """
    bounds = window.month_starts(np.arange(window.months + 1))
    days = np.arange(bounds[0], bounds[-1])
    month = days.astype("datetime64[M]")
    day_of_month = (days - month.astype("datetime64[D]")).astype(int) + 1
    month_of_year = month.astype(int) % 12 + 1
    weight = 1 + _SEASON * np.cos(2 * np.pi * (month_of_year - peak_month) / 12)
    weight[~np.is_busday(days)] *= _WEEKEND
    weight[(month_of_year == 10) & (day_of_month <= _NATIONAL_DAY_LENGTH)] *= _NATIONAL_DAY
    since = (days[:, None] - _SPRING_FESTIVALS).astype(int)
    weight[((since >= _FESTIVAL_FROM) & (since < _FESTIVAL_TO)).any(axis=1)] *= _FESTIVAL
    cumulative = weight.cumsum()
    return Activity(days, cumulative, np.concatenate([[0.0], cumulative])[(bounds - bounds[0]).astype(int)])
