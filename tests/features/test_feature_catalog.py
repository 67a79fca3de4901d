"""The catalogue is complete, and values are shown as a loan officer would say them."""

import re
from math import log1p

import numpy as np
import polars as pl
import pytest

from features.build import CATALOG, build_matrix
from features.context import build_context
from features.inputs import Inputs
from features.spec import FAMILIES, ValueFormat, feature
from tests.features.rows import DAY, buy, firm, inputs, sale

HAN = re.compile(r"[一-鿿]")


@pytest.mark.parametrize("name", CATALOG)
def test_every_feature_is_described(name):
    entry = CATALOG[name]
    assert entry.name == name
    assert entry.family in FAMILIES
    assert entry.sign in {-1, 0, 1}
    assert entry.missing in {"B", "0", "C", "N"}
    assert entry.unit
    assert entry.source
    assert entry.tables
    assert entry.description.endswith(".")
    for words in (entry.en, entry.worse_en, entry.better_en):
        assert words
        assert words[-1] != "."
        assert not HAN.search(words)
    for words in (entry.zh, entry.worse_zh, entry.better_zh):
        assert HAN.search(words)
    assert entry.worse_en != entry.better_en
    assert entry.worse_zh != entry.better_zh


@pytest.mark.parametrize("name", CATALOG)
def test_every_feature_can_be_shown(name):
    entry = CATALOG[name]
    for language, unknown in (("en", "unknown"), ("zh-CN", "未知")):
        assert entry.show(float("nan"), language) == unknown
        assert entry.show(0.5, language) != unknown
        assert entry.label(language)
        assert entry.phrase(language, is_worse=True) != entry.phrase(language, is_worse=False)


@pytest.mark.parametrize("name", CATALOG)
def test_every_feature_stands_alone(name):
    data = inputs(firm("F", cluster="shoes"), firm("G"), sale(DAY, 5), buy(DAY, 3), sale(DAY, -1))
    context = build_context(data, DAY)
    alone = build_matrix(data, context, [name], DAY)
    among = build_matrix(data, context, list(CATALOG), DAY)
    assert alone.values[:, 0].tobytes() == np.ascontiguousarray(among.values[:, list(CATALOG).index(name)]).tobytes()


@pytest.mark.parametrize(
    ("shape", "value", "en", "zh"),
    [
        (ValueFormat.PERCENT, 0.18, "18%", "18%"),
        (ValueFormat.PERCENT, 0.0123, "1.2%", "1.2%"),
        (ValueFormat.PERCENT, 0.0, "0%", "0%"),
        (ValueFormat.LN_CHANGE, log1p(0.12), "+12%", "+12%"),
        (ValueFormat.LN_CHANGE, log1p(-0.3), "-30%", "-30%"),
        (ValueFormat.DAYS, 45.0, "45 days", "45 天"),
        (ValueFormat.DAYS, 1.0, "1 day", "1 天"),
        (ValueFormat.MONTHS, 7.0, "7 months", "7 个月"),
        (ValueFormat.LN_MONTHS, log1p(38), "38 months", "38 个月"),
        (ValueFormat.YEARS, 4.25, "4.2 years", "4.2 年"),
        (ValueFormat.LN_COUNT, log1p(12), "12", "12"),
        (ValueFormat.RATIO, 0.456, "0.46", "0.46"),
        (ValueFormat.INDEX, 0.1, "0.10", "0.10"),
        (ValueFormat.LN_YUAN, 0.0, "¥0", "0 元"),
        (ValueFormat.LN_YUAN, log1p(950), "¥950", "950 元"),
        (ValueFormat.LN_YUAN, log1p(9_500), "¥9.5k", "9500 元"),
        (ValueFormat.LN_YUAN, log1p(1_200_000), "¥1.2m", "120 万元"),
        (ValueFormat.LN_YUAN, log1p(999_990), "¥1m", "100 万元"),
        (ValueFormat.LN_YUAN, log1p(23_456_789), "¥23.5m", "2,346 万元"),
        (ValueFormat.LN_YUAN, log1p(1.2e9), "¥1.2bn", "12 亿元"),
    ],
)
def test_value_formats(shape, value, en, zh):
    assert shape.show(value, "en") == en
    assert shape.show(value, "zh-CN") == zh


def _entry(**changes):
    return {
        "tables": ("months",),
        "unit": "yuan",
        "family": "sales",
        "sign": 0,
        "missing": "B",
        "value_format": ValueFormat.RATIO,
        "en": "a",
        "zh": "甲",
        "worse_en": "b",
        "worse_zh": "乙",
        "better_en": "c",
        "better_zh": "丙",
        "source": "test",
    } | changes


def _ln_sales() -> pl.Expr:
    """Return something."""
    return pl.lit(1.0)


def test_the_catalogue_refuses_what_is_incomplete():
    taken = type(_ln_sales)(_ln_sales.__code__, _ln_sales.__globals__, "ln_sales")
    with pytest.raises(ValueError, match="defined twice"):
        feature(**_entry())(taken)
    with pytest.raises(ValueError, match="unknown family"):
        feature(**_entry(family="luck"))(_ln_sales)
    with pytest.raises(ValueError, match="fallback"):
        feature(**_entry(missing="C"))(_ln_sales)
    with pytest.raises(ValueError, match="no docstring"):
        feature(**_entry())(lambda: pl.lit(1.0))


def test_matrix_refuses_unknown_features_and_a_context_of_another_day():
    context = build_context(Inputs.empty(), DAY)
    with pytest.raises(ValueError, match="unknown features: luck"):
        build_matrix(Inputs.empty(), context, ["ln_sales", "luck"], DAY)
    with pytest.raises(ValueError, match="context of 2024-06-15"):
        build_matrix(Inputs.empty(), context, ["ln_sales"], DAY.replace(day=16))
