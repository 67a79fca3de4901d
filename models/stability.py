"""Is the population still the one that the model was made from? Points and features in the bins of development.

The bins were cut from the training rows and kept in the training's report: they are never cut anew, a missing value has
a bin of its own, and an empty bin counts as a small share instead of as infinity (``validation.psi``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from models.additive import FloatArray
from models.validation import FrozenBins, Stability

POINTS: Final = "points"
"""What the stability of the scores themselves is called among those of the features."""


def stability(report: Mapping[str, Any], values: Mapping[str, FloatArray]) -> dict[str, Stability]:
    """Return the stability of points and features against development.

    Parameters
    ----------
    report : mapping
        A training's account; one from before bins were kept leaves out what it has none of.
    values : mapping of name to array of shape (n,)
        ``points`` and features of firms as they are now, NaN where unknown; n > 0.

    Examples
    --------
    >>> report = {"score_bins": {"cuts": [1.0, 2.0], "counts": [40, 40, 20, 0]}, "feature_bins": {}}
    >>> now = {"points": np.repeat([1.0, 2.0, 3.0], [40, 40, 20]), "growth": np.zeros(100)}
    >>> found = stability(report, now)
    >>> list(found), found["points"].value, found["points"].verdict
    (['points'], 0.0, 'stable')
    """
    kept = {POINTS: report.get("score_bins"), **report.get("feature_bins", {})}
    return {name: _bins(kept[name]).compare(now) for name, now in values.items() if kept.get(name) is not None}


def _bins(kept: Mapping[str, Any]) -> FrozenBins:
    return FrozenBins(cuts=np.array(kept["cuts"], dtype=np.float64), counts=np.array(kept["counts"], dtype=np.int64))
