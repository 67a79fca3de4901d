"""The invoices of one cluster: what its firms sell to each other and to the world, and buy from both."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.demo.hazard import History, State
from service.demo.members import Members
from service.demo.trades import ASSEMBLY
from service.demo.window import Activity, Days, Floats, Ints, Window

Flags = NDArray[np.bool_]

VAT = 0.13
N_OUTSIDE_BUYERS = 600
N_OUTSIDE_SUPPLIERS = 300

# Level of sales by state: healthy, slipping, strained, 30 and 60 days overdue, in default.
_SALES_LEVEL = np.array([1.0, 0.80, 0.50, 0.35, 0.25, 0.08])
# Share of its usual purchases that an anchor makes in each state; one that is gone has been replaced.
_ANCHOR_PURCHASES = np.array([1.0, 0.80, 0.50, 0.35, 0.25, 0.05, 1.0])
_SHOCK_LEVEL = 0.90
_ADJUSTMENT = 0.7
_MONTHS_TRADING_IN_DEFAULT = 8
_RAMP_MONTHS = 6
_TROUBLE_VOLATILITY = 2.2
_TROUBLE_VOIDS = 2.5

# Of a firm's invoices: sales, purchases from outside; the rest are purchases within the cluster.
_SALES_ROWS, _OUTSIDE_ROWS = 0.58, 0.28
_MARGIN = (0.23, 0.05)
_COST_NOISE = 0.15
_LEAST_OUTSIDE = 0.05
_OUTSIDE_VOIDS = 0.01
_MOST_VOIDS = 0.4
# A supplier in the cluster is at most this share of a buyer's sales, where there are buyers large enough.
_LARGEST_SUPPLIER = 0.15
_FEWEST_BUYERS = 2
_FULL_REVERSAL = 0.4
_PARTIAL_REVERSAL = 0.006
_PARTIAL_AMOUNT = (0.03, 0.3)
_REVERSAL_DAYS = (3, 40)


@dataclass(frozen=True)
class Invoices:
    """k invoices. Members are numbered from 0, then come outside buyers, then outside suppliers.

    Attributes
    ----------
    seller, buyer : ndarray of shape (k,)
        The parties.
    day : ndarray of shape (k,)
        Date of issue.
    gross_fen : ndarray of shape (k,)
        Amount with VAT; negative on credit notes.
    is_void : ndarray of shape (k,)
        Whether the invoice was voided.
    """

    seller: Ints
    buyer: Ints
    day: Days
    gross_fen: Ints
    is_void: Flags

    @property
    def net_fen(self) -> Ints:
        """Amount without VAT, to the fen."""
        return np.rint(self.gross_fen / (1 + VAT)).astype(np.int64)

    def numbers(self, rng: np.random.Generator) -> Ints:
        """Return eight-digit numbers, consecutive for each seller in the order of days."""
        order = np.lexsort((self.day, self.seller))
        seller = self.seller[order]
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order)) - np.searchsorted(seller, seller)
        first = rng.integers(10_000_000, 90_000_000, self.seller.max(initial=0) + 1)
        return np.asarray(first[self.seller] + rank)


def issue_invoices(
    rng: np.random.Generator,
    members: Members,
    history: History,
    window: Window,
    activity: Activity,
    invoices_per_firm_month: float,
) -> Invoices:
    """Issue every invoice in which a member sells or buys.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    members : Members
        The firms.
    history : History
        What happens to them.
    window : Window
        The months.
    activity : Activity
        The days' weights.
    invoices_per_firm_month : float
        Mean number of invoices of a firm in a month, sales and purchases.
    """
    n = len(members.stage)
    level = _sales_level(members, history)
    sales = _monthly_sales(rng, members, history, level, activity)
    pace = _relative_pace(rng, members)[:, None] * invoices_per_firm_month * level * activity.by_month
    seller, sold_in, sold = _split(rng, sales * (1 + VAT), _SALES_ROWS * pace)
    buyer = _buyers(rng, members, history, seller, sold_in)
    is_inside = buyer < n
    revenue = _by_month(seller, sold_in, sold, sales.shape)
    bought = _by_month(buyer[is_inside], sold_in[is_inside], sold[is_inside], sales.shape)
    lasting = revenue * (1 - (1 + _FULL_REVERSAL) * members.void_share[:, None])
    outside = _outside_purchases(rng, lasting, bought)
    outside_share = outside / np.maximum(revenue, 1.0)
    supplied, supplied_in, paid = _split(rng, outside, _OUTSIDE_ROWS * pace * np.sqrt(outside_share).clip(max=1.0))
    supplier = n + N_OUTSIDE_BUYERS + _suppliers(rng, members, supplied, supplied_in, window.months)
    month = np.concatenate([sold_in, supplied_in])
    void_share = np.concatenate(
        [_void_share(members, history, seller, sold_in), np.full(len(supplier), _OUTSIDE_VOIDS)]
    )
    invoices = Invoices(
        seller=np.concatenate([seller, supplier]),
        buyer=np.concatenate([buyer, supplied]),
        day=activity.day_of(month, rng.random(len(month))),
        gross_fen=_round_amount(np.concatenate([sold, paid])),
        is_void=rng.random(len(month)) < void_share,
    )
    return _with_credit_notes(rng, invoices, void_share, window.end)


def _relative_pace(rng: np.random.Generator, members: Members) -> Floats:
    """Return each firm's number of invoices relative to the mean; larger firms issue more, and larger ones."""
    pace = np.exp(0.6 * members.ln_sales + 0.3 * rng.standard_normal(len(members.ln_sales)))
    return np.asarray(pace / pace.mean())


