"""Parquet: every plain type as text, in slices, and nothing that is damaged or nested."""

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imports.chunks import ImportFailedError
from service.imports.readers import parquet_footer
from tests.service.imports.readers.files import chunks_of, is_told, read_all

DAY = datetime.fromisoformat("2024-05-31")


def written(frame, **options):
    data = io.BytesIO()
    frame.write_parquet(data, **options)
    return data.getvalue()


def of_values(*values, dtype=None):
    return read_all(written(pl.DataFrame({"id": pl.Series(values, dtype=dtype), "other": 1})), "id", optional=("no",))


@pytest.mark.parametrize(
    ("values", "dtype", "texts"),
    [
        (["甲", "", None, "'=1"], None, ["甲", None, None, "'=1"]),
        ([1, -(10**18), None], pl.Int64, ["1", "-1000000000000000000", None]),
        ([255], pl.UInt8, ["255"]),
        ([1.0, 0.1, -0.0, 1e-7, 1e22, None], pl.Float64, ["1", "0.1", "0", "1e-7", "1e22", None]),
        ([0.5, 0.1], pl.Float32, ["0.5", "0.1"]),
        ([0.1 + 0.2, 1e15, 1 / 3], pl.Float64, ["3000000000.0000004e-10", "1e15", "3333333333.333333e-10"]),
        ([Decimal("1.50"), Decimal("-0.01")], pl.Decimal(10, 2), ["1.50", "-0.01"]),
        ([True, False, None], None, ["true", "false", None]),
        ([date(2024, 5, 31), None], None, ["2024-05-31", None]),
        ([DAY, None], None, ["2024-05-31", None]),
        ([DAY.replace(tzinfo=UTC)], None, ["2024-05-31"]),
        (["a", "b"], pl.Categorical, ["a", "b"]),
        ([None, None], pl.Null, [None, None]),
    ],
)
def test_values_as_text(values, dtype, texts):
    assert of_values(*values, dtype=dtype) == (list(enumerate(texts, 1)), [])


@pytest.mark.parametrize(
    ("value", "shown", "reason"),
    [
        (float("nan"), "nan", "not a finite number"),
        (float("-inf"), "-inf", "not a finite number"),
        (DAY.replace(hour=12), "2024-05-31 12:00:00", "a time of day where a day is expected"),
        ("a\0b", "a\0b", "has a NUL character"),
    ],
)
def test_a_value_that_cannot_be_read_rejects_its_row(value, shown, reason):
    rows, rejects = of_values(value, None)
    assert rows == [(2, None)]
    assert rejects == [(1, "id", shown, reason)]


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", time(1), timedelta(1)])
def test_a_type_that_is_no_single_value_is_refused(value):
    with pytest.raises(ImportFailedError, match="column 'id': values of type"):
        of_values(value)
    data = written(pl.DataFrame({"id": [1], "nested": [value]}))
    assert read_all(data, "id")[0] == [(1, "1")]


def test_a_missing_column():
    with pytest.raises(ImportFailedError, match=r"column 'id' is missing\. Columns found: a, b"):
        read_all(written(pl.DataFrame({"a": [1], "b": [2]})), "id")


@pytest.mark.parametrize("group", [30_000, 10**6])
def test_slices_and_progress(group):
    frame = pl.DataFrame({"id": range(250_000)})
    data = written(frame, row_group_size=group)
    told = []
    chunks = chunks_of(data, "id", advance=told.append)
    assert [len(chunk.rows) for chunk in chunks] == [100_000, 100_000, 50_000]
    assert sum(told) == len(data)
    rows = pl.concat(chunk.rows for chunk in chunks)
    assert rows["id"].cast(pl.Int64).to_list() == frame["id"].to_list()
    assert rows["line"].to_list() == list(range(1, 250_001))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pl.DataFrame({"id": ["x" * (1 << 25)]}), "as only a bomb does"),
        (pl.DataFrame({"id": pl.repeat("x", 2_000_000, eager=True)}), "as only a bomb does"),
        (pl.DataFrame({"id": pl.repeat("x" * 10_000, 60_000, eager=True), "b": range(60_000)}), "are longer than"),
    ],
)
def test_a_bomb_is_refused(frame, words):
    with pytest.raises(ImportFailedError, match=words):
        read_all(written(frame, compression="zstd"), "id")


def test_a_row_group_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(parquet_footer, "MOST_GROUP", 1000)
    with pytest.raises(ImportFailedError, match="Write it with smaller row groups"):
        read_all(written(pl.DataFrame({"id": range(1000)})), "id")


WHOLE = written(pl.DataFrame({"id": ["a", "b", None], "n": [1.5, 2.0, None], "d": [date(2024, 1, 1)] * 3}))


@settings(max_examples=200, deadline=2000)
@given(
    cut=st.one_of(st.integers(4, len(WHOLE)), st.integers(len(WHOLE) - 400, len(WHOLE))),
    change=st.binary(max_size=6),
    rest=st.integers(0, 8),
)
def test_a_damaged_file_is_a_clear_failure_or_none(cut, change, rest):
    for data in (WHOLE[:cut] + change + WHOLE[cut + rest :], WHOLE[:cut], b"PAR1" + change + b"PAR1"):
        assert is_told(data, "id", "n", "d")


@settings(max_examples=100, deadline=2000)
@given(footer=st.binary(max_size=60))
def test_any_footer_is_a_clear_failure_or_none(footer):
    assert is_told(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1", "id")
