"""The firms of one cluster: their traits, buyers and log-odds of trouble."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.demo import trades
from service.demo.hazard import Exposure
from service.demo.window import Days, Floats, Ints, Window

INTERCEPT = -5.35
COEFFICIENTS = {
    "size": -0.50,
    "volatility": +0.35,
    "buyers": +0.30,
    "growth": -0.35,
    "voids": +0.50,
    "owner": -0.35,
    "age": -0.25,
    "churn": +0.50,
}
CLUSTER_EFFECT_SD = 0.35

# Mean and standard deviation of each trait, on the scale that the docstring of `economy` names.
_TRAITS = {
    "size": (15.4, 1.05),
    "volatility": (np.log(0.25), 0.5),
    "buyers": (-1.63, 0.6),
    "growth": (0.05, 0.2),
    "voids": (np.log(0.035), 1.0),
    "owner": (2.45, 0.45),
    "age": (2.2, 0.6),
    "churn": (-1.2, 1.2),
}
_Z_LIMIT = 3.0

_STAGE_SHARES = np.array([0.22, 0.33, 0.33, 0.12])
_STAGE_SIZE = np.array([-0.1, -0.35, 0.15, 0.25])
_LEAD_SIZE = 3.2
# Share of buyers inside the cluster, by the seller's stage.
_LOCAL_SHARE = np.array([0.60, 0.55, 0.30, 0.0])
_DEPENDENT_SHARE = 0.45
_DEPENDENCE = (0.25, 0.65)
_ANCHOR_CAPACITY = 0.5
_RECIPROCAL_SHARE = 0.06
_MAX_BUYERS = 30
_NEW_SHARE, _YOUNG_SHARE, _LATE_SHARE = 0.05, 0.015, 0.01
_YOUNG_MONTHS = 4
MIN_SIZE = 20


@dataclass(frozen=True)
class Slots:
    """The buyers' places of all firms, one row a place, a firm's places together and its anchor's first.

    Attributes
    ----------
    seller : ndarray of shape (s,)
        The firm.
    share : ndarray of shape (s,)
        Share of its sales; a firm's shares sum to 1.
    partner : ndarray of shape (s,)
        The member that always holds the place (an anchor or a reciprocal partner), or -1.
    is_local : ndarray of shape (s,)
        Whether members hold the place, otherwise buyers outside.
    """

    seller: Ints
    share: Floats
    partner: Ints
    is_local: NDArray[np.bool_]


@dataclass(frozen=True)
class Members:
    """n firms of one cluster. Years stand as in the middle of the window.

    Attributes
    ----------
    stage : ndarray of shape (n,)
        Stage of the chain, 0 to 3.
    leads : ndarray of shape (m,)
        Rows of the lead firms.
    first_month : ndarray of shape (n,)
        Month of the first trade; at most 0 if before the window.
    founded_on : ndarray of shape (n,)
        Day of foundation.
    ln_sales, volatility, growth, void_share, owner_years, churn : ndarray of shape (n,)
        ln of annual net sales in yuan; sd of ln of a month's sales; annual change of ln sales; share of sales
        invoices voided; years of the owner in the trade; share of partners replaced in a year.
    slots : Slots
        Where sales go.
    exposure : Exposure
        Log-odds of trouble.
    """

    stage: Ints
    leads: Ints
    first_month: Ints
    founded_on: Days
    ln_sales: Floats
    volatility: Floats
    growth: Floats
    void_share: Floats
    owner_years: Floats
    churn: Floats
    slots: Slots
    exposure: Exposure


def draw_members(rng: np.random.Generator, n: int, window: Window) -> Members:
    """Draw the firms of a cluster.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    n : int
        Number of firms, at least 20.
    window : Window
        The months to come.
    """
    stage = rng.permutation(np.searchsorted(_STAGE_SHARES.cumsum()[:-1], (np.arange(n) + 0.5) / n))
    leads = np.flatnonzero(stage == trades.ASSEMBLY)[: 1 + (n >= 150) + (n >= 350)]
    normal = rng.standard_normal((6, n))
    # Small firms sell less evenly and to fewer buyers.
    normal[1:3] = -0.3 * normal[0] + np.sqrt(1 - 0.3**2) * normal[1:3]
    ln_sales = _TRAITS["size"][0] + _STAGE_SIZE[stage] + normal[0]
    ln_sales[leads] = _TRAITS["size"][0] + _LEAD_SIZE + 0.3 * normal[0, leads]
    volatility, growth, ln_voids, logit_churn = (
        _TRAITS[name][0] + _TRAITS[name][1] * normal[row]
        for name, row in (("volatility", 1), ("growth", 3), ("voids", 4), ("churn", 5))
    )
    founded_month, first_month = _beginnings(rng, n, window, leads)
    age = np.maximum(0.0, (window.months / 2 - founded_month) / 12)
    owner_years = 0.4 * age + rng.gamma(4.0, 2.2, n)
    anchor = rng.integers(len(leads), size=n)
    slots, dependence = _buyers(rng, normal[2], ln_sales, stage, leads, anchor)
    traits = {
        "size": ln_sales,
        "volatility": volatility,
        "buyers": np.log(np.bincount(slots.seller, slots.share**2)),
        "growth": growth,
        "voids": ln_voids,
        "owner": np.log1p(owner_years),
        "age": np.log1p(age),
        "churn": logit_churn,
    }
    eta = np.full(n, INTERCEPT + CLUSTER_EFFECT_SD * rng.standard_normal())
    for name, coefficient in COEFFICIENTS.items():
        eta += coefficient * _standardise(name, traits[name])
    return Members(
        stage=stage,
        leads=leads,
        first_month=first_month,
        founded_on=window.month_starts(founded_month) + rng.integers(28, size=n),
        ln_sales=ln_sales,
        volatility=np.exp(volatility),
        growth=growth,
        void_share=np.exp(ln_voids).clip(max=0.3),
        owner_years=owner_years,
        churn=1 / (1 + np.exp(-logit_churn)),
        slots=slots,
        exposure=Exposure(eta, dependence, anchor, eta[leads]),
    )


def _standardise(name: str, trait: Floats) -> Floats:
    mean, sd = _TRAITS[name]
    return np.asarray(((trait - mean) / sd).clip(-_Z_LIMIT, _Z_LIMIT))


def _beginnings(rng: np.random.Generator, n: int, window: Window, leads: Ints) -> tuple[Ints, Ints]:
    """Return the months of foundation and of the first trade: some begin in the window, a few at its very end."""
    mean, sd = _TRAITS["age"]
    age = np.expm1(np.maximum(mean + sd * rng.standard_normal(n), np.log1p(window.months / 24 + 0.5)))
    founded = np.floor(window.months / 2 - 12 * age).astype(np.int64)
    kind = rng.random(n)
    kind[leads] = 1.0
    is_young = kind < _YOUNG_SHARE
    is_new = ~is_young & (kind < _YOUNG_SHARE + _NEW_SHARE)
    is_late = ~is_young & ~is_new & (kind < _YOUNG_SHARE + _NEW_SHARE + _LATE_SHARE)
    founded = np.where(is_new, rng.integers(1, window.months - _YOUNG_MONTHS, n), founded)
    founded = np.where(is_young, window.months - rng.integers(1, _YOUNG_MONTHS + 1, n), founded)
    return founded, np.where(is_late, window.months - 2, founded)


def _buyers(
    rng: np.random.Generator, concentration: Floats, ln_sales: Floats, stage: Ints, leads: Ints, anchor: Ints
) -> tuple[Slots, Floats]:
    """Give each firm its places for buyers; return them and its dependence on its anchor."""
    n = len(stage)
    dependence = np.where(
        (stage < trades.ASSEMBLY) & (rng.random(n) < _DEPENDENT_SHARE), rng.uniform(*_DEPENDENCE, n), 0.0
    )
    dependence[_beyond_capacity(dependence * np.exp(ln_sales), anchor, np.exp(ln_sales[leads]))] = 0.0
    is_dependent = dependence > 0
    partner = _reciprocal_partners(rng, stage, leads)
    n_slots = np.rint(np.exp(2.1 - 0.5 * concentration)).astype(np.int64).clip(1, _MAX_BUYERS)
    n_slots[leads] = _MAX_BUYERS
    n_slots = np.maximum(n_slots, 1 + is_dependent + (partner >= 0))
    seller = np.repeat(np.arange(n), n_slots)
    last = n_slots.cumsum() - 1
    first = last - n_slots + 1
    weight = rng.gamma(np.exp(0.4 - 0.4 * concentration)[seller]) + 0.02
    weight[first[is_dependent]] = 0.0
    share = weight / np.bincount(seller, weight)[seller] * (1 - dependence[seller])
    share[first[is_dependent]] = dependence[is_dependent]
    held_by = np.full(len(seller), -1)
    held_by[last] = partner
    held_by[first[is_dependent]] = leads[anchor[is_dependent]]
    is_local = (rng.random(len(seller)) < _LOCAL_SHARE[stage[seller]]) | (held_by >= 0)
    return Slots(seller, share, held_by, is_local), dependence


def _beyond_capacity(amount: Floats, anchor: Ints, anchor_sales: Floats) -> Ints:
    """Return the firms that an anchor has no need of, once those before them fill half of its sales."""
    rows = np.argsort(anchor, kind="stable")
    running = amount[rows].cumsum()
    before = np.concatenate([[0.0], running])[np.searchsorted(anchor[rows], np.arange(len(anchor_sales)))]
    is_beyond = running - before[anchor[rows]] > _ANCHOR_CAPACITY * anchor_sales[anchor[rows]]
    return np.asarray(rows[is_beyond])


def _reciprocal_partners(rng: np.random.Generator, stage: Ints, leads: Ints) -> Ints:
    """Pair some firms of a stage that sell to each other; return each firm's partner or -1."""
    partner = np.full(len(stage), -1)
    for members in (np.flatnonzero(stage == number) for number in range(trades.N_STAGES)):
        others = rng.permutation(np.setdiff1d(members, leads))
        pairs = others[: 2 * int(len(others) * _RECIPROCAL_SHARE / 2)].reshape(-1, 2)
        partner[pairs] = pairs[:, ::-1]
    return partner
