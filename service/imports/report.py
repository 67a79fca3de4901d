"""The shape of a report on the quality of what was imported: documented, versioned, and bounded in bytes."""

from datetime import date
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from service.kit.http import Schema

FORMAT: Final = "clustercredit-quality/1"
MOST_BYTES: Final = 1 << 18
"""Of a report as JSON that is kept with a job."""
MOST_EXAMPLES, MOST_FINDINGS, MOST_UNUSED, SHOWN = 5, 64, 64, 80
KEPT_HASHES: Final = 4096
"""Of a column's values; the distinct ones are counted exactly up to there, beyond with a standard error of 1.6 %."""
NULL_SHOWN: Final = "\N{SYMBOL FOR NULL}"
"""Stands for the one character that PostgreSQL cannot keep in JSON."""

Group = Literal["value", "balance", "time", "reference", "duplicate"]
Severity = Literal["rejected", "warning", "note"]


class Bilingual(Schema):
    """Words in both languages."""

    en: str
    zh: str


class Example(Schema):
    """One row of those that a finding is about."""

    line: int = Field(description="Its number in the file, from 1.")
    value: str = Field(description="What stands there, shortened; numbers of persons are hidden.")


class Finding(Schema):
    """Something that is wrong, or that somebody should look at, and how often."""

    group: Group
    severity: Severity = Field(description="`rejected` rows are not loaded; those of a `warning` or `note` are.")
    column: str = Field(description="As in the file; empty: the whole row.")
    reason: Bilingual
    remedy: Bilingual
    count: int
    examples: list[Example] = Field(description=f"At most {MOST_EXAMPLES}.")


class ColumnQuality(Schema):
    """What a column holds."""

    name: str
    source: str = Field(description="What the file calls it; empty: it has no such column.")
    words: Bilingual
    unit: str
    is_required: bool
    missing: int = Field(description="Rows without a value, of those looked at.")
    missing_share: float = Field(ge=0, le=1)
    filled: int = Field(
        default=0,
        description="Of known_on: accepted rows without one, which got the kind's usual day; the range has these.",
    )
    least: str | None = Field(description="Of accepted rows the least value; of texts the fewest characters.")
    most: str | None = Field(description="Of accepted rows the greatest value; of texts the most characters.")
    is_length: bool = Field(description="Whether `least` and `most` count characters.")
    distinct: int = Field(description=f"Different values of accepted rows; beyond {KEPT_HASHES} an estimate.")


class UnusedColumn(Schema):
    """A column of the file that is not read."""

    name: str = Field(description="As in the file, shortened; numbers of persons are hidden.")
    meant: str = Field(description="The kind's column that the file lacks and whose name is near; empty: none.")


class Section(Schema):
    """Of one file the rows of one kind."""

    file: str
    kind: str
    layout_version: int
    words: Bilingual
    read: int
    added: int = Field(description="New in the ledger; of a preview: would be.")
    already_known: int
    repeated: int
    rejected: int
    looked_at: int = Field(description="Rows of which `missing` is counted: those that could be parted into columns.")
    columns: list[ColumnQuality]
    unused_columns: list[UnusedColumn] = Field([], description=f"The first {MOST_UNUSED}.")
    findings: list[Finding] = Field(description=f"At most {MOST_FINDINGS}, the gravest first.")
    findings_left_out: int = Field(description="Rows of further findings.")


_WORDS = {"en": "rows of an invoice", "zh": "发票"}
_EXAMPLE: dict[str, Any] = {
    "format": FORMAT,
    "is_preview": True,
    "made_on": "2026-07-01",
    "sections": [
        {
            "file": "invoices-2024-06.csv",
            "kind": "invoice",
            "layout_version": 1,
            "words": _WORDS,
            "read": 4120,
            "added": 4101,
            "already_known": 12,
            "repeated": 5,
            "rejected": 2,
            "looked_at": 4120,
            "columns": [
                {
                    "name": "net_fen",
                    "source": "金额",
                    "words": {"en": "amount without VAT", "zh": "金额"},
                    "unit": "fen",
                    "is_required": True,
                    "missing": 1,
                    "missing_share": 0.000243,
                    "least": "-464",
                    "most": "1280000000",
                    "is_length": False,
                    "distinct": 3911,
                }
            ],
            "unused_columns": [{"name": "发票类型", "meant": ""}],
            "findings": [
                {
                    "group": "reference",
                    "severity": "rejected",
                    "column": "企业代号",
                    "reason": {"en": "no such firm", "zh": "没有该企业"},
                    "remedy": {"en": "import firms first", "zh": "请先导入企业（kind firm）"},
                    "count": 1,
                    "examples": [{"line": 93, "value": "E9"}],
                }
            ],
            "findings_left_out": 0,
        }
    ],
}


class Report(Schema):
    """The quality of what was imported, or would be."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    format: Literal["clustercredit-quality/1"] = FORMAT
    is_preview: bool = Field(description="Nothing was loaded.")
    made_on: date = Field(description="Business day on which it was made.")
    sections: list[Section]

    def summary(self) -> dict[str, dict[str, int]]:
        """Return how many rows the findings are about, by group and severity."""
        rows: dict[str, dict[str, int]] = {}
        for section in self.sections:
            for finding in section.findings:
                of_group = rows.setdefault(finding.group, {})
                of_group[finding.severity] = of_group.get(finding.severity, 0) + finding.count
        return rows

    def bounded(self, most_bytes: int = MOST_BYTES) -> "Report":
        """Return it with as many examples and findings as fit into so many bytes of JSON; the counts all stay."""
        report = self
        for examples, findings in ((MOST_EXAMPLES, MOST_FINDINGS), (1, MOST_FINDINGS), (1, 16), (0, 4), (0, 0)):
            sections = [_shortened(section, examples, findings) for section in self.sections]
            report = self.model_copy(update={"sections": sections})
            if len(report.model_dump_json().encode()) <= most_bytes:
                break
        return report


def _shortened(section: Section, examples: int, findings: int) -> Section:
    kept = [
        finding.model_copy(update={"examples": finding.examples[:examples]}) for finding in section.findings[:findings]
    ]
    left_out = section.findings_left_out + sum(finding.count for finding in section.findings[findings:])
    return section.model_copy(update={"findings": kept, "findings_left_out": left_out})
