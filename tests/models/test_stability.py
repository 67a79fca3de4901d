"""Stability in the bins of development, as a training keeps them and as JSON brings them back."""

import json

import numpy as np
import pytest

from models.report import _frozen, plain
from models.stability import POINTS, stability
from models.validation import psi, psi_noise_floor

SHARES = [0.1, 0.2, 0.4, 0.2, 0.1]
LATER = [0.15, 0.25, 0.35, 0.15, 0.1]


def rows_of(shares, n=10_000):
    """Return values of which a share lies in each bin."""
    return np.repeat(np.arange(len(shares), dtype=float), np.rint(np.multiply(shares, n)).astype(int))


def report_of(**values):
    points = values.pop(POINTS)
    bins = {name: _frozen(column) for name, column in values.items()}
    return json.loads(json.dumps(plain({"score_bins": _frozen(points), "feature_bins": bins})))


def test_the_worked_example_of_the_methods_paper():
    """V16: .1 .2 .4 .2 .1 against .15 .25 .35 .15 .1 is .052491; here by way of bins that were kept."""
    kept = {"cuts": [0.0, 1.0, 2.0, 3.0], "counts": [1000, 2000, 4000, 2000, 1000, 0]}
    found = stability({"score_bins": kept, "feature_bins": {}}, {POINTS: rows_of(LATER)})[POINTS]
    assert found.value == pytest.approx(0.052491, abs=1e-6)
    assert found.verdict == "stable"


def test_a_missing_bin_and_zeros_count():
    known, gone = np.linspace(0, 1, 500), np.full(500, np.nan)
    report = report_of(points=known, growth=known)
    disjoint = stability(report, {POINTS: known + 5, "growth": gone})
    assert disjoint[POINTS].verdict == disjoint["growth"].verdict == "alarm"
    assert np.isfinite(disjoint["growth"].value)
    assert disjoint["growth"].value > 5
    assert stability(report, {"growth": known})["growth"].value == 0


def test_chance_alone_is_no_alarm():
    """n = m = 100 in 10 bins: .338 is noise, though it is above .25."""
    assert psi_noise_floor(100, 100, 10) == pytest.approx(0.338, abs=5e-4)
    before = np.repeat(np.arange(10.0), 10)
    now = np.repeat(np.arange(10.0), [4, 16, 5, 15, 6, 14, 10, 10, 5, 15])
    found = stability(report_of(points=before), {POINTS: now})[POINTS]
    assert found.value == pytest.approx(psi([10] * 10, [4, 16, 5, 15, 6, 14, 10, 10, 5, 15]))
    assert 0.2 < found.value < found.noise_floor
    assert found.verdict == "stable"


def test_a_report_from_before_bins_were_kept_leaves_features_out():
    now = {POINTS: np.zeros(5), "growth": np.zeros(5)}
    assert stability({}, now) == {}
    assert list(stability({"score_bins": {"cuts": [], "counts": [5, 0]}}, now)) == [POINTS]
