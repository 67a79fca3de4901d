"""Passwords: which are good enough, and their hashes, of which two are worked on at a time.

A hash costs 64 MiB for a moment (RFC 9106, section 4, the option for less memory: Argon2id, three passes, four
lanes). Blocks of that size come from and go back to the operating system one by one, so two turns are 128 MiB at
most, whoever asks. Places to wait are few: who finds none is told to come back, and its attempt is not counted.
"""

import unicodedata
from typing import Final

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from service.errors import InvalidPayload
from service.kit.turns import Turns

SHORTEST, LONGEST = 12, 128
FEWEST_DIFFERENT = 5
SHORTEST_TELLING = 4
"""A shorter login is in many a good password by chance."""
PLACES: Final = Turns("signing in", running=2, waiting=6, seconds=5)
"""Of this process. Six wait about a second at most; the rest of a crowd is refused at once."""
NOBODYS: Final = "$argon2id$v=19$m=65536,t=3,p=4$Q995AaG8X40SMyAp3oDmug$aj9f8BIhJBFDLsSZcRT3JV5jDuEznInj9pfMOatWpyg"
"""Of 256 random bits that nobody has: what is compared where there is nobody to compare with."""
FEWEST_LETTERS = 4
SHORTEST_RUN = 3
_WORDS = """
    admin administrator bank baseball batman change changeme clustercredit credit default demo dragon football freedom
    guest hello iloveyou letmein login love master mima monkey nihao niaiwoma pass passphrase passwd password princess
    root secret sunshine superman system temp temporary test trustno user welcome whatever woaini woaiwojia wodemima
    yinhang zhongguo
"""
COMMON: Final = frozenset(_WORDS.split())
"""The best known words, Chinese ones spelt in Pinyin, of the author's own listing."""
RUNS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    *("qaz", "wsx", "edc", "rfv", "tgb", "yhn", "ujm"),
)
"""The alphabet, and a keyboard's rows and columns; a stretch of three letters or more, either way, is well known."""
LEET: Final = str.maketrans("0134578@$!|+", "oieastbasiit")
"""Digits and signs that stand for letters."""

_hasher: Final = PasswordHash((Argon2Hasher(time_cost=3, memory_cost=64 * 1024, parallelism=4),))


def hash_new(password: str, login: str) -> str:
    """Return the hash of a new password.

    Raises
    ------
    InvalidPayload
        If it is too easy to guess.
    TooManyRequests
        If too many passwords are at work.
    """
    try:
        check_new(password, login)
    except ValueError as error:
        raise InvalidPayload(f"Choose another password: {error}.") from None
    with PLACES.turn():
        return _hasher.hash(_plain(password))


def verify(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Compare a password with a hash; the work is the same if there is none.

    Returns
    -------
    tuple
        Whether it is right; and, if the stored hash was made with other parameters, the hash to keep from now on.

    Raises
    ------
    TooManyRequests
        If too many passwords are at work.
    """
    with PLACES.turn():
        is_right, better = _hasher.verify_and_update(_plain(password), stored or NOBODYS)
    return is_right and stored is not None, better


def check_new(password: str, login: str) -> None:
    """Check that a password is long enough and not among the first that anybody would try.

    Raises
    ------
    ValueError
        Saying what is wrong with it.

    Examples
    --------
    >>> check_new("seven geese over Luqiao", "li.na")
    >>> check_new("Passw0rd1234", "li.na")
    Traceback (most recent call last):
    ...
    ValueError: it is made of the best known words, digits and signs
    """
    plain = _plain(password).casefold()
    if not SHORTEST <= len(plain) <= LONGEST:
        raise ValueError(f"it needs {SHORTEST} to {LONGEST} characters")
    if len(login) >= SHORTEST_TELLING and login.casefold() in plain:
        raise ValueError("it contains the login")
    if len(set(plain)) < FEWEST_DIFFERENT:
        raise ValueError(f"it needs {FEWEST_DIFFERENT} different characters")
    if len(_letters(plain)) < FEWEST_LETTERS:
        raise ValueError(f"it needs {FEWEST_LETTERS} letters")
    if is_well_known(plain):
        raise ValueError("it is made of the best known words, digits and signs")


def is_well_known(plain: str) -> bool:
    """Tell whether what is left without the digits and signs around is made of best known words and runs alone.

    Digits and signs in between are taken for the letters that they stand for, or left out, whichever fits.

    Examples
    --------
    >>> [is_well_known(text) for text in ("p@ssw0rd-2026", "1qaz2wsx3edc", "woaini123456", "geese123456")]
    [True, True, True, False]
    """
    begin = next((place for place, sign in enumerate(plain) if sign.isalpha()), len(plain))
    end = len(plain) - next((place for place, sign in enumerate(reversed(plain)) if sign.isalpha()), 0)
    core = plain[begin:end]
    return any(_is_composed(_letters(text)) for text in (core, core.translate(LEET), plain.translate(LEET)))


def _is_composed(letters: str) -> bool:
    """Tell whether letters are known words and runs, one after the other."""
    reached = {0}
    for end in range(1, len(letters) + 1):
        if any(_is_known(letters[begin:end]) for begin in reached if end - begin <= max(map(len, RUNS))):
            reached.add(end)
    return len(letters) in reached


def _is_known(part: str) -> bool:
    is_run = len(part) >= SHORTEST_RUN and any(part in run or part in run[::-1] for run in RUNS)
    return is_run or part in COMMON


def _letters(text: str) -> str:
    return "".join(sign for sign in text if sign.isalpha())


def _plain(password: str) -> str:
    """Return the one spelling of a password: an input method may type full-width letters (NIST SP 800-63B-4: NFKC)."""
    return unicodedata.normalize("NFKC", password)
