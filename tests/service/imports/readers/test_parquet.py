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
from service.imports.readers.parquet_shapes import FOOTER, PAGE
from service.imports.readers.thrift import Compact
from tests.service.imports.readers.files import chunks_of, is_told, lying_parquet, parquet_of, read_all

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
        ([1.0, 0.1, -0.0, 1e-7, None], pl.Float64, ["1", "0.1", "0", "1e-7", None]),
        (
            [0.5, -0.1, 9999999.0, 12345.67, 1e-7, -0.0, None, 1 / 3, -0.98765432],
            pl.Float32,
            ["0.5", "-0.1", "9999999", "12345.67", "1e-7", "0", None, "0.33333334", "-0.9876543"],
        ),
        ([0.1 + 0.2, 1 / 3], pl.Float64, ["3000000000.0000004e-10", "3333333333.333333e-10"]),
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
        ("a\0b", "a␀b", "has a NUL character"),
    ],
)
def test_a_value_that_cannot_be_read_rejects_its_row(value, shown, reason):
    rows, rejects = of_values(value, None)
    assert rows == [(2, None)]
    assert rejects == [(1, "id", shown, reason)]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12345678.91, "12345679.0"),
        (20240531001, "20240531000.0"),
        (-1e7, "-10000000.0"),
        (123456.78, "123456.78"),
        (-4 / 3, "-1.3333334"),
        (1e20, "1e+20"),
    ],
)
def test_a_number_of_more_digits_than_32_bits_keep_rejects_its_row(value, shown):
    rows, rejects = of_values(value, 7.0, dtype=pl.Float32)
    assert rows == [(2, "7")]
    assert rejects == [(1, "id", shown, "a number of more than 7 digits, of which the type Float32 loses some")]


def test_a_code_of_more_digits_than_64_bits_keep_rejects_its_row():
    rows, rejects = of_values(913310110000000001.0, 999_999_999_999_999.0)
    assert rows == [(2, "999999999999999")]
    (reason,) = (reason for *_, reason in rejects)
    assert reason == "a number of more than 15 digits, of which the type Float64 loses some"


def test_numbers_of_16_bits_are_refused():
    with pytest.raises(ImportFailedError, match="column 'id': values of type Float16 are not read"):
        of_values(0.5, dtype=pl.Float16)


@pytest.mark.parametrize("first", [None, 0])
@pytest.mark.parametrize(
    ("number", "stored", "dtype", "unit"),
    [
        (2**31 - 5, pl.Int32, pl.Date, "days"),
        (-(2**31), pl.Int32, pl.Date, "days"),
        (2_932_897, pl.Int32, pl.Date, "days"),
        (3 * 10**17 + 1, pl.Int64, pl.Datetime("us"), "microseconds"),
        (-(10**17), pl.Int64, pl.Datetime("us", "UTC"), "microseconds"),
        (2**63 - 1, pl.Int64, pl.Datetime("ms"), "milliseconds"),
    ],
)
def test_a_day_that_no_calendar_has_rejects_its_row(first, number, stored, dtype, unit):
    days = pl.Series("id", [first, number, 86_400_000_000], dtype=pl.Int64).cast(stored, strict=False)
    data = written(days.cast(dtype).to_frame().with_columns(other=1).head(2))
    rows, rejects = read_all(data, "id")
    assert rows == [(1, None if first is None else "1970-01-01")]
    reason = f"a day outside the years 1 to 9999; the value counts {unit} since 1970-01-01"
    assert rejects == [(2, "id", str(number), reason)]


def test_the_first_and_the_last_day():
    days = [date(1, 1, 1), date(9999, 12, 31)]
    for dtype in (pl.Date, pl.Datetime("ms"), pl.Datetime("us")):
        assert of_values(*days, dtype=dtype) == ([(1, "0001-01-01"), (2, "9999-12-31")], [])
    far = pl.Series([-(2**63) + 1, 2**63 - 1]).cast(pl.Datetime("ns")).dt.truncate("1d")
    assert [text for _, text in of_values(far[1], dtype=pl.Datetime("ns"))[0]] == ["2262-04-11"]


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", time(1), timedelta(1)])
def test_a_type_that_is_no_single_value_is_refused(value):
    with pytest.raises(ImportFailedError, match="column 'id': values of type"):
        of_values(value)
    data = written(pl.DataFrame({"id": [1], "nested": [value]}))
    assert read_all(data, "id")[0] == [(1, "1")]


def test_a_missing_column():
    with pytest.raises(ImportFailedError, match="columns are missing: 'id'; columns found: a, b"):
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


