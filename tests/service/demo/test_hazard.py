"""The chain behind the economy: its 12-month PD is exact, and its paths obey it."""

import numpy as np
import pytest

from service.demo.hazard import (
    ANCHOR_LEVEL,
    LEAD,
    REGIME,
    REPLACED,
    SHOCK,
    SUDDEN,
    TROUBLE,
    Exposure,
    State,
    default_probabilities,
    simulate,
)

CALM, IN_SHOCK = 0, 7  # environments with a sound anchor
NO_ANCHOR = np.zeros(1, dtype=np.int64)


def expit(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def one_firm(eta, dependence=0.0, lead_eta=-6.0):
    return Exposure(np.array([eta]), np.array([dependence]), NO_ANCHOR, np.array([lead_eta]))


def joint_chain(eta, dependence, lead_eta):
    """Write out the chain of (regime, anchor, firm) one transition at a time, as the module describes it."""

    def moves(state, log_odds):
        if state == State.HEALTHY:
            p = expit(log_odds)
            return {State.HEALTHY: 1 - p, State.SLIPPING: p * (1 - SUDDEN), State.OVERDUE_30: p * SUDDEN}
        if state == State.DEFAULT:
            return {State.DEFAULT: 1.0}
        return {State(to): p for to, p in enumerate(TROUBLE[state - 1]) if p}

    def anchor_moves(state, log_odds):
        if state == State.DEFAULT:
            return {State.DEFAULT: 1 - REPLACED, State.GONE: REPLACED}
        return {State.GONE: 1.0} if state == State.GONE else moves(state, log_odds)

    index = {
        (regime, anchor, firm): (regime * 7 + anchor) * 6 + firm
        for regime in range(2)
        for anchor in State
        for firm in range(6)
    }
    matrix = np.zeros((len(index), len(index)))
    for (regime, anchor, firm), row in index.items():
        load = SHOCK * regime + LEAD * dependence * ANCHOR_LEVEL[anchor]
        for regime_to in range(2):
            for anchor_to, p_anchor in anchor_moves(anchor, lead_eta + SHOCK * regime).items():
                for firm_to, p_firm in moves(firm, eta + load).items():
                    column = index[regime_to, anchor_to, firm_to]
                    matrix[row, column] += REGIME[regime, regime_to] * p_anchor * p_firm
    return matrix


@pytest.mark.parametrize("dependence", [0.0, 0.6])
def test_probabilities_equal_the_powers_of_the_written_out_chain(dependence):
    chain = joint_chain(-4.5, dependence, -5.0)
    np.testing.assert_allclose(chain.sum(axis=1), 1.0)
    in_default = np.arange(len(chain)) % 6 == State.DEFAULT
    exact = np.linalg.matrix_power(chain, 12)[:, in_default].sum(axis=1).reshape(14, 6)
    np.testing.assert_allclose(default_probabilities(one_firm(-4.5, dependence, -5.0))[0], exact, rtol=1e-12)


def test_the_shortest_way_from_health_to_default_takes_three_months():
    two, three = (default_probabilities(one_firm(-5.0), horizon)[0, :, State.HEALTHY] for horizon in (2, 3))
    np.testing.assert_array_equal(two, 0.0)
    shortest = SUDDEN * TROUBLE[2, State.OVERDUE_60] * TROUBLE[3, State.DEFAULT]
    np.testing.assert_allclose(three[[CALM, IN_SHOCK]], shortest * expit(np.array([-5.0, -5.0 + SHOCK])))


def test_a_loan_repaid_for_good_cannot_default_after():
    firm = one_firm(-4.0)
    to_the_end = default_probabilities(firm, 12, np.array([12]))
    np.testing.assert_array_equal(to_the_end, default_probabilities(firm, 12))
    repaid_next_month = default_probabilities(firm, 12, np.array([1]))[0, CALM]
    # Whoever is not 30 days overdue by then repays; the others have eleven months left.
    left = REGIME[0] @ default_probabilities(firm, 11)[0][[CALM, IN_SHOCK]]
    assert repaid_next_month[State.SLIPPING] == 0.0
    for state, later in ((State.STRAINED, State.OVERDUE_30), (State.OVERDUE_30, State.OVERDUE_60)):
        assert repaid_next_month[state] == pytest.approx(TROUBLE[state - 1, later] * left[later], rel=1e-3)
    assert repaid_next_month[State.OVERDUE_60] == pytest.approx(TROUBLE[3, State.DEFAULT])


def test_shocks_dependence_and_anchors_in_trouble_raise_the_probability():
    firms = Exposure(np.full(2, -5.0), np.array([0.0, 0.5]), np.zeros(2, dtype=np.int64), np.array([-6.0]))
    free, dependent = default_probabilities(firms)[:, :, State.HEALTHY]
    assert free[IN_SHOCK] > 1.3 * free[CALM]
    assert dependent[State.OVERDUE_30] > 1.5 * dependent[CALM]
    np.testing.assert_allclose(free[:7], free[CALM])


def test_paths_default_as_often_as_the_probabilities_say():
    """Residuals of a cluster share its shocks and anchor, so the test runs over clusters."""
    rng = np.random.default_rng(5)
    n = 200
    eta = np.append(-3.5, rng.normal(-4.5, 0.7, n - 1))
    dependence = np.where(np.arange(n) % 2, 0.5, 0.0)
    firms = Exposure(eta, dependence, np.zeros(n, dtype=np.int64), eta[:1])
    probability = default_probabilities(firms)
    residuals, defaults = [], 0
    for _ in range(150):
        history = simulate(rng, firms, np.array([0]), np.full(n, -99), 13)
        environment, state = history.environment(firms.anchor)[:, 0], history.states[:, 0]
        has_defaulted = history.states[:, 12] == State.DEFAULT
        residuals.append(np.sum(has_defaulted - probability[np.arange(n), environment, state]))
        defaults += has_defaulted.sum()
    assert defaults > 1500
    assert abs(np.mean(residuals)) < 3 * np.std(residuals, ddof=1) / np.sqrt(len(residuals))


def test_firms_begin_healthy():
    firms = Exposure(np.full(50, 2.0), np.zeros(50), np.zeros(50, dtype=np.int64), np.array([2.0]))
    history = simulate(np.random.default_rng(1), firms, np.array([0]), np.full(50, 5), 12)
    assert (history.states[:, :6] == State.HEALTHY).all()
    assert (history.states[:, 6:] != State.HEALTHY).any()
