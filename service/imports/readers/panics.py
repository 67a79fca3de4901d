"""Make of what libraries raise over a bad file a clear failure."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
from python_calamine import CalamineError

from service.imports.chunks import ImportFailedError, shown

_RUST_PANIC = ("pyo3_runtime", "PanicException")
"""Every library in Rust has a class of its own of this name; none can be imported, and none is an Exception."""


@contextmanager
def readable(file: str, what: str) -> Iterator[None]:
    """Turn errors and panics of polars and calamine into `ImportFailedError`.

    Raises
    ------
    ImportFailedError
        If the file cannot be read.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, CalamineError, OSError, ValueError, OverflowError) as error:
        raise _unreadable(file, what, error) from None
    except BaseException as error:
        if (type(error).__module__, type(error).__name__) != _RUST_PANIC:
            raise
        raise _unreadable(file, what, error) from None


def _unreadable(file: str, what: str, error: BaseException) -> ImportFailedError:
    why = shown(" ".join(str(error).split()))
    return ImportFailedError(f"{file}: the {what} file is damaged: {why}. Make it or send it again.")
