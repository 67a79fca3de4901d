"""XLSX: cells as text without loss, and no cell lost in silence."""

import io
import random
import zipfile
from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imports.chunks import ImportFailedError
from service.imports.readers import Reading, workbook_part
from service.kit.numbers import written
from tests.service.imports.readers.files import chunks_of, is_told, packed, parts, read_all, workbook

DAY = datetime.fromisoformat("2024-05-31")
HEADER = ["id", "value"]


def of_cell(write):
    """Return the rows and rejects of a sheet with one value, which ``write`` puts in cell B2."""
    return read_all(workbook([HEADER, ["E1"]], write=write), "id", "value")


def with_format(method, value, code):
    return lambda book, page: getattr(page, method)(1, 1, value, book.add_format({"num_format": code}))


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (lambda _, page: page.write_string(1, 1, "路桥 鞋业"), "路桥 鞋业"),
        (lambda _, page: page.write_string(1, 1, "007"), "007"),
        (lambda _, page: page.write_string(1, 1, "#REF!"), "#REF!"),
        (lambda _, page: page.write_string(1, 1, "'=1+1"), "=1+1"),
        (lambda _, page: page.write_number(1, 1, 1130), "1130"),
        (lambda _, page: page.write_number(1, 1, -0.0), "0"),
        (lambda _, page: page.write_number(1, 1, 999_999_999_999_999), "999999999999999"),
        (lambda _, page: page.write_number(1, 1, 12.5), "12.5"),
        (lambda _, page: page.write_number(1, 1, 1e-7), "1e-7"),
        (lambda _, page: page.write_number(1, 1, 1e-20), "1e-20"),
        (lambda _, page: page.write_boolean(1, 1, True), "true"),
        (lambda _, page: page.write_formula(1, 1, "=1+1", None, 2), "2"),
        (lambda _, page: page.write_formula(1, 1, '="a"', None, "a"), "a"),
        (lambda _, page: page.write_formula(1, 1, "=TRUE", None, True), "true"),
        (with_format("write_datetime", DAY, "yyyy-mm-dd"), "2024-05-31"),
        (with_format("write_datetime", date(2024, 2, 29), "d.m.yy"), "2024-02-29"),
        (with_format("write_datetime", DAY, 'yyyy"年"m"月"d"日"'), "2024-05-31"),
        (with_format("write_number", 0.13, "0%"), "0.13"),
        (with_format("write_number", 1234.5, "#,##0.00"), "1234.5"),
    ],
)
def test_a_cell_as_text(write, text):
    assert of_cell(write) == ([(2, "E1", text)], [])


@pytest.mark.parametrize(
    ("write", "value", "reason"),
    [
        (lambda _, page: page.write_number(1, 1, 1e15), "1000000000000000", "cell B2 has a number of more than 15"),
        (lambda _, page: page.write_number(1, 1, 6222020000000000000), "6222020000000000000", "more than 15"),
        (lambda _, page: page.write_formula(1, 1, "=1/0", None, "#DIV/0!"), "#DIV/0!", "cell B2 has the error #DIV/0!"),
        (lambda _, page: page.write_formula(1, 1, "=X!1", None, "#REF!"), "#REF!", "cell B2 has the error #REF!"),
        (
            with_format("write_datetime", DAY.replace(hour=12, minute=30), "yyyy-mm-dd"),
            "2024-05-31 12:30:00",
            "time of",
        ),
        (with_format("write_datetime", time(12, 30), "hh:mm"), "12:30:00", "a time of day or a duration"),
        (with_format("write_datetime", timedelta(hours=30), "[h]:mm"), "1 day, 6:00:00", "duration"),
    ],
)
def test_a_cell_that_cannot_be_read_rejects_its_row(write, value, reason):
    rows, rejects = of_cell(write)
    (line, column, shown, why), *others = rejects
    assert (rows, others, line, column, shown) == ([], [], 2, "value", value)
    assert reason in why


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ('<c r="B2"><f>1+1</f></c>', "cell B2 has a formula without a stored value"),
        ('<c r="B2" t="e"><v>#N/A</v></c>', "cell B2 has the error #N/A"),
        ('<c r="B2"><v>0.30000000000000004</v></c>', "cell B2 has a number of more than 15"),
        ('<c r="B2"><v>NaN</v></c>', "cell B2 has no finite number"),
        ('<c r="B2"><v>1e999</v></c>', "cell B2 has no finite number"),
    ],
)
def test_a_cell_that_no_writer_writes(cell, reason):
    head = '<row r="1"><c r="A1" t="str"><v>id</v></c><c r="B1" t="str"><v>value</v></c></row>'
    rows = f'{head}<row r="2"><c r="A2"><v>1</v></c>{cell}</row><row r="3"><c r="A3"><v>2</v></c></row>'
    good, rejects = read_all(packed(parts(rows)), "id", "value")
    assert good == [(3, "2", None)]
    assert [(line, column) for line, column, *_ in rejects] == [(2, "value")]
    assert rejects[0][3].startswith(reason)


