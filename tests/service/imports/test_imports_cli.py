"""The import door on the command line: templates, mappings, previews and reports, in both languages."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest
from typer.testing import CliRunner

from features.kinds import KINDS
from service.cli import app as commands
from service.imports.report import Report
from service.imports.template import template_of
from service.kit import clock
from tests.service.test_cli import run  # noqa: F401 - a fixture

MAPPING = (
    "{kind: firm, version: 1, columns: {firm_id: 编号, observed_on: 日期, name: 名称}, dates: {observed_on: '%Y%m%d'}}"
)
FIRMS = "编号,日期,名称\nE1,20240101,甲\nE2,20241301,乙\nE3,20200101,丙\n"


@pytest.fixture
def bank(tmp_path):
    """Return a bank's file and its mapping, as arguments."""
    (tmp_path / "firms.csv").write_text(FIRMS)
    (tmp_path / "bank.yaml").write_text(MAPPING)
    return "firm", str(tmp_path / "firms.csv"), "--map", str(tmp_path / "bank.yaml")


def test_a_preview_a_report_and_then_the_load(run, bank, tmp_path):  # noqa: F811
    report, page = tmp_path / "q.json", tmp_path / "q.html"
    output = run("import", *bank, "--preview", "--report", str(report))
    assert "nothing was loaded" in output
    assert "未导入任何数据" in output
    assert "rejected: firms.csv, line 3, 日期 '20241301': there is no such day; check month" in output
    assert "拒绝：第 3 行：没有这一天；请核对月和日" in output
    section = Report.model_validate_json(report.read_text()).sections[0]
    assert (section.added, section.rejected) == (2, 1)
    output = run("import", *bank, "--report", str(page), "--rejects", str(tmp_path / "r.csv"))
    assert "新增" in output
    assert "nothing was loaded" not in output
    assert "数据质量报告" in page.read_text()
    rejects = pl.read_csv(tmp_path / "r.csv")
    assert {path.stat().st_mode & 0o077 for path in (page, tmp_path / "r.csv")} == {0}, "for their owner alone"
    assert rejects["remedy"].item().startswith("check month")
    assert rejects["remedy_zh"].item().startswith("请核对月和日")
    run("import", *bank, "--report", str(report), "--force")
    assert json.loads(report.read_text())["sections"][0]["already_known"] == 2


def test_rejected_rows_are_no_formulas(run, tmp_path):  # noqa: F811
    path = tmp_path / "firms.csv"
    path.write_text("firm_id,observed_on,name,founded_on\nE1,2020-01-01,甲,=HYPERLINK(1)\n")
    run("import", "firm", str(path), "--rejects", str(tmp_path / "r.csv"), code=2)
    assert pl.read_csv(tmp_path / "r.csv")["value"].to_list() == ["'=HYPERLINK(1)"]


def test_a_nightly_job_can_tell_that_rows_were_rejected(run, bank):  # noqa: F811
    run("import", *bank)
    run("import", *bank, "--strict", code=2)


@pytest.mark.parametrize("option", ["--rejects", "--report"])
def test_nothing_is_written_over_unless_it_is_forced_and_what_is_read_never(run, bank, tmp_path, option):  # noqa: F811
    source, place = tmp_path / "source.json", tmp_path / "kept.json"
    source.symlink_to(bank[1])
    place.write_text("kept")
    for path, forced, words in (
        (place, (), "is there already"),
        (source, ("--force",), "is what is imported"),
        (tmp_path / "bank.yaml", ("--force",), "is what is imported"),
    ):
        if path.suffix == ".yaml" and option == "--report":
            continue
        result = CliRunner().invoke(commands, ["import", *bank, "--preview", option, str(path), *forced])
        assert words in str(result.exception)
    assert (place.read_text(), (tmp_path / "firms.csv").read_text()) == ("kept", FIRMS)
    run("import", *bank, "--preview", option, str(place), "--force")
    assert place.read_text() != "kept"


def test_the_file_of_rejected_rows_is_named_by_chinas_clock(run, bank, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 6, 30, 17, 5, tzinfo=UTC))
    run("import", *bank)
    assert (tmp_path / "rejects" / "firm-20260701T010500.csv").exists()


