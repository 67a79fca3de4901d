"""Which failures of the database pass by themselves, so that the same work may be done again."""

from psycopg import Error as DatabaseError
from psycopg.errors import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.errors import InsufficientStorage, fault_of

_PASSING = ("08", "40", "53", "55", "57", "58", "25P03")
"""How the SQL states begin of lost connections, victims of other transactions, want of room, locks that are not to be
had, ends by an operator or a crash, failures of the machine, and transactions that were silent for too long."""


def is_full_disk(error: BaseException) -> bool:
    """Tell whether there was no room, which is nothing that the work did."""
    return isinstance(fault_of(error), InsufficientStorage)


def is_passing(error: BaseException) -> bool:
    """Tell whether the database, or the disk, may have let the same work succeed at another time.

    Examples
    --------
    >>> from psycopg.errors import LockNotAvailable, NotNullViolation
    >>> is_passing(LockNotAvailable()), is_passing(NotNullViolation()), is_passing(ValueError())
    (True, False, False)
    """
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, DatabaseError):
        if cause.sqlstate is None:
            return isinstance(cause, OperationalError | InterfaceError)
        return cause.sqlstate.startswith(_PASSING)
    return isinstance(error, PoolTimeoutError) or is_full_disk(error)
