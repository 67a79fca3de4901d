"""A bank's own columns turned into a kind's: names, values, dates and units, over whole columns, exact to the fen.

`service/imports/mapping_file.py` reads a mapping from YAML; docs/import-door.md shows it in use.
"""

import re
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from features.kinds.contract import Kind
from service.imports.checks import NO_SUCH_DAY, SERIAL, SERIAL_DAY, Check, split
from service.imports.chunks import HIDDEN, Chunk, fault, no_rejects, shown
from service.imports.readers import Reading

PREFIX: Final = "\x00"
"""No column of a file begins like this: ours stand beside theirs under it."""
DIRECTIVE: Final = re.compile(r"%.?|[^%]+", re.DOTALL)
ISO: Final = "%Y-%m-%d"
CLOCK: Final = {"%H": "(?:[01][0-9]|2[0-3])", "%M": "[0-5][0-9]", "%S": "[0-5][0-9]"}
_PLACES = {"yuan": 2, "wan": 6, "percent": 2}

_UNLISTED = fault(
    "this value is not in the mapping", "映射文件中没有该取值", "add it under 'values', or correct the cell",
    "请在映射文件的 values 中补充，或更正该单元格",
)  # fmt: skip
_NO_DAY = fault(
    "fits none of the date formats in the mapping", "不符合映射文件中的任何日期格式",
    "add its format under 'dates', or correct the cell", "请在映射文件的 dates 中补充格式，或更正该单元格",
)  # fmt: skip
_TWO_DAYS = fault(
    "fits several of the date formats in the mapping, so the day is not certain",
    "同时符合映射文件中的多个日期格式，无法确定是哪一天",
    "leave one format in the mapping, or write the cell as 2024-05-31",
    "请在映射文件中只保留一种格式，或写成 2024-05-31",
)
_NO_AMOUNT = {
    "yuan": fault(
        "not an amount in yuan with at most two decimal places", "不是最多两位小数的金额（元）",
        "write it like 1234567.89 or 1,234,567.89", "请写成 1234567.89 或 1,234,567.89",
    ),
    "wan": fault(
        "not an amount in 10,000 yuan with at most six decimal places", "不是最多六位小数的金额（万元）",
        "write it like 1234.5 or 1,234.5", "请写成 1234.5 或 1,234.5",
    ),
    "percent": fault(
        "not a percentage with at most two decimal places", "不是最多两位小数的百分数", "write it like 12.5 or 12.5%",
        "请写成 12.5 或 12.5%",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ColumnMapping:
    """How a bank's file becomes rows of a kind.

    Attributes
    ----------
    columns
        Our column -> theirs.
    constants
        Our column -> what every row has.
    values
        Our column -> their value -> ours; a value that is listed is replaced by ours as it stands.
    dates
        Our column -> formats; a value fits exactly one of them, or is written as 2024-05-31.
    units
        Our column -> the unit that theirs is in.
    sha256
        Of the mapping's text, in hexadecimal.
    """

    kind: Kind
    columns: dict[str, str]
    constants: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    dates: dict[str, tuple[str, ...]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    reading: Reading = Reading()  # noqa: RUF009 - frozen
    sha256: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """Their columns, each once: a file must have them all."""
        return tuple(dict.fromkeys(self.columns.values()))

    def apply(self, chunk: Chunk, file: str) -> Chunk:
        """Turn rows with their columns into rows with ours; what cannot be converted is rejected under their names.

        Parameters
        ----------
        chunk
            ``line`` and at least `sources`, as text.
        file
            What rejects call the file.

        Returns
        -------
        Chunk
            ``line`` and the kind's columns that are mapped or constant, as canonical text.
        """
        frame = chunk.rows.with_columns(_stripped(name) for name in self.sources)
        frame = frame.with_columns(_day(self.columns[o], f).alias(n) for o in self.dates for n, f in self._days(o))
        frame = frame.with_columns(
            self._read(ours, theirs).alias(PREFIX + ours) for ours, theirs in self.columns.items()
        )
        checks = [check for ours, theirs in self.columns.items() for check in self._checks(ours, theirs)]
        good, bad = split(frame, checks, file)
        constants = [pl.lit(text, dtype=pl.String).alias(ours) for ours, text in self.constants.items()]
        rows = good.select("line", *(pl.col(PREFIX + ours).alias(ours) for ours in self.columns), *constants)
        return Chunk(rows, pl.concat([chunk.rejects, bad]))

    def in_their_words(self, rejects: pl.DataFrame, texts: pl.DataFrame) -> pl.DataFrame:
        """Return rejects of canonical checks under their columns' names, with the values that stand in the file."""
        parts = [no_rejects(), rejects.filter(~pl.col("column").is_in(list(self.columns)))]
        for ours in rejects["column"].unique().sort():
            if ours in self.columns:
                theirs = self.columns[ours]
                found = rejects.filter(pl.col("column") == ours)
                stood = found.select("line").join(texts.select("line", value=theirs), on="line", how="left")["value"]
                values = [
                    HIDDEN if was == HIDDEN else shown(text or "")
                    for was, text in zip(found["value"], stood, strict=True)
                ]
                named = pl.Series("value", values, dtype=pl.String)
                parts.append(found.with_columns(named, pl.lit(theirs).alias("column")))
        return pl.concat(parts).sort("line", maintain_order=True)

    def _days(self, ours: str) -> list[tuple[str, str]]:
        """Return the formats of a column's days, each with the name under which what it reads stands meanwhile."""
        return [(f"{PREFIX}{number} {ours}", format_) for number, format_ in enumerate(self._formats(ours))]

    def _formats(self, ours: str) -> tuple[str, ...]:
        """Return the formats that are listed, and ISO's unless one of them may mean another day by the same text."""
        listed = self.dates.get(ours, ())
        is_taken = any(re.search(_pattern(format_), "2024-05-31") for format_ in listed)
        return listed if is_taken or not listed else (*listed, ISO)

    def _read(self, ours: str, theirs: str) -> pl.Expr:
        """Return a column's canonical text, null where it has none."""
        text, table, unit = pl.col(theirs), self.values.get(ours, {}), self.units.get(ours)
        value = text
        if ours in self.dates:
            value = pl.coalesce(pl.col(name) for name, _ in self._days(ours)).dt.to_string("%Y-%m-%d")
        elif unit in _PLACES:
            value = _whole(theirs, _PLACES[unit], suffix=" ?%?" if unit == "percent" else "")
        elif table:
            value = pl.lit(None, dtype=pl.String)
        if not table:
            return value
        targets = [target or None for target in table.values()]
        replaced = text.replace_strict(list(table), targets, default=None, return_dtype=pl.String)
        empty = pl.lit(table.get("") or None, dtype=pl.String)
        return pl.when(self._is_listed(ours, theirs)).then(replaced).when(text.is_null()).then(empty).otherwise(value)

    def _checks(self, ours: str, theirs: str) -> list[Check]:
        """Return what the values of a column must satisfy, once they are read."""
        is_listed = self._is_listed(ours, theirs)
        has_none = pl.col(theirs).is_not_null() & pl.col(PREFIX + ours).is_null() & ~is_listed
        if ours in self.dates:
            fits = pl.sum_horizontal(pl.col(name).is_not_null() for name, _ in self._days(ours))
            unread = pl.when(has_none).then(pl.col(theirs))
            looks_right = pl.any_horizontal(unread.str.contains(_pattern(format_)) for _, format_ in self._days(ours))
            return [
                Check(theirs, looks_right, NO_SUCH_DAY),
                Check(theirs, unread.str.contains(SERIAL), SERIAL_DAY),
                Check(theirs, has_none, _NO_DAY),
                Check(theirs, (fits > 1) & ~is_listed, _TWO_DAYS),
            ]
        if (unit := self.units.get(ours)) in _PLACES:
            return [Check(theirs, has_none, _NO_AMOUNT[unit])]
        return [Check(theirs, has_none, _UNLISTED)] if ours in self.values else []

    def _is_listed(self, ours: str, theirs: str) -> pl.Expr:
        return pl.col(theirs).is_in(list(self.values[ours])) if ours in self.values else pl.lit(value=False)


def _stripped(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)


def _whole(column: str, places: int, *, suffix: str) -> pl.Expr:
    """Read a decimal as text of a whole number of the unit that is ``10 ** -places`` of it; null where it is none.

    The digits themselves are put together, so no float rounds them. Zeros may follow the last place.
    """
    text = pl.col(column)
    digits = rf"^[+-]?(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]+)(?:\.[0-9]{{1,{places}}}0*)?{suffix}$"
    parts = text.str.strip_chars_end(" %").str.replace_all(",", "", literal=True).str.splitn(".", 2).struct
    part = parts.field("field_1").fill_null("").str.slice(0, places).str.pad_end(places, "0")
    number = pl.concat_str(parts.field("field_0"), part).cast(pl.Int64, strict=False)
    return pl.when(text.str.contains(digits)).then(number).cast(pl.String)


def _day(column: str, format_: str) -> pl.Expr:
    """Read a day; null where it does not fit the format to the letter, or is of the year 0, which there is not."""
    text = pl.col(column)
    day = pl.when(text.str.contains(_pattern(format_))).then(text).str.to_date(format_, strict=False)
    return pl.when(day.dt.year() > 0).then(day)


def _pattern(format_: str) -> str:
    """Return the regular expression of a date format.

    Month and day may have one digit where other characters part them from the next digits.

    Examples
    --------
    >>> _pattern("%Y%m%d"), _pattern("%Y/%m/%d")
    ('^[0-9]{4}[0-9]{2}[0-9]{2}$', '^[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}$')
    """
    parts = [found.group() for found in DIRECTIVE.finditer(format_)]
    patterns = []
    for number, part in enumerate(parts):
        beside = parts[max(number - 1, 0) : number] + parts[number + 1 : number + 2]
        width = "{2}" if any(other.startswith("%") for other in beside) else "{1,2}"
        known = {"%Y": "[0-9]{4}", "%m": f"[0-9]{width}", "%d": f"[0-9]{width}", **CLOCK}
        patterns.append(known.get(part) or pl.escape_regex(part))
    return f"^{''.join(patterns)}$"
