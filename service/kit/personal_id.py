"""Numbers of identity documents: told from other texts, checked, and shown with most of it hidden.

What is looked for is what people write without thinking of it. A number in words, or parted by words, is not found.
"""

import re
import unicodedata
from datetime import date
from enum import StrEnum

_CARD = re.compile(r"[1-9][0-9]{16}[0-9X]")
_OLD_CARD = re.compile(r"[1-9][0-9]{14}")
_CARD_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_PASSPORT = re.compile(r"[A-Z0-9]{5,20}")
UNSEEN = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
)
"""Control and invisible characters, but for those beyond 16 bits, as a part of a class: no text has them."""
CONTROL = rf"[{UNSEEN}\U000e0000-\U000e007f]"
"""All of them."""
BETWEEN = (
    rf"[{UNSEEN}\s._/:*~|#+=\\'<>\"^\u00b7\u2010-\u2015\u2022\u2027\u20e3\u2212\u30fb\ufe0e\ufe0f\ufe58\ufe63\uff0d-]"
    r"{0,8}"
)
"""What may stand between two digits of a number that somebody writes in groups; what parts a list's numbers may not."""
_GAP = re.compile(BETWEEN)
_WITHIN = re.compile(rf"\d(?:{BETWEEN}\d)*(?:{BETWEEN}X)?", re.ASCII)
_GROUP = re.compile(r"\d+|X", re.ASCII)
_PROVINCE = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]")
_CARD_LENGTH = 18
_SHAPE = (
    *["[0-9]"] * 6,
    rf"(?:1{BETWEEN}9|[2-9]{BETWEEN}[0-9])",
    *["[0-9]"] * 2,
    rf"(?:0{BETWEEN}[1-9]|1{BETWEEN}[0-2])",
    rf"(?:0{BETWEEN}[1-9]|[12]{BETWEEN}[0-9]|3{BETWEEN}[01])",
    *["[0-9]"] * 3,
    "(?:[0-9](?:[^0-9]|$)|[Xx])",
)
SHAPE = rf"(?:^|[^0-9]){BETWEEN.join(_SHAPE)}"
"""Every ASCII text in which `holds_national_id` finds a number of 18 has this, as do few others: for bulk searches."""
_EARLIEST = date(1900, 1, 1)