def test_lines_are_the_rows_of_the_sheet_wherever_its_table_begins():
    rows = [[], ["", "", "id", "", "name"], [], ["", "", "E1", "note", "甲"], ["", "", "", "", ""], ["", "", "E2"]]
    assert read_all(workbook(rows), "id", "name") == ([(4, "E1", "甲"), (6, "E2", None)], [])


def test_a_named_sheet_and_the_first_visible_one():
    def write(book, page):
        page.hide()
        book.add_worksheet("甲").write_column(0, 0, ["id", "E1"])
        second = book.add_worksheet("乙")
        second.write_column(0, 0, ["id", "E2"])
        second.activate()

    data = workbook([["list"]], sheet="lists", write=write)
    assert read_all(data, "id")[0] == [(2, "E1")]
    assert read_all(data, "id", reading=Reading(sheet="乙"))[0] == [(2, "E2")]
    with pytest.raises(ImportFailedError, match="sheet '丙': there is no such sheet; use one of: lists, 甲, 乙"):
        read_all(data, "id", reading=Reading(sheet="丙"))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "sheet 'Sheet1', row 1: empty; a header line"),
        ([["title"], ["id"]], "row 1: columns are missing: 'id'; columns found: title"),
        ([["id", "id"]], "column 'id' stands twice"),
    ],
)
def test_a_sheet_without_its_header(rows, words):
    with pytest.raises(ImportFailedError, match=words):
        read_all(workbook(rows), "id")


def test_cells_without_places_and_names_with_prefixes():
    sheet = '<x:row xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</x:row>'
    head, row = "<x:c t='str'><x:v>id</x:v></x:c>", "<x:c><x:v>7</x:v></x:c>"
    assert read_all(packed(parts(sheet.format(head) + sheet.format(row))), "id") == ([(2, "7")], [])


def cells(*places):
    return "".join(f'<row r="{place[0]}"><c r="{place[1]}"><v>1</v></c></row>' for place in places)


MANY_ATTRIBUTES = " ".join(f"a{number}=''" for number in range(300))


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        (cells((1, "A1"), (1048576, "XFD1048576")), "more than 1,000,000 cells"),
        (cells((1048577, "A1048577")), "more than 1,000,000 cells"),
        (cells((1, "ZZZ1")), "more than 1,000,000 cells"),
        (cells((1, "ZZZZZZ1")), "a cell of no row and column"),
        (cells((99999999999, "A99999999999")), "a row of no number"),
        (cells((1, "A2")), "a cell in another's row"),
        (f"<row>{'<c><v>1</v></c>' * 6000}</row>{'<row/>' * 1000}<row><c><v>1</v></c></row>", "more than 1,000,000"),
        ("<a>" * 120_000 + "</a>" * 120_000, "nested too deep"),
        (f"<row {MANY_ATTRIBUTES}/>", "too many attributes"),
        (f'<row a="{random.Random(1).randbytes(1 << 20).hex()}"/>', "a tag that is too long"),
        ("<row>", "is damaged"),
    ],
)
def test_a_sheet_that_no_program_writes(sheet, words):
    with pytest.raises(ImportFailedError, match=words):
        read_all(packed(parts(sheet)), "id")


