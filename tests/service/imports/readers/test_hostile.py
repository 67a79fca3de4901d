"""Hostile files are refused at once: each in less than a second and 50 MB, measured in a process of its own."""

import base64
import gzip
import io
import json
import random
import re
import struct
import subprocess
import sys
import zipfile

import polars as pl
import pytest

from service.imports.chunks import ImportFailedError
from service.imports.readers.contract import MOST_UNPACKED
from service.imports.uploads import check_size
from tests.service.imports.readers.files import (
    arrow_schema,
    deflated,
    delta,
    lying_parquet,
    packed,
    parquet_of,
    parts,
    read_all,
    with_declared_size,
)

GIB = 1 << 30
BLANK = b" " * (1 << 20)
ROWS = b"".join(b"%d,%d\n" % (number, number**5) for number in range(20_000))
KEYS = [random.Random(number).randbytes(6_000).hex().encode() for number in range(100)]
PLAIN = parts()
ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
LAUGHS = f'<!DOCTYPE x [<!ENTITY e0 "ha">{ENTITIES}]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY e9 SYSTEM "file:///etc/passwd">]>'


def with_doctype(part, declaration):
    text = PLAIN[part].replace('encoding="UTF-8"?>', f'encoding="UTF-8"?>{declaration}').replace("id</t>", "&e9;</t>")
    return packed(PLAIN | {part: text})