def test_a_footer_that_understates_its_pages_is_refused():
    with pytest.raises(ImportFailedError, match=r"unpacks to 40,000,\d+ bytes and 1 rows, as only a bomb does"):
        read_all(lying_parquet("x" * 40_000_000), "id")
    assert read_all(lying_parquet("x" * 2_000), "id") == ([(1, "x" * 2_000)], [])


def test_pages_of_a_dictionary_and_of_many_groups_are_read(monkeypatch):
    frame = pl.DataFrame({"id": [f"E{number % 7}" for number in range(5_000)], "b": range(5_000)})
    data = written(frame, row_group_size=500, data_page_size=100, statistics="full")
    assert len(read_all(data, "id", "b")[0]) == 5_000
    monkeypatch.setattr(parquet_footer, "UNSUSPECTED_PAGES", 10)
    monkeypatch.setattr(parquet_footer, "BYTES_PER_PAGE", 10_000)
    with pytest.raises(ImportFailedError, match="it has more than 10 pages"):
        read_all(data, "id")


def test_a_large_file_may_have_a_large_footer(monkeypatch):
    frame = pl.DataFrame({name: [f"{name}{number**3}" for number in range(20_000)] for name in ("id", "b", "c", "d")})
    data = written(frame, row_group_size=100, statistics=True)
    monkeypatch.setattr(parquet_footer, "UNSUSPECTED_VALUES", 1_000)
    assert len(read_all(data, "id")[0]) == 20_000
    monkeypatch.setattr(parquet_footer, "BYTES_PER_VALUE", 100)
    with pytest.raises(ImportFailedError, match=r"its footer has more than .* values; write it with larger row groups"):
        read_all(data, "id")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pl.Series([DAY]).dt.replace_time_zone("Asia/Shanghai"), "2024-05-31"),
        (pl.Series(["b"], dtype=pl.Enum([f"值{number}" for number in range(5_000)] + ["b"])), "b"),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), "18446744073709551615"),
    ],
)
def test_what_the_arrow_schema_alone_tells(values, text):
    frame = pl.DataFrame({"id": values} | {f"列{number}": [[{"a": [1], "b": "x"}]] for number in range(500)})
    assert read_all(written(frame), "id") == ([(1, text)], [])


def test_an_arrow_schema_that_is_none_is_refused():
    for text in (b"?", b"AAAA", b"/////wAAAAA="):
        with pytest.raises(ImportFailedError, match="its footer cannot be read"):
            read_all(parquet_of(b"\1\0\0\0x", 1, footer={5: [{1: b"ARROW:schema", 2: text}]}), "id")


@pytest.mark.parametrize("counts", [[2, 0], [2**32 + 1, 0], [1, 0, 0], [3, 1, 0, 0]])
def test_columns_that_contradict_their_numbers_are_refused(counts):
    elements = [{1: 6, 4: b"id"} | ({5: count} if count else {}) for count in counts]
    with pytest.raises(ImportFailedError, match="is damaged"):
        read_all(parquet_of(b"\1\0\0\0x", 1, footer={2: elements}), "id")


@pytest.mark.parametrize(
    ("field", "value"), [(7, 10**9), (7, -1), (9, 10**9), (9, -1), (7, 3)], ids=["long", "less", "far", "before", "cut"]
)
def test_pages_that_lie_elsewhere_are_refused(monkeypatch, field, value):
    struct = Compact.struct

    def forged(self, shape, depth=0):
        found = struct(self, shape, depth)
        if 14 in shape and field in found:
            found |= {field: value}
            found.pop(11, None)
        return found

    monkeypatch.setattr(Compact, "struct", forged)
    with pytest.raises(ImportFailedError, match="its pages cannot be read"):
        read_all(written(pl.DataFrame({"id": [1]})), "id")


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        (PAGE, "13 05 00"),
        (PAGE, "11 00"),
        (PAGE, "15 02 05 02 04 00"),
        (PAGE, "05 82 80 08 02 00"),
        (PAGE, "15 ff ff ff ff ff ff ff ff ff 7f 00"),
        (PAGE, "5c 13 05 00 00"),
        (FOOTER, "49 15 02 00"),
        (FOOTER, "4a 1c 00 00"),
    ],
    ids=["byte", "flag", "twice", "field beyond", "number beyond", "byte within", "list of numbers", "set"],
)
def test_what_readers_take_for_something_else_is_refused(shape, data):
    with pytest.raises(ValueError, match=r"not of its type|no such field|too long"):
        Compact(bytes.fromhex(data), 99).struct(shape)
    with pytest.raises(IndexError):
        Compact(bytes.fromhex("15 02"), 99).struct(PAGE)


def test_a_row_group_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(parquet_footer, "MOST_GROUP", 1000)
    with pytest.raises(ImportFailedError, match="write it with smaller row groups"):
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
