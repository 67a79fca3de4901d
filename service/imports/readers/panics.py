"""Make of what libraries raise over a bad file a clear failure."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl
from python_calamine import CalamineError

from service.imports.chunks import ImportFailedError, fault, shown
from service.imports.readers.content import AGAIN

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
        raise damaged(file, what, error) from None
    except BaseException as error:
        if (type(error).__module__, type(error).__name__) != _RUST_PANIC:
            raise
        raise damaged(file, what, error) from None


def damaged(file: str, what: str, why: object) -> ImportFailedError:
    """Say that a file of a format is damaged, and why, which is an error or words."""
    why = shown(" ".join(str(why).split()))
    return ImportFailedError(file, fault(f"the {what} file is damaged: {why}", f"{what} 文件已损坏", *AGAIN))
