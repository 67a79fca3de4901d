"""Files for the readers: made by hand where no program would make them so."""

import base64
import io
import struct
import zipfile
import zlib

import polars as pl
import xlsxwriter

from service.imports.chunks import ImportFailedError
from service.imports.readers import Reading, read
from service.imports.readers.parquet_shapes import FOOTER
from service.imports.readers.thrift import Compact

PLAIN_SHEET = '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c></row><row r="2"><c r="A2"><v>7</v></c></row>'
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def chunks_of(data, *required, optional=(), name="file", reading=None, advance=lambda _: None):
    return list(read(io.BytesIO(data), name, required, optional, advance, reading or Reading()))


def read_all(data, *required, optional=(), name="file", reading=None):
    """Return rows as tuples (line, values ...), and rejects as tuples (line, column, value, reason)."""
    chunks = chunks_of(data, *required, optional=optional, name=name, reading=reading)
    rows = [row for chunk in chunks for row in chunk.rows.rows()]
    rejects = [row for chunk in chunks for row in chunk.rejects.select("line", "column", "value", "reason").rows()]
    for chunk in chunks:
        assert set(chunk.rejects["file"]) <= {name}
        assert all(all(row) for row in chunk.rejects.select("reason", "remedy", "reason_zh", "remedy_zh").rows())
    return rows, rejects


def is_told(data, *required, reading=None):
    """Tell whether each row of a file comes back, or is rejected, or the file fails with its name."""
    try:
        read_all(data, *required, name="any", reading=reading)
    except ImportFailedError as failure:
        return str(failure).startswith("any")
    return True


def lying_parquet(text):
    """Write a file of one text whose footer says that it unpacks to 1,000 bytes."""
    data = io.BytesIO()
    pl.DataFrame({"id": [text]}).write_parquet(data, compression="zstd", statistics=False)
    whole = data.getvalue()
    at = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    footer = whole[at:-8]
    group = Compact(footer, 99).struct(FOOTER)[4][0]
    for number in {group[2], group[1][0][3][6]}:
        true = _varint(number)
        footer = footer.replace(true, _varint(1000, len(true)))
    return whole[:at] + footer + whole[-8:]


def _varint(number, length=0):
    return _unsigned(2 * number, length)


def _unsigned(number, length=0):
    parts = [number & 127 | 128]
    while (number := number >> 7) or len(parts) < length:
        parts.append(number & 127 | 128)
    return bytes([*parts[:-1], parts[-1] & 127])


def thrift(value):
    """Write by Thrift's compact protocol a whole number, text, list, struct (a dict), or a value so many times over."""
    if isinstance(value, int):
        return _varint(value)
    if isinstance(value, bytes):
        return _unsigned(len(value)) + value
    if isinstance(value, list):
        return bytes([0xF0 | _kind(value[0])]) + _unsigned(len(value)) + b"".join(map(thrift, value))
    if isinstance(value, tuple):
        return bytes([0xF0 | _kind(value[0])]) + _unsigned(value[1]) + thrift(value[0]) * value[1]
    fields = [bytes([_kind(value[field])]) + _varint(field) + thrift(value[field]) for field in sorted(value)]
    return b"".join(fields) + b"\0"


def _kind(value):
    return {int: 6, bytes: 8, list: 9, tuple: 9, dict: 12}[type(value)]


def parquet_of(page, rows, *, encoding=0, kind=6, header=None, footer=None):
    """Write a file of one column 'id' and one page; header and footer may have more fields, or others."""
    size = {2: len(page), 3: len(page)}
    whole = thrift({1: 0, **size, 5: {1: rows, 2: encoding, 3: 3, 4: 3}} | (header or {})) + page
    column = {1: kind, 2: [encoding], 3: [b"id"], 4: 0, 5: rows, 6: len(whole), 7: len(whole), 9: 4}
    group = {1: [{2: 4, 3: column}], 2: len(whole), 3: rows}
    shape = [{4: b"root", 5: 1}, {1: kind, 3: 0, 4: b"id"} | ({6: 0} if kind == 6 else {})]
    end = thrift({1: 1, 2: shape, 3: rows, 4: [group]} | (footer or {}))
    return b"PAR1" + whole + end + len(end).to_bytes(4, "little") + b"PAR1"


def arrow_schema(depth, times, name=b"id"):
    """Write an Arrow schema: a text in columns in columns, each of which leads so many times to the same next one."""
    head = struct.pack("<I5H2xiII4HiI2I", 16, 10, 12, 0, 8, 4, 12, 16, 1, 8, 8, 0, 4, 8, 4, 1, 24)
    size = 44 + 4 * times
    end = len(head) + depth * size + 44
    fields = b""
    for level in range(depth + 1):
        at = len(head) + level * size + 20
        is_last = level == depth
        fields += struct.pack("<9H2x", 18, 20, 4, 0, 16, 8, 0, 12, 0)
        fields += struct.pack("<i4I", 20, end + 8 - at - 4, end + 4 - at - 8, 8, 5 if is_last else 13)
        nexts = [] if is_last else [size - 24 - 4 * number for number in range(times)]
        fields += struct.pack(f"<{1 + len(nexts)}I", len(nexts), *nexts)
    whole = head + fields + struct.pack("<2HiI", 4, 4, 4, len(name)) + name + b"\0"
    return base64.b64encode(b"\xff" * 4 + struct.pack("<I", len(whole)) + whole)


def delta(count):
    """Begin a page of so many values of a delta encoding, all alike, as which a few bytes stand."""
    return b"".join(map(_unsigned, (max(128, count // 128 * 128 + 128), 4, count, 0, 0))) + bytes(4)


def workbook(rows, *, sheet="Sheet1", write=None):
    """Write a workbook as a program would."""
    data = io.BytesIO()
    with xlsxwriter.Workbook(data, {"in_memory": True}) as book:
        page = book.add_worksheet(sheet)
        for number, row in enumerate(rows):
            page.write_row(number, 0, row)
        if write is not None:
            write(book, page)
    return data.getvalue()


def parts(sheet=PLAIN_SHEET):
    """Return the least parts that a workbook has."""
    declared = '<?xml version="1.0" encoding="UTF-8"?>'
    return {
        "[Content_Types].xml": f'{declared}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'{declared}<Relationships xmlns="{_PACKAGE}"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{declared}<workbook {_MAIN} xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'{declared}<Relationships xmlns="{_PACKAGE}"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"{declared}<worksheet {_MAIN}><sheetData>{sheet}</sheetData></worksheet>",
    }


def packed(content):
    """Zip parts, or pairs of names and contents where a name stands twice."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return data.getvalue()


def deflated(block, times, before=b"", after=b""):
    """Deflate a block so many times over, which is done once, and what stands before and after."""

    def part(data, end):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(data) + packer.flush(end)

    return part(before, zlib.Z_FULL_FLUSH) + part(block, zlib.Z_FULL_FLUSH) * times + part(after, zlib.Z_FINISH)


def with_declared_size(data, name, size):
    """Change what a zip file's directory and the part's own header declare of its unpacked size."""
    changed = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.getinfo(name).header_offset
    changed[start + 22 : start + 26] = size.to_bytes(4, "little")
    at = data.rfind(b"PK\x01\x02", 0, data.rfind(name.encode()))
    changed[at + 24 : at + 28] = size.to_bytes(4, "little")
    return bytes(changed)
