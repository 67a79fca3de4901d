"""From invoices to PDs: training finds the planted effects, and its PDs match the known truth."""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from features.outcomes import build_outcomes, stack_training
from models.products.credit_score import CREDIT_SCORE
from models.train import TrainingData, fit
from tests.fixtures_economy import END_ON

PLANTED = {
    "ln_sales": -1,
    "sales_cv": +1,
    "cust_hhi": +1,
    "growth": -1,
    "void_rate": +1,
    "owner_yrs": -1,
    "firm_age": -1,
    "loyal_cust": -1,
    "cl_dr": +1,
}
# From here on most snapshots have the two years of invoices that growth needs.
FROM = date(2023, 7, 31)
PRODUCT = replace(CREDIT_SCORE, features=tuple(PLANTED))


@pytest.fixture(scope="module")
def snapshots(large_economy):
    """Return the training stack of labelled snapshots, with the true PD of each row."""
    inputs = large_economy.inputs
    outcomes = build_outcomes(inputs, END_ON, seed=1).frame.filter(pl.col("snapshot_on") >= FROM)
    stack = stack_training(inputs, outcomes, PRODUCT.features, requirements=PRODUCT.requirements)
    rows = pl.DataFrame({"firm_id": stack.groups, "snapshot_on": stack.snapshot_on})
    truth = rows.join(large_economy.truth, on=["firm_id", "snapshot_on"], how="left", maintain_order="left")
    return stack, truth["true_pd"].to_numpy()


@pytest.fixture(scope="module")
def trained(snapshots):
    """Return a model of three quarters of the firms, and which rows it has not seen."""
    stack, _ = snapshots
    is_new = np.array([int(firm[16], 36) % 4 == 0 for firm in stack.groups])
    data = TrainingData(
        X=stack.X[~is_new],
        names=stack.names,
        y=stack.y[~is_new],
        groups=[firm for firm, new in zip(stack.groups, is_new, strict=True) if not new],
    )
    return fit(PRODUCT, data, seed=1, estimator="woe-scorecard"), is_new


def test_labelled_snapshots_default_as_often_as_the_truth_says(large_economy, snapshots):
    """The draw of a month-end must not prefer those before a default."""
    stack, true_pd = snapshots
    assert not np.isnan(true_pd).any()
    assert len(stack.y) > 12_000
    every_month = large_economy.truth.filter(pl.col("snapshot_on").is_between(FROM, stack.snapshot_on[-1]))
    assert true_pd.mean() == pytest.approx(every_month["true_pd"].mean(), rel=0.1)
    assert stack.y.mean() == pytest.approx(every_month["true_pd"].mean(), rel=0.1)


def test_each_planted_effect_shows_in_its_feature(snapshots):
    """Among defaulters a feature lies on its risky side more often than among the others (a rank test)."""
    stack, _ = snapshots
    for column, (name, sign) in enumerate(PLANTED.items()):
        known = ~np.isnan(stack.X[:, column])
        values, is_bad = stack.X[known, column], stack.y[known] == 1
        ranks = pl.Series(values).rank().to_numpy()
        n_bad, n = is_bad.sum(), len(values)
        expected = n_bad * (n + 1) / 2
        sd = np.sqrt(n_bad * (n - n_bad) * (n + 1) / 12)
        assert sign * (ranks[is_bad].sum() - expected) / sd > 2, name


def test_training_recovers_the_signs(snapshots, trained):
    """The scorecard charges the risky quarter of each planted feature more than the safe quarter."""
    stack, _ = snapshots
    model, is_new = trained
    for column, (name, sign) in enumerate(PLANTED.items()):
        known = is_new & ~np.isnan(stack.X[:, column])
        values = stack.X[known, column]
        units = [unit for unit, parts in enumerate(model.additive.units) if name in parts.features]
        charge = model.score(stack.X[known]).contributions[:, units].sum(axis=1)
        low, high = np.quantile(values, [0.25, 0.75])
        assert sign * (charge[values >= high].mean() - charge[values <= low].mean()) > 0.02, name


def test_pds_of_firms_not_trained_on_match_the_truth(snapshots, trained):
    stack, true_pd = snapshots
    model, is_new = trained
    pd, truth = model.score(stack.X[is_new]).pd, true_pd[is_new]
    assert pd.mean() == pytest.approx(truth.mean(), rel=0.15)
    order = np.argsort(pd, kind="stable")
    for fifth in np.array_split(order, 5):
        assert pd[fifth].mean() == pytest.approx(truth[fifth].mean(), rel=0.35)
    safest, riskiest = order[: len(order) // 5], order[-len(order) // 5 :]
    assert truth[riskiest].mean() > 4 * truth[safest].mean()
