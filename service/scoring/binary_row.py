"""A score as 424 bytes, the form that the audit log proves: docs/score-row.md, `score-row/1`.

Whole chunks are encoded at once. A row holds every column of the stored score but the number of its batch, texts by
their SHA-256, so that a changed column is a changed row, and a changed row another leaf.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

FORMAT: Final = "score-row/1"
VERSION: Final = 1
ROW: Final = np.dtype(
    [
        ("version", "<u4"),
        ("as_of", "<i4"),
        ("scored_at", "<i8"),
        ("tenant_id", "V16"),
        ("id", "V16"),
        ("firm_id", "V16"),
        ("model_version_id", "V16"),
        ("context_id", "V16"),
        ("run_id", "V16"),
        ("pd", "<f8"),
        ("interval_low", "<f8"),
        ("interval_high", "<f8"),
        ("points", "<f8"),
        ("product", "S64"),
        ("grade", "S4"),
        ("stable_grade", "S4"),
        ("interval_kind", "S16"),
        ("pd_basis", "S16"),
        ("decision", "S16"),
        ("reasons", "V32"),
        ("features", "V32"),
        ("missing", "V32"),
        ("reason_families", "V32"),
        ("actor", "V32"),
    ]
)
"""Fields without gaps, numbers little-endian."""
COLUMNS: Final = {
    "as_of": pl.Date(),
    "scored_at": pl.Int64(),
    **dict.fromkeys(("tenant_id", "id", "firm_id", "model_version_id", "context_id", "run_id"), pl.String()),
    **dict.fromkeys(("pd", "interval_low", "interval_high", "points"), pl.Float64()),
    **dict.fromkeys(("product", "grade", "stable_grade", "interval_kind", "pd_basis", "decision"), pl.String()),
    **dict.fromkeys(("reasons", "features", "missing", "reason_families", "actor"), pl.String()),
}
"""Columns of the frame that `encode` takes: ids in hexadecimal, `scored_at` in microseconds since 1970, in UTC."""
TEXTS: Final = tuple(name for name in COLUMNS if ROW[name] == np.dtype("V32"))
"""Columns that a row holds by their SHA-256."""
NO_RUN: Final = "0" * 32


def encode(frame: pl.DataFrame) -> NDArray[np.void]:
    """Return scores as rows of dtype `ROW`, shape (n,), in the frame's order.

    Parameters
    ----------
    frame
        Columns as in `COLUMNS`; texts to the letter as they are stored.

    Raises
    ------
    ValueError
        If a code is longer than its field, or not ASCII.
    """
    rows = np.zeros(frame.height, dtype=ROW)
    rows["version"] = VERSION
    for name in COLUMNS:
        series, field = frame[name], ROW[name]
        if field.kind in "SV":
            texts = series.fill_null(NO_RUN) if name == "run_id" else series
            rows[name] = _each(texts, field) if name in _OF_ITS_OWN else _once(texts, field)
        elif field.kind == "f":
            rows[name] = series.fill_null(np.nan).to_numpy()
        else:
            rows[name] = series.to_physical().to_numpy()
    rows["points"][np.isnan(rows["points"])] = np.nan
    return rows


def leaves(rows: NDArray[np.void]) -> list[bytes]:
    """Return the leaf of each row (RFC 6962): SHA-256 of a zero byte and the row."""
    data, size = rows.tobytes(), rows.dtype.itemsize
    return [sha256(b"\x00" + data[at : at + size]).digest() for at in range(0, len(data), size)]


def _each(series: pl.Series, field: np.dtype[Any]) -> NDArray[Any]:
    """Return the field of each row, where hardly two rows have the same."""
    return np.frombuffer(_BYTES[field](series), dtype=field)


def _once(series: pl.Series, field: np.dtype[Any]) -> NDArray[Any]:
    """Return the field of each row, made once for all rows that have the same."""
    distinct = series.unique()
    places = series.cast(pl.Enum(distinct)).to_physical().to_numpy()
    made = _codes(distinct, field) if field.kind == "S" else _each(distinct, field)
    return np.take(made, places)


def _codes(series: pl.Series, field: np.dtype[Any]) -> NDArray[Any]:
    if too_long := [code for code in series if len(code) > field.itemsize or not code.isascii()]:
        raise ValueError(f"{series.name}: {too_long[0]!r} is no ASCII code of at most {field.itemsize} characters")
    return np.array(series.to_list(), dtype=field)


def _ids(series: pl.Series) -> bytes:
    return bytes.fromhex("".join(series).replace("-", ""))


def _digests(series: pl.Series) -> bytes:
    return b"".join([sha256(text.encode()).digest() for text in series])


_ID, _DIGEST = np.dtype("V16"), np.dtype("V32")
_BYTES: Final[dict[np.dtype[Any], Callable[[pl.Series], bytes]]] = {_ID: _ids, _DIGEST: _digests}
_OF_ITS_OWN: Final = {"id", "firm_id", "reasons", "features"}
