"""Who falls into trouble and when: a Markov chain whose default probability over a year is known exactly.

A firm is healthy, slipping, strained, 30 or 60 days overdue, or in default (`State`). From one month end to the next a
healthy firm enters trouble with probability

    expit(eta + SHOCK * regime + LEAD * dependence * ANCHOR_LEVEL[anchor])

where eta is the firm's own log-odds, regime says whether its cluster is in a shock, and the anchor is the lead firm it
sells to, whose own trouble raises the level. Past that door the probabilities are the same for all (`TROUBLE`). The
cluster's regime and its lead firms are Markov chains of their own, so the state of a firm, its cluster and its anchor
at a date decides the probability of default afterwards, and backward recursion computes it without simulation.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class State(IntEnum):
    """Condition at a month end; `GONE` is for a failed lead firm that its suppliers have replaced."""

    HEALTHY = 0
    SLIPPING = 1
    STRAINED = 2
    OVERDUE_30 = 3
    OVERDUE_60 = 4
    DEFAULT = 5
    GONE = 6


SHOCK = 0.8
LEAD = 2.5

# Of the firms that enter trouble, the share overdue at once, with no decline of sales before it.
SUDDEN = 0.15
# Monthly probabilities from SLIPPING, STRAINED, OVERDUE_30 and OVERDUE_60 (rows) to each state up to DEFAULT.
TROUBLE = np.array(
    [
        [0.15, 0.50, 0.35, 0.00, 0.00, 0.00],
        [0.15, 0.00, 0.55, 0.30, 0.00, 0.00],
        [0.05, 0.00, 0.00, 0.00, 0.95, 0.00],
        [0.03, 0.00, 0.00, 0.00, 0.00, 0.97],
    ]
)
# Monthly probabilities of the cluster's regime: calm, shock.
REGIME = np.array([[0.98, 0.02], [0.10, 0.90]])
# How heavily each state of an anchor weighs on those who sell to it.
ANCHOR_LEVEL = np.array([0.0, 0.3, 0.6, 1.0, 1.0, 1.0, 0.0])
# The suppliers of a failed anchor find other buyers after nine months on average.
REPLACED = 1 / 9

_N_ANCHOR_STATES = len(State)
_ENVIRONMENT_REGIME, _ENVIRONMENT_ANCHOR = np.divmod(np.arange(2 * _N_ANCHOR_STATES), _N_ANCHOR_STATES)
_BURN_IN = 24


@dataclass(frozen=True)
class Exposure:
    """What decides how often each of n firms of one cluster enters trouble.

    Attributes
    ----------
    eta : ndarray of shape (n,)
        Monthly log-odds of entering trouble in a calm month with a sound anchor.
    dependence : ndarray of shape (n,)
        Share of sales that goes to the anchor, 0 to 1; 0 for lead firms.
    anchor : ndarray of shape (n,)
        Each firm's anchor, as a position in `lead_eta`.
    lead_eta : ndarray of shape (m,)
        The log-odds of the lead firms.
    """

    eta: Floats
    dependence: Floats
    anchor: Ints
    lead_eta: Floats

    def of(self, rows: Ints) -> "Exposure":
        """Return the exposure of the given rows, which may repeat."""
        return replace(self, eta=self.eta[rows], dependence=self.dependence[rows], anchor=self.anchor[rows])

    def entry_probability(self, regime: Ints, anchor_state: Ints) -> Floats:
        """Return the monthly probability of entering trouble, shape (n, k); regimes and states are (n or 1, k)."""
        load = LEAD * self.dependence[:, None] * ANCHOR_LEVEL[anchor_state]
        return _expit(self.eta[:, None] + SHOCK * regime + load)


@dataclass(frozen=True)
class History:
    """The path that a cluster took over T months.

    Attributes
    ----------
    states : ndarray of shape (n, T)
        Each firm's `State` at each month end.
    regime : ndarray of shape (T,)
        1 in a month end of shock.
    anchors : ndarray of shape (m, T)
        State of each lead firm as its suppliers feel it, `GONE` once replaced.
    """

    states: Ints
    regime: Ints
    anchors: Ints

    def environment(self, anchor: Ints) -> Ints:
        """Return the environment of firms with the given anchors at each month end, shape (n, T)."""
        return self.regime * _N_ANCHOR_STATES + self.anchors[anchor]


def simulate(rng: np.random.Generator, exposure: Exposure, leads: Ints, first_month: Ints, months: int) -> History:
    """Draw one path of a cluster.

    Before the first month the chain runs for two years in which whoever defaults is replaced by a healthy firm, so that
    the path starts with the usual share of firms in trouble.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    exposure : Exposure
        The firms' log-odds and anchors.
    leads : ndarray of shape (m,)
        Rows of the lead firms, in the order of `exposure.lead_eta`.
    first_month : ndarray of shape (n,)
        Month in which each firm begins, healthy; 0 or less for firms older than the window.
    months : int
        Length T of the path.
    """
    n = len(exposure.eta)
    state = np.zeros(n, dtype=np.int64)
    anchor = np.zeros(len(leads), dtype=np.int64)
    regime = 0
    states = np.empty((n, months), dtype=np.int64)
    anchors = np.empty((len(leads), months), dtype=np.int64)
    regimes = np.empty(months, dtype=np.int64)
    draws = rng.random((_BURN_IN + months, n + len(leads) + 1))
    for month, draw in enumerate(draws, start=-_BURN_IN):
        entry = exposure.entry_probability(np.array([[regime]]), anchor[exposure.anchor][:, None])[:, 0]
        state = _step(state, entry, draw[:n])
        is_new = (month <= first_month) | ((month <= 0) & (state == State.DEFAULT))
        state[is_new] = State.HEALTHY
        was_failed = anchor >= State.DEFAULT
        is_replaced = (anchor == State.GONE) | (draw[n:-1] < REPLACED)
        anchor = np.where(was_failed & is_replaced, State.GONE, state[leads])
        regime = int(draw[-1] >= REGIME[regime, 0])
        if month >= 0:
            states[:, month], anchors[:, month], regimes[month] = state, anchor, regime
    return History(states, regimes, anchors)


def default_probabilities(exposure: Exposure, horizon: int = 12, closes_in: Ints | None = None) -> Floats:
    """Return the exact probability of default within the horizon from every state of the world.

    With value v_0 = 1 in default and 0 elsewhere, v_k(state, environment) is the expectation of v_{k-1} one month on;
    firm and environment move independently given where both stand now.

    Parameters
    ----------
    exposure : Exposure
        The firms.
    horizon : int
        Months ahead.
    closes_in : ndarray of shape (n,), optional
        Months until the loan is repaid for good if it is then less than 30 days overdue, after which no default is
        counted; anything from `horizon` on has no effect.

    Returns
    -------
    ndarray of shape (n, 14, 6)
        By firm, environment (`History.environment`) and state up to `State.DEFAULT`.

    Examples
    --------
    >>> firm = Exposure(np.array([-5.0]), np.zeros(1), np.zeros(1, dtype=np.int64), np.array([-7.0]))
    >>> default_probabilities(firm)[0, 0].round(4)
    array([0.0245, 0.4314, 0.6193, 0.9231, 0.9706, 1.    ])
    """
    n = len(exposure.eta)
    environments = _environment_transitions(exposure.lead_eta)[exposure.anchor]
    entry = exposure.entry_probability(_ENVIRONMENT_REGIME[None, :], _ENVIRONMENT_ANCHOR[None, :])
    value = np.zeros((n, len(_ENVIRONMENT_REGIME), State.DEFAULT + 1))
    value[..., State.DEFAULT] = 1.0
    for remaining in range(1, horizon + 1):
        ahead = environments @ value
        value[..., 1 : State.DEFAULT] = ahead @ TROUBLE.T
        value[..., State.HEALTHY] = (1 - entry) * ahead[..., State.HEALTHY] + entry * (
            (1 - SUDDEN) * ahead[..., State.SLIPPING] + SUDDEN * ahead[..., State.OVERDUE_30]
        )
        if closes_in is not None:
            value[closes_in == horizon - remaining, :, : State.OVERDUE_30] = 0.0
    return value


def _expit(log_odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-log_odds))


def _step(state: Ints, entry: Floats, draw: Floats) -> Ints:
    from_trouble = np.vstack([np.zeros(State.DEFAULT + 1), TROUBLE, np.eye(State.DEFAULT + 1)[State.DEFAULT]])
    troubled = (draw[:, None] >= from_trouble.cumsum(axis=1)[state][:, :-1]).sum(axis=1)
    entered = np.where(draw < entry * SUDDEN, State.OVERDUE_30, State.SLIPPING)
    healthy = np.where(draw < entry, entered, State.HEALTHY)
    return np.where(state == State.HEALTHY, healthy, troubled)


def _environment_transitions(lead_eta: Floats) -> Floats:
    """Return the monthly transition matrix of (regime, anchor state) for each anchor, shape (m, 14, 14)."""
    chains = np.zeros((len(lead_eta), 2, _N_ANCHOR_STATES, _N_ANCHOR_STATES))
    entry = _expit(lead_eta[:, None] + SHOCK * np.arange(2))
    chains[:, :, State.HEALTHY, State.HEALTHY] = 1 - entry
    chains[:, :, State.HEALTHY, State.SLIPPING] = (1 - SUDDEN) * entry
    chains[:, :, State.HEALTHY, State.OVERDUE_30] = SUDDEN * entry
    chains[:, :, 1 : State.DEFAULT, : State.GONE] = TROUBLE
    chains[:, :, State.DEFAULT, [State.DEFAULT, State.GONE]] = [1 - REPLACED, REPLACED]
    chains[:, :, State.GONE, State.GONE] = 1
    joint = np.einsum("cd,mcij->mcidj", REGIME, chains)
    size = 2 * _N_ANCHOR_STATES
    return np.ascontiguousarray(joint.reshape(len(lead_eta), size, size))
