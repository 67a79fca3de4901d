"""Read one XML part of a workbook for what must be known before the workbook is opened."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from service.imports.readers.contract import MOST_UNPACKED

MOST_CELLS = 5_000_000
"""Cells from A1 to the last row and column: calamine reserves each."""
MOST_ROWS, MOST_COLUMNS = 1 << 20, 1 << 14
"""Of Excel's own sheets."""
MOST_TEXT = 32_767
"""Characters of a text in Excel."""
_MOST_ODDITIES = 200_000
_MOST_ATTRIBUTES, _DEEPEST, _LONGEST_TAG = 256, 256, 1 << 20
_PLACE = re.compile(r"([A-Za-z]{1,3})([0-9]{1,7})")

Oddities = dict[tuple[int, int], str]
"""Row and column of a cell, both from 1, and the error that it shows; empty: a formula without a value."""


class PartError(Exception):
    """The part is hostile or damaged; the message goes on from its name."""


@dataclass
class Strings:
    """The shared texts' lengths, in order."""

    lengths: list[int] = field(default_factory=list)


@dataclass
class Part:
    """What was found in a part."""

    sheets: dict[str, str] = field(default_factory=dict)
    """Of the workbook: the sheets' names, and the ids of their relations."""
    targets: dict[str, str] = field(default_factory=dict)
    """Of relations: their ids, and where they lead."""
    oddities: Oddities = field(default_factory=dict)


def read_part(name: str, pieces: Iterator[bytes], strings: Strings, *, is_strings: bool) -> Part:
    """Read a part.

    Raises
    ------
    PartError
        If it is damaged, or is what no spreadsheet program writes.
    """
    return _Reader(name, strings, is_strings=is_strings).read(pieces)


class _Reader:
    def __init__(self, name: str, strings: Strings, *, is_strings: bool) -> None:
        self._part, self._strings = Part(), strings
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._in_strings if is_strings else self._in_other
        self._ended: list[str] = []
        self._parser.EndElementHandler = self._ended.append
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        if name.startswith("xl/"):
            self._parser.XmlDeclHandler = self._check_encoding
        self._started = self._depth = self._text = 0
        self._row = self._column = self._last_row = self._last_column = 0
        self._cell = ""
        """The type of the cell that is being read."""
        self._has_formula = self._has_value = self._is_row_told = False

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
        return self._part

    def _check(self, fed: int) -> None:
        """Check what grows from piece to piece: a tag that does not end, and elements that do not."""
        if fed - max(0, self._parser.CurrentByteIndex) > _LONGEST_TAG:
            raise PartError("has a tag that is too long")
        self._depth += self._started - len(self._ended)
        self._started = 0
        self._ended.clear()
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
            if len(self._strings.lengths) == MOST_CELLS:
                raise PartError(f"has more than {MOST_CELLS:,} texts")
            self._strings.lengths.append(0)
            self._parser.CharacterDataHandler = self._add_length

    def _add_length(self, text: str) -> None:
        self._strings.lengths[-1] += len(text)
        if self._strings.lengths[-1] > 2 * MOST_TEXT:
            raise PartError(f"has a text of more than {MOST_TEXT:,} characters")

    def _in_other(self, name: str, attributes: dict[str, str]) -> None:
        self._started += 1
        if len(attributes) > _MOST_ATTRIBUTES:
            raise PartError("has a tag with too many attributes")
        if ":" in name:
            name = name.rpartition(":")[2]
        if name == "c":
            self._begin_cell(attributes)
        elif name in {"v", "is"}:
            self._value()
        elif name == "f":
            self._has_formula = True
        elif name == "row":
            self._end_cell()
            place = attributes.get("r")
            self._row = self._row + 1 if place is None else _row_number(place)
            self._is_row_told = place is not None
            self._column = 0
        elif name == "si":
            raise PartError("has shared texts in an unusual place")
        elif name == "sheet":
            relation = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), "")
            self._part.sheets[attributes.get("name", "")] = relation
        elif name == "Relationship":
            self._part.targets[attributes.get("Id", "")] = attributes.get("Target", "")

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        self._end_cell()
        place = attributes.get("r")
        if place is None:
            self._column += 1
        else:
            found = _PLACE.fullmatch(place)
            if found is None:
                raise PartError("has a cell of no row and column")
            self._column, row = _column_number(found[1]), int(found[2])
            if row < self._row or (self._is_row_told and row != self._row):
                raise PartError("has a cell in another's row")
            self._row = row
        self._cell = attributes.get("t", "n")

    def _value(self) -> None:
        """Note a cell that has a value: its place counts, and so does the text that is copied into it."""
        self._has_value = True
        self._last_row, self._last_column = max(self._last_row, self._row), max(self._last_column, self._column)
        is_outside = self._last_row > MOST_ROWS or self._last_column > MOST_COLUMNS
        if is_outside or self._last_row * self._last_column > MOST_CELLS:
            raise PartError(f"has more than {MOST_CELLS:,} cells from A1 to its last row and column")
        if self._cell == "s":
            self._parser.CharacterDataHandler = self._add_text
        elif self._cell == "e":
            self._parser.CharacterDataHandler = self._add_error

    def _add_text(self, index: str) -> None:
        self._parser.CharacterDataHandler = None
        lengths = self._strings.lengths
        if index.isdecimal() and len(index) < 9 and int(index) < len(lengths):
            self._text += lengths[int(index)]
        if self._text > MOST_UNPACKED:
            raise PartError(f"repeats texts to more than {MOST_UNPACKED:,} characters")

    def _add_error(self, text: str) -> None:
        self._parser.CharacterDataHandler = None
        self._note(text.strip()[:32] or "#N/A")

    def _end_cell(self) -> None:
        if self._has_formula and not self._has_value:
            self._note("")
        self._has_formula = self._has_value = False
        self._cell = ""

    def _note(self, error: str) -> None:
        self._part.oddities[self._row, self._column] = error
        if len(self._part.oddities) > _MOST_ODDITIES:
            raise PartError(f"has more than {_MOST_ODDITIES:,} cells without a value")


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def _row_number(digits: str) -> int:
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 7:
        raise PartError("has a row of no number")
    return int(digits)
