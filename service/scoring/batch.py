"""The scores that one entry of the audit log is about: those of a rescoring's chunk, or the one that was asked for."""

from datetime import date
from typing import Final
from uuid import UUID

import polars as pl

from service.audit import merkle
from service.audit.use_cases import append
from service.kit import clock
from service.kit.db import TenantSession
from service.scoring import binary_row, repository

ACTION: Final = "scores.added"


class Batch:
    """Collects the leaves of scores that are written together, and enters them in the log.

    Parameters
    ----------
    product, as_of
        Of all its scores.
    chunk
        Run and number of the rescoring's chunk; None of a firm that is scored online.
    """

    def __init__(self, product: str, as_of: date, chunk: tuple[UUID, int] | None = None) -> None:
        self.id = clock.new_id()
        self.run_id = None if chunk is None else chunk[0]
        self._product, self._as_of, self._chunk = product, as_of, chunk
        self._leaves: dict[str, bytes] = {}
        self._first = ""

    def add(self, rows: pl.DataFrame) -> None:
        """Take the leaves of new scores, columns as in `binary_row.COLUMNS`."""
        leaves = binary_row.leaves(binary_row.encode(rows))
        self._leaves.update(zip(rows["firm_id"], leaves, strict=True))
        self._first = self._first or rows["id"][0]

    def enter(self, session: TenantSession) -> None:
        """Keep the leaves, by firm id, and write the log's entry of their root; nothing if there are no scores."""
        if not self._leaves:
            return
        leaves = [self._leaves[firm_id] for firm_id in sorted(self._leaves)]
        root = merkle.root(leaves)
        repository.insert_batch(session, self.id, self._as_of, b"".join(leaves))
        facts: dict[str, str | int | bool | None] = {
            "format": binary_row.FORMAT,
            "count": len(leaves),
            "root": root.hex(),
            "product": self._product,
            "as_of": self._as_of.isoformat(),
        }
        append(session, ACTION, self._subject(), facts, after=root, entry_id=self.id)

    def _subject(self) -> str:
        if self._chunk is None:
            return f"score:{UUID(self._first)}"
        run_id, number = self._chunk
        return f"rescoring_chunk:{run_id}/{number}"
