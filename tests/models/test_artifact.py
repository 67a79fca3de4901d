import json
import math
from bisect import bisect_left
from typing import get_args

import numpy as np
import pytest

from models import artifact
from models.additive import AdditiveScore, Step
from models.artifact import ArtifactError, canonical, digest, dump, export, load
from models.fitted import EstimatorName
from models.train import ESTIMATORS
from tests.models.handmade import NAMES, SCORE, bootstrap_interval, matrix, model, venn_abers_interval

FIELDS = ("pd", "low", "high", "points", "grade", "contributions")


@pytest.fixture(params=[bootstrap_interval, venn_abers_interval], ids=["bootstrap", "venn-abers"])
def fitted(request):
    return model(request.param())


def changed(path, value):
    """Return a valid artifact with one field changed (or removed, for None), and its true hash."""
    tree = json.loads(dump(model()))
    *parents, last = path
    node = tree
    for key in parents:
        node = node[key]
    if value is None:
        del node[last]
    else:
        node[last] = value
    data = canonical(tree)
    return data, digest(data)


def test_a_loaded_model_scores_and_explains_the_same_bits(fitted):
    data = dump(fitted)
    again = load(data, digest(data))
    X = matrix(500)
    before, after = fitted.score(X), again.score(X)
    for field in FIELDS:
        assert getattr(before, field).tobytes() == getattr(after, field).tobytes()
    assert fitted.reasons(X, before).texts == again.reasons(X, after).texts
    assert (again.product, again.estimator, again.seed) == (fitted.product, fitted.estimator, fitted.seed)
    assert (again.versions, again.report) == (fitted.versions, fitted.report)


def test_dumping_a_loaded_model_gives_the_same_bytes(fitted):
    data = dump(fitted)
    assert dump(load(data, digest(data))) == data


def test_the_manifest_says_what_the_model_is():
    manifest = json.loads(dump(model()))["manifest"]
    assert (manifest["format"], manifest["format_version"]) == ("clustercredit-model", 1)
    assert [feature["name"] for feature in manifest["features"]] == list(NAMES)
    assert manifest["training"] == {"rows": 500, "defaults": 40, "firms": 300}
    assert manifest["versions"] == {"numpy": "2.4.6"}
    assert manifest["seed"] == 7


def test_every_flipped_byte_is_rejected_before_parsing(monkeypatch):
    data = dump(model())
    sha256 = digest(data)
    monkeypatch.setattr(artifact.json, "loads", lambda _: pytest.fail("parsed before the hash was verified"))
    generator = np.random.default_rng(15)
    for position, bit in zip(generator.integers(0, len(data), 500), generator.integers(0, 8, 500), strict=True):
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(bit)
        with pytest.raises(ArtifactError, match="SHA-256"):
            load(bytes(flipped), sha256)


def test_flipped_bytes_under_their_own_hash_never_do_more_than_raise_artifact_error():
    data = dump(model(bootstrap_interval(3)))
    generator = np.random.default_rng(16)
    X, refused = matrix(20), 0
    for position, byte in zip(generator.integers(0, len(data), 500), generator.integers(0, 256, 500), strict=True):
        flipped = bytearray(data)
        flipped[position] = byte
        try:
            scores = load(bytes(flipped), digest(bytes(flipped))).score(X)
        except ArtifactError:
            refused += 1
        else:
            assert (scores.low <= scores.pd).all()
            assert (scores.pd <= scores.high).all()
    assert refused > 150


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"a": 1}',
        b'{"a":1,"a":1}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b"[" * 5_000 + b"]" * 5_000,
    ],
    ids=lambda data: data[:12],
)
def test_what_is_no_canonical_artifact_is_refused(data):
    with pytest.raises(ArtifactError):
        load(data, digest(data))