PSEUDONYM = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of our own pseudonyms; those of imported files may have any."""


_OF_PERSONS = re.compile(r"[0-9]{17}[0-9X]|[0-9]{15}|(?:(?:00)?86)?1[3-9][0-9]{9}|[EG][A-Z0-9][0-9]{7}|[DPS]E[0-9]{7}")
"""Identity cards, mistyped ones too, of either length; mobile telephones; Chinese passports: of private persons E and
G, diplomatic, service and public ones."""


class IdKind(StrEnum):
    """What document a number is of."""

    NATIONAL_ID = "national_id"
    PASSPORT = "passport"


def is_national_id(text: str) -> bool:
    """Tell whether a text is the number of a Chinese identity card, however it is written.

    Of 18 characters (GB 11643-1999) with a day of birth and the right check character, or of the old 15 digits with a
    day of birth; full-width digits, a small x, blanks, dots and dashes hide it from nobody.

    Examples
    --------
    >>> is_national_id("11010519491231002X"), is_national_id("110105 19491231 002x"), is_national_id("110105491231002")
    (True, True, True)
    >>> is_national_id("110105194912310021"), is_national_id("110105991331002"), is_national_id("P000123")
    (False, False, False)
    """
    number = _GAP.sub("", plain(text))
    if _CARD.fullmatch(number):
        return _has_birthday(number[6:14]) and number[-1] == _check_character(number)
    return bool(_OLD_CARD.fullmatch(number)) and _has_birthday(f"19{number[6:12]}")


def looks_personal(text: str) -> bool:
    """Tell whether a whole text looks like a number by which a person is known, however it is written.

    That is an identity card's, whatever its check character, a mobile telephone's or a Chinese passport's. Other
    countries' passports, and permits, look like anybody's codes.

    Examples
    --------
    >>> [looks_personal(text) for text in ("110105194912310021", "138-0000-1111", "0086 13800001111", "e12345678")]
    [True, True, True, True]
    >>> [looks_personal(text) for text in ("P000123", "P13800001111", "12800001111", "2024000123", "E1234567")]
    [False, False, False, False, False]
    """
    return bool(_OF_PERSONS.fullmatch(_GAP.sub("", plain(text))))


def holds_national_id(text: str, *, or_old: bool = False) -> bool:
    """Tell whether a text has the number of a Chinese identity card in it, in whatever groups it is written.

    Parameters
    ----------
    or_old
        Look for numbers of 15 digits as well, which begin with a province's code. One in a hundred of all numbers of
        15 digits looks like one, so this is for notes and not for codes.

    Examples
    --------
    >>> holds_national_id("called 11010519491231002X at noon"), holds_national_id("invoice 03300210011145935612")
    (True, False)
    >>> holds_national_id("1101 0519 4912 3100 2X"), holds_national_id("call 13800001111, 110105.19491231.002x")
    (True, True)
    >>> holds_national_id("born 110105491231002"), holds_national_id("born 110105491231002", or_old=True)
    (False, True)
    """
    written = plain(text)
    return any(_run_holds(written, run, or_old=or_old) for run in _WITHIN.finditer(written))


def plain(text: str) -> str:
    """Return a text in capitals, with all digits written 0 to 9.

    Examples
    --------
    >>> plain("１¹①٣x")
    '1113X'
    """
    folded = unicodedata.normalize("NFKC", text).upper()
    return folded if folded.isascii() else "".join(str(unicodedata.decimal(one, one)) for one in folded)


def _run_holds(text: str, run: re.Match[str], *, or_old: bool) -> bool:
    """Tell whether neighbouring groups of digits make a number: it begins and ends where a group does."""
    groups = [found.span() for found in _GROUP.finditer(text, run.start(), run.end())]
    for first, (start, _) in enumerate(groups):
        number = ""
        for begin, end in groups[first : first + _CARD_LENGTH]:
            number += text[begin:end]
            if len(number) >= _CARD_LENGTH:
                break
            if or_old and _is_old(number) and not _touches_a_letter(text, start, end):
                return True
        if len(number) == _CARD_LENGTH and is_national_id(number):
            return True
    return False


def _is_old(number: str) -> bool:
    return bool(_PROVINCE.match(number)) and bool(_OLD_CARD.fullmatch(number)) and is_national_id(number)


def _touches_a_letter(text: str, start: int, end: int) -> bool:
    """Tell whether a Latin letter adjoins: such a number is a part of a code."""
    around = text[max(start - 1, 0) : start] + text[end : end + 1]
    return any(character.isascii() and character.isalpha() for character in around)


def check_number(kind: IdKind, number: str) -> str:
    """Check a document's number, and return it as it is hashed and kept: in capitals.

    Raises
    ------
    ValueError
        Saying what is wrong, without repeating the number.

    Examples
    --------
    >>> check_number(IdKind.NATIONAL_ID, "11010519491231002x"), check_number(IdKind.PASSPORT, "e12345678")
    ('11010519491231002X', 'E12345678')
    >>> check_number(IdKind.NATIONAL_ID, "110105194912310021")
    Traceback (most recent call last):
    ...
    ValueError: the last character is not the check character of the others (GB 11643-1999)
    """
    if not number.isascii():
        raise ValueError("has characters that only look like digits and letters; type them half-width, without an IME")
    number = number.upper()
    if kind is IdKind.PASSPORT:
        if not _PASSPORT.fullmatch(number):
            raise ValueError("a passport's number is 5 to 20 letters and digits")
        return number
    if not _CARD.fullmatch(number):
        raise ValueError("an identity card's number is 17 digits and a digit or X, without blanks")
    if not _has_birthday(number[6:14]):
        raise ValueError("digits 7 to 14 are not a day of birth")
    if number[-1] != _check_character(number):
        raise ValueError("the last character is not the check character of the others (GB 11643-1999)")
    return number


def mask_number(number: str) -> str:
    """Show three characters in front and two at the end of a long number; of a short one, one and two.

    Examples
    --------
    >>> mask_number("33010619800101001X"), mask_number("E12345678")
    ('330*************1X', 'E******78')
    """
    shown = 3 if len(number) >= 15 else 1
    return number[:shown] + "*" * (len(number) - shown - 2) + number[-2:]


def mask_name(name: str) -> str:
    """Show a name's first character, and not how long it is.

    Examples
    --------
    >>> mask_name("张伟"), mask_name("欧阳修远")
    ('张**', '欧**')
    """
    return name[:1] + "**"


def _has_birthday(digits: str) -> bool:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])) >= _EARLIEST
    except ValueError:
        return False


def _check_character(number: str) -> str:
    total = sum(int(digit) * weight for digit, weight in zip(number, _CARD_WEIGHTS, strict=False) if digit != "X")
    return "10X98765432"[total % 11]
