"""What a file is like: counts, gaps, ranges and faults, gathered batch by batch in memory that does not grow with it.

A `Gauge` watches the rows of one file and kind pass, and makes a section of the report in the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from features.kinds.contract import Column, Fault, Kind
from service.imports.checks import groups_of
from service.imports.chunks import fault, said, shown
from service.imports.report import (
    KEPT_HASHES,
    MOST_EXAMPLES,
    MOST_FINDINGS,
    SHOWN,
    Bilingual,
    ColumnQuality,
    Example,
    Finding,
    Group,
    Section,
    Severity,
    UnusedColumn,
)
from service.imports.template import example_of

_YEARS_LATE = 2

REPEATED = fault(
    "rows with the same content stand in the file more than once; each counts once", "文件中有内容相同的行，只计一次",
    "nothing need be done, unless rows lack what tells them apart", "通常无需处理；若应为不同记录，请补充可区分的列",
)  # fmt: skip
KNOWN = fault(
    "rows with the same content are in the ledger already", "台账中已有内容相同的记录", "nothing need be done",
    "无需处理",
)  # fmt: skip
LATE = fault(
    f"known more than {_YEARS_LATE} years after it was true", f"可知日期晚于发生日期 {_YEARS_LATE} 年以上",
    "check both days: models see the row from known_on alone", "请核对两个日期：模型自可知日期起才使用该行",
)  # fmt: skip
NO_TEXT = fault(
    "the cell is a number, day or flag and no text: what was typed may have changed, as leading zeros do",
    "单元格是数字、日期或逻辑值而非文本：录入的内容可能已变，如丢失前导零",
    "if it has, format the column as text and write the values again; else nothing need be done",
    "若已变，请将该列设为文本格式后重新填写；否则无需处理",
)  # fmt: skip
OTHERWISE = fault(
    "the ledger has these rows with another known_on, and keeps it",
    "台账中已有这些记录，但可知日期不同；保留台账的日期",
    "see 'Correcting what was loaded' in docs/import-door.md", "请参阅 docs/import-door.md 中的更正说明",
)  # fmt: skip
NO_LOAN = fault(
    "no loan of this number is in the ledger", "台账中没有该编号的贷款", "import the loans, or check the number",
    "请导入贷款，或核对编号",
)  # fmt: skip
EXAMPLE = fault(
    "the template's row of examples, which was not replaced", "模板自带的示例行，未被替换",
    "put rows of your own in its place, and preview a file before it is loaded", "请换成真实数据；导入之前请先预览",
)  # fmt: skip
NO_ROWS = fault(
    "the file has column names and no rows", "文件只有列名，没有数据行", "check that it is the right file",
    "请核对是否为正确的文件",
)  # fmt: skip
OTHERS_LOAN = fault(
    "in the ledger this loan is another firm's", "台账中该贷款属于另一企业", "check firm and loan", "请核对企业与贷款"
)


@dataclass
class Tally:
    """A finding while it is being counted."""

    group: Group
    severity: Severity
    column: str
    fault: tuple[str, str, str, str]
    count: int = 0
    examples: list[Example] = field(default_factory=list)


class Distinct:
    """Counts different values in bounded memory: it keeps the least hashes (K minimum values).

    Of n distinct values with hashes spread evenly over 2^64, the K-th least lies near K / n of the way; Z. Bar-Yossef
    et al., Counting distinct elements in a data stream, RANDOM 2002.

    Examples
    --------
    >>> distinct = Distinct()
    >>> distinct.add(pl.Series(["a", "b", "a", None]))
    >>> distinct.count
    2
    """

    def __init__(self) -> None:
        self.hashes = pl.Series(dtype=pl.UInt64)

    def add(self, values: pl.Series) -> None:
        """Take a batch's values in; nulls count for nothing."""
        fresh = values.drop_nulls().hash(seed=1)
        if len(self.hashes) == KEPT_HASHES:
            fresh = fresh.filter(fresh < self.hashes[-1])
        if len(fresh):
            self.hashes = pl.concat([self.hashes, fresh]).unique().sort().head(KEPT_HASHES)

    @property
    def count(self) -> int:
        """Return how many different values there were."""
        if len(self.hashes) < KEPT_HASHES:
            return len(self.hashes)
        return round((KEPT_HASHES - 1) * 2.0**64 / int(self.hashes[-1]))