def test_an_oversized_artifact_is_refused_unread(monkeypatch):
    monkeypatch.setattr(artifact, "MAX_BYTES", 10)
    data = dump(model())
    with pytest.raises(ArtifactError, match="more than 10"):
        load(data, digest(data))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("manifest", "format"), "other", "format"),
        (("manifest", "format_version"), 2, "format_version"),
        (("manifest", "estimator"), "oracle", "estimator"),
        (("manifest", "seed"), "7", "seed"),
        (("manifest", "seed"), None, "seed"),
        (("manifest", "extra"), 1, "extra"),
        (("manifest", "training", "rows"), 0, "rows"),
        (("manifest", "features", 0, "name"), "no_such_feature", "not in the catalogue"),
        (("manifest", "features", 0, "name"), "../etc", "features"),
        (("manifest", "features", 0, "definition_sha256"), "0" * 64, "redefined"),
        (("score", "names"), ["ln_sales"], "columns"),
        (("score", "intercept"), "0", "intercept"),
        (("score", "units", 0, "kind"), "oracle", "units"),
        (("score", "units", 0, "low"), 99.0, "low <= high"),
        (("score", "units", 0, "slope"), True, "slope"),
        (("score", "units", 1, "cuts"), [[1.5, 0.5]], "increasing"),
        (("score", "units", 1, "cuts"), [[0.5]], "do not fit"),
        (("score", "units", 1, "features"), ["growth"], "not columns"),
        (("score", "units", 2, "values"), [[0.0], [0.0, 1.0]], "hold a model"),
        (("score", "units", 2, "features"), ["void_rate", "void_rate"], "different"),
        (("mean_contributions",), [0.0], "mean contribution"),
        (("typical",), [0.0], "typical"),
        (("interval", "kind"), "guess", "interval"),
        (("interval", "coefficients"), [[0.0]], "coefficients"),
        (("interval", "coefficients"), [], "coefficients"),
        (("report",), [], "report"),
    ],
)
def test_every_field_is_checked_even_under_a_true_hash(path, value, words):
    data, sha256 = changed(path, value)
    with pytest.raises(ArtifactError, match=words):
        load(data, sha256)


def test_tables_that_would_not_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr(artifact, "MAX_CELLS", 10)
    data = dump(model())
    with pytest.raises(ArtifactError, match="cells"):
        load(data, digest(data))


def test_a_model_that_is_not_finite_cannot_be_dumped():
    with pytest.raises(ValueError, match="JSON compliant"):
        dump(model(mean_contributions=np.full(len(SCORE.units), np.inf)))


def test_the_estimators_an_artifact_may_name_are_those_that_are_trained():
    assert get_args(EstimatorName) == tuple(ESTIMATORS)


def evaluate(card, features):
    """Return points, PD and grade from an exported card: all an outsider needs."""
    points = card["base_points"]
    for unit in card["units"]:
        values = [features[name] for name in unit["features"]]
        if unit["kind"] == "line" and values[0] is None:
            points += unit["missing_points"]
        elif unit["kind"] == "line":
            clipped = min(max(values[0], unit["low"]), unit["high"])
            points += unit["points_per_unit"] * (clipped - unit["centre"])
        else:
            cell = unit["points"]
            for value, cuts in zip(values, unit["cuts"], strict=True):
                cell = cell[len(cuts) + 1 if value is None else bisect_left(cuts, value)]
            points += cell
    scale = card["scale"]
    pd = max(scale["pd_floor"], 1 / (1 + math.exp((points - scale["offset"]) / scale["factor"])))
    grade = next(grade["name"] for grade in scale["grades"] if pd <= grade["pd_up_to"])
    return points, pd, grade


def assert_card_agrees(fitted, X):
    card = json.loads(json.dumps(export(fitted), allow_nan=False))
    scores = fitted.score(X)
    for row, x in enumerate(X):
        features = {name: None if math.isnan(value) else value for name, value in zip(fitted.names, x, strict=True)}
        points, pd, grade = evaluate(card, features)
        assert points == pytest.approx(scores.points[row], abs=1e-9)
        assert pd == pytest.approx(scores.pd[row], rel=1e-12)
        assert grade == scores.grade[row]


def test_an_exported_card_gives_the_same_points_pd_and_grade(fitted):
    assert_card_agrees(fitted, matrix(300))


def test_a_value_on_a_cut_goes_left_in_the_card_too():
    step = Step(("sales_cv",), (np.array([0.5]),), np.array([-1.0, 1.0, 0.0]))
    edge = model(
        additive=AdditiveScore(NAMES, -3.0, (step,)),
        mean_contributions=np.zeros(1),
    )
    X = matrix(3)
    X[:, 1] = (0.5, np.nextafter(0.5, 1), np.nan)
    assert_card_agrees(edge, X)
