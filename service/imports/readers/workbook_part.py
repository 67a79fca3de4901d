"""Read one XML part of a workbook for what must be known before the workbook is opened."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from xml.parsers import expat

from service.imports.readers.contract import MOST_UNPACKED

MOST_CELLS = 5_000_000
"""Cells from A1 to the last row and column: calamine reserves each."""
MOST_SHEETS, MOST_LINKS = 1_000, 5_000
"""Of a workbook; what a sheet links to may be more, and is not looked for."""
MOST_ROWS, MOST_COLUMNS = 1 << 20, 1 << 14
"""Of Excel's own sheets."""
MOST_TEXT = 32_767
"""Characters of a text in Excel."""
MOST_ODDITIES = 200_000
"""Cells without a value in all parts."""
_MOST_ATTRIBUTES, _DEEPEST, _LONGEST_TAG = 256, 256, 1 << 20
_PLACE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")

Oddities = dict[tuple[int, int], str]
"""Row and column of a cell, both from 1, and the error that it shows; empty: a formula without a value."""


class PartError(Exception):
    """The part is hostile or damaged; the message goes on from its name."""


@dataclass
class Shared:
    """What all parts of a workbook have together."""

    most_cells: int = MOST_CELLS
    """That each sheet may have from A1 to its last row and column."""
    lengths: list[int] = field(default_factory=list)
    """Of the shared texts, in order."""
    oddities: int = 0


@dataclass
class Part:
    """What was found in a part."""

    sheets: dict[str, str] = field(default_factory=dict)
    """Of the workbook: the sheets' names, and the ids of their relations."""
    targets: dict[str, str] = field(default_factory=dict)
    """Of relations: their ids, and where they lead."""
    roots: set[str] = field(default_factory=set)
    """Where the relations lead that name the workbook."""
    oddities: Oddities = field(default_factory=dict)


def read_part(name: str, pieces: Iterator[bytes], shared: Shared, *, is_strings: bool) -> Part:
    """Read a part.

    Raises
    ------
    PartError
        If it is damaged, or is what no spreadsheet program writes.
    """
    return _Reader(name, shared, is_strings=is_strings).read(pieces)


