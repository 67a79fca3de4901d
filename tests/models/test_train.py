import json
from datetime import date
from functools import cache

import numpy as np
import pytest
from handmade import matrix  # noqa: F401
from scipy.special import expit, logit

from features.build import CATALOG
from models.artifact import digest, dump, load
from models.grades import PD_FLOOR
from models.product import CentralTendency
from models.products import PRODUCTS
from models.report import plain
from models.train import TrainingData, TrainingError, eligible, fit, select
from models.validation import auc

PRODUCT = PRODUCTS["credit-score"]
EFFECTS = {
    "ln_sales": -0.9,
    "sales_cv": 0.7,
    "zero_months": 0.5,
    "cust_hhi": 0.4,
    "void_rate": 0.4,
    "owner_yrs": -0.4,
    "growth": -0.3,
    "seasonality": 0.0,
    "ln_ticket": 0.0,
    "supp_hhi": 0.0,
}
NAMES = tuple(EFFECTS)


def economy(n_firms, level, seed=0, years=1):
    """Return features, true PDs, defaults and firms of a population whose effects are those of `EFFECTS`."""
    generator = np.random.default_rng(seed)
    firm = generator.normal(size=(n_firms, len(NAMES)))
    X = np.concatenate([0.9 * firm + 0.44 * generator.normal(size=firm.shape) for _ in range(years)])
    truth = expit(level + X @ np.array(list(EFFECTS.values())))
    y = generator.random(len(X)) < truth
    X[generator.random(X.shape) < 0.03] = np.nan
    groups = [f"firm-{number:05d}" for number in range(n_firms)] * years
    return X, truth, y, groups


def sample(n_firms, level, seed=0, years=1, **options):
    X, _, y, groups = economy(n_firms, level, seed, years)
    return TrainingData(X=X, names=NAMES, y=y, groups=groups, **options)


@cache
def small():
    return fit(PRODUCT, sample(400, -2.6), seed=1)


@cache
def middle():
    return fit(PRODUCT, sample(1500, -3.0), seed=1)


@cache
def large():
    return fit(PRODUCT, sample(5000, -3.0, years=2), seed=1)
