"""Opaque keyset cursors: a page says where the next one starts, by values and not by number."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BeforeValidator

from service.errors import InvalidPayload

Row = TypeVar("Row")

PAGE_SIZE = 100
_DIGITS = re.compile("[0-9]{1,16}")
NOT_OURS = "The cursor is not one that this list gave. Start again without it."


def _plain_number(value: object) -> object:
    """Refuse what Python reads as a number and the document does not: ``1_0``, a space before it."""
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("must be a whole number in digits")
    return value


Cursor = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=500,
        pattern="^[A-Za-z0-9_-]+$",
        description="`next` of the page before; nothing for the first page.",
    ),
]
Count = Annotated[int, BeforeValidator(_plain_number)]
"""A whole number in a query, in digits alone."""
Limit = Annotated[Count, Query(ge=1, le=1000, description="Rows a page.")]


def encode(values: Sequence[str]) -> str:
    """Write the sort values of a page's last row as a cursor.

    Examples
    --------
    >>> decode(encode(["2024-01-31", "a"]), 2)
    ['2024-01-31', 'a']
    """
    return base64.urlsafe_b64encode(json.dumps(list(values)).encode()).decode().rstrip("=")


def decode(cursor: str, length: int) -> list[str]:
    """Read a cursor.

    Raises
    ------
    InvalidPayload
        If it is not one that we wrote.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        is_ours = (
            isinstance(values, list)
            and len(values) == length
            and all(isinstance(v, str) and v.isprintable() for v in values)
        )
    except (ValueError, binascii.Error, RecursionError):
        is_ours = False
    if not is_ours:
        raise InvalidPayload(NOT_OURS)
    return [str(value) for value in values]


def cut(rows: Sequence[Row], limit: int, place: Callable[[Row], Sequence[str]]) -> tuple[list[Row], str | None]:
    """Return a page, and the cursor of the next one if there is one.

    Parameters
    ----------
    rows
        One more than the page holds, if there are so many.
    place
        The sort values of a row.

    Examples
    --------
    >>> page, following = cut(["a", "b", "c"], 2, list)
    >>> page, decode(following, 1), cut(["c"], 2, list)
    (['a', 'b'], ['b'], (['c'], None))
    """
    page = list(rows[:limit])
    return page, encode(place(page[-1])) if len(rows) > limit else None


def place_of(at: datetime, ident: UUID) -> list[str]:
    """Return the place of a row in a list by time."""
    return [at.isoformat(), str(ident)]


def decode_place(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Read the place of a row in a list by time; None on the first page.

    Raises
    ------
    InvalidPayload
        If it is not one that we wrote.
    """
    if cursor is None:
        return None
    at, ident = decode(cursor, 2)
    try:
        return datetime.fromisoformat(at).astimezone(UTC), UUID(ident)
    except (ValueError, OverflowError):
        raise InvalidPayload(NOT_OURS) from None
