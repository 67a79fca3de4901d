"""CSV: every encoding and delimiter that a bank's programs write, and the fast way the same as the careful one."""

import codecs
import csv as csv_module
import gzip
import io
import itertools

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.imports.chunks import ImportFailedError
from service.imports.readers import Reading, content, csv, read_path, rejected
from tests.service.imports.readers.files import is_told, read_all

TEXT = "id,name,place\nE1,路桥鞋业,台州\nE2,甲乙,\n"
ROWS = [(2, "E1", "路桥鞋业", "台州"), (3, "E2", "甲乙", None)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_encoding_is_found_out_whatever_the_ends_of_lines(encoding, end, pack):
    data = TEXT.replace("\n", end).encode(encoding)
    assert read_all(pack(data), "id", "name", optional=("place",)) == (ROWS, [])


def test_utf_16_of_the_other_order_is_found_out():
    data = codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")
    assert read_all(data, "id", "name", optional=("place",)) == (ROWS, [])


@pytest.mark.parametrize(
    ("told", "encoding"), [("gbk", "gbk"), ("GB18030", "gbk"), ("utf-8", "utf-8"), ("utf-16-le", "utf-16-le"),
                           ("utf-16", "utf-16"), ("UTF_16_BE", "utf-16-be"), ("utf-8-sig", "utf-8-sig")],
)  # fmt: skip
def test_an_encoding_that_is_told(told, encoding):
    assert read_all(TEXT.encode(encoding), "id", "name", "place", reading=Reading(encoding=told)) == (ROWS, [])


def test_an_encoding_that_there_is_not_or_that_the_file_contradicts():
    with pytest.raises(ImportFailedError, match=r"encoding 'latin-1': .* use one of: utf-8"):
        read_all(TEXT.encode(), "id", reading=Reading(encoding="latin-1"))
    with pytest.raises(ImportFailedError, match="read as gbk, and its first bytes say UTF-16"):
        read_all(TEXT.encode("utf-16"), "id", reading=Reading(encoding="gbk"))


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("永嘉閥門廠", "big5"),
        ("中國銀行股份有限公司", "big5"),
        ("台北市貿易股份有限公司", "big5"),
        ("トヨタ自動車", "euc-jp"),
        ("Müller", "cp1252"),
        ("Château Ölwerk", "latin-1"),
        ("Übermut", "cp1252"),
        ("Špička", "cp1250"),
    ],
)
def test_another_encoding_is_not_taken_for_gb18030(name, encoding):
    data = f"id,name\nE1,{name}\nE2,x\n".encode(encoding)
    with pytest.raises(
        ImportFailedError, match=r"its encoding cannot be told: .* gb18030: on the command line by --encod"
    ):
        read_all(data, "id", "name")
    assert len(read_all(data, "id", "name", reading=Reading(encoding="gb18030"))[0]) == 2


def test_rare_characters_of_gb18030_leave_no_doubt():
    names = ["鲜の味道食品有限公司温州第一分公司", "镕基", "王䶮", "喆A股", "e生e世", "卡拉OK", "α①Ⅱ─", "永嘉閥門廠"]
    data = "\n".join(["id", *names]).encode("gb18030")
    assert [text for _, text in read_all(data, "id")[0]] == names


@pytest.mark.parametrize("name", ["Foxconn鴻海精密", "ai昇腾科技", "李喆zhe", "coco菓缤纷", "王\ue000", "娃哈哈の"])
def test_one_odd_name_leaves_no_doubt_of_many_others(name):
    names = [*(f"温州市永嘉阀门制造有限公司第{number}分厂" for number in range(1_000)), name]
    data = "\n".join(["id", *names]).encode("gb18030")
    assert [text for _, text in read_all(data, "id")[0]] == names


@pytest.mark.parametrize("name", ["Foxconn鴻海精密", "李喆zhe", "coco菓缤纷", "娃哈哈の"])
def test_one_odd_name_leaves_no_doubt_of_itself(name):
    assert read_all(f"id\n{name}\n".encode("gb18030"), "id")[0] == [(2, name)]


def test_one_damaged_byte_makes_no_other_encoding_of_it():
    data = "id,name\nE1,路桥鞋业\nE2,甲乙丙丁\n".encode() + b"E3,\xb2\xe9\nE4,x\n"
    rows, rejects = read_all(data, "id", "name")
    assert [row[1] for row in rows] == ["E1", "E2", "E4"]
    assert rejects == [(4, "name", "??", "not UTF-8 text")]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16-le"])
