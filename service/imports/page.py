"""A report on quality as one page of HTML that needs nothing else: for the screen and for paper, in both languages."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from service.imports.report import Report

_GROUPS = {
    "value": ("取值", "Values"),
    "balance": ("勾稽关系", "Balances"),
    "time": ("日期先后", "Order of days"),
    "reference": ("引用", "References"),
    "duplicate": ("重复", "Duplicates"),
}
_SEVERITIES = {"rejected": ("拒绝", "rejected"), "warning": ("警告", "warning"), "note": ("提示", "note")}
_COUNTS = {
    "read": ("读取", "read"),
    "added": ("新增", "added"),
    "already_known": ("台账已有", "already known"),
    "repeated": ("文件内重复", "repeated"),
    "rejected": ("拒绝", "rejected"),
}
_ENVIRONMENT = Environment(
    loader=PackageLoader("service.imports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip


def page_of(report: Report) -> str:
    """Return a report as HTML, without script and without anything to be fetched.

    Examples
    --------
    >>> from datetime import date
    >>> page_of(Report(is_preview=False, made_on=date(2026, 7, 1), sections=[]))[:15]
    '<!DOCTYPE html>'
    """
    words: dict[str, Any] = {"groups": _GROUPS, "severities": _SEVERITIES, "counts": _COUNTS}
    return _ENVIRONMENT.get_template("quality.html").render(report=report, **words)
