"""Look through a workbook before it is opened: refuse what is hostile, and find the cells that have no value.

calamine unpacks without limit, reserves a cell for each place between the first and the last, copies a shared text into
each of its cells, and reads a cell with an error as an empty one. So all parts are streamed once before it sees them.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from io import SEEK_END
from typing import IO

from service.imports.chunks import ImportFailedError, fault
from service.imports.readers.contract import MOST_RATIO, MOST_UNPACKED
from service.imports.readers.panics import damaged
from service.imports.readers.workbook_part import (
    MOST_CELLS,
    MOST_LINKS,
    Oddities,
    Part,
    PartError,
    Shared,
    read_part,
)

MOST_ENTRIES = 1_000
TAGS_PER_BYTE, UNSUSPECTED_TAGS = 4, 1_000_000
CELLS_PER_BYTE, UNSUSPECTED_CELLS = 16, 1_000_000
"""From A1 to the last row and column: rows of few values among many columns take a byte for each cell or two."""
_DEEPEST_NAME = 8
_UNSUSPECTED = 1 << 20
_PIECE = 1 << 18
_ENTRY, _END = b"PK\x01\x02", b"PK\x05\x06"
_ROOT, _WORKBOOK, _RELATIONS = "_rels/.rels", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_STRINGS, _STYLES = "xl/sharedstrings.xml", "xl/styles.xml"
MOST_TAGS = {_ROOT: MOST_LINKS, _RELATIONS: MOST_LINKS, _WORKBOOK: 100_000, _STYLES: 200_000}
"""Of the parts that are held whole: a workbook has a few sheets, some thousands of names and of styles."""
_OTHERS = {"xl/workbook.bin": "an .xlsb file", "content.xml": "an OpenDocument file"}
_PART = re.compile(r"/?(?:[^/\\]+/)*[^/\\]+\.xml", re.IGNORECASE)
_XML = (".xml", ".rels")
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_REMEDY = (
    "save the sheet alone as a new .xlsx file, or as 'CSV UTF-8'",
    "请将该工作表单独另存为新的 .xlsx 文件或“CSV UTF-8”",
)
_PASSWORD = fault("it has a password", "文件有密码", "save it without password as .xlsx", "请去掉密码并另存为 .xlsx")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


@dataclass
class Workbook:
    """What was found.

    Attributes
    ----------
    oddities
        Of each sheet, by its name: the cells that have no value to read.
    """

    oddities: dict[str, Oddities] = field(default_factory=dict)


def check_workbook(raw: IO[bytes], file: str) -> Workbook:
    """Look through a workbook.

    Raises
    ------
    ImportFailedError
        If it is damaged, encrypted, unpacks to too much, or has a document type declaration or anything else that no
        spreadsheet program writes.
    """
    _check_directory(raw, file)
    try:
        with zipfile.ZipFile(raw) as archive:
            entries = _checked(archive.infolist(), raw, file)
            _count_tags(archive, entries, raw.seek(0, SEEK_END), file)
            return _look_through(archive, entries, Shared(_most_cells(raw.seek(0, SEEK_END))), file)
    except _DAMAGE as error:
        raise damaged(file, "XLSX", error) from None


def _refused(file: str, en: str, zh: str) -> ImportFailedError:
    return ImportFailedError(file, fault(f"refused, {en}", f"拒绝读取：{zh}", *_REMEDY))


def _check_directory(raw: IO[bytes], file: str) -> None:
    """Count the entries and the ends of directories before any of them is read: zip readers differ over several."""
    if raw.seek(0, SEEK_END) > MOST_UNPACKED:
        raise _refused(file, f"it has more than {MOST_UNPACKED:,} bytes", f"超过 {MOST_UNPACKED:,} 字节")
    raw.seek(0)
    entries = ends = 0
    tail = b""
    while piece := raw.read(_PIECE):
        window = tail + piece
        entries, ends = entries + window.count(_ENTRY), ends + window.count(_END)
        if entries > MOST_ENTRIES:
            raise _refused(file, f"it has more than {MOST_ENTRIES:,} parts", f"超过 {MOST_ENTRIES:,} 个部件")
        tail = window[-3:]
    if ends > 1:
        raise _refused(file, "it has another zip file inside", "内含另一个 zip 文件")
    raw.seek(0)


def _checked(entries: list[zipfile.ZipInfo], raw: IO[bytes], file: str) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by their names in lower case, if what they declare is harmless."""
    by_name = {entry.filename.lower(): entry for entry in entries}
    if len(by_name) < len(entries):
        raise _refused(file, "two of its parts have one name", "有两个同名部件")
    for name, kind in _OTHERS.items():
        if name in by_name:
            raise _refused(file, f"it is {kind}", "不是 .xlsx 文件")
    if not {_ROOT, _WORKBOOK, _RELATIONS} <= by_name.keys():
        raise _refused(file, "it is a zip file without a workbook", "是不含工作簿的 zip 文件")
    for entry in entries:
        _check_entry(entry, file)
    if sum(entry.compress_size for entry in entries) > raw.seek(0, SEEK_END):
        raise _refused(file, "its parts overlap", "部件重叠")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MOST_UNPACKED:
        raise _refused(
            file,
            f"it unpacks to {unpacked:,} bytes, and {MOST_UNPACKED:,} are the most",
            f"解压后超过 {MOST_UNPACKED:,} 字节",
        )
    return by_name


