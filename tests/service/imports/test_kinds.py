"""Every kind's layout: its own examples are a row that can be loaded, and each fault names its column."""

from datetime import date

import polars as pl
import pytest

from features.kinds import KINDS
from service.imports.checks import groups_of, typed

TODAY = date(2026, 1, 31)


def example(kind, **changes):
    row = {column.name: column.example for column in kind.columns} | changes
    return pl.DataFrame({"line": 2} | row, schema={"line": pl.Int64, **dict.fromkeys(row, pl.String)})


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kinds_examples_can_be_loaded(kind):
    rows, rejects = typed(example(kind), kind, "file.csv", TODAY)
    assert rejects.rows() == []
    assert kind.check(rows).height == 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_value_left_out_is_named(kind):
    for column in kind.columns:
        if column.is_required and column.name != "known_on":
            rows, rejects = typed(example(kind, **{column.name: None}), kind, "f", TODAY)
            assert (rows.height, rejects["column"].to_list()) == (0, [column.name])


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("0000-05-31", "not a date YYYY-MM-DD"),
        ("1799-12-31", "not between 1800-01-01 and 2200-12-31"),
        ("9999-12-31", "not between 1800-01-01 and 2200-12-31"),
        ("1800-01-01", None),
    ],
)
def test_a_day_that_cannot_be_rejects_its_row_alone(day, reason):
    frame = pl.concat([example(KINDS["firm"], founded_on=day), example(KINDS["firm"])])
    rows, rejects = typed(frame, KINDS["firm"], "file.csv", TODAY)
    assert rejects.select("column", "value", "reason").rows() == (
        [] if reason is None else [("founded_on", day, reason)]
    )
    assert len(rows) == (2 if reason is None else 1)
    assert rows["founded_on"].min() is not None
    assert groups_of(KINDS["firm"]).get(reason) == ("time" if reason and "between" in reason else None)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_words_are_in_both_languages(kind):
    for words in (kind.words, *(w for rule in kind.rules for w in (rule.fault.reason, rule.fault.remedy))):
        assert words.en.isascii()
        assert not words.zh.isascii()
    for column in kind.columns:
        assert column.zh == "SHA-256" or not column.zh.isascii()