def test_a_warning_is_printed_in_both_languages(run, tmp_path):  # noqa: F811
    path = tmp_path / "firms.csv"
    path.write_text("firm_id,observed_on,known_on,name\nE1,2020-01-01,2024-01-01,甲\n")
    output = run("import", "firm", str(path), "--preview")
    assert "warning: firms.csv, known_on, line 2: 1 row(s): known more than 2 years" in output
    assert "警告：1 行：可知日期晚于发生日期 2 年以上" in output


def test_templates_are_printed_or_written(run, tmp_path):  # noqa: F811
    assert run("template", "loan").startswith("firm_id,observed_on,known_on,loan_id")
    assert "kind: loan" in run("template", "loan", "--format", "yaml")
    for name, format_ in (("a.xlsx", "xlsx"), ("a.parquet", "parquet"), ("a.ndjson", "ndjson"), ("a.yml", "yaml")):
        run("template", "loan", "--out", str(tmp_path / name))
        assert (tmp_path / name).read_bytes() == template_of(KINDS["loan"], format_)
    run("template", "loan", "--format", "csv", "--out", str(tmp_path / "a.txt"))
    assert (tmp_path / "a.txt").read_bytes() == template_of(KINDS["loan"], "csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("template", "frim"), "did you mean 'firm'?"),
        (("template", "loan", "--format", "xlsx"), "give --out loan.xlsx"),
        (("template", "loan", "--out", "/nowhere/loan.xls"), "'.xls' is no form of a template"),
        (("import", "firm", "f.csv", "--report", "q.pdf"), ".html or .json"),
    ],
)
def test_what_cannot_be_asked_is_said(run, arguments, words):  # noqa: F811
    assert words in run(*arguments, code=2)


def test_a_template_is_written_over_nothing_unless_it_is_forced(run, tmp_path):  # noqa: F811
    place = tmp_path / "firms.csv"
    place.write_text("what was typed in")
    result = CliRunner().invoke(commands, ["template", "firm", "--out", str(place)])
    assert (result.exit_code, place.read_text()) == (1, "what was typed in")
    assert "firms.csv is there already" in str(result.exception)
    run("template", "firm", "--out", str(place), "--force")
    assert place.read_bytes() == template_of(KINDS["firm"], "csv")


def test_unused_columns_and_the_templates_own_row_are_told(run, tmp_path):  # noqa: F811
    firms = tmp_path / "firms.csv"
    firms.write_bytes(template_of(KINDS["firm"], "csv").replace(b"founded_on", b"fuonded_on"))
    output = run("import", "firm", str(firms))
    assert "unused: firms.csv, column 'fuonded_on' is not read; did you mean 'founded_on'?" in output
    assert "未使用：列 'fuonded_on' 未被读取；是否应为 'founded_on'？" in output
    assert "the template's row of examples" not in output
    firms.write_bytes(template_of(KINDS["firm"], "csv").replace(b"2024-06-15", b"2024-06-16"))
    output = run("import", "firm", str(firms))
    assert (
        "warning: firms.csv, firm_id, line 2: 1 row(s): the template's row of examples, which was not replaced"
        in output
    )
    assert "警告：1 行：模板自带的示例行，未被替换" in output
    assert "no rows" not in output


def test_other_unused_columns_and_files_without_rows_are_told_in_a_line(run, tmp_path):  # noqa: F811
    firms = tmp_path / "firms.csv"
    firms.write_text("firm_id,observed_on,name,[red]rem\x1b[2Jark,\n")
    output = run("import", "firm", str(firms), "--preview")
    assert (
        "unused: firms.csv, columns that are not read 未读取的列: [red]rem\N{REPLACEMENT CHARACTER}[2Jark\n" in output
    )
    assert "no rows 没有数据行: firms.csv" in output


def test_a_mapping_with_mistakes_says_all_of_them(run, bank, tmp_path):  # noqa: F811
    (tmp_path / "bank.yaml").write_text(MAPPING.replace("version: 1", "version: 7").replace("名称}", "名称, nam: x}"))
    result = CliRunner().invoke(commands, ["import", *bank])
    assert result.exit_code == 1
    assert "bank.yaml: 2 mistake(s)" in str(result.exception)
    assert "columns.nam: there is no such key" in str(result.exception)
    assert "version: is not the version of the layout of 'firm'" in str(result.exception)
