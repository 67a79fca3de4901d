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
COMMON: Final = frozenset(
    {
        "0123456789012345",
        "0987654321098765",
        "1234567890123456",
        "1q2w3e4r5t6y7u8i",
        "1qaz2wsx3edc4rfv",
        "abcdefghijklmnop",
        "administrator123",
        "changemechangeme",
        "iloveyouiloveyou",
        "letmeinletmein12",
        "passwordpassword",
        "qwertyuiopasdfgh",
        "woaini1314520520",
        "woaininiaiwoma12",
    }
)
"""The best known series and words, of the author's own listing, to be compared by their first twelve characters."""

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
    >>> check_new("Password1234", "li.na")
    >>> check_new("passwordpass", "li.na")
    Traceback (most recent call last):
    ...
    ValueError: it is among the best known ones
    """
    plain = _plain(password).casefold()
    if not SHORTEST <= len(plain) <= LONGEST:
        raise ValueError(f"it needs {SHORTEST} to {LONGEST} characters")
    if len(login) >= SHORTEST_TELLING and login.casefold() in plain:
        raise ValueError("it contains the login")
    if len(set(plain)) < FEWEST_DIFFERENT:
        raise ValueError(f"it needs {FEWEST_DIFFERENT} different characters")
    if any(plain.startswith(known[:SHORTEST]) for known in COMMON):
        raise ValueError("it is among the best known ones")


def _plain(password: str) -> str:
    """Return the one spelling of a password: an input method may type full-width letters (NIST SP 800-63B-4: NFKC)."""
    return unicodedata.normalize("NFKC", password)
