"""Gradient boosting that reads like a scorecard: trees of depth one or two, compiled into exact tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import lightgbm as lgb
import numpy as np

from models.additive import AdditiveScore, FloatArray, IndexArray, Step
from models.estimators.compiled import CompiledClassifier, Rows, column_names
from models.validation import BoolArray

Key: TypeAlias = tuple[int, ...]
"""One column, or two in increasing order: what a table looks at."""

MIN_LEAF_ROWS: Final = 30
MIN_LEAF_SHARE: Final = 0.01
LAMBDA_L2: Final = 5.0
FEATURE_FRACTION: Final = 0.6
BAGGING_FRACTION: Final = 0.8
EARLY_STOPPING: Final = 100
"""Settings of the methods paper, section 1."""
ONE_SPLIT_BADS: Final = 1000
"""From this many defaults one held-out fold is enough to choose depth and number of trees."""
PILOT_TREES: Final = 200
"""Trees of the fit that ranks pairs."""
PAIR_ROWS: Final = 20_000

_NO_VALUE_ABOVE = 1e300  # LightGBM's bound of "every known value"


class BoostedScorecard(CompiledClassifier):
    """Boosted trees of depth one or two, monotone by expert sign and compiled into tables.

    The number of trees is that of the least held-out log-loss, firms kept together; depth two is taken if its loss
    is lower than that of depth one by more than the standard error of their paired difference. At depth two
    only the pairs that interact most in a pilot fit may meet in a tree, so that reasons stay few and scoring fast. The
    published score is the mean of several seeds. Every tree becomes cells of tables of one feature or of two;
    `purified` then moves into the tables of one feature all that one feature explains. Nothing is approximated:
    the tables add up to the boosters' mean raw score.

    A feature that is never missing in training adds the training mean of its terms, 0, when it is missing later:
    nothing was learned about it.

    Monotonicity is verified on the tables. Should a score of depth two violate a sign, depth one is used.

    Parameters
    ----------
    signs : sequence of +1, -1, 0 or None, one for each feature, optional
        +1: more of the feature never lowers the risk. 0 or None: free.
    seed : int
        Of folds, rows and features drawn.
    max_depth : int
        2, or 1 for tables of one feature only.
    max_pairs : int
        Most tables of two features.
    max_trees : int
        Most trees of a seed.
    n_seeds : int
        Boosters whose mean is the score.
    n_folds : int
        Folds that choose depth and number of trees.
    learning_rate : float
    max_bin : int
        Most bins of a feature.

    Attributes
    ----------
    boosters_ : tuple of lightgbm.Booster
        What the tables were compiled from; empty if there were too few rows to split.
    depth_ : int
        0 if nothing could be learned.
    n_trees_ : int
        Of each seed.
    pairs_ : tuple of pairs of columns that may meet in a tree

    Examples
    --------
    >>> X = np.linspace(0.0, 1.0, 400)[:, np.newaxis]
    >>> y = np.arange(400) * 7919 % 400 < 300 * X[:, 0]
    >>> card = BoostedScorecard(signs=[1]).fit(X, y)
    >>> raw = np.mean([booster.predict(X, raw_score=True) for booster in card.boosters_], axis=0)
    >>> card.depth_, np.allclose(card.decision_function(X), raw, rtol=0, atol=1e-12)
    (1, True)
    """

    def __init__(
        self,
        signs: Sequence[int | None] | None = None,
        seed: int = 0,
        max_depth: int = 2,
        max_pairs: int = 16,
        max_trees: int = 1000,
        n_seeds: int = 5,
        n_folds: int = 3,
        learning_rate: float = 0.03,
        max_bin: int = 63,
    ) -> None:
        self.signs = signs
        self.seed = seed
        self.max_depth = max_depth
        self.max_pairs = max_pairs
        self.max_trees = max_trees
        self.n_seeds = n_seeds
        self.n_folds = n_folds
        self.learning_rate = learning_rate
        self.max_bin = max_bin

    def _learn(self, rows: Rows, signs: Sequence[int]) -> AdditiveScore:
        folds = rows.folds(self.n_folds, self.seed)
        self.boosters_: tuple[lgb.Booster, ...] = ()
        self.pairs_: tuple[tuple[int, int], ...] = ()
        self.depth_, self.n_trees_ = 0, 0
        if folds is None or len(rows.bad) < 2 * MIN_LEAF_ROWS:
            return AdditiveScore(column_names(len(signs)), rows.mean_log_odds, ())
        tried = [self._validated(rows, folds, signs, depth) for depth in range(1, min(self.max_depth, len(signs)) + 1)]
        score = self._compiled(rows, signs, _plainest(tried))
        if self.depth_ > 1 and score.monotone_violations(dict(zip(score.names, signs, strict=True))):
            score = self._compiled(rows, signs, tried[0])
        return score

    def _settings(self, rows: Rows, signs: Sequence[int], depth: int, seed: int) -> dict[str, Any]:
        n_rows = len(rows.bad)
        return {
            "objective": "binary",
            "metric": "binary_logloss",
            "learning_rate": self.learning_rate,
            "max_depth": depth,
            "num_leaves": 2**depth,
            "max_bin": self.max_bin,
            "bin_construct_sample_cnt": n_rows,
            "min_data_in_leaf": max(MIN_LEAF_ROWS, -(-n_rows // round(1 / MIN_LEAF_SHARE))),
            "lambda_l2": LAMBDA_L2,
            "feature_fraction": FEATURE_FRACTION,
            "bagging_fraction": BAGGING_FRACTION,
            "bagging_freq": 1,
            "monotone_constraints": list(signs) if any(signs) else None,
            "monotone_constraints_method": "intermediate" if depth > 1 else "basic",
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }

    def _validated(self, rows: Rows, folds: IndexArray, signs: Sequence[int], depth: int) -> _Choice:
        """Return the number of trees of least held-out log-loss at a depth, and the loss of each held-out row."""
        settings = self._settings(rows, signs, depth, self.seed)
        used = np.unique(folds)[: 1 if np.sum(rows.bad) >= ONE_SPLIT_BADS else None]
        held_out = [np.flatnonzero(folds == fold) for fold in used]
        history: dict[str, Any] = lgb.cv(
            settings,
            _dataset(rows, settings),
            num_boost_round=self.max_trees,
            folds=[(np.flatnonzero(folds != fold), own) for fold, own in zip(used, held_out, strict=True)],
            callbacks=[lgb.early_stopping(EARLY_STOPPING, verbose=False)],
            return_cvbooster=True,
        )
        ensemble = history["cvbooster"]
        losses = [
            np.logaddexp(0.0, np.where(rows.bad[own], -1, 1) * booster.predict(rows.X[own], raw_score=True))
            for booster, own in zip(ensemble.boosters, held_out, strict=True)
        ]
        return _Choice(depth, ensemble.best_iteration, np.concatenate(losses))

    def _compiled(self, rows: Rows, signs: Sequence[int], choice: _Choice) -> AdditiveScore:
        allowed: dict[str, Any] = {}
        self.pairs_ = ()
        if choice.depth > 1:
            pilot_settings = self._settings(rows, signs, choice.depth, self.seed)
            pilot = lgb.train(pilot_settings, _dataset(rows, pilot_settings), min(choice.n_trees, PILOT_TREES))
            self.pairs_ = strongest_pairs(compile_trees([pilot.dump_model()], rows.X), rows.X, self.max_pairs)
            groups = [*self.pairs_, *((column,) for column in range(len(signs)))]
            allowed = {"interaction_constraints": [list(group) for group in groups]}
        boosters = []
        for seed in np.random.SeedSequence(self.seed).generate_state(self.n_seeds) >> 1:
            settings = self._settings(rows, signs, choice.depth, int(seed)) | allowed
            boosters.append(lgb.train(settings, _dataset(rows, settings), choice.n_trees))
        self.boosters_, self.depth_, self.n_trees_ = tuple(boosters), choice.depth, choice.n_trees
        return compile_trees([booster.dump_model() for booster in boosters], rows.X)


@dataclass(frozen=True, eq=False)
class _Choice:
    """A depth with its best number of trees and the log-loss of each held-out row."""

    depth: int
    n_trees: int
    losses: FloatArray


def _plainest(tried: Sequence[_Choice]) -> _Choice:
    """Return the shallowest that the best does not beat by more than one paired standard error."""
    best = min(tried, key=lambda choice: float(np.mean(choice.losses)))
    gains = (choice.losses - best.losses for choice in tried)
    is_near = (np.mean(gain) <= np.std(gain) / np.sqrt(len(gain)) for gain in gains)
    return next(choice for choice, near in zip(tried, is_near, strict=True) if near)


def _dataset(rows: Rows, settings: Mapping[str, Any]) -> lgb.Dataset:
    return lgb.Dataset(rows.X, rows.bad.astype(np.float64), params=dict(settings), free_raw_data=False)


def strongest_pairs(score: AdditiveScore, X: FloatArray, n_pairs: int) -> tuple[tuple[int, int], ...]:
    """Return the pairs of columns whose pure interaction varies most over rows, the strongest first.

    Parameters
    ----------
    score : AdditiveScore
        As of `compile_trees`: what two features explain one by one is not in their table.
    X : array of shape (n, p)
        Training rows; at most about 20,000 of them, evenly spaced, are looked at.
    n_pairs : int

    Examples
    --------
    >>> half, names = np.array([0.5]), ("0", "1", "2")
    >>> weak, strong = (np.array([[size, -size, 0], [-size, size, 0], [0, 0, 0]]) for size in (0.1, 0.9))
    >>> units = (Step(("0", "1"), (half, half), weak), Step(("0", "2"), (half, half), strong))
    >>> X = np.random.default_rng(0).integers(0, 2, (50, 3))
    >>> strongest_pairs(AdditiveScore(names, 0.0, units), X, n_pairs=1)
    ((0, 2),)
    """
    pairs = AdditiveScore(score.names, 0.0, tuple(unit for unit in score.units if len(unit.features) == 2))
    strength = np.std(pairs.contributions(X[:: -(-len(X) // PAIR_ROWS)]), axis=0)
    ranked = [pairs.units[unit].features for unit in np.argsort(-strength, kind="stable")[:n_pairs]]
    return tuple((score.names.index(first), score.names.index(second)) for first, second in ranked)


def compile_trees(dumps: Sequence[Mapping[str, Any]], X: FloatArray) -> AdditiveScore:
    """Return the mean of boosters, whose trees have at most two features on a path, as purified tables.

    A leaf is a box in one or two features, so a tree with root f and children g and h is a table of (f, g) plus
    a table of (f, h). Equal to the boosters' mean raw score up to rounding, except that a feature which was never
    missing in training adds 0 where it is missing (LightGBM reads it as the number 0).

    Parameters
    ----------
    dumps : sequence of mappings
        `Booster.dump_model()` of each.
    X : array of shape (n, p)
        The training rows: their counts are the weights of the purification.

    Raises
    ------
    ValueError
        If a path has three features or a split is not of numbers.

    Examples
    --------
    >>> X = np.arange(100.0)[:, np.newaxis]
    >>> settings = {"objective": "binary", "max_depth": 1, "num_leaves": 2, "verbosity": -1, "num_threads": 1}
    >>> booster = lgb.train(settings, lgb.Dataset(X, X[:, 0] > 50, params=settings), num_boost_round=3)
    >>> score = compile_trees([booster.dump_model()], X)
    >>> np.allclose(score.log_odds(X), booster.predict(X, raw_score=True), rtol=0, atol=1e-12)
    True
    """
    leaves = [leaf for dump in dumps for tree in dump["tree_info"] for leaf in _leaves(tree["tree_structure"])]
    tables = _tables(leaves, 1 / len(dumps))
    constant = sum(leaf.value for leaf in leaves if not leaf.splits) / len(dumps)
    taught = {split.feature for leaf in leaves for split in leaf.splits if split.has_missing}
    return purified(constant, tables, X, taught)


@dataclass(frozen=True)
class _Split:
    """One decision on the path to a leaf."""

    feature: int
    threshold: float
    is_left: bool
    is_missing_here: bool
    has_missing: bool

    def reaches(self, cuts: FloatArray) -> BoolArray:
        """Return which bins of the cuts, missing last, go this way; shape (len(cuts) + 2,)."""
        is_left = np.arange(len(cuts) + 1) <= np.searchsorted(cuts, self.threshold)
        return np.append(is_left == self.is_left, self.is_missing_here)


@dataclass(frozen=True)
class _Leaf:
    """A box: the splits that lead to it, and its value."""

    splits: tuple[_Split, ...]
    value: float

    @property
    def key(self) -> Key:
        return tuple(sorted({split.feature for split in self.splits}))


_SIDES: Final = ("left_child", "right_child")


def _leaves(node: Mapping[str, Any], path: tuple[_Split, ...] = ()) -> Iterator[_Leaf]:
    if "leaf_value" in node:
        yield _Leaf(path, float(node["leaf_value"]))
        return
    if node["decision_type"] != "<=" or node["missing_type"] not in {"None", "NaN"}:
        raise ValueError(f"cannot compile a split {node['decision_type']} with missing type {node['missing_type']}")
    for side in _SIDES:
        is_left = side == "left_child"
        split = _Split(
            feature=int(node["split_feature"]),
            threshold=float(node["threshold"]),
            is_left=is_left,
            is_missing_here=bool(node["default_left"]) == is_left,
            has_missing=node["missing_type"] == "NaN",
        )
        yield from _leaves(node[side], (*path, split))


def _tables(leaves: Iterable[_Leaf], weight: float) -> dict[Key, Step]:
    """Add up the leaves of equal features into one table each."""
    boxes: dict[Key, list[_Leaf]] = defaultdict(list)
    for leaf in leaves:
        if leaf.splits:
            boxes[leaf.key].append(leaf)
    return {key: _table(key, own, weight) for key, own in sorted(boxes.items())}


def _table(key: Key, leaves: Sequence[_Leaf], weight: float) -> Step:
    if len(key) > 2:
        raise ValueError(f"a path with {len(key)} features fits no table of two")
    cuts = tuple(_cuts(feature, leaves) for feature in key)
    values = np.zeros([len(own) + 2 for own in cuts])
    for leaf in leaves:
        reached = [np.ones(len(own) + 2, dtype=bool) for own in cuts]
        for split in leaf.splits:
            axis = key.index(split.feature)
            reached[axis] &= split.reaches(cuts[axis])
        values[np.ix_(*reached)] += weight * leaf.value
    return Step(tuple(str(column) for column in key), cuts, values)


def _cuts(feature: int, leaves: Iterable[_Leaf]) -> FloatArray:
    own = {split.threshold for leaf in leaves for split in leaf.splits if split.feature == feature}
    return np.array(sorted(cut for cut in own if cut < _NO_VALUE_ABOVE))


def purified(constant: float, tables: Mapping[Key, Step], X: FloatArray, taught: Collection[int]) -> AdditiveScore:
    """Return tables of the same sum in which each explains what no table of fewer features can.

    Functional ANOVA with the training rows as weights (Lengerich and others 2020, "Purifying interaction effects
    with the functional ANOVA"): in a table of two features every row and column has weighted mean 0, in a table
    of one the weighted mean is 0. The additive part of a pair is found exactly, by least squares.

    Parameters
    ----------
    constant : float, log-odds
    tables : mapping of one column, or two in increasing order, to their table
        The table's features are the columns' `column_names`.
    X : array of shape (n, p)
    taught : collection of int
        Columns whose missing values were seen in training. In all others a missing value adds 0.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> half = np.array([0.5])
    >>> both = Step(("0", "1"), (half, half), np.array([[0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 0.0]]))
    >>> score = purified(-1.0, {(0, 1): both}, X, taught=())
    >>> round(score.intercept, 9), [unit.values.round(9).tolist() for unit in score.units[:2]]
    (0.0, [[-1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    >>> score.units[2].values.round(9).tolist()
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    names = column_names(X.shape[1])
    mains: dict[int, list[Step]] = defaultdict(list)
    pairs = []
    for key, table in tables.items():
        if len(key) == 1:
            mains[key[0]].append(table)
            continue
        weights = _counts(table, key, X, taught)
        parts = _additive_part(table.values, weights)
        left = table.values - parts[0][:, np.newaxis] - parts[1]
        for axis, (column, part) in enumerate(zip(key, parts, strict=True)):
            mains[column].append(Step((names[column],), (table.cuts[axis],), part))
            if column not in taught:
                np.moveaxis(left, axis, 0)[-1] = 0.0
        pairs.append(replace(table, values=left))
    singles = []
    for column in sorted(mains):
        single = _sum_of(mains[column])
        weights = _counts(single, (column,), X, taught)
        mean = float(np.sum(weights * single.values) / np.sum(weights))
        values = single.values - mean
        if column not in taught:
            values[-1] = 0.0
        constant += mean
        singles.append(replace(single, values=values))
    return AdditiveScore(names, constant, (*singles, *pairs))


def _counts(table: Step, key: Key, X: FloatArray, taught: Collection[int]) -> FloatArray:
    """Return the training rows in each cell; none in the missing bins of columns that are not taught."""
    bins = [
        np.searchsorted(np.append(cuts, np.inf), X[:, column]) for cuts, column in zip(table.cuts, key, strict=True)
    ]
    flat = np.ravel_multi_index(bins, table.values.shape)
    counts = np.bincount(flat, minlength=table.values.size).reshape(table.values.shape).astype(np.float64)
    for axis, column in enumerate(key):
        if column not in taught:
            np.moveaxis(counts, axis, 0)[-1] = 0.0
    return counts


def _additive_part(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the effects of the rows and of the columns nearest to a table in weighted least squares.

    Rows and columns without weight get effect 0, for the least-norm solution is taken.
    """
    n_rows = len(values)
    moments = np.block(
        [[np.diag(np.sum(weights, axis=1)), weights], [weights.T, np.diag(np.sum(weights, axis=0))]],
    )
    weighted = weights * values
    right = np.concatenate([np.sum(weighted, axis=1), np.sum(weighted, axis=0)])
    effects = np.linalg.lstsq(moments, right, rcond=None)[0]
    return effects[:n_rows], effects[n_rows:]


def _sum_of(tables: Sequence[Step]) -> Step:
    """Return one table of one feature for several."""
    cuts = np.unique(np.concatenate([table.cuts[0] for table in tables]))
    return Step(tables[0].features, (cuts,), np.sum([table.on([cuts]) for table in tables], axis=0))
