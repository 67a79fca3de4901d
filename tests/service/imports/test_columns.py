"""Columns of a file that nobody reads are told by every reader, with what may be meant; so are files without rows."""

import io
import json

import polars as pl
import pytest

from features.kinds import KINDS
from service.imports.chunks import ImportFailedError
from service.imports.columns import columns_of, passed_over
from service.imports.mapping_file import parse_mapping
from service.imports.page import page_of
from service.imports.quality import NO_ROWS
from service.imports.readers.ndjson import MOST_OTHERS
from service.imports.report import MOST_UNUSED, NULL_SHOWN, SHOWN, Report
from service.imports.use_cases import Manner, import_source
from tests.service.imports.readers.files import chunks_of, workbook
from tests.service.imports.test_quality import TODAY
from tests.service.people.invented_ids import national_id

FIRM = KINDS["firm"]
ROW = {
    "firm_id": "E1", "observed_on": "2024-01-01", "name": "甲", "fuonded_on": "2001-01-01", "所在地": "玉环",
    "备注": "x", f"of {national_id(1)}": "y", "l" * 500: "z",
}  # fmt: skip
UNUSED = [("fuonded_on", "founded_on"), ("所在地", "place"), ("备注", ""), ("of ***", ""), ("l" * SHOWN, "")]


def _parquet(rows: list[dict[str, str]]) -> bytes:
    data = io.BytesIO()
    pl.DataFrame(rows, schema=dict.fromkeys(ROW, pl.String)).write_parquet(data)
    return data.getvalue()


FORMS = {
    "csv": lambda rows: "\n".join(",".join(row) for row in [ROW, *map(dict.values, rows)]).encode(),
    "xlsx": lambda rows: workbook([list(row) for row in [ROW, *map(dict.values, rows)]]),
    "ndjson": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "parquet": _parquet,
}


def load(session, path, content, **manner) -> Report:
    path.write_bytes(content)
    return import_source(session, "firm", path, TODAY, manner=Manner(**manner)).report


@pytest.mark.parametrize("form", FORMS)
def test_unused_columns_are_in_the_report_with_what_may_be_meant(session, tmp_path, form):
    report = load(session, tmp_path / f"firms.{form}", FORMS[form]([ROW, ROW]))
    (section,) = report.sections
    assert [(column.name, column.meant) for column in section.unused_columns] == UNUSED
    assert national_id(1) not in report.model_dump_json()
    page = page_of(report)
    assert "未使用的列" in page
    assert 'Did you mean <span class="code">founded_on</span>?' in page
    assert Report.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("form", FORMS)
def test_a_file_without_rows_says_so(session, tmp_path, form):
    """NDJSON has no header: of a kind without rows nothing is written, and that is no fault."""
    (section,) = load(session, tmp_path / f"firms.{form}", FORMS[form]([])).sections
    (finding,) = section.findings
    assert (finding.severity, finding.reason.en, finding.count) == ("note", NO_ROWS.reason.en, 0)
    assert len(section.unused_columns) == (0 if form == "ndjson" else len(UNUSED))


def test_a_mapping_leaves_the_other_columns_unused_and_nothing_is_guessed(session, tmp_path):
    yaml = b"{kind: firm, version: 1, columns: {firm_id: \xe7\xbc\x96\xe5\x8f\xb7, observed_on: day, name: name}}"
    content = "编号,day,name,founded,founded_on\nE1,2024-01-01,甲,,\n".encode()
    (section,) = load(session, tmp_path / "f.csv", content, mapping=parse_mapping(yaml, "m")).sections
    assert [(column.name, column.meant) for column in section.unused_columns] == [("founded", ""), ("founded_on", "")]


def test_reports_of_jobs_made_before_can_still_be_read(session, tmp_path):
    old = load(session, tmp_path / "f.csv", FORMS["csv"]([ROW])).model_dump(mode="json")
    del old["sections"][0]["unused_columns"]
    assert Report.model_validate(old).sections[0].unused_columns == []


def test_what_is_kept_of_many_columns_is_bounded():
    rows = [
        json.dumps({"firm_id": "E1", f"x{row}\0": 1} | ({"name": "late"} if row > 200 else {})) for row in range(300)
    ]
    (chunk,) = chunks_of("\n".join(rows).encode(), *columns_of(FIRM)[0][:1], optional=("name",))
    assert len(chunk.found) <= MOST_OTHERS + 2 + 1
    assert "name" in chunk.found
    unused = passed_over(chunk.found, FIRM, None)
    assert len(unused) == MOST_UNUSED
    assert unused[0].name == f"x0{NULL_SHOWN}"


@pytest.mark.parametrize(("form", "is_told"), [("csv", True), ("xlsx", True), ("ndjson", False)])
def test_that_the_header_may_stand_elsewhere_is_told_where_columns_are_missing(session, tmp_path, form, is_told):
    title = {"企业清单": "企业清单"}
    content = FORMS[form]([title]) if form == "ndjson" else _below_a_title(form)
    with pytest.raises(ImportFailedError) as failed:
        load(session, tmp_path / f"firms.{form}", content)
    words = str(failed.value)
    assert "columns are missing: 'firm_id'" in words
    assert ("delete rows that stand above the header" in words) is is_told
    assert ("(--sheet)" in words) is is_told
    assert ("表头上方如有标题等行，请删去" in words) is is_told


def _below_a_title(form):
    rows = [["企业清单", *[""] * (len(ROW) - 1)], list(ROW), list(ROW.values())]
    return workbook(rows) if form == "xlsx" else "\n".join(map(",".join, rows)).encode()
