"""Read Parquet in slices, every value as text."""

from collections.abc import Iterator
from dataclasses import replace
from io import SEEK_END

import polars as pl

from features.kinds.contract import Fault
from service.imports.chunks import Advance, Chunk, ImportFailedError, fault
from service.imports.readers.content import Content
from service.imports.readers.contract import CHUNK_ROWS, MOST_UNPACKED, Reading
from service.imports.readers.header import MissingColumnsError
from service.imports.readers.panics import damaged, readable
from service.imports.readers.parquet_footer import check_footer
from service.imports.readers.rejected import NUL, Rejected
from service.kit.numbers import written

_HAS_TIME = fault(
    "a time of day where a day is expected",
    "应为日期，却含时刻",
    "write it as a date without time",
    "请写成不含时刻的日期",
)
_FLOAT32_DIGITS = 7
_NOT_FINITE = fault("not a finite number", "不是有限的数", "write a finite number, or null", "请填写有限的数，或空值")
_PLAIN = ("write texts, numbers, days or true and false", "请写文本、数字、日期或 true、false")
_WHOLE_BELOW = 10**15
_CUT: dict[pl.DataType, Fault] = {
    dtype: fault(
        f"a number of more than {digits} digits, of which the type {dtype} loses some",
        f"数字超过 {digits} 位，{dtype} 类型会丢失部分位数",
        "write the column anew from its source, as decimals, whole numbers or texts",
        "请从数据来源以小数、整数或文本类型重新导出该列",
    )
    for dtype, digits in ((pl.Float32(), _FLOAT32_DIGITS), (pl.Float64(), 15))
}
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""Of the years 1 to 9999, in days since 1970."""
_DAY_LENGTH = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_UNITS = {"ms": ("milliseconds", "毫秒"), "us": ("microseconds", "微秒"), "ns": ("nanoseconds", "纳秒")}


def read_content(
    content: Content, required: tuple[str, ...], optional: tuple[str, ...], advance: Advance, _: Reading
) -> Iterator[Chunk]:
    """Read an open file; its rows are numbered from 1.

    Raises
    ------
    ImportFailedError
        If it is damaged or hostile, lacks a required column, or a column has a type that is no single value.
    """
    raw, file = content.raw, content.file
    rows = check_footer(raw, file)
    size = raw.seek(0, SEEK_END)
    raw.seek(0)
    with readable(file, "Parquet"):
        table = pl.scan_parquet(raw)
        schema = dict(table.collect_schema())
    wanted = _wanted(file, schema, required, optional)
    rejected = Rejected(file)
    done = 0
    for start in range(0, max(rows, 1), CHUNK_ROWS):
        with readable(file, "Parquet"):
            part = table.select(wanted).slice(start, CHUNK_ROWS).collect()
            if len(part) != min(CHUNK_ROWS, rows - start):
                raise damaged(file, "Parquet", f"rows are missing after row {start}")
            chunk = _chunk(part, file, start, rejected)
        yield replace(chunk, found=tuple(schema))
        position = size * (start + len(part)) // max(rows, 1)
        advance(position - done)
        done = position


def _wanted(
    file: str, schema: dict[str, pl.DataType], required: tuple[str, ...], optional: tuple[str, ...]
) -> list[str]:
    if missing := [name for name in required if name not in schema]:
        raise MissingColumnsError(file, missing, tuple(schema), has_header=False)
    wanted = [name for name in (*required, *optional) if name in schema]
    for name in wanted:
        dtype = schema[name]
        is_number = dtype.is_numeric() and not isinstance(dtype, pl.Float16)
        is_plain = is_number or isinstance(
            dtype, pl.String | pl.Boolean | pl.Date | pl.Datetime | pl.Categorical | pl.Enum | pl.Null
        )
        if not is_plain:
            words = (f"values of type {dtype} are not read", f"不读取类型为 {dtype} 的值")
            raise ImportFailedError(f"{file}, column '{name}'", fault(*words, *_PLAIN))
    return wanted


def _chunk(part: pl.DataFrame, file: str, before: int, rejected: Rejected) -> Chunk:
    line = pl.int_range(before + 1, before + 1 + len(part), dtype=pl.Int64, eager=True).alias("line")
    if _length(part) > MOST_UNPACKED:
        words = (f"the texts of its rows are longer than {MOST_UNPACKED:,} bytes", f"文本超过 {MOST_UNPACKED:,} 字节")
        place = f"{file}, rows {before + 1} to {before + len(part)}"
        raise ImportFailedError(place, fault(*words, "shorten them", "请缩短"))
    near = part.select(_near(values) for values in part)
    texts = near.select(_text(name, dtype) for name, dtype in part.schema.items())
    faults = [(name, *found) for name in part.columns for found in _faults(part[name], near[name], texts[name])]
    frame = texts.insert_column(0, line)
    is_bad = pl.select(pl.any_horizontal(*(where.fill_null(value=False) for _, _, where, _ in faults))).to_series()
    rejected.good += int((~is_bad).sum())
    for index in is_bad.arg_true():
        name, values, fault_ = next((name, values, words) for name, values, where, words in faults if where[index])
        rejected.add(before + 1 + index, name, str(values[index]), fault_)
    empty_is_null = [pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in part.columns]
    return Chunk(frame.filter(~is_bad).with_columns(empty_is_null), rejected.take())


def _length(part: pl.DataFrame) -> int:
    """Return the bytes of all texts before they are written out: rows of a category share one copy until then."""
    lengths = [
        (pl.col(name).str if isinstance(dtype, pl.String) else pl.col(name).cat).len_bytes().cast(pl.Int64).sum()
        for name, dtype in part.schema.items()
        if isinstance(dtype, pl.String | pl.Categorical | pl.Enum)
    ]
    return sum(total.item() for total in part.select(lengths))


def _near(values: pl.Series) -> pl.Series:
    """Leave out the days that no calendar here has: polars and Python fail at them."""
    if not isinstance(values.dtype, pl.Date | pl.Datetime):
        return values
    length = _DAY_LENGTH[values.dtype.time_unit] if isinstance(values.dtype, pl.Datetime) else 1
    day = values.to_physical().cast(pl.Int64) // length
    near = pl.when(day.is_between(_FIRST_DAY, _LAST_DAY)).then(values)
    return pl.select(near.alias(values.name)).to_series()


def _text(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if isinstance(dtype, pl.Date):
        return value.dt.to_string("%Y-%m-%d")
    if isinstance(dtype, pl.Datetime):
        return value.dt.date().dt.to_string("%Y-%m-%d")
    if dtype.is_float():
        is_whole = (value == value.floor()) & (value.abs() < _WHOLE_BELOW)
        whole = pl.when(is_whole).then(value).cast(pl.Int64).cast(pl.String)
        part = pl.when(~is_whole & value.is_finite()).then(value.cast(pl.String).cast(pl.Float64))
        return pl.coalesce(whole, part.map_elements(written, return_dtype=pl.String)).alias(name)
    return value.cast(pl.String)


def _faults(values: pl.Series, near: pl.Series, texts: pl.Series) -> Iterator[tuple[pl.Series, pl.Series, Fault]]:
    """Yield what may be wrong with values of a column: how they are shown, which of them it is, and the words."""
    dtype = values.dtype
    if isinstance(dtype, pl.Date | pl.Datetime):
        yield values.to_physical(), near.is_null() & values.is_not_null(), _far(dtype)
    if isinstance(dtype, pl.Datetime):
        yield near, near.dt.truncate("1d") != near, _HAS_TIME
    if dtype.is_float():
        yield values, ~values.is_finite(), _NOT_FINITE
        yield values.cast(pl.String), _is_cut(values), _CUT[dtype]
    yield texts, texts.str.contains("\0", literal=True), NUL


def _far(dtype: pl.Date | pl.Datetime) -> Fault:
    en, zh = _UNITS[dtype.time_unit] if isinstance(dtype, pl.Datetime) else ("days", "天")
    return fault(
        f"a day outside the years 1 to 9999; the value counts {en} since 1970-01-01",
        f"日期不在公元 1 年至 9999 年之间；该值为自 1970-01-01 起的{zh}数", "write the true day, or null",
        "请填写真实日期，或空值",
    )  # fmt: skip


def _is_cut(values: pl.Series) -> pl.Series:
    """Tell which numbers may have had more digits than were kept; ratios below 1 keep what they need."""
    if isinstance(values.dtype, pl.Float64):
        return values.abs() > _WHOLE_BELOW
    digits = values.cast(pl.String).str.replace_all(r"e.*$|\.0$|[-.]", "").str.strip_chars_start("0")
    is_large: pl.Series = values.abs() >= 10**_FLOAT32_DIGITS
    return is_large | ((digits.str.len_bytes() > _FLOAT32_DIGITS) & (values.abs() >= 1))