def _by_month(firm: Ints, month: Ints, amount: Floats, shape: tuple[int, int]) -> Floats:
    """Sum amounts by firm and month."""
    sums = np.bincount(firm * shape[1] + month, amount, minlength=shape[0] * shape[1])
    return np.asarray(sums, dtype=np.float64).reshape(shape)


def _outside_purchases(rng: np.random.Generator, revenue: Floats, bought: Floats) -> Floats:
    """Return what firms buy outside by month: their costs less what the cluster sold them, now or in months before."""
    margin = rng.normal(*_MARGIN, len(revenue))
    cost = (1 - margin)[:, None] * np.exp(_COST_NOISE * rng.standard_normal(revenue.shape)) * revenue
    outside = np.empty_like(cost)
    stock = np.zeros(len(cost))
    for month in range(cost.shape[1]):
        stock += bought[:, month] - cost[:, month]
        outside[:, month] = np.maximum(-stock, _LEAST_OUTSIDE * cost[:, month])
        stock += outside[:, month]
    return outside


def _sales_level(members: Members, history: History) -> Floats:
    """Return each firm's sales relative to its usual, shape (n, T): what trouble, shocks and age make of them."""
    months = np.arange(len(history.regime))
    own = _lagged(_SALES_LEVEL[history.states] * np.where(history.regime, _SHOCK_LEVEL, 1.0))
    anchor = _lagged(_ANCHOR_PURCHASES[history.anchors])[members.exposure.anchor]
    ramp = ((months - members.first_month[:, None] + 1) / _RAMP_MONTHS).clip(0.0, 1.0)
    months_in_default = (history.states == State.DEFAULT).cumsum(axis=1)
    is_trading = months_in_default <= _MONTHS_TRADING_IN_DEFAULT
    return np.asarray(own * ramp * is_trading * (1 - members.exposure.dependence[:, None] * (1 - anchor)))


def _lagged(target: Floats) -> Floats:
    """Let a level follow its target along the months, closing a fixed part of the distance in each."""
    level = target.copy()
    for month in range(1, target.shape[1]):
        level[:, month] = level[:, month - 1] + _ADJUSTMENT * (target[:, month] - level[:, month - 1])
    return level


def _monthly_sales(
    rng: np.random.Generator, members: Members, history: History, level: Floats, activity: Activity
) -> Floats:
    """Return net sales in yuan by firm and month, shape (n, T)."""
    months = len(history.regime)
    years_from_middle = (np.arange(months) + 0.5 - months / 2) / 12
    trend = members.ln_sales[:, None] + members.growth[:, None] * years_from_middle
    sd = members.volatility[:, None] * np.where(history.states == State.HEALTHY, 1.0, _TROUBLE_VOLATILITY)
    noise = sd * rng.standard_normal(level.shape) - sd**2 / 2
    return np.asarray(np.exp(trend + noise) / 12 * level * activity.by_month)


def _split(rng: np.random.Generator, amount: Floats, pace: Floats) -> tuple[Ints, Ints, Floats]:
    """Split monthly amounts into invoices, `pace` of them on average; return firm, month and amount of each.

    A month in which a firm issues none, which a pace below one makes likely, is a month without sales.
    """
    counts = (rng.random(pace.shape) < pace) + rng.poisson(np.maximum(pace - 1, 0.0))
    cell = np.repeat(np.arange(amount.size), np.where(amount > 0, counts, 0).ravel())
    weight = rng.gamma(1.5, size=len(cell)) + 0.05
    total = np.bincount(cell, weight, minlength=amount.size)
    firm, month = np.divmod(cell, amount.shape[1])
    return firm, month, amount.ravel()[cell] * weight / total[cell]


def _buyers(rng: np.random.Generator, members: Members, history: History, seller: Ints, month: Ints) -> Ints:
    """Draw the buyer of each sale among the seller's buyers of the month."""
    slots = members.slots
    n, months = history.states.shape
    outside = n + _popular(rng, N_OUTSIDE_BUYERS, (len(slots.seller), months))
    holders = np.where(slots.is_local[:, None], _local_buyers(rng, members, months), outside)
    holders = _kept(rng, holders, members.churn[slots.seller])
    holders = np.where(slots.partner[:, None] >= 0, slots.partner[:, None], holders)
    is_trading = (np.arange(months) >= members.first_month[:, None]) & (history.states != State.DEFAULT)
    substitute = outside[:, :1]
    is_gone = (holders < n) & ~is_trading[np.minimum(holders, n - 1), np.arange(months)]
    holders = np.where(is_gone, substitute, holders)
    return holders[_slot(rng, slots.seller, slots.share, seller), month]


