"""The word that somebody may have meant who wrote another one."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_LIKENESS = 0.7
"""Share of characters in common from which two words are near."""
_LOOKED_AT = 64


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is spelt most nearly like one; empty if none is near.

    Capitals do not count, nor whether words are joined by blanks, hyphens or underscores. A word in Chinese is near to
    itself alone: one character makes it another, as 应收账款 and 应付账款.

    Examples
    --------
    >>> nearest("invioce_type", ["firm_id", "invoice_type"]), nearest("Firm ID", ["firm_id"]), nearest("x", ["firm_id"])
    ('invoice_type', 'firm_id', '')
    """
    by_look = {_look(name): name for name in known}
    look = _look(word)
    found = get_close_matches(look, by_look, 1, _LIKENESS) if look.isascii() else [look]
    return by_look.get(found[0], "") if found else ""


def did_you_mean(word: str, known: Iterable[str]) -> tuple[str, str]:
    """Return the question whether a near word was meant, in English and Chinese; empty if none is near.

    Examples
    --------
    >>> did_you_mean("frim", ["firm", "loan"]), did_you_mean("x", ["firm"])
    (("did you mean 'firm'? ", "是否应为 'firm'？"), ('', ''))
    """
    near = nearest(word, known)
    return (f"did you mean '{near}'? ", f"是否应为 '{near}'？") if near else ("", "")


def must_be_one_of(word: str, known: Iterable[str]) -> str:
    """Say which words there are, and which of them may have been meant, without repeating the one that was written.

    Examples
    --------
    >>> must_be_one_of("frim", ["firm", "loan"])
    "must be one of firm, loan; did you mean 'firm'? / 是否应为 'firm'？"
    """
    names = list(known)
    en, zh = did_you_mean(word, names)
    return f"must be one of {', '.join(names)}" + (f"; {en}/ {zh}" if en else "")


def _look(word: str) -> str:
    return re.sub(r"[\s_-]+", "_", word[:_LOOKED_AT].strip().lower())
