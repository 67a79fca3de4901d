"""No lost update: a change names, in If-Match, the state that it was made from.

A mutable object's answer carries its version as an ETag: the state that a change is made from. What comes in by the
ledger (a firm's newest name) or by use (a key's last use) is no change in this sense and leaves it as it is. A
change without If-Match is answered 428, a change made from another state 412; of many made from one state one wins,
since the row is locked before it is compared.
"""

from typing import Annotated

from fastapi import Depends, Header, Response

from service.errors import PreconditionFailed, PreconditionRequired
from service.kit.db import TenantSession
from service.kit.rows import MutableRow

CHANGED = (
    "It is not what If-Match says: it has changed since, or the ETag is not as it was sent, with its quotation marks. "
    "Read it again, and send its ETag."
)


def etag_of(version: int) -> str:
    """Return a version as a strong ETag.

    Examples
    --------
    >>> etag_of(3)
    '"3"'
    """
    return f'"{version}"'


def tag(response: Response, version: int) -> None:
    """Send an object's version with its answer."""
    response.headers["ETag"] = etag_of(version)


class Precondition:
    """The states that a request is willing to change.

    Parameters
    ----------
    header
        ``If-Match`` as sent; ``*`` and weak tags name no state.
    """

    def __init__(self, header: str) -> None:
        self._tags = {part.strip() for part in header.split(",")}

    def check(self, row: MutableRow) -> None:
        """Compare with the row's state; the row must be locked.

        Raises
        ------
        PreconditionFailed
            If the row has changed since.
        """
        if etag_of(row.version) not in self._tags:
            raise PreconditionFailed(f"{CHANGED} It is {etag_of(row.version)} now.")

    def check_repeated(self, row: MutableRow) -> None:
        """Compare with the states just before and after a last change, so that its repetition may say the same.

        Raises
        ------
        PreconditionFailed
            If the request was made from neither.
        """
        if not {etag_of(row.version - 1), etag_of(row.version)} & self._tags:
            raise PreconditionFailed(CHANGED)


def save(session: TenantSession, row: MutableRow) -> None:
    """Keep a changed row as its next version."""
    row.version += 1
    session.add(row)
    session.flush()


def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            max_length=500,
            description="The ETag that the object had when you read it.",
            examples=['"1"'],
            json_schema_extra={"minLength": 1, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        ),
    ] = None,
) -> Precondition:
    if not if_match:
        raise PreconditionRequired(
            'Send an If-Match header: the ETag of the object as you read it, with its quotation marks, such as "1". '
            "The number in it is the object's `version`."
        )
    return Precondition(if_match)


IfMatch = Annotated[Precondition, Depends(_if_match)]
