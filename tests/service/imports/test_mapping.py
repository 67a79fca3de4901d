"""A bank's own columns: converted exactly, refused by name, and the same rows as a canonical file's."""

from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.kinds import KINDS
from service.imports.adapters.contract import Options
from service.imports.chunks import Chunk, ImportFailedError, no_rejects
from service.imports.mapping import ColumnMapping
from service.imports.mapping_file import MOST_BYTES, MappingError, parse_mapping
from service.imports.use_cases import Manner, import_source
from tests.service.people.invented_ids import national_id

TODAY = Options(today=date(2024, 12, 31))
INVOICES = """\
kind: invoice
version: 1
columns:
  firm_id: 企业代号
  observed_on: 开票日期
  number: 发票号码
  counterparty: 购方
  net_fen: 金额
  vat_fen: 税额
  gross_fen: 价税合计
  is_void: 状态
constants: {direction: output, has_linked_codes: "false"}
values:
  is_void: {有效: "false", 作废: "true"}
dates: {observed_on: ["%Y年%m月%d日", "%Y%m%d"]}
units: {net_fen: yuan, vat_fen: yuan, gross_fen: wan}
"""
THEIRS = """\
企业代号,开票日期,发票号码,购方,金额,税额,价税合计,状态
E1,2024年5月1日,7,B1,"1,000.00",130,0.113,有效
E1,20240502,8,B1,-10.50,-1.37,-0.001187,作废
"""
OURS = """\
firm_id,observed_on,direction,number,counterparty,has_linked_codes,net_fen,vat_fen,gross_fen,is_void
E1,2024-05-01,output,7,B1,false,100000,13000,113000,false
E1,2024-05-02,output,8,B1,false,-1050,-137,-1187,true
"""


def mapping_of(text: str) -> ColumnMapping:
    return parse_mapping(text.encode(), "bank.yaml")


def convert(texts: list[str | None], ours: str = "net_fen", kind: str = "invoice", **sections) -> Chunk:
    """Apply a mapping of one column, 'x', to its values."""
    mapping = ColumnMapping(KINDS[kind], {ours: "x"}, **sections)
    rows = pl.DataFrame({"line": range(2, len(texts) + 2), "x": texts}, schema={"line": pl.Int64, "x": pl.String})
    return mapping.apply(Chunk(rows, no_rejects()), "f")


def by_line(chunk: Chunk, values: list[str], ours: str = "net_fen") -> list[str | None]:
    """Return what became of each value; None of those that were rejected."""
    found = dict(chunk.rows.select("line", ours).rows())
    assert set(found) | set(chunk.rejects["line"]) == set(range(2, len(values) + 2))
    return [found.get(line) for line in range(2, len(values) + 2)]


def exact(text: str, places: int) -> str | None:
    """The same as of the mapping, by decimals: what a person reads there, if it is well-formed and whole in fen."""
    sign, digits = ("-", text[1:]) if text[:1] in {"-", "+"} and text[0] == "-" else ("", text.removeprefix("+"))
    whole, point, part = digits.partition(".")
    groups = whole.split(",")
    is_grouped = len(groups) > 1 and 1 <= len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    plain = "".join(groups)
    if not (plain.isascii() and plain.isdigit() and (len(groups) == 1 or is_grouped)):
        return None
    if point and not (part.isascii() and part.isdigit()):
        return None
    amount = Decimal(f"{sign}{plain}.{part or 0}") * 10**places
    return str(int(amount)) if amount == int(amount) else None


GROUPED = st.decimals(-(10**13), 10**13, places=2, allow_nan=False).map(lambda amount: f"{amount:,}")
PLAIN = st.decimals(-(10**13), 10**13, places=2, allow_nan=False).map(str)
NEARLY = st.text("0123456789,.+-", min_size=1, max_size=14)
STRANGE = st.sampled_from(
    ["1e5", "壹万", "１００", "1,23", "1.", ".5", "1,234.5.6", "NaN", "inf", "1 000", "¥5", "--1", "1,,234"]
)


@given(st.lists(GROUPED | PLAIN | NEARLY | STRANGE, min_size=1, max_size=30))
def test_yuan_become_fen_exactly_or_are_rejected(values):
    chunk = convert(values, units={"net_fen": "yuan"})
    assert by_line(chunk, values) == [exact(value, 2) for value in values]
    assert set(chunk.rejects["column"]) <= {"x"}