class _Reader:
    def __init__(self, name: str, shared: Shared, *, is_strings: bool) -> None:
        self._part, self._shared = Part(), shared
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._in_strings if is_strings else self._in_other
        self._ended: list[str] = []
        self._written: list[str] = []
        """Texts in the value of a cell with an error, and after it."""
        self._indexes: list[str] = []
        self._parser.EndElementHandler = self._ended.append
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        if name.startswith("xl/"):
            self._parser.XmlDeclHandler = self._check_encoding
        self._started = self._depth = self._text = 0
        self._row = self._column = self._last_row = self._last_column = 0
        self._cell = ""
        """The type of the cell that is being read."""
        self._digits = ""
        """The number of the row, as its tag has it; empty if it has none."""
        self._is_open = self._has_formula = self._has_value = False
        self._is_listening = False
        """Whether texts are taken for numbers of shared texts."""

    def read(self, pieces: Iterator[bytes]) -> Part:
        fed = 0
        try:
            for piece in pieces:
                if not fed and piece.startswith((b"\xff\xfe", b"\xfe\xff", b"\0", b"<\0")):
                    raise PartError("is not UTF-8")
                self._parser.Parse(piece, False)
                fed += len(piece)
                self._check(fed)
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise PartError(f"is damaged: {error}") from None
        self._end_cell()
        self._add_texts()
        return self._part

    def _check(self, fed: int) -> None:
        """Check what grows from piece to piece: a tag that does not end, and elements that do not."""
        if fed - max(0, self._parser.CurrentByteIndex) > _LONGEST_TAG:
            raise PartError("has a tag that is too long")
        self._depth += self._started - len(self._ended)
        self._started = 0
        self._ended.clear()
        self._add_texts()
        if self._depth > _DEEPEST:
            raise PartError("is nested too deep")

    def _refuse_doctype(self, *_: object) -> None:
        raise PartError("has a document type declaration (DOCTYPE), by which files are read and memory is filled")

    def _check_encoding(self, _: str, encoding: str | None, __: int) -> None:
        if encoding is not None and encoding.lower() not in {"utf-8", "utf8", "ascii", "us-ascii"}:
            raise PartError("is not UTF-8")

    def _in_strings(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        if len(attributes) > _MOST_ATTRIBUTES:
            raise PartError("has a tag with too many attributes")
        if name.rpartition(":")[2] == "si":
            if not self._shared.lengths:
                self._parser.CharacterDataHandler = self._add_length
            if len(self._shared.lengths) == MOST_CELLS:
                raise PartError(f"has more than {MOST_CELLS:,} texts")
            self._shared.lengths.append(0)

    def _add_length(self, text: str) -> None:
        self._shared.lengths[-1] += len(text)
        if self._shared.lengths[-1] > 2 * MOST_TEXT:
            raise PartError(f"has a text of more than {MOST_TEXT:,} characters")

    def _in_other(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        if len(attributes) > _MOST_ATTRIBUTES:
            raise PartError("has a tag with too many attributes")
        name = name.rpartition(":")[2]
        if name == "sheetData":
            self._parser.StartElementHandler = self._in_sheet
        elif name in {"si", "sheet", "Relationship"}:
            self._note_link(name, attributes)

    def _in_sheet(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        if len(attributes) > _MOST_ATTRIBUTES:
            raise PartError("has a tag with too many attributes")
        if ":" in name:
            name = name.rpartition(":")[2]
        if name == "c":
            if self._is_open:
                self._end_cell()
            self._has_value = False
            self._go_to(attributes.get("r"))
            self._cell = attributes.get("t", "n")
        elif name in {"v", "is"}:
            self._value()
        elif name == "f":
            self._is_open = self._has_formula = True
        elif name == "row":
            self._end_cell()
            digits = attributes.get("r")
            self._row = self._row + 1 if digits is None else _row_number(digits)
            self._digits = digits or ""
            self._column = 0

    def _note_link(self, name: str, attributes: dict[str, str]) -> None:
        if name == "si":
            raise PartError("has shared texts in an unusual place")
        if name == "sheet":
            relation = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), "")
            self._part.sheets[attributes.get("name", "")] = relation
            if len(self._part.sheets) > MOST_SHEETS:
                raise PartError(f"has more than {MOST_SHEETS:,} sheets")
        elif len(self._part.targets) < MOST_LINKS:
            target = attributes.get("Target", "")
            self._part.targets[attributes.get("Id", "")] = target
            if attributes.get("Type", "").endswith("/officeDocument"):
                self._part.roots.add(target)

    def _go_to(self, place: str | None) -> None:
        """Go to a cell's place, which must be in its row; without a place, to the next."""
        if place is None:
            self._column += 1
            return
        width = len(self._digits)
        if width and place[-width:] == self._digits:
            self._column = _column_number(place[:-width])
            return
        found = _PLACE.fullmatch(place)
        if found is None:
            raise PartError("has a cell of no row and column")
        self._column, row = _column_number(found[1]), int(found[2])
        if width or row < self._row:
            raise PartError("has a cell in another's row")
        self._row = row

    def _value(self) -> None:
        """Note a cell that has a value: its place counts, and so does the text that is copied into it."""
        self._has_value = True
        if self._row > self._last_row or self._column > self._last_column:
            self._reach(max(self._last_row, self._row), max(self._last_column, self._column))
        if self._cell == "e":
            self._is_open, self._is_listening = True, False
            self._parser.CharacterDataHandler = self._written.append
        elif (self._cell == "s") != self._is_listening:
            self._is_listening = not self._is_listening
            self._parser.CharacterDataHandler = self._indexes.append if self._is_listening else None

    def _reach(self, last_row: int, last_column: int) -> None:
        self._last_row, self._last_column = last_row, last_column
        if last_row > MOST_ROWS or last_column > MOST_COLUMNS or last_row * last_column > self._shared.most_cells:
            words = "cells from A1 to its last row and column, the most for a file of its size"
            raise PartError(f"has more than {self._shared.most_cells:,} {words}")

    def _add_texts(self) -> None:
        """Add up the lengths of the texts that cells share; what is no index is a blank between tags, or damage."""
        lengths = self._shared.lengths
        for index in self._indexes:
            if index.isdecimal() and len(index) < 9 and int(index) < len(lengths):
                self._text += lengths[int(index)]
        self._indexes.clear()
        if self._text > MOST_UNPACKED:
            raise PartError(f"repeats texts to more than {MOST_UNPACKED:,} characters")

    def _end_cell(self) -> None:
        """Note a cell with an error, or with a formula and no value."""
        if self._has_formula and not self._has_value:
            self._note("")
        elif self._cell == "e" and self._has_value:
            self._note("".join(self._written[:1]).strip()[:32] or "#N/A")
            self._written.clear()
            self._parser.CharacterDataHandler = None
        self._is_open = self._has_formula = self._has_value = False
        self._cell = ""

    def _note(self, error: str) -> None:
        self._part.oddities[self._row, self._column] = error
        self._shared.oddities += 1
        if self._shared.oddities > MOST_ODDITIES:
            raise PartError(f"has, with those before it, more than {MOST_ODDITIES:,} cells without a value")


@lru_cache(1024)
def _column_number(letters: str) -> int:
    if not 0 < len(letters) < 4 or not letters.isascii() or not letters.isalpha():
        raise PartError("has a cell of no row and column")
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def _row_number(digits: str) -> int:
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 7:
        raise PartError("has a row of no number")
    return int(digits)
