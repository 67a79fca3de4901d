"""Which files are taken, and whether one is what it is said to be."""

from dataclasses import dataclass
from typing import Final

_OFFICE = "application/vnd.openxmlformats-officedocument"


@dataclass(frozen=True)
class FileType:
    """A type of files: the suffix of their names, how they begin, and what is in them somewhere."""

    suffix: str
    begins: tuple[bytes, ...]
    holds: bytes = b""


TYPES: Final[dict[str, FileType]] = {
    "application/pdf": FileType("pdf", (b"%PDF-",)),
    "image/png": FileType("png", (b"\x89PNG\r\n\x1a\n",)),
    "image/jpeg": FileType("jpg", (b"\xff\xd8\xff",)),
    "image/tiff": FileType("tif", (b"II*\x00", b"MM\x00*")),
    f"{_OFFICE}.wordprocessingml.document": FileType("docx", (b"PK\x03\x04",), b"word/document.xml"),
    f"{_OFFICE}.spreadsheetml.sheet": FileType("xlsx", (b"PK\x03\x04",), b"xl/workbook.xml"),
    "text/csv": FileType("csv", ()),
    "text/plain": FileType("txt", ()),
}
"""The types that are taken. A text has no beginning of its own: it has no NUL, and begins as none of the others."""
SUFFIXES: Final = {"jpeg": "image/jpeg", "tiff": "image/tiff"} | {t.suffix: name for name, t in TYPES.items()}
_BINARY = tuple(begin for file_type in TYPES.values() for begin in file_type.begins)


def is_of_type(media_type: str, content: bytes) -> bool:
    """Tell whether a file is of the type that it is said to be, as far as its first bytes show.

    Names in a ZIP archive stand in it as they are, so an office file is told without unpacking anything.

    Examples
    --------
    >>> is_of_type("application/pdf", b"%PDF-1.7"), is_of_type("image/png", b"%PDF-1.7")
    (True, False)
    >>> is_of_type("text/csv", b"a,b"), is_of_type("text/csv", b"%PDF-1.7"), is_of_type("text/plain", bytes(3))
    (True, False, False)
    """
    expected = TYPES[media_type]
    if not expected.begins:
        return not content.startswith(_BINARY) and b"\x00" not in content
    return content.startswith(expected.begins) and expected.holds in content