@given(
    st.lists(st.decimals(-(10**9), 10**9, places=6, allow_nan=False).map(lambda a: f"{a:,f}"), min_size=1, max_size=30)
)
def test_ten_thousands_become_fen_exactly(values):
    assert by_line(convert(values, units={"net_fen": "wan"}), values) == [exact(value, 6) for value in values]


def test_amounts_that_are_no_float_away():
    values = ["1,234,567.89", "90071992547409.93", "0.29", "-0.00", "1.2300", "1.005", "1,23", " 7 "]
    chunk = convert(values, units={"net_fen": "yuan"})
    assert by_line(chunk, values) == ["123456789", "9007199254740993", "29", "0", "123", None, None, "700"]
    assert chunk.rejects.select("line", "column", "value").rows() == [(7, "x", "1.005"), (8, "x", "1,23")]


def test_percentages_become_basis_points():
    values = ["80", "12.5%", "100.00 %", "0.125", "1.25"]
    chunk = convert(values, "coverage_bp", "guarantee", units={"coverage_bp": "percent"})
    assert by_line(chunk, values, "coverage_bp") == ["8000", "1250", "10000", None, "125"]


@given(
    st.dates(date(1949, 10, 1), date(2068, 12, 31)),
    st.sampled_from(["%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%Y年%m月%d日 %H:%M"]),
)
def test_a_day_is_read_as_it_was_written(day, format_):
    chunk = convert([day.strftime(format_)], "observed_on", dates={"observed_on": (format_,)})
    assert chunk.rows["observed_on"].to_list() == [str(day)]


@given(st.dates(date(2001, 1, 1), date(2031, 12, 31)))
def test_a_day_that_fits_two_formats_is_ambiguous(day):
    formats = ("%d/%m/%Y", "%m/%d/%Y")
    chunk = convert([day.strftime(formats[0])], "observed_on", dates={"observed_on": formats})
    if day.day > 12:
        assert chunk.rows["observed_on"].to_list() == [str(day)]
    else:
        assert "several of the date formats" in chunk.rejects["reason"].item()
        assert chunk.rejects["reason_zh"].item()


def test_days_are_read_strictly():
    values = [
        "24-05-01",
        "2024-5-1",
        "2024-02-30",
        "20240501",
        "2024-05-01T00:00",
        "2024051",
        "0024-05-01",
        "0000-05-01",
        None,
    ]
    formats = ("%Y-%m-%d", "%Y%m%d")
    chunk = convert(values, "observed_on", dates={"observed_on": formats})
    expected = [None, "2024-05-01", None, "2024-05-01", None, None, "0024-05-01", None, None]
    assert by_line(chunk, values, "observed_on") == expected
    assert chunk.rejects.filter(pl.col("reason_zh") == "没有这一天")["value"].to_list() == ["2024-02-30", "0000-05-01"]
    (serial,) = convert(["45443"], "observed_on", dates={"observed_on": formats}).rejects.to_dicts()
    assert "spreadsheet counts days" in serial["reason"]
    timed = convert(
        ["2024-05-01 23:59:59", "2024-05-01 24:00:00"], "observed_on", dates={"observed_on": ("%Y-%m-%d %H:%M:%S",)}
    )
    assert timed.rows["observed_on"].to_list() == ["2024-05-01"]


@pytest.mark.parametrize(
    ("formats", "days"),
    [
        (("%Y/%m/%d",), ["2024-05-06", "2024-05-31", None, "2024-05-06"]),
        (("%Y%m%d", "%d/%m/%Y"), ["2024-05-06", "2024-05-31", None, None]),
        (("%Y-%m-%d",), ["2024-05-06", "2024-05-31", None, None]),
        (("%Y-%d-%m",), ["2024-06-05", None, None, None]),
        (("%Y/%m/%d", "%Y-%d-%m"), ["2024-06-05", None, None, "2024-05-06"]),
    ],
)
def test_an_iso_day_is_read_besides_the_formats_unless_one_means_another_day_by_it(formats, days):
    """So true dates of a workbook, which arrive like that, do not fail a mapping made for its texts."""
    values = ["2024-05-06", "2024-05-31", "2024-02-30", "2024/5/6"]
    chunk = convert(values, "observed_on", dates={"observed_on": formats})
    assert by_line(chunk, values, "observed_on") == days
    assert chunk.rejects.filter(value="2024-02-30")["reason"].to_list() == ["there is no such day"]


