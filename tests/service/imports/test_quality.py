"""The report on quality: its counts add up, what it finds it shows, and it does not grow with the file."""

import json
import re
from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from features.kinds import KINDS
from service.imports.adapters.contract import Options
from service.imports.checks import typed
from service.imports.chunks import REJECTS, no_rejects
from service.imports.mapping import ColumnMapping
from service.imports.page import page_of
from service.imports.quality import EXAMPLE, Distinct, Gauge
from service.imports.report import KEPT_HASHES, MOST_BYTES, MOST_EXAMPLES, MOST_FINDINGS, Report
from service.imports.use_cases import Manner, import_source
from tests.service.imports.readers.files import workbook
from tests.service.imports.test_kinds import example
from tests.service.people.invented_ids import national_id

TODAY = Options(today=date(2024, 12, 31))
COUNTS = {"read": 0, "added": 0, "already_known": 0, "repeated": 0, "rejected": 0}
STATUSES = """\
firm_id,observed_on,known_on,loan_id,days_past_due,is_closed,is_undated
E1,2024-01-31,2024-02-01,L1,0,false,false
E1,2024-01-31,2024-02-02,L1,0,false,false
E1,2024-02-29,2024-03-01,L9,5,false,false
E2,2024-02-29,,L1,7,false,false
E1,2020-01-31,2023-02-01,,0,false,false
E9,2024-02-29,,L1,0,false,false
E1,2024-02-29,2024-02-28,L1,0,false,false
E1,2025-02-28,,L1,0,false,false
E1, ,2024-02-28,L1,0,false,false
E1,2024-03-31,,L1,=1+1,false,false
"""


@pytest.fixture
def ledger(session, tmp_path):
    load(session, tmp_path, "firm", "firm_id,observed_on,name\nE1,2024-01-01,甲\nE2,2024-01-01,乙\n")
    loans = "firm_id,observed_on,loan_id,product,principal_fen\nE1,2024-01-01,L1,x,100\n"
    load(session, tmp_path, "loan", loans)


def load(session, tmp_path, kind, content, *, is_preview=False):
    path = tmp_path / "file.csv"
    path.write_text(content)
    return import_source(session, kind, path, TODAY, manner=Manner(is_preview=is_preview))


def found(report: Report) -> dict[tuple[str, str, str], list[tuple[int, str]]]:
    """Return the examples of each finding, by group, severity and column."""
    return {
        (f.group, f.severity, f.column): [(e.line, e.value) for e in f.examples]
        for section in report.sections
        for f in section.findings
    }


def test_what_is_wrong_is_found_counted_and_shown(session, tmp_path, ledger):
    summary = load(session, tmp_path, "repayment_status", STATUSES)
    (section,) = summary.report.sections
    counts = (section.read, section.added, section.already_known, section.repeated, section.rejected)
    assert counts == (10, 4, 0, 1, 5)
    assert found(summary.report) == {
        ("time", "rejected", "known_on"): [(8, "2024-02-28")],
        ("time", "rejected", "observed_on"): [(9, "2025-02-28")],
        ("value", "rejected", "observed_on"): [(10, "")],
        ("value", "rejected", "days_past_due"): [(11, "=1+1")],
        ("reference", "rejected", "firm_id"): [(7, "E9")],
        ("reference", "warning", "loan_id"): [(5, "L1")],
        ("time", "warning", "known_on"): [(6, "2023-02-01")],
        ("duplicate", "note", ""): [(3, "E1 2024-01-31")],
    }
    unknown = [f for f in section.findings if f.reason.en.startswith("no loan")]
    assert [(f.count, f.examples[0].value) for f in unknown] == [(1, "L9")]
    columns = {column.name: column for column in section.columns}
    assert (columns["observed_on"].missing, columns["known_on"].missing, columns["loan_id"].missing) == (1, 4, 1)
    assert [(name, c.filled) for name, c in columns.items() if c.filled] == [("known_on", 1)]
    page = page_of(summary.report)
    assert "1 行无值，按该种类的通常时滞补足" in page
    assert "1 rows without one got the usual day of the kind" in page
    assert (columns["balance_fen"].missing, columns["balance_fen"].missing_share) == (10, 1.0)
    assert (columns["days_past_due"].least, columns["days_past_due"].most) == ("0", "7")
    assert (columns["loan_id"].least, columns["loan_id"].is_length, columns["loan_id"].distinct) == ("2", True, 2)
    assert summary.report.summary()["time"] == {"rejected": 2, "warning": 1}