def _local_buyers(rng: np.random.Generator, members: Members, months: int) -> Ints:
    """Draw a member of the next stage for each place and month, larger ones more often and small ones for small sales.

    Lead firms buy from those who depend on them instead.
    """
    seller = members.slots.seller
    amount = np.exp(members.ln_sales[seller]) * members.slots.share
    buyers = np.zeros((len(seller), months), dtype=np.int64)
    for stage in range(ASSEMBLY + 1):
        rows = np.flatnonzero(members.stage[seller] == stage)
        candidates = np.setdiff1d(np.flatnonzero(members.stage == stage + 1), members.leads)
        candidates = candidates[np.argsort(members.ln_sales[candidates])]
        size = np.exp(members.ln_sales[candidates])
        smallest = np.searchsorted(size, amount[rows] / _LARGEST_SUPPLIER).clip(max=len(size) - _FEWEST_BUYERS)
        cumulative = np.concatenate([[0.0], size.cumsum()])
        lower = cumulative[smallest][:, None]
        draw = lower + rng.random((len(rows), months)) * (cumulative[-1] - lower)
        buyers[rows] = candidates[np.searchsorted(cumulative[1:], draw, side="right").clip(max=len(size) - 1)]
    return buyers


def _suppliers(rng: np.random.Generator, members: Members, buyer: Ints, month: Ints, months: int) -> Ints:
    """Draw the outside supplier of each purchase among the buyer's suppliers of the month."""
    n = len(members.stage)
    owner = np.repeat(np.arange(n), 2 + rng.poisson(4.0, n))
    weight = rng.gamma(0.8, size=len(owner)) + 0.02
    share = weight / np.bincount(owner, weight)[owner]
    holders = _kept(rng, _popular(rng, N_OUTSIDE_SUPPLIERS, (len(owner), months)), members.churn[owner])
    return holders[_slot(rng, owner, share, buyer), month]


def _popular(rng: np.random.Generator, size: int, shape: tuple[int, int]) -> Ints:
    """Draw from a pool whose first members are the most popular."""
    return (size * rng.random(shape) ** 2).astype(np.int64)


def _kept(rng: np.random.Generator, candidates: Ints, churn: Floats) -> Ints:
    """Keep the holder of each place from month to month, but for the share replaced in a year."""
    is_replaced = rng.random(candidates.shape) < churn[:, None] / 12
    since = np.maximum.accumulate(np.where(is_replaced, np.arange(candidates.shape[1]), 0), axis=1)
    return np.take_along_axis(candidates, since, axis=1)


def _slot(rng: np.random.Generator, owner: Ints, share: Floats, firm: Ints) -> Ints:
    """Draw one of each firm's places by share; places are sorted by owner, whose shares sum to 1."""
    slot = np.searchsorted(share.cumsum(), firm + rng.random(len(firm)), side="right")
    first = np.searchsorted(owner, firm, side="left")
    last = np.searchsorted(owner, firm, side="right") - 1
    return slot.clip(first, last)


def _round_amount(gross: Floats) -> Ints:
    """Return amounts in fen, rounded as invoices are: to 10 yuan from 5,000 up, to 1 yuan below."""
    unit = np.where(gross >= 5000, 10, 1)
    return (np.maximum(np.rint(gross / unit), 1) * unit * 100).astype(np.int64)


def _void_share(members: Members, history: History, seller: Ints, month: Ints) -> Floats:
    factor = np.where(history.states[seller, month] == State.HEALTHY, 1.0, _TROUBLE_VOIDS)
    return np.asarray((members.void_share[seller] * factor).clip(max=_MOST_VOIDS))


def _with_credit_notes(
    rng: np.random.Generator, invoices: Invoices, void_share: Floats, end: np.datetime64
) -> Invoices:
    """Add credit notes: full ones where invoices are often voided, and some partial ones."""
    draw = rng.random(len(void_share))
    is_full = draw < _FULL_REVERSAL * void_share
    is_partial = draw > 1 - _PARTIAL_REVERSAL
    day = invoices.day + rng.integers(*_REVERSAL_DAYS, len(draw))
    rows = np.flatnonzero((is_full | is_partial) & ~invoices.is_void & (day <= end))
    part = np.where(is_full[rows], 1.0, rng.uniform(*_PARTIAL_AMOUNT, len(rows)))
    yuan = np.maximum(np.rint(part * invoices.gross_fen[rows] / 100), 1).astype(np.int64)
    return Invoices(
        seller=np.concatenate([invoices.seller, invoices.seller[rows]]),
        buyer=np.concatenate([invoices.buyer, invoices.buyer[rows]]),
        day=np.concatenate([invoices.day, day[rows]]),
        gross_fen=np.concatenate([invoices.gross_fen, -100 * yuan]),
        is_void=np.concatenate([invoices.is_void, np.zeros(len(rows), dtype=np.bool_)]),
    )
