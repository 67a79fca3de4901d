"""Small models written by hand, for tests that need no training."""

import numpy as np

from models.additive import AdditiveScore, Line, Replicas, Step
from models.calibration import VennAbers
from models.fitted import BootstrapInterval, FittedModel, VennAbersInterval

NAMES = ("ln_sales", "sales_cv", "void_rate", "cust_hhi", "owner_yrs")
SCORE = AdditiveScore(
    NAMES,
    -2.9,
    (
        Line("ln_sales", low=10.0, high=20.0, centre=15.0, slope=-0.31, missing=0.4),
        Step(("sales_cv",), (np.array([0.5, 1.5]),), np.array([-0.4, 0.1, 0.9, 0.2])),
        Step(
            ("void_rate", "cust_hhi"),
            (np.array([0.05]), np.array([0.3, 0.7])),
            np.array([[-0.2, 0.0, 0.3, 0.1], [0.1, 0.4, 0.8, 0.2], [0.0, 0.0, 0.1, 0.0]]),
        ),
        Line("owner_yrs", low=0.0, high=30.0, centre=8.0, slope=-0.05, missing=0.0),
    ),
)
REPORT = {"sample": {"rows": 500, "defaults": 40, "firms": 300}, "pd_basis": "observed"}


def matrix(rows, seed=0):
    """Return rows of plausible features, one value in ten unknown."""
    generator = np.random.default_rng(seed)
    X = np.column_stack(
        [
            generator.normal(15, 2, rows),
            generator.gamma(2, 0.4, rows),
            generator.beta(1, 15, rows),
            generator.beta(2, 3, rows),
            generator.gamma(2, 4, rows),
        ]
    )
    X[generator.random(X.shape) < 0.1] = np.nan
    return X


def bootstrap_interval(replicas=99):
    generator = np.random.default_rng(1)
    weights = generator.normal(1.0, 0.2, (replicas, 1 + len(SCORE.units)))
    weights[:, 0] = generator.normal(-2.9, 0.2, replicas)
    return BootstrapInterval(Replicas(SCORE, weights))


def venn_abers_interval():
    generator = np.random.default_rng(2)
    log_odds = SCORE.log_odds(matrix(400, seed=2))
    return VennAbersInterval(VennAbers.fit(log_odds, generator.random(400) < 1 / (1 + np.exp(-log_odds))))


def model(interval=None, **changes):
    fields = {
        "product": "credit-score",
        "estimator": "woe-scorecard",
        "additive": SCORE,
        "interval": interval or bootstrap_interval(),
        "mean_contributions": SCORE.contributions(matrix(500, seed=3)).mean(axis=0),
        "typical": np.array([15.0, 0.7, 0.04, 0.4, np.nan]),
        "seed": 7,
        "versions": {"numpy": "2.4.6"},
        "report": REPORT,
    }
    return FittedModel(**(fields | changes))