def test_a_preview_says_what_the_load_then_does_and_writes_nothing(session, tmp_path, ledger):
    load(session, tmp_path, "repayment_status", "\n".join(STATUSES.splitlines()[:2]))
    before = _everything(session)
    preview = load(session, tmp_path, "repayment_status", STATUSES, is_preview=True)
    assert _everything(session) == before
    assert preview.added == 0
    done = load(session, tmp_path, "repayment_status", STATUSES)
    assert preview.files == done.files
    assert preview.rejects.equals(done.rejects)
    assert done.report == preview.report.model_copy(update={"is_preview": False})
    assert done.files[0].already_known == 1


def test_a_preview_of_firms_registers_none(session, tmp_path):
    firms = "firm_id,observed_on,name\nE1,2024-01-01,甲\nE1,2024-01-01,甲\n"
    before = _everything(session)
    preview = load(session, tmp_path, "firm", firms, is_preview=True)
    assert (preview.files[0].added, preview.files[0].repeated) == (1, 1)
    assert _everything(session) == before


def test_a_preview_of_what_is_about_no_firm(session, tmp_path):
    kind = KINDS["industry_statistic"]
    content = example(kind).drop("line").write_csv()
    assert load(session, tmp_path, kind.name, content, is_preview=True).files[0].added == 1
    assert load(session, tmp_path, kind.name, content).added == 1
    assert load(session, tmp_path, kind.name, content, is_preview=True).files[0].already_known == 1


def _everything(session) -> list[int]:
    """Count the rows of the tables that an import changes."""
    tables = ("firm", "firm_observation", "repayment_status", "audit_pending", "audit_entry", "industry_statistic")
    return [session.execute(text(f"select count(*) from {table}")).scalar_one() for table in tables]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_rules_about_balances_and_days_are_told_apart(kind):
    """Each kind's report names its rules' groups, and finds in its own example but that it is one."""
    gauge = Gauge(kind, {}, ())
    rows, rejects = typed(example(kind), kind, "f", date(2026, 1, 31))
    gauge.take(rows, rejects, {}, 1)
    section = gauge.section(COUNTS, "f")
    assert [column.name for column in section.columns] == list(kind.schema)
    (of_example,) = [finding for finding in section.findings if finding.reason.en == EXAMPLE.reason.en]
    assert (of_example.severity, of_example.count, len(of_example.examples)) == ("warning", 1, 1)
    assert all(finding.severity == "warning" for finding in section.findings)
    for rule in kind.rules:
        assert gauge.groups[rule.fault.reason.en] == rule.group
    early = typed(example(kind, known_on="1800-01-01"), kind, "f", date(2026, 1, 31))[1]
    late = typed(example(kind, observed_on="2999-01-01", known_on="2999-01-01"), kind, "f", date(2026, 1, 31))[1]
    assert {gauge.groups[reason] for reason in [*early["reason"], *late["reason"]]} == {"time"}


@pytest.mark.parametrize("is_mapped", [False, True])
def test_cells_that_are_no_texts_in_columns_of_texts_are_warned_of(session, tmp_path, is_mapped):
    def write(book, page):
        date_format = book.add_format({"num_format": "yyyy-mm-dd"})
        page.write_number(1, 0, 123, book.add_format({"num_format": "000000"}))
        page.write_number(3, 0, 10**17)
        for row in (1, 2, 3):
            page.write_datetime(row, 1, date(2024, 1, row), date_format)

    header = ["编号", "日期", "name"] if is_mapped else ["firm_id", "observed_on", "name"]
    rows = [header, ["", "", "甲"], ["000124", "", 7], ["", "", "丙"]]
    (tmp_path / "firms.xlsx").write_bytes(workbook(rows, write=write))
    columns = dict(zip(("firm_id", "observed_on", "name"), header, strict=True))
    manner = Manner(ColumnMapping(KINDS["firm"], columns) if is_mapped else None)
    summary = import_source(session, "firm", tmp_path / "firms.xlsx", TODAY, manner=manner)
    findings = summary.report.sections[0].findings
    warned = [(f.column, f.count, f.examples[0].line, f.examples[0].value) for f in findings if f.severity == "warning"]
    assert warned == [(header[0], 1, 2, "123"), ("name", 1, 3, "7")]
    assert all("format the column as text" in f.remedy.en and "文本格式" in f.remedy.zh for f in findings[1:])
    assert summary.rejects.select("line", "column").rows() == [(4, header[0])]
    assert "15 significant digits" in summary.rejects["reason"].item()


