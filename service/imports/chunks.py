"""What readers of files hand on: rows as text, each with its number in the file, and the rows that are no rows."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from features.kinds.contract import Fault, Words
from service.imports.report import NULL_SHOWN
from service.kit.near import did_you_mean
from service.kit.personal_id import BETWEEN

REJECTS = {
    "file": pl.String(),
    "line": pl.Int64(),
    "column": pl.String(),
    "value": pl.String(),
    "reason": pl.String(),
    "remedy": pl.String(),
    "reason_zh": pl.String(),
    "remedy_zh": pl.String(),
}
"""A rejected row: where it is, the value at fault, what is wrong with it and what to do about it."""
SHOWN = 200
"""Characters of a value that are shown."""
_LOOKED_AT = 4096
"""Characters of a value in which numbers are hidden, of which the first are shown."""
Advance = Callable[[int], None]
HIDDEN = "***"
_DIGIT = r"\d"
_BORN = (
    rf"(?:0{BETWEEN}[1-9]|1{BETWEEN}[0-2])",
    rf"(?:0{BETWEEN}[1-9]|[12]{BETWEEN}\d|3{BETWEEN}[01])",
)
_CARD = (*[_DIGIT] * 6, rf"(?:1{BETWEEN}[89]|2{BETWEEN}0)", *[_DIGIT] * 2, *_BORN, *[_DIGIT] * 3, r"[\dXx]")
_OLD_CARD = (*[_DIGIT] * 8, *_BORN, *[_DIGIT] * 3)
NATIONAL_ID = re.compile(rf"(?<!\d)(?:{BETWEEN.join(_CARD)}|{BETWEEN.join(_OLD_CARD)})(?!\d)")
"""What has the form of an identity card's number, in half-width digits; its check character may be wrong."""


class ImportFailedError(Exception):
    """The file as a whole cannot be imported; nothing was loaded. The message has both languages.

    Parameters
    ----------
    place
        What is at fault: a file, and where in it, or what was told of it.
    wrong
        Why, and what to do about it.
    """

    def __init__(self, place: str, wrong: Fault) -> None:
        super().__init__(f"{place}: {sentence(wrong)}")


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file.

    Attributes
    ----------
    rows
        ``line`` (the row's number in the file, from 1 and with the header) and its columns as text; null: empty.
    rejects
        The rows that are no rows, as `REJECTS`.
    found
        The names of all the file's columns, as far as they are known by now.
    no_texts
        By column, the lines of cells that a spreadsheet holds as something else than text, such as a number.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    found: tuple[str, ...] = ()
    no_texts: Mapping[str, list[int]] = field(default_factory=dict)


def no_rejects() -> pl.DataFrame:
    """Return a table of rejected rows without any."""
    return pl.DataFrame(schema=REJECTS)


def reject(file: str, line: int, column: str, value: str, fault: Fault) -> pl.DataFrame:
    """Return a table of one rejected row."""
    return pl.DataFrame([(file, line, column, shown(value), *said(fault))], schema=REJECTS, orient="row")


def shown(value: str) -> str:
    r"""Return as much of a value as is shown, without numbers of persons and without what is no text.

    Examples
    --------
    >>> shown("E1,110105194912310021"), shown("\udcff\0"), len(shown("x" * 10**6))
    ('E1,***', '?␀', 200)
    """
    text = value[:_LOOKED_AT].encode(errors="replace").decode()
    return hidden(text).replace("\0", NULL_SHOWN)[:SHOWN]


def said(fault: Fault) -> tuple[str, str, str, str]:
    """Return a fault's words in the order of `REJECTS`."""
    return fault.reason.en, fault.remedy.en, fault.reason.zh, fault.remedy.zh


def no_such(en: str, zh: str, told: str, known: Iterable[str]) -> Fault:
    """Say that something that was told does not exist, what may be meant, and what there is.

    Examples
    --------
    >>> no_such("kind", "种类", "frim", ["firm", "loan"]).remedy.en
    "did you mean 'firm'? Use one of: firm, loan"
    """
    names = list(known)
    (near_en, near_zh), listed = did_you_mean(told, names), ", ".join(names)
    use = "Use" if near_en else "use"
    return fault(f"there is no such {en}", f"没有该{zh}", f"{near_en}{use} one of: {listed}", f"{near_zh}请用上列之一")


def sentence(wrong: Fault) -> str:
    """Return what is wrong and what to do about it, in English and Chinese.

    Examples
    --------
    >>> sentence(fault("it has a password", "文件有密码", "save it without", "请去掉密码"))
    'it has a password; save it without / 文件有密码；请去掉密码'
    """
    return f"{wrong.reason.en}; {wrong.remedy.en} / {wrong.reason.zh}；{wrong.remedy.zh}"


def fault(en: str, zh: str, remedy_en: str, remedy_zh: str) -> Fault:
    """Make a fault of its reason and remedy in both languages."""
    return Fault(Words(en, zh), Words(remedy_en, remedy_zh))


def hidden(text: str) -> str:
    """Return a text without national identity numbers: rejected rows are written to a file, and these never are.

    Examples
    --------
    >>> hidden("E1,110105194912310021,owner"), hidden("E1,7")
    ('E1,***,owner', 'E1,7')
    """
    plain = unicodedata.normalize("NFKC", text)
    return NATIONAL_ID.sub(HIDDEN, plain) if NATIONAL_ID.search(plain) else text