def with_strings(strings, sheet):
    texts = "".join(f"<si><t>{text}</t></si>" for text in strings)
    return packed(parts(sheet) | {"xl/sharedStrings.xml": f"<sst>{texts}</sst>"})


def test_texts_that_are_shared_by_too_many_cells():
    sheet = "".join(f'<row><c t="s"><v>{index}</v></c></row>' for index in [0] * 9000)
    text = "".join(random.Random(1).choices("abcdefgh", k=32_000))
    with pytest.raises(ImportFailedError, match="repeats texts to more than"):
        read_all(with_strings([text], sheet), "id")
    with pytest.raises(ImportFailedError, match="a text of more than 32,767 characters"):
        read_all(with_strings([text * 3], sheet), "id")


def test_a_workbook_with_too_many_oddities(monkeypatch):
    monkeypatch.setattr(workbook_part, "MOST_ODDITIES", 3)
    sheet = "".join(f'<row><c t="e"><v>#REF!</v></c><c><f>{number}</f></c></row>' for number in range(3))
    with pytest.raises(ImportFailedError, match="more than 3 cells without a value"):
        read_all(packed(parts(sheet)), "id")


VALUE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff_'"), max_size=20),
    st.integers(1 - 10**15, 10**15 - 1),
    st.dates(date(1901, 1, 1), date(2200, 1, 1)),
    st.booleans(),
    st.decimals(-(10**6), 10**6, places=6, allow_nan=False).map(float),
)


def as_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return written(value)
    return str(value) or None


@settings(max_examples=40)
@given(rows=st.lists(st.tuples(VALUE, VALUE), max_size=8))
def test_what_a_program_writes_is_what_is_read(rows):
    def write(book, page):
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row):
                if isinstance(value, date):
                    page.write_datetime(number, column, value, day)
                elif isinstance(value, str):
                    page.write_string(number, column, value)
                else:
                    page.write(number, column, value)

    found, rejects = read_all(workbook([HEADER], write=write), "id", "value")
    expected = [(line, *map(as_text, row)) for line, row in enumerate(rows, 2)]
    assert rejects == []
    assert found == [row for row in expected if any(row[1:])]


WHOLE = workbook([HEADER, ["E1", 1], ["E2", 2.5], ["E3", "x"]])


@settings(max_examples=150, deadline=2000)
@given(cut=st.integers(0, len(WHOLE)), change=st.binary(max_size=8), rest=st.integers(0, 12))
def test_a_damaged_workbook_is_a_clear_failure_or_none(cut, change, rest):
    for data in (WHOLE[:cut] + change + WHOLE[cut + rest :], WHOLE[:cut], b"PK\x03\x04" + change):
        assert is_told(data, "id")


@settings(max_examples=150, deadline=2000)
@given(part=st.sampled_from(sorted(zipfile.ZipFile(io.BytesIO(WHOLE)).namelist())), data=st.data())
def test_a_damaged_part_is_a_clear_failure_or_none(part, data):
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    cut = data.draw(st.integers(0, len(content[part])))
    change = data.draw(
        st.one_of(st.binary(max_size=6), st.sampled_from([b"<v>", b'"', b"9", b"</c>", b"<!--", b" t="]))
    )
    content[part] = content[part][:cut] + change + content[part][cut + data.draw(st.integers(0, 6)) :]
    assert is_told(packed(content), "id")


def test_cells_that_are_no_texts_are_noted_of_columns_of_texts_alone():
    data = workbook([["id", "name", "n"], [1, "x", 2], ["b", 7, 3], ["c", True, None]])
    reading = Reading(texts=frozenset({"id", "name"}))
    (chunk,) = chunks_of(data, "id", "name", "n", reading=reading)
    assert chunk.no_texts == {"id": [2], "name": [3, 4]}