def test_a_byte_that_the_encoding_does_not_have_rejects_its_row_alone(encoding):
    lines = ["id,name", "E1,甲", "E2,乙", "E3,丙"]
    bad = {"gb18030": b"\x81\x30", "utf-16-le": b"\x00\xd8"}[encoding]
    data = b"".join(line.encode(encoding) + (bad if line[1] == "2" else b"") + "\n".encode(encoding) for line in lines)
    rows, rejects = read_all(data, "id", "name", reading=Reading(encoding=encoding))
    assert [row[:2] for row in rows] == [(2, "E1"), (4, "E3")]
    assert [(line, column, reason[:4]) for line, column, _, reason in rejects] == [(3, "name", "not ")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(delimiter):
    data = TEXT.replace(",", delimiter).encode()
    assert read_all(data, "id", "name", "place")[0] == ROWS
    assert read_all(data, "id", "name", "place", reading=Reading(delimiter=delimiter))[0] == ROWS


def test_a_delimiter_of_which_the_header_has_more_of_another():
    assert read_all(b"id;a,b,c,d\n1;2\n", "id")[0] == [(2, "1")]
    assert read_all(b"id\tname\n1\t2\n", "id", reading=Reading(delimiter="tab"))[0] == [(2, "1")]
    with pytest.raises(ImportFailedError, match="delimiter '::': there is no such"):
        read_all(b"id\n", "id", reading=Reading(delimiter="::"))


def test_nul_rejects_its_row():
    rows, rejects = read_all(b"id,name\n1,a\0b\n2,c\n3\0,\n", "id", "name")
    assert rows == [(3, "2", "c")]
    assert rejects == [(2, "name", "a␀b", "has a NUL character"), (4, "id", "3␀", "has a NUL character")]


def test_utf_16_without_its_mark_says_so():
    for text in ("id,name\nE1,x\n", TEXT):
        with pytest.raises(ImportFailedError, match="NUL characters; save it as 'CSV UTF-8'"):
            read_all(text.encode("utf-16-le"), "id")


def test_ragged_rows_and_values_that_are_too_long():
    long = "x" * 131_073
    rows, rejects = read_all(f"id,name\n1\n2,b,c\n3,{long}\n4,d\n\n5,e\n".encode(), "id", "name")
    assert rows == [(5, "4", "d"), (7, "5", "e")]
    assert rejects == [
        (2, "", "", "1 fields where the header has 2"),
        (3, "", "", "3 fields where the header has 2"),
        (4, "", "", "a value longer than 131,072 characters"),
    ]


def test_a_file_of_which_most_rows_are_none_is_not_what_it_seems(monkeypatch):
    monkeypatch.setattr(rejected, "MOST_UNLESS_FEWER", 9)
    monkeypatch.setattr(rejected, "MOST_REJECTS", 30)
    assert len(read_all(b"id,name\n" + b"x\n" * 9, "id")[1]) == 9
    for good, bad in [(0, 10), (300_000, 31)]:
        with pytest.raises(ImportFailedError, match=f"{bad} rows are no rows, this one for: 1 fields where"):
            read_all(b"id,name\n" + b"1,x\n" * good + b"x\n" * bad, "id")


@pytest.mark.parametrize("name", ["file", "file.csv", "file.CSV.gz", "file.tsv", "file.txt", "2024.05"])
def test_names_that_do_not_contradict(name):
    data = gzip.compress(TEXT.encode()) if name.endswith("gz") else TEXT.encode()
    assert len(read_all(data, "id", name=name)[0]) == 2


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.xlsx", TEXT.encode(), "its name says XLSX, and its content is CSV"),
        ("a.parquet", TEXT.encode(), "its name says Parquet"),
        ("a.ndjson", TEXT.encode(), "its name says NDJSON"),
        ("a.json.gz", gzip.compress(TEXT.encode()), "its name says NDJSON"),
        ("a.csv", b'{"id": 1}\n', "its name says CSV, and its content is NDJSON"),
        ("a.csv", b"PAR1", "its content is Parquet"),
        ("a.xls", TEXT.encode(), ".xls files are not read"),
        ("a.gz", TEXT.encode(), "its name says gzip"),
        ("a", gzip.compress(b"PK\x03\x04"), "XLSX inside gzip"),
        ("a", b"\n" + TEXT.encode(), "line 1: empty; a header line"),
        ("a", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "save it without password"),
    ],
    ids=itertools.count(),
)
def test_a_name_or_content_that_is_refused(name, data, words):
    with pytest.raises(ImportFailedError, match=words) as failure:
        read_all(data, "id", name=name)
    assert str(failure.value).startswith(name)


def test_what_is_told_of_another_format_is_refused():
    for reading, words in [
        (Reading(sheet="S"), "no sheets"),
        (Reading(format="xlsx"), "read as XLSX, and its content is CSV"),
        (Reading(format="ndjson", encoding="gbk"), "only of CSV files"),
        (Reading(format="xml"), "format 'xml': there is no such"),
    ]:
        with pytest.raises(ImportFailedError, match=words):
            read_all(TEXT.encode(), "id", reading=reading)


