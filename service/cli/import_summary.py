"""What an import did, as it is printed."""

import re
from pathlib import Path

from rich.table import Table

from service.cli.runtime import console
from service.imports.door import ImportSummary, files_without_rows
from service.imports.report import MOST_UNUSED, Report, Section
from service.kit.personal_id import CONTROL

_COUNTS = {
    "read": "读取",
    "added": "新增",
    "already_known": "已有",
    "repeated": "重复",
    "rejected": "拒绝",
}


def print_summary(summary: ImportSummary, rejected_to: Path | None, report: Path | None) -> None:
    """Print the counts of each file, what is left out, rejected or to be looked at, and where the rest is."""
    _print_counts(summary)
    if summary.report.is_preview:
        console.print(
            "preview 预览: nothing was loaded; 'added' is what would be. 未导入任何数据。", style="bold yellow"
        )
    for words in summary.left_out:
        _say(f"left out: {words}")
    for section in summary.report.sections:
        _print_unused(section)
    for row in summary.rejects.head(5).iter_rows(named=True):
        place = f"rejected: {row['file']}, line {row['line']}, {row['column']} '{row['value']}'"
        _say(f"{place}: {row['reason']}; {row['remedy']}")
        _say(f"  拒绝：第 {row['line']} 行：{row['reason_zh']}；{row['remedy_zh']}")
    _print_warnings(summary.report)
    if empty := files_without_rows(summary.files):
        _say(f"no rows 没有数据行: {', '.join(empty)}")
    if rejected_to is not None:
        kept, of_all = summary.rejects.height, summary.counts()["rejected"]
        some = f"{kept:,}" if kept == of_all else f"The first {kept:,} of {of_all:,}"
        words = f"{some} rejected rows: where, and why, is in {rejected_to} 被拒绝的行及原因见该文件"
        console.print(words, style="yellow", soft_wrap=True)
    if report is not None:
        console.print(f"The report on quality is in {report} 数据质量报告见该文件", soft_wrap=True)


def _print_counts(summary: ImportSummary) -> None:
    table = Table("file and kind\n文件与种类")
    for name, words in _COUNTS.items():
        table.add_column(f"{name.replace('_', ' ')}\n{words}", justify="right", no_wrap=True)
    for line in summary.files:
        table.add_row(f"{line.file} {line.kind}", *(f"{getattr(line, name):,}" for name in _COUNTS))
    totals = summary.counts()
    table.add_section()
    table.add_row("all 合计", *(f"{totals[name]:,}" for name in _COUNTS))
    console.print(table)


def _print_unused(section: Section) -> None:
    """Print the columns that were not read: those that may be meant as others first, each with the question."""
    meant = [column for column in section.unused_columns if column.meant]
    for column in meant:
        _say(f"unused: {section.file}, column '{column.name}' is not read; did you mean '{column.meant}'?")
        _say(f"  未使用：列 '{column.name}' 未被读取；是否应为 '{column.meant}'？")
    others = ", ".join(column.name for column in section.unused_columns if not column.meant)
    more = ", … 等" if len(section.unused_columns) == MOST_UNUSED else ""
    if others:
        _say(f"unused: {section.file}, columns that are not read 未读取的列: {others}{more}")


def _print_warnings(report: Report) -> None:
    for section in report.sections:
        for finding in section.findings:
            if finding.severity == "warning":
                lines = ", ".join(str(example.line) for example in finding.examples)
                place = f"{section.file}, {finding.column}" + (f", line {lines}" if lines else "")
                _say(f"warning: {place}: {finding.count:,} row(s): {finding.reason.en}; {finding.remedy.en}")
                _say(f"  警告：{finding.count:,} 行：{finding.reason.zh}；{finding.remedy.zh}")


def _say(words: str) -> None:
    """Print words that may hold a file's own, which must not steer the terminal."""
    console.print(re.sub(CONTROL, "\N{REPLACEMENT CHARACTER}", words), highlight=False, markup=False, soft_wrap=True)