def _check_entry(entry: zipfile.ZipInfo, file: str) -> None:
    steps = entry.filename.rstrip("/").split("/")
    if entry.flag_bits & 1:
        raise ImportFailedError(file, _PASSWORD)
    if ".." in steps or "" in steps or "\\" in entry.filename or len(steps) > _DEEPEST_NAME:
        raise _refused(
            file, "the name of one of its parts leads out of it or is nested too deep", "部件名指向文件之外或嵌套过深"
        )
    if entry.compress_type not in _PACKED:
        raise _refused(file, "one of its parts is packed in an unusual way", "部件的压缩方式异常")
    if entry.file_size > max(_UNSUSPECTED, entry.compress_size * MOST_RATIO):
        words = (
            f"a part of it unpacks to more than {MOST_RATIO} times its size, as only a bomb does",
            f"部件解压后超过原大小的 {MOST_RATIO} 倍，疑为压缩炸弹",
        )
        raise _refused(file, *words)


def _count_tags(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], size: int, file: str) -> None:
    """Unpack all parts once: none is larger than it declares, and reading their tags takes no longer than it should."""
    tags = 0
    for name, entry in entries.items():
        before = tags
        for piece in _pieces(archive, entry, file):
            tags += piece.count(b"<") if name.endswith(_XML) else 0
            if tags - before > MOST_TAGS.get(name, tags):
                words = (f"its part '{name}' has more than {MOST_TAGS[name]:,} tags", f"部件“{name}”的标签过多")
                raise _refused(file, *words)
            if tags > max(UNSUSPECTED_TAGS, size * TAGS_PER_BYTE):
                words = (
                    f"it has more than {TAGS_PER_BYTE} tags for each of its bytes, as only a bomb does",
                    f"平均每字节超过 {TAGS_PER_BYTE} 个标签，疑为压缩炸弹",
                )
                raise _refused(file, *words)


def _most_cells(size: int) -> int:
    return min(MOST_CELLS, max(UNSUSPECTED_CELLS, size * CELLS_PER_BYTE))


def _look_through(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], shared: Shared, file: str) -> Workbook:
    found: dict[str, Part] = {}
    for name in sorted((name for name in entries if name.endswith(_XML)), key=lambda name: name != _STRINGS):
        try:
            pieces = _pieces(archive, entries[name], file)
            found[name] = read_part(name, pieces, shared, is_strings=name == _STRINGS)
        except PartError as error:
            raise _refused(file, f"its part '{name}' {error}", f"部件“{name}”超出限制或不合规范") from None
    if {root.lower().removeprefix("/") for root in found[_ROOT].roots} != {_WORKBOOK}:
        raise _refused(file, "its workbook is in an unusual place", "工作簿的位置异常")
    workbook = Workbook()
    for sheet, relation in found[_WORKBOOK].sheets.items():
        part = _part_of(found[_RELATIONS].targets.get(relation, ""))
        if part not in found or part == _STRINGS:
            raise _refused(file, f"its sheet '{sheet[:31]}' is no part of it", f"工作表“{sheet[:31]}”不在文件中")
        workbook.oddities[sheet] = found[part].oddities
    return workbook


def _part_of(target: str) -> str:
    """Return the name of the part that a relation of the workbook leads to; empty if it may lead elsewhere."""
    if not _PART.fullmatch(target) or ".." in target or "%" in target or ":" in target:
        return ""
    name = target.lower().removeprefix("/")
    return posixpath.normpath(name if name.startswith("xl/") else f"xl/{name}")


def _pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: str) -> Iterator[bytes]:
    """Unpack a part to its end, whatever length is declared: calamine does not heed that either."""
    unbounded = copy(entry)
    unbounded.file_size = MOST_UNPACKED + 1
    size = 0
    with archive.open(unbounded) as stream:
        while piece := stream.read(_PIECE):
            size += len(piece)
            if size > entry.file_size:
                raise _refused(file, "a part of it unpacks to more than is declared", "部件解压后多于所声明的大小")
            yield piece
    if size != entry.file_size:
        raise _refused(file, "a part of it unpacks to less than is declared", "部件解压后少于所声明的大小")
