"""Rows a second on one thread: scoring by compiled tables beside LightGBM's own prediction.

Run: ``OMP_NUM_THREADS=1 python benchmarks/additive_vs_booster.py``
"""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from models.estimators.boosted_scorecard import compile_trees, strongest_pairs

FEATURES: Final = 60
TRAINING_ROWS: Final = 20_000
ROWS: Final = 100_000
TREES: Final = 400
MAX_PAIRS: Final = 16
REPEATS: Final = 3
TARGET: Final = 10.0

Scorer: TypeAlias = Callable[[NDArray[np.float64]], Any]


def rows_of(n_rows: int, seed: int) -> NDArray[np.float64]:
    """Return random rows, all different, one value in ten missing."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n_rows, FEATURES))
    X[generator.random(X.shape) < 0.1] = np.nan
    return X


def labels_of(X: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    known = np.nan_to_num(X)
    log_odds = known @ np.linspace(-0.5, 0.5, FEATURES) + known[:, 0] * known[:, 1] + known[:, 2] * known[:, 3] - 2
    return (np.random.default_rng(seed).random(len(X)) < 1 / (1 + np.exp(-log_odds))).astype(np.float64)


def grown(X: NDArray[np.float64], y: NDArray[np.float64], **changes: Any) -> lgb.Booster:
    settings = {
        "objective": "binary",
        "learning_rate": 0.03,
        "max_bin": 63,
        "feature_fraction": 0.6,
        "min_data_in_leaf": 200,
        "num_threads": 1,
        "seed": 1,
        "verbosity": -1,
    } | changes
    return lgb.train(settings, lgb.Dataset(X, y, params=settings), TREES)


def rows_per_second(scorers: Sequence[Scorer], X: NDArray[np.float64]) -> list[float]:
    """Return each scorer's best of some runs, taken in turns; CPU seconds, so that other load does not count."""
    seconds = np.empty((REPEATS, len(scorers)))
    for score in scorers:
        score(X[:1000])
    for repeat in range(REPEATS):
        for position, score in enumerate(scorers):
            start = time.process_time()
            score(X)
            seconds[repeat, position] = time.process_time() - start
    return [len(X) / best for best in seconds.min(axis=0).tolist()]


def main() -> None:
    X = rows_of(TRAINING_ROWS, seed=1)
    y = labels_of(X, seed=2)
    deep = grown(X, y, num_leaves=31)
    shallow = {"num_leaves": 4, "max_depth": 2}
    pairs = strongest_pairs(compile_trees([grown(X, y, **shallow).dump_model()], X), X, MAX_PAIRS)
    groups = [*([*pair] for pair in pairs), *([column] for column in range(FEATURES))]
    flat = grown(X, y, **shallow, interaction_constraints=groups)
    tables = compile_trees([flat.dump_model()], X)

    new = rows_of(ROWS, seed=3)
    error = np.max(np.abs(tables.log_odds(new) - flat.predict(new, raw_score=True, num_threads=1)))
    scorers = [tables.log_odds, *(partial(booster.predict, num_threads=1) for booster in (deep, flat))]
    ours, of_deep, of_flat = rows_per_second(scorers, new)
    n_pairs = sum(len(unit.features) == 2 for unit in tables.units)
    print(f"{ROWS:,} different rows x {FEATURES} features, one thread, {TREES} trees, best of {REPEATS}, CPU time")
    print(f"largest difference of tables and the booster they were compiled from: {error:.1e}")
    print(f"tables ({len(tables.units) - n_pairs} of one feature, {n_pairs} of two): {ours:,.0f} rows/s")
    for label, rate, target in (
        ("booster of 31 leaves", of_deep, f"at least {TARGET:.0f}x"),
        ("booster of depth two, the same score", of_flat, "none"),
    ):
        print(f"{label}: {rate:,.0f} rows/s; tables are {ours / rate:.1f}x (target {target})")


if __name__ == "__main__":
    main()