def test_a_balance_that_does_not_add_up_is_a_balance_failure(session, tmp_path, ledger):
    header = "firm_id,observed_on,direction,counterparty,has_linked_codes,net_fen,vat_fen,gross_fen,is_void\n"
    rows = "".join(f"E1,2024-01-{day:02},output,B,false,1000,130,{day},false\n" for day in range(1, 9))
    (finding,) = load(session, tmp_path, "invoice", header + rows).report.sections[0].findings
    assert (finding.group, finding.severity, finding.count) == ("balance", "rejected", 8)
    assert [e.line for e in finding.examples] == [2, 3, 4, 5, 6]
    assert finding.reason.zh


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 50))
def test_few_values_are_counted_exactly(values, size):
    distinct = Distinct()
    for start in range(0, len(values), size):
        distinct.add(pl.Series(values[start : start + size], dtype=pl.Int64))
    assert distinct.count == len(set(values))


@pytest.mark.parametrize(
    "make",
    [lambda n: n, str, lambda n: date(1, 1, 1) + timedelta(days=n), float],
    ids=["whole", "text", "day", "number"],
)
def test_many_values_are_estimated_within_five_standard_errors(make):
    distinct, count = Distinct(), 100_000
    for start in range(0, count, 25_000):
        distinct.add(pl.Series([make(number) for number in range(start, start + 25_000)] * 2))
    assert distinct.count == pytest.approx(count, rel=5 / KEPT_HASHES**0.5)
    assert len(distinct.hashes) == KEPT_HASHES


def test_the_report_is_bounded_however_bad_the_file():
    kind = KINDS["firm"]
    gauge = Gauge(kind, {}, ())
    words = dict.fromkeys(("reason", "remedy", "reason_zh", "remedy_zh"), "字" * 300)
    columns = [f"{number}" for number in range(500)] * 8
    many = pl.DataFrame(
        {"file": "f", "line": range(4000), "column": columns, "value": "坏" * 200, **words}, schema=REJECTS
    )
    gauge.take(kind.empty().with_columns(line=pl.lit(0)), many, {}, 4000)
    section = gauge.section(COUNTS | {"read": 4000, "rejected": 4000}, "f")
    assert len(section.findings) == MOST_FINDINGS
    assert max(len(finding.examples) for finding in section.findings) == MOST_EXAMPLES
    assert sum(f.count for f in section.findings) + section.findings_left_out == 4000
    report = Report(is_preview=False, made_on=date(2024, 1, 1), sections=[section] * 12).bounded()
    assert len(report.model_dump_json().encode()) <= MOST_BYTES
    for kept in report.sections:
        assert sum(f.count for f in kept.findings) + kept.findings_left_out == 4000


def test_of_endless_rejects_the_first_are_kept_and_all_are_counted(session, tmp_path, monkeypatch):
    monkeypatch.setattr("service.imports.door.MOST_REJECTS", 3)
    rows = "".join(f"E{number},someday,x\n" for number in range(10))
    summary = load(session, tmp_path, "firm", "firm_id,observed_on,name\n" + rows)
    assert (summary.rejects["line"].to_list(), summary.files[0].rejected) == ([2, 3, 4], 10)
    assert summary.report.sections[0].findings[0].count == 10


def test_the_page_is_whole_in_itself_and_escapes_what_files_hold():
    kind, evil = KINDS["firm"], "<script>alert(1)</script>\"'&"
    gauge = Gauge(kind, {"name": evil}, ())
    row = {
        "file": "f",
        "line": 2,
        "column": evil,
        "value": f"{evil}\x00 {national_id(1)}",
        "reason": evil,
        "remedy": "r",
    }
    rejects = pl.DataFrame([row | {"reason_zh": "原因", "remedy_zh": "办法"}], schema=REJECTS)
    gauge.take(kind.empty().with_columns(line=pl.lit(0)), rejects, {"name": 1}, 3)
    report = Report(is_preview=True, made_on=date(2024, 1, 1), sections=[gauge.section(COUNTS, evil)])
    page = page_of(report)
    assert "<script" not in page
    assert not re.search(r"(?:src|href|url|@import)\s*[=(]", page)
    assert "&lt;script&gt;" in page
    assert 'lang="zh-CN"' in page
    assert 'lang="en"' in page
    assert "Preview: nothing was loaded" in page
    assert "33.3%" in page
    assert national_id(1) not in page
    assert "\\u0000" not in report.model_dump_json()
    assert Report.model_validate(json.loads(report.model_dump_json())) == report


def test_no_rows_are_a_report_too():
    gauge = Gauge(KINDS["loan"], {}, ())
    gauge.take(KINDS["loan"].empty().with_columns(line=pl.lit(0, dtype=pl.Int64)), no_rejects(), {}, 0)
    section = gauge.section(COUNTS, "f")
    assert {(c.least, c.most, c.distinct, c.missing_share) for c in section.columns} == {(None, None, 0, 0.0)}
    assert page_of(Report(is_preview=False, made_on=date(2024, 1, 1), sections=[section]))
