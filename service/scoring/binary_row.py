"""A score as 424 bytes, the form that the audit log proves: docs/score-row.md, `score-row/1`.

Whole chunks are encoded at once. A row holds every column of the stored score but the number of its batch, texts by
their SHA-256, so that a changed column is a changed row, and a changed row another leaf.
"""

from hashlib import sha256
from typing import Final

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
        values, field = frame[name].to_list(), ROW[name]
        if field == _ID:
            ids = [NO_RUN if value is None else value for value in values]
            rows[name] = np.frombuffer(bytes.fromhex("".join(ids).replace("-", "")), dtype=field)
        elif field == _DIGEST:
            rows[name] = np.frombuffer(b"".join(_digests(values)), dtype=field)
        elif field.kind == "S":
            rows[name] = _codes(name, values, field.itemsize)
        else:
            rows[name] = frame[name].to_physical().to_numpy()
    rows["points"][np.isnan(rows["points"])] = np.nan
    return rows


def leaves(rows: NDArray[np.void]) -> list[bytes]:
    """Return the leaf of each row (RFC 6962): SHA-256 of a zero byte and the row."""
    data, size = rows.tobytes(), rows.dtype.itemsize
    return [sha256(b"\x00" + data[at : at + size]).digest() for at in range(0, len(data), size)]


def _digests(texts: list[str]) -> list[bytes]:
    """Return the SHA-256 of each text, made once for all rows that have the same."""
    made: dict[str, bytes] = {}
    for text in texts:
        if text not in made:
            made[text] = sha256(text.encode()).digest()
    return [made[text] for text in texts]


def _codes(name: str, codes: list[str], size: int) -> NDArray[np.bytes_]:
    if too_long := [code for code in set(codes) if len(code) > size or not code.isascii()]:
        raise ValueError(f"{name}: {too_long[0]!r} is no ASCII code of at most {size} characters")
    return np.array(codes, dtype=f"S{size}")


_ID, _DIGEST = np.dtype("V16"), np.dtype("V32")