class _Span:
    """Least and greatest value of a column, or length of its texts, and how many different ones."""

    def __init__(self, column: Column) -> None:
        self.column, self.distinct, self.missing, self.filled = column, Distinct(), 0, 0
        self.is_length = column.dtype == pl.String()
        self.least: Any = None
        self.most: Any = None

    def take(self, values: pl.Series) -> None:
        """Take a batch's values in."""
        self.distinct.add(values)
        measured = values.str.len_chars() if self.is_length else values
        low, high = measured.min(), measured.max()
        if low is not None and high is not None:
            self.least = low if self.least is None else min(self.least, low)
            self.most = high if self.most is None else max(self.most, high)

    def quality(self, source: str, looked_at: int) -> ColumnQuality:
        """Return what was seen."""
        return ColumnQuality(
            name=self.column.name,
            source=source,
            words=Bilingual(en=self.column.en, zh=self.column.zh),
            unit=self.column.unit,
            is_required=self.column.is_required and self.column.name != "known_on",
            missing=self.missing,
            missing_share=round(self.missing / looked_at, 6) if looked_at else 0.0,
            filled=self.filled,
            least=_shown(self.least),
            most=_shown(self.most),
            is_length=self.is_length,
            distinct=self.distinct.count,
        )


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)


class Gauge:
    """Watches the rows of one file and kind.

    Parameters
    ----------
    sources
        Our column -> what the file calls it, where that differs.
    references
        Reasons for which the door rejects a row that names what is not in the ledger.
    """

    def __init__(self, kind: Kind, sources: Mapping[str, str], references: tuple[Fault, ...]) -> None:
        self.kind, self.sources, self.looked_at = kind, dict(sources), 0
        self.groups: dict[str, Group] = {**groups_of(kind), **{f.reason.en: "reference" for f in references}}
        self.spans = {column.name: _Span(column) for column in kind.columns}
        self.tallies: dict[tuple[str, str, str], Tally] = {}
        self.left_out = 0
        self.repeated: list[Example] = []
        self.unused: Sequence[UnusedColumn] = ()
        self._example = example_of(kind)

    def take(
        self, rows: pl.DataFrame, rejects: pl.DataFrame, missing: Mapping[str, int], looked_at: int,
        without_known_on: pl.DataFrame | None = None,
    ) -> None:  # fmt: skip
        """Take a batch in.

        Parameters
        ----------
        rows
            Accepted rows: ``line`` and the kind's columns.
        rejects
            The others, as `service.imports.chunks.REJECTS`.
        missing
            Rows without a value, by column, of so many rows looked at.
        without_known_on
            ``line`` of rows whose known_on is the kind's usual day for want of one.
        """
        self.looked_at += looked_at
        if without_known_on is not None:
            self.spans["known_on"].filled += rows.join(without_known_on, on="line", how="semi").height
        for name, span in self.spans.items():
            span.missing += missing.get(name, 0)
            span.take(rows[name])
        self._take_rejects(rejects)
        self._take_late(rows)
        self._take_repeated(rows)
        self._take_example(rows)

    def warn(self, group: Group, column: str, fault: Fault, rows: pl.DataFrame) -> None:
        """Note rows that are loaded all the same; ``column`` is ours, and one of theirs."""
        if len(rows):
            shown = rows.head(MOST_EXAMPLES).select("line", pl.col(column).cast(pl.String)).rows()
            self._tally(group, "warning", self.sources.get(column, column), said(fault), len(rows), shown)

    @property
    def has_filled_days(self) -> bool:
        """Whether some accepted row came without ``known_on``."""
        return self.spans["known_on"].filled > 0

    def note(self, group: Group, column: str, fault: Fault, count: int) -> None:
        """Note so many rows that are loaded all the same, and of which no example is at hand."""
        if count:
            self._tally(group, "warning", self.sources.get(column, column), said(fault), count, [])

    def section(self, counts: Mapping[str, int], file: str) -> Section:
        """Return the section of the report, with what became of the rows in all."""
        notes: tuple[tuple[Fault, int, list[Example]], ...] = (
            (REPEATED, counts["repeated"], self.repeated),
            (KNOWN, counts["already_known"], []),
        )
        findings = [
            _finding(Tally("duplicate", "note", "", said(fault), count, examples))
            for fault, count, examples in notes
            if count
        ]
        ranks = {"rejected": 0, "warning": 1, "note": 2}
        tallies = sorted(self.tallies.values(), key=lambda tally: (ranks[tally.severity], -tally.count))
        return Section(
            file=shown(file),
            kind=self.kind.name,
            layout_version=self.kind.version,
            words=Bilingual(en=self.kind.words.en, zh=self.kind.words.zh),
            **counts,
            looked_at=self.looked_at,
            columns=[span.quality(self.sources.get(name, name), self.looked_at) for name, span in self.spans.items()],
            unused_columns=list(self.unused),
            findings=[*map(_finding, tallies), *findings],
            findings_left_out=self.left_out,
        )

    def _take_rejects(self, rejects: pl.DataFrame) -> None:
        words = ("reason", "remedy", "reason_zh", "remedy_zh")
        grouped = rejects.group_by("column", *words, maintain_order=True).agg(
            pl.len(), pl.col("line", "value").head(MOST_EXAMPLES)
        )
        for column, reason, remedy, reason_zh, remedy_zh, count, lines, values in grouped.iter_rows():
            group, words = self.groups.get(reason, "value"), (reason, remedy, reason_zh, remedy_zh)
            self._tally(group, "rejected", column, words, count, list(zip(lines, values, strict=True)))

    def _take_late(self, rows: pl.DataFrame) -> None:
        observed, known = pl.col("observed_on"), pl.col("known_on")
        days = rows.filter((known - observed).dt.total_days() > 365 * _YEARS_LATE)
        if len(days):
            late = days.filter(known > observed.dt.offset_by(f"{_YEARS_LATE}y"))
            self.warn("time", "known_on", LATE, late)

    def _take_example(self, rows: pl.DataFrame) -> None:
        """Warn of the template's own row: looked for by its first value, and then by the others but ``known_on``."""
        first, *others = (name for name in self.kind.schema if name != "known_on")
        alike = rows.filter(pl.col(first) == self._example[first])
        is_example = pl.all_horizontal(pl.col(name).eq_missing(pl.lit(self._example[name])) for name in others)
        self.warn("value", first, EXAMPLE, alike.filter(is_example))

    def _take_repeated(self, rows: pl.DataFrame) -> None:
        """Keep examples of rows that repeat one of the same batch; how many there are in all the ledger counts."""
        if len(self.repeated) < MOST_EXAMPLES:
            content = rows.select(name for name in self.kind.schema if name != "known_on").hash_rows()
            again = rows.filter(~content.is_first_distinct())
            for line, *values in (
                again.head(MOST_EXAMPLES - len(self.repeated))
                .select("line", *(pl.col(name).cast(pl.String) for name in list(self.kind.schema)[:2]))
                .rows()
            ):
                self.repeated.append(_example(line, " ".join(value or "" for value in values)))

    def _tally(
        self, group: Group, severity: Severity, column: str, words: tuple[str, str, str, str], count: int,
        examples: list[tuple[int, Any]],
    ) -> None:  # fmt: skip
        key = (severity, column, words[0])
        if key not in self.tallies and len(self.tallies) == MOST_FINDINGS:
            self.left_out += count
            return
        tally = self.tallies.setdefault(key, Tally(group, severity, column, words))
        tally.count += count
        room = MOST_EXAMPLES - len(tally.examples)
        tally.examples += [_example(line, value) for line, value in examples[:room]]


def without_rows(section: Section) -> Section:
    """Return a section with the note that its file has no rows."""
    return section.model_copy(update={"findings": [_finding(Tally("value", "note", "", said(NO_ROWS)))]})


def _example(line: int, value: Any) -> Example:
    return Example(line=line, value=shown("" if value is None else str(value))[:SHOWN])


def _finding(tally: Tally) -> Finding:
    reason, remedy, reason_zh, remedy_zh = tally.fault
    return Finding(
        group=tally.group,
        severity=tally.severity,
        column=tally.column,
        reason=Bilingual(en=reason, zh=reason_zh),
        remedy=Bilingual(en=remedy, zh=remedy_zh),
        count=tally.count,
        examples=tally.examples,
    )