def with_raw_part(name, content, size, *, declared=None):
    """Zip the plain parts, and one that is deflated already."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        for part, text in PLAIN.items():
            if part != name:
                archive.writestr(part, text)
        archive.writestr(name, content)
    changed = bytearray(data.getvalue())
    at = changed.rfind(b"PK\x01\x02")
    start = int.from_bytes(changed[at + 42 : at + 46], "little")
    for place in (start + 8, at + 10):
        changed[place : place + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
    for place in (start + 22, at + 24):
        changed[place : place + 4] = struct.pack("<I", size if declared is None else declared)
    return bytes(changed)


def gzipped(line, times, before=b"id\n"):
    """Gzip a line so many times over; the sum at the end is wrong, and nobody gets so far."""
    count = (1 << 20) // len(line)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + deflated(line * count, times // count, before) + bytes(8)


def many_parts():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in PLAIN.items():
            archive.writestr(name, text)
        for number in range(2000):
            archive.writestr(f"xl/media/{number}", b"")
    return data.getvalue()


def overlapping():
    """Let several parts have the bytes of one, as the best bombs do."""
    data = bytearray(packed(PLAIN | {f"xl/media/{n}": bytes(range(256)) * 40 for n in range(5)}))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.compress_size)
    for number in range(5):
        at = data.rfind(b"PK\x01\x02", 0, data.rfind(f"xl/media/{number}".encode()))
        data[at + 20 : at + 24] = struct.pack("<I", largest.compress_size + 2000)
    return bytes(data)


def encrypted():
    data = bytearray(packed(PLAIN))
    at = data.rfind(b"PK\x01\x02")
    data[at + 8] |= 1
    return bytes(data)


def twice():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in PLAIN.items():
            archive.writestr(name, text)
        archive.writestr("xl/Workbook.xml", PLAIN["xl/workbook.xml"])
    return data.getvalue()


FAR = "".join(f'<row r="{row}"><c r="{column}{row}"><v>1</v></c></row>' for row, column in [(1, "A"), (1048576, "XFD")])


FAR_DOWN = '<row r="9"><c r="A9"><v>1</v></c></row><row r="1000000"><c r="E1000000"><v>1</v></c></row>'


def with_many(part, before, text, times):
    """Let a part have before a tag so many others, each with its number."""
    many = "".join(map(text.format, range(times)))
    return packed(PLAIN | {part: PLAIN.get(part, "<a></a>").replace(before, many + before)})


def far_cell_of_shared_texts():
    """Let shared texts be a sheet as well."""
    relations = "xl/_rels/workbook.xml.rels"
    named = PLAIN[relations].replace("worksheets/sheet1.xml", "sharedStrings.xml")
    return packed(PLAIN | {relations: named, "xl/sharedStrings.xml": f"<a><sst/><sheetData>{FAR}</sheetData></a>"})


def without_values(sheets, cells):
    sheet = parts("<row>" + "<c><f/></c>" * cells + "</row>")[SHEET]
    return packed(PLAIN | {f"xl/worksheets/{number}.xml": sheet for number in range(sheets)})


def repeated(text, times, dtype):
    """Let so many rows have one text, which a dictionary has once."""
    data = io.BytesIO()
    pl.DataFrame({"id": pl.Series([text], dtype=dtype).gather([0] * times)}).write_parquet(data)
    return data.getvalue()


def with_columns(groups, count):
    """Let a file have besides its column groups in groups, of these names, and so many columns in the last."""
    shape = [{4: b"root", 5: 2}, {1: 6, 3: 0, 4: b"id", 6: 0}, *({3: 0, 4: name, 5: 1} for name in groups)]
    shape[-1] |= {5: count}
    shape += [{1: 1, 3: 0, 4: b"%d" % number} for number in range(count)]
    return parquet_of(PAGE, 1, footer={2: shape, 3: 0, 4: ({}, 0)})


def with_schema(depth, times, name=b"id"):
    return parquet_of(PAGE, 1, footer={5: [{1: b"ARROW:schema", 2: arrow_schema(depth, times, name)}]})


PAGE = b"\1\0\0\0x"
SHEET = "xl/worksheets/sheet1.xml"
BOMBS = {
    "xlsx, one part declares more than is allowed": (
        lambda: with_raw_part(SHEET, deflated(BLANK, 1024), GIB), "more than 200 times its size"),
    "xlsx, one part unpacks to more than it declares": (
        lambda: with_raw_part(SHEET, deflated(BLANK, 1024, b"<a>"), GIB, declared=2000), "more than is declared"),
    "xlsx, a picture that is none": (
        lambda: with_raw_part("xl/media/1.png", deflated(BLANK, 1024), GIB, declared=2000), "more than is declared"),
    "xlsx, parts together": (
        lambda: with_declared_size(packed(PLAIN), SHEET, MOST_UNPACKED), "more than 200 times its size"),
    "xlsx, too many parts": (many_parts, "more than 1,000 parts"),
    "xlsx, parts that overlap": (overlapping, "parts overlap|damaged"),
    "xlsx, a zip file inside": (
        lambda: packed(PLAIN) + b"PK\x05\x06" + bytes(18), "another zip file inside"),
    "xlsx, entities": (lambda: with_doctype(SHEET, LAUGHS), "DOCTYPE"),
    "xlsx, an external entity": (lambda: with_doctype(SHEET, EXTERNAL), "DOCTYPE"),
    "xlsx, an external entity in the workbook": (lambda: with_doctype("xl/workbook.xml", EXTERNAL), "DOCTYPE"),
    "xlsx, an external entity in the types": (lambda: with_doctype("[Content_Types].xml", EXTERNAL), "DOCTYPE"),
    "xlsx, UTF-16 to hide it": (
        lambda: packed(PLAIN | {SHEET: f"\ufeff{EXTERNAL}<a/>".encode("utf-16-le")}), "not UTF-8"),
    "xlsx, a far cell": (lambda: packed(parts(FAR)), "more than 1,000,000 cells"),
    "xlsx, a cell that is far for so small a file": (lambda: packed(parts(FAR_DOWN)), "more than 1,000,000 cells"),
    "xlsx, sheets of one part": (
        lambda: with_many("xl/workbook.xml", "</sheets>", '<sheet name="{}" r:id="rId1"/>', 50_000), "1,000 sheets"),
    "xlsx, sheets of one part where they are not looked for": (
        lambda: with_many("xl/workbook.xml", "</sheets>", '<sheetData/><sheet name="{}" r:id="rId1"/>', 60_000),
        "more than 100,000 tags"),
    "xlsx, relations": (
        lambda: with_many("xl/_rels/workbook.xml.rels", "</Relationships>", '<Relationship Id="{}"/>', 900_000),
        "more than 5,000 tags"),
    "xlsx, names": (
        lambda: with_many("xl/workbook.xml", "</workbook>", '<definedName name="{0}">{0}</definedName>', 400_000),
        "more than 100,000 tags"),
    "xlsx, formats": (
        lambda: with_many("xl/styles.xml", "</a>", '<numFmt numFmtId="{0}" formatCode="y{0}"/>', 900_000),
        "more than 200,000 tags"),
    "xlsx, a far cell among shared texts": (far_cell_of_shared_texts, "its sheet 'S' is no part of it"),
    "xlsx, tags": (lambda: without_values(150, 95_000), "more than 4 tags for each of its bytes"),
    "xlsx, cells without a value in many parts": (lambda: without_values(20, 14_000), "more than 200,000 cells"),
    "xlsx, a password": (encrypted, "password"),
    "xls, or xlsx with a password": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4096), "password"),
    "xlsx, names that lead out": (lambda: packed(PLAIN | {"../../etc/passwd": "x"}), "leads out of it"),
    "xlsx, names that are nested": (lambda: packed(PLAIN | {"a/" * 40 + "b": "x"}), "nested too deep"),
    "xlsx, one name twice": (twice, "two of its parts have one name"),
    "ods": (lambda: packed(PLAIN | {"content.xml": "x"}), "an OpenDocument file"),
    "xlsb": (lambda: packed(PLAIN | {"xl/workbook.bin": "x"}), "an .xlsb file"),
    "zip": (lambda: packed({"a.csv": "id\n1\n"}), "a zip file without a workbook"),
    "gzip, one line": (lambda: gzipped(b" ", GIB), "more than 200 times its size"),
    "gzip, blank lines": (lambda: gzipped(b"\n", GIB), "more than 200 times its size"),
    "gzip, rows": (lambda: gzipped(b"1\n", GIB), "more than 200 times its size"),
    "gzip, NDJSON": (lambda: gzipped(b'{"id": 1}\n', GIB, b""), "more than 200 times its size"),
    "Parquet, a footer that understates its pages": (
        lambda: lying_parquet("x" * (GIB // 4)), "as only a bomb does"),
    "Parquet, one category in every row": (
        lambda: repeated("x" * 1_000_000, 100_000, pl.Categorical), "are longer than 268,435,456 bytes"),
    "Parquet, one value of an enumeration in every row": (
        lambda: repeated("x" * 10_000, 100_000, pl.Enum(["x" * 10_000])), "are longer than 268,435,456 bytes"),
    "Parquet, categories of 4 GiB in all, of which 32 bits count none": (
        lambda: repeated("x" * 65_536, 65_536, pl.Categorical), "are longer than 268,435,456 bytes"),
    "Parquet, numbers in a delta encoding": (
        lambda: parquet_of(delta(2**31 - 1), 1, encoding=5, kind=2), "in a delta encoding"),
    "Parquet, lengths in a delta encoding": (
        lambda: parquet_of(delta(2**31 - 1), 1, encoding=6), "in a delta encoding"),
    "Parquet, texts in a delta encoding whose number is cut to 32 bits": (
        lambda: parquet_of(delta(2**31 - 1), 1, encoding=2**32 + 7), "in a delta encoding"),
    "Parquet, a footer of empty structs": (
        lambda: parquet_of(PAGE, 1, footer={7: ({}, 4_000_000)}), "its footer has more than 500,000 values"),
    "Parquet, a footer of empty structs in a field that there is not": (
        lambda: parquet_of(PAGE, 1, footer={99: ({}, 4_000_000)}), "its footer has more than 500,000 values"),
    "Parquet, a footer of columns": (
        lambda: parquet_of(PAGE, 1, footer={4: [{1: ({3: {7: 2**33, 9: 2**34}}, 200_000)}]}),
        "its footer has more than 500,000 values"),
    "Parquet, a footer of columns in a large file": (
        lambda: parquet_of(PAGE + bytes(6_000_000), 1, footer={4: [{1: ({3: {7: 2**33, 9: 2**34}}, 200_000)}]}),
        "its footer has more than 1,000,000 values"),
    "Parquet, a header of empty structs": (
        lambda: parquet_of(PAGE, 1, header={9: ({}, 9_000_000)}), "a page.s header has more than"),
    "Parquet, a header of a long text": (
        lambda: parquet_of(PAGE, 1, header={9: bytes(9_000_000)}), "a page.s header has more than"),
    "Parquet, an Arrow schema that doubles at each step": (lambda: with_schema(24, 2), "its key 'ARROW:schema' has"),
    "Parquet, an Arrow schema whose columns have one long name": (
        lambda: with_schema(1, 4_000, bytes(99_000)), "its key 'ARROW:schema' has"),
    "Parquet, an Arrow schema that is nested": (lambda: with_schema(2_000, 1), "its key 'ARROW:schema' has"),
    "Parquet, an Arrow schema that is long": (lambda: with_schema(1, 1, bytes(1 << 21)), "its key 'ARROW:schema' has"),
    "Parquet, columns that are nested": (lambda: with_columns([b"a"] * 20_000, 1), "nested deeper than 32"),
    "Parquet, columns in one of a long name": (lambda: with_columns([b"a" * 99_000], 1_000), "names are too long"),
    "Parquet, columns": (lambda: with_columns([b"a"], 40_000), "it has too many columns"),
    "NDJSON, other keys in every row": (
        lambda: gzip.compress(b"".join(b'{"%d": 1}\n' % number**9 for number in range(100_000))), "are missing: 'id'"),
    "NDJSON, long keys": (
        lambda: gzip.compress(b"".join(b'{"%s%s": 1}\n' % (key, BLANK[:-99_999]) for key in KEYS)), "are missing"),
    "CSV, kana between lines": (
        lambda: b"id\n" + "あ\n".encode("gb18030") * 1_400_000, "its encoding cannot be told"),
    "CSV, rare characters between small letters": (
        lambda: b"id\n" + "閚a".encode("gb18030") * 1_400_000, "its encoding cannot be told"),
    "gzip, rows, then a bomb": (
        lambda: gzip.compress(b"id,b\n" + ROWS) + gzipped(b"1\n", GIB),
        "rows are no rows"),
}  # fmt: skip

CHILD = """
import base64, io, json, sys, time
from pathlib import Path
from service.imports.chunks import ImportFailedError
from service.imports.readers import read
from service.imports.readers.contract import Reading