def test_progress_is_told_by_bytes_and_chunks_are_bounded(tmp_path):
    path = tmp_path / "many.csv"
    path.write_text("id,name\n" + "".join(f"{number},x\n" for number in range(250_000)))
    told = []
    chunks = list(read_path(path, ("id",), (), told.append))
    assert sum(told) == path.stat().st_size
    assert [len(chunk.rows) for chunk in chunks][:-1] == pytest.approx([100_000] * (len(chunks) - 1), rel=1.5)
    assert pl.concat(chunk.rows for chunk in chunks)["line"].to_list() == list(range(2, 250_002))


def test_a_source_is_read_as_it_stands(tmp_path):
    path = tmp_path / "source.csv"
    path.write_text("id\n'=1\n")
    assert [chunk.rows.rows() for chunk in csv.read_csv(path, ("id",), lambda _: None)] == [[(2, "'=1")]]
    assert [chunk.rows.rows() for chunk in read_path(path, ("id",), (), lambda _: None)] == [[(2, "=1")]]


PIECES = st.sampled_from(
    [
        "1",
        "a",
        "甲",
        " ",
        ",",
        ",",
        ",",
        "\n",
        "\n",
        "\r\n",
        "\r",
        '"',
        '"',
        '""',
        '"x"',
        '","',
        ";",
        "\0",
        "\ufeff",
        "'",
    ]
)


def both_ways(data, names, reading, piece):
    with pytest.MonkeyPatch.context() as patch:
        quick = read_all(data, *names, reading=reading)
        patch.setattr(csv, "read_block", lambda *_: None)
        careful = read_all(data, *names, reading=reading)
        patch.undo()
        patch.setattr(content, "PIECE_BYTES", piece)
        in_pieces = read_all(data, *names, reading=reading)
    return quick, careful, in_pieces


def test_a_message_has_no_nul():
    with pytest.raises(ImportFailedError, match="NUL characters") as failure:
        read_all("1\n2\n".encode("utf-16-le"), "id", reading=Reading(delimiter=",", encoding="utf-8"))
    assert "\0" not in str(failure.value)


@settings(max_examples=300)
@given(texts=st.lists(PIECES, max_size=60), piece=st.integers(1, 20), columns=st.integers(1, 3))
@example(texts=["\ufeff", "1", "\n"], piece=4, columns=1)
@example(texts=['"x"', ",", '""', "\n", "1", ",", '"', "\n", '"', "\n"], piece=6, columns=2)
def test_the_quick_way_reads_exactly_as_the_careful_one(texts, piece, columns):
    names = ("a", "b", "c")[:columns]
    data = (",".join(names) + "\n" + "".join(texts)).encode()
    quick, careful, in_pieces = both_ways(data, names, Reading(delimiter=",", encoding="utf-8"), piece)
    assert quick == careful == in_pieces


FIELD = st.text(st.sampled_from('ab,"甲 é;|\t'), max_size=6)


@settings(max_examples=150)
@given(
    rows=st.lists(st.tuples(FIELD, FIELD, FIELD), max_size=12),
    quoting=st.sampled_from([csv_module.QUOTE_ALL, csv_module.QUOTE_MINIMAL]),
    delimiter=st.sampled_from(csv.DELIMITERS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
)
def test_what_a_program_writes_is_what_is_read(rows, quoting, delimiter, encoding):
    text = io.StringIO(newline="")
    writer = csv_module.writer(text, quoting=quoting, delimiter=delimiter)
    writer.writerows([("a", "b", "c"), *rows])
    reading = Reading(delimiter=delimiter, encoding=encoding)
    found, rejects = read_all(text.getvalue().encode(encoding), "a", "b", "c", reading=reading)
    assert rejects == []
    assert found == [(line, *(value or None for value in row)) for line, row in enumerate(rows, 2)]


@settings(max_examples=200, deadline=1000)
@given(data=st.binary(max_size=400), head=st.sampled_from([b"", b"a,b\n", b"\xff\xfe", b"\xfe\xff", codecs.BOM_UTF8]))
def test_any_bytes_are_rows_rejects_or_a_clear_failure(data, head):
    for encoding in (None, "utf-8", "gb18030", "utf-16-le"):
        assert is_told(head + data, "a", reading=Reading(format="csv", encoding=encoding))


@settings(max_examples=100, deadline=1000)
@given(data=st.binary(max_size=200), cut=st.integers(0, 200))
def test_any_damage_of_gzip_is_a_clear_failure_or_none(data, cut):
    whole = gzip.compress(b"a,b\n" + data)
    for damaged in (whole[:cut], whole[: cut // 2] + data + whole[cut:], b"\x1f\x8b" + data):
        assert is_told(damaged, "a")


def test_a_long_run_of_open_quotes_is_read_in_time():
    data = b"a,b\n" + b'1,"x\n2,y\n' * 4_000
    rows, rejects = read_all(data, "a", "b")
    assert len(rows) + len(rejects) == 8_000
    assert all(line < later for (line, *_), (later, *_) in itertools.pairwise(rows))