def test_listed_values_go_before_formats_and_others_are_rejected():
    values = ["99991231", "20240501", "never", None, ""]
    sections = {"values": {"matures_on": {"99991231": "", "never": ""}}, "dates": {"matures_on": ("%Y%m%d",)}}
    chunk = convert(values, "matures_on", "loan", **sections)
    assert by_line(chunk, values, "matures_on") == [None, "2024-05-01", None, None, None]
    assert chunk.rejects.is_empty()
    only = convert(["是", "maybe", None], "is_void", values={"is_void": {"是": "true", "": "false"}})
    assert only.rows["is_void"].to_list() == ["true", "false"]
    assert only.rejects.select("line", "value").rows() == [(3, "maybe")]


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_a_mapping_or_a_clear_error(content):
    with pytest.raises(MappingError) as failure:
        parse_mapping(content, "m.yaml")
    assert failure.value.mistakes


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (("kind: invoice", "kind: invoces"), "kind", "one of: firm"),
        (("version: 1", "version: 2"), "version", "write 1"),
        (("  firm_id: 企业代号\n", ""), "columns.firm_id", "required"),
        (("  firm_id:", "  firm:"), "columns.firm", "no such key"),
        (("  firm_id: 企业代号", "  firm_id: [a, b]"), "columns.firm_id", "one text"),
        (("企业代号", "line"), "columns.firm_id", "cannot be read"),
        (("units:", "unit:"), "unit", "use one of"),
        (("direction: output", "direction: sideways"), "constants.direction", "output"),
        (("direction: output", "direction: output, number: '7'"), "constants.number", "both"),
        (('作废: "true"', "作废: ja"), "values.is_void.作废", "true, false"),
        (("  is_void: {有效", "  is_voided: {有效"), "values.is_voided", "no such key"),
        (("%Y年%m月%d日", "%Y年%j日"), "dates.observed_on[0]", "once each"),
        (("%Y年%m月%d日", "%y年%m月%d日"), "dates.observed_on[0]", "once each"),
        (("%Y年%m月%d日", "%Y年%m月%d日 %H"), "dates.observed_on[0]", "once each"),
        (("%Y年%m月%d日", "%Y%m%d"), "dates.observed_on", "each once"),
        (("dates: {observed_on:", "dates: {number:"), "dates.number", "no dates"),
        (("gross_fen: wan", "gross_fen: dollar"), "units.gross_fen", "fen, yuan, wan"),
        (("gross_fen: wan", "number: yuan"), "units.number", "neither money"),
        (("units: {", "units: {net_fen: wan, "), "units.net_fen (line 16)", "twice"),
        (("units:", "reading: {encoding: klingon}\nunits:"), "reading.encoding", "gb18030"),
        (("units:", "reading: {delimiter: ';;'}\nunits:"), "reading.delimiter", "tab"),
        (("units:", "reading: {format: xls}\nunits:"), "reading.format", "xlsx"),
        (("units:", "reading: {colour: red}\nunits:"), "reading.colour", "delimiter"),
        (("constants: {", "constants: {known_on: 2024-13-01, "), "constants.known_on", "2024-05-31"),
        (("kind: invoice", "kind: &a invoice"), "line 1", "aliases"),
        (("kind: invoice", "kind: !!python/object:os.system invoice"), "line 1", "tags"),
        (("constants: {", "constants: {a: {b: {c: {}}}, "), "line 12", "nested"),
        (("kind: invoice", "kind: [invoice"), "line 2", "not YAML"),
        (("kind: invoice", f"kind: invoice # {national_id(1)}"), "the file", "identity number"),
        (("kind: invoice", "kind: invoice #" + "x" * MOST_BYTES), "the file", "shorten"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_by_its_key(change, path, words):
    text = INVOICES.replace(*change, 1)
    assert text != INVOICES
    with pytest.raises(MappingError) as failure:
        mapping_of(text)
    found = {mistake.path: mistake for mistake in failure.value.mistakes}
    assert words in str(found[path])
    assert f"{path}: " in str(failure.value)
    assert not found[path].fault.remedy.zh.isascii()
    assert national_id(1) not in str(failure.value)


def test_a_billion_laughs_are_refused_at_once():
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(MappingError, match="aliases"):
        mapping_of("\n".join(lines))
    with pytest.raises(MappingError, match="nested too deep"):
        mapping_of("[" * 30_000)


def test_a_key_keeps_the_text_that_it_is_written_as():
    text = INVOICES.replace('{有效: "false", 作废: "true"}', "{01: false, NO: true, 2024-05-01: true, ~: false}")
    assert mapping_of(text).values["is_void"] == {"01": "false", "NO": "true", "2024-05-01": "true", "~": "false"}
    assert yaml.safe_load("NO") is False


@pytest.fixture
def firms(session, tmp_path):
    path = tmp_path / "firms.csv"
    path.write_text("firm_id,observed_on,name\nE1,2024-01-01,甲\n")
    return import_source(session, "firm", path, TODAY)


def load(session, tmp_path, content: str, mapping: str | None = None, kind: str = "invoice", **manner):
    path = tmp_path / "file.csv"
    path.write_text(content)
    parsed = None if mapping is None else mapping_of(mapping)
    return import_source(session, kind, path, TODAY, manner=Manner(mapping=parsed, **manner))


def test_a_mapped_file_gives_the_rows_of_a_canonical_one(session, firms, tmp_path):
    first = load(session, tmp_path, THEIRS, INVOICES)
    assert (first.added, first.rejects.rows()) == (2, [])
    again = load(session, tmp_path, OURS)
    assert (again.files[0].added, again.files[0].already_known) == (0, 2)
    assert load(session, tmp_path, THEIRS, INVOICES).files[0].already_known == 2


def test_rejects_name_their_column_and_the_value_that_stands_there(session, firms, tmp_path):
    rows = [
        'E1,20240501,1,B1,"1,23",0,0.1,有效',
        "E9,20240501,2,B1,100,13,0.0113,有效",
        "E1,20990501,3,B1,100,13,0.0113,有效",
        "E1,20240501,4,B1,100,13,0.0999,有效",
        "E1,20240501,5,,100,13,0.0113,有效",
        "E1,20240501,6,B1,100,13,0.0113,未知",
    ]
    summary = load(session, tmp_path, "\n".join([THEIRS.splitlines()[0], *rows]), INVOICES)
    assert summary.rejects.sort("line").select("line", "column", "value").rows() == [
        (2, "金额", "1,23"),
        (3, "企业代号", "E9"),
        (4, "开票日期", "20990501"),
        (5, "价税合计", "0.0999"),
        (6, "购方", ""),
        (7, "状态", "未知"),
    ]
    assert summary.rejects["remedy"].null_count() == summary.rejects["remedy_zh"].null_count() == 0
    assert summary.files[0].read == summary.files[0].rejected == 6


def test_a_persons_number_is_not_repeated_from_the_file(session, firms, tmp_path):
    mapping = (
        "{kind: person, version: 1, constants: {role: owner},"
        " columns: {firm_id: a, observed_on: b, person_id: c}, dates: {observed_on: '%Y%m%d'}}"
    )
    rows = [f"E1,20240101,{national_id(1)}", f"E1,{national_id(1)},P1", f"E1 {national_id(1)},20240101,P1"]
    summary = load(session, tmp_path, "\n".join(["a,b,c", *rows]), mapping, kind="person")
    assert summary.files[0].rejected == 3
    assert national_id(1) not in summary.rejects.write_csv() + summary.report.model_dump_json()


def test_a_column_that_the_mapping_names_must_be_there(session, firms, tmp_path):
    with pytest.raises(
        ImportFailedError, match=r"missing: '状态'; .* correct their names under 'columns' in the mapping"
    ):
        load(session, tmp_path, THEIRS.replace("状态", "狀態"), INVOICES)
    with pytest.raises(ImportFailedError, match="for kind 'invoice', not 'loan'"):
        load(session, tmp_path, THEIRS, INVOICES, kind="loan")
    with pytest.raises(ImportFailedError, match="reads its files as they are"):
        import_source(session, "cumcm2020c", tmp_path, TODAY, manner=Manner(mapping=mapping_of(INVOICES)))


def test_many_rows_are_converted_by_columns():
    count = 200_000
    first = date(2020, 1, 1)
    days = [str(first + timedelta(days=number % 1000)).replace("-", "") for number in range(count)]
    rows = pl.DataFrame({"line": range(count), "day": days, "net": [f"{number:,}.25" for number in range(count)]})
    mapping = ColumnMapping(
        KINDS["invoice"], {"observed_on": "day", "net_fen": "net"}, dates={"observed_on": ("%Y%m%d", "%Y-%m-%d")},
        units={"net_fen": "yuan"},
    )  # fmt: skip
    done = mapping.apply(Chunk(rows, no_rejects()), "f")
    assert done.rejects.is_empty()
    assert done.rows["net_fen"].cast(pl.Int64).sum() == sum(number * 100 + 25 for number in range(count))