def kilobytes(name):
    status = Path("/proc/self/status").read_text()
    return int(status.split(name + ":")[1].split()[0])

warm = base64.b64decode(sys.stdin.readline())
for data in (warm, b"id\\n1\\n", b'{"id": 1}'):
    list(read(io.BytesIO(data), "warm", ("id",), (), lambda _: None))
for line in sys.stdin:
    data = base64.b64decode(line)
    del line
    Path("/proc/self/clear_refs").write_text("5")
    before, began = kilobytes("VmRSS"), time.process_time()
    try:
        list(read(io.BytesIO(data), "bomb", ("id",), (), lambda _: None))
        said = ""
    except ImportFailedError as failure:
        said = str(failure)
    seconds = time.process_time() - began
    print(json.dumps([said, seconds, kilobytes("VmHWM") - before]), flush=True)
"""


@pytest.fixture(scope="module")
def child():
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        run.stdin.write(base64.b64encode(packed(PLAIN)).decode() + "\n")
        yield run
        run.stdin.close()


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_at_once(child, name):
    make, words = BOMBS[name]
    child.stdin.write(base64.b64encode(make()).decode() + "\n")
    child.stdin.flush()
    said, seconds, kilobytes = json.loads(child.stdout.readline())
    assert re.search(words, said)
    assert re.fullmatch(r"bomb(, [^:]+)?: .+; .+ / .*[一-龥].*；.*[一-龥].*", said)
    assert seconds < 1
    assert kilobytes < 50_000


def test_the_plain_parts_and_the_plain_page_are_no_bomb():
    assert read_all(packed(PLAIN), "id") == ([(2, "7")], [])
    linked = with_many("xl/worksheets/_rels/sheet1.xml.rels", "</a>", '<Relationship Id="{}" Target="a.b"/>', 65_530)
    named = with_many("xl/workbook.xml", "</workbook>", '<definedName name="_{}">S!A1</definedName>', 9_000)
    for data in (linked, named):
        assert read_all(data, "id") == ([(2, "7")], [])
    assert read_all(packed(parts(FAR_DOWN.replace("1000000", "199999"))), "1") == ([(199_999, None)], [])
    assert read_all(parquet_of(PAGE, 1, header={9: {1: [{}, {}]}}, footer={99: bytes(999)}), "id") == ([(1, "x")], [])
    assert read_all(with_schema(0, 0), "id") == ([(1, "x")], [])
    assert read_all(with_schema(31, 1), "id") == ([(1, "x")], [])
    assert read_all(with_columns([b"a"] * 30, 9), "id") == ([], [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_rels/.rels": PLAIN["_rels/.rels"].replace("xl/workbook.xml", "yy/workbook.xml")}, "in an unusual place"),
        ({"xl/_rels/workbook.xml.rels": PLAIN["xl/_rels/workbook.xml.rels"].replace("sheet1.xml", "a.bin"),
          "xl/worksheets/a.bin": PLAIN[SHEET]}, "its sheet 'S' is no part of it"),
        ({SHEET: PLAIN[SHEET].replace("UTF-8", "UTF-7")}, "is not UTF-8|is damaged"),
        ({SHEET: "junk" + PLAIN[SHEET]}, "is damaged"),
        ({SHEET: PLAIN[SHEET].replace("sheetData", "data")}, "row 1: empty"),
        ({"xl/others.xml": "<sst><si/></sst>"}, "shared texts in an unusual place"),
    ],
)  # fmt: skip
def test_what_would_lead_around_the_check(change, words):
    with pytest.raises(ImportFailedError, match=words):
        read_all(packed(PLAIN | change), "id")


def test_an_upload_that_unpacks_to_too_much():
    for data, words in [(gzipped(b"1\n", GIB), "more than 200 times"), (gzip.compress(b"x")[:-9], "damaged")]:
        with pytest.raises(ImportFailedError, match=words):
            check_size(io.BytesIO(data), "file")
    for data in (gzip.compress(b"id\n1\n"), b"id\n1\n", packed(PLAIN)):
        file = io.BytesIO(data)
        check_size(file, "file")
        assert file.tell() == 0
