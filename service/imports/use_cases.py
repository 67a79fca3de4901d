"""Import a file or a source's folder: whole or not at all, good rows loaded, bad ones named."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import SEEK_END
from pathlib import Path
from typing import IO

import polars as pl

from features.kinds import KINDS
from features.kinds.contract import Kind
from service.audit.use_cases import append
from service.firms.use_cases import Stage, list_keys, loan_owners, register_firms
from service.imports.adapters import ADAPTERS
from service.imports.adapters.contract import Adapter, Batch, Options
from service.imports.ahead import ahead
from service.imports.checks import Check, split, typed
from service.imports.chunks import Advance, Chunk, ImportFailedError, fault, no_rejects
from service.imports.csv_reader import read_csv, read_stream
from service.kit import clock
from service.kit.db import TenantSession
from service.kit.personal_id import holds_national_id
from service.people.use_cases import erased_among

Progress = Callable[[str, int, int], None]
_UNKNOWN_FIRM = fault("no such firm", "没有该企业", "import firms first", "请先导入企业（kind firm）")
_ANOTHERS_LOAN = fault(
    "another firm has a loan of this number; loan numbers are unique in the whole bank",
    "另一企业已有此编号的贷款；贷款编号全行唯一",
    "check firm and number",
    "请核对企业与贷款编号",
)
_ERASED = fault(
    "this person has been erased; only a withdrawal is taken",
    "该人员信息已删除，只接受撤回同意的记录",
    "leave the row out",
    "请删去该行",
)


@dataclass
class FileSummary:
    """What became of one file's rows of one kind: read = added + already known + repeated + rejected."""

    file: str
    kind: str
    read: int = 0
    added: int = 0
    already_known: int = 0
    repeated: int = 0
    rejected: int = 0


@dataclass
class ImportSummary:
    """What an import did: a line a file and kind, the rejected rows, and what the source holds that is left out."""

    files: list[FileSummary] = field(default_factory=list)
    rejects: pl.DataFrame = field(default_factory=no_rejects)
    left_out: tuple[str, ...] = ()

    @property
    def added(self) -> int:
        """Rows that are new in the ledger."""
        return sum(line.added for line in self.files)


def source_of(name: str) -> Adapter:
    """Return the source of a name: an adapter, or a canonical kind.

    Raises
    ------
    ImportFailedError
        If there is none.
    """
    if name in ADAPTERS:
        return ADAPTERS[name]
    if name in KINDS:
        return _canonical(name)
    raise ImportFailedError(f"There is no kind '{name}'. Kinds: {', '.join([*KINDS, *ADAPTERS])}.")


def import_source(
    session: TenantSession, name: str, path: Path, options: Options, progress: Progress = lambda *_: None
) -> ImportSummary:
    """Load a source into the session's transaction.

    Parameters
    ----------
    name
        A canonical kind or an adapter.
    path
        A file, or a folder for an adapter of several files.
    progress
        Called with a file's name, bytes done and bytes in all.

    Raises
    ------
    ImportFailedError
        If a file cannot be read; the caller rolls back, so nothing is half-loaded.
    """
    source = source_of(name)
    if name in ADAPTERS and not path.is_dir():
        raise ImportFailedError(f"{path}: '{name}' reads a folder: {source.summary}")
    total = sum(file.stat().st_size for file in source.files(path) if file.exists())
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count

    current = path.name
    door = _Door(session)
    for batch in ahead(source.read(path, options, advance)):
        current = batch.file
        progress(current, done, total)
        door.take(batch)
    progress(current, total, total)
    summary = door.close(source.left_out)
    digests = {}
    for file in source.files(path):
        if file.name in {line.file for line in summary.files}:
            with file.open("rb") as content:
                digests[file.name] = _digest(content)
    _record(session, summary, digests)
    return summary


def _digest(content: IO[bytes]) -> bytes:
    return hashlib.file_digest(content, "sha256").digest()  # type: ignore[arg-type]


def _record(session: TenantSession, summary: ImportSummary, digests: Mapping[str, bytes]) -> None:
    """Note in the audit log which files were loaded, by the SHA-256 of their content."""
    for line in summary.files:
        digest = digests[line.file]
        facts = {
            "added": line.added,
            "already_known": line.already_known,
            "file": None if holds_national_id(line.file, or_old=True) else line.file.encode(errors="replace").decode(),
            "kind": line.kind,
            "read": line.read,
            "rejected": line.rejected,
            "repeated": line.repeated,
        }
        append(session, "import.loaded", f"import:{digest.hex()}", facts, after=digest)


class _Door:
    """Takes batches in; one stage is open at a time, and is emptied when a file or kind ends."""

    def __init__(self, session: TenantSession) -> None:
        self.session, self.summary = session, ImportSummary()
        self.keys = set(list_keys(session))
        self.now = clock.now()
        self.line: FileSummary | None = None
        self.stage: Stage | None = None
        self.rejects: list[pl.DataFrame] = []
        self.owners: dict[str, str] = {}

    def take(self, batch: Batch) -> None:
        line = self._line(batch)
        rows, unknown = batch.rows, no_rejects()
        if batch.kind.name == "firm":
            self.keys.update(rows["firm_id"])
        elif batch.kind.is_of_firms:
            is_unknown = ~pl.col("firm_id").is_in(sorted(self.keys))
            rows, unknown = split(rows, [Check("firm_id", is_unknown, _UNKNOWN_FIRM)], batch.file)
        if batch.kind.name == "loan":
            rows, foreign = self._of_their_owners(rows, batch.file)
            unknown = pl.concat([unknown, foreign])
        if "person_id" in batch.kind.schema:
            rows, forgotten = self._of_the_unerased(rows, batch)
            unknown = pl.concat([unknown, forgotten])
        rejects = pl.concat([batch.rejects, unknown])
        line.read += batch.rows_read or len(batch.rows) + len(batch.rejects)
        line.rejected += len(rejects)
        self.rejects.append(rejects)
        assert self.stage is not None
        if len(rows):
            if batch.kind.name == "firm":
                register_firms(self.session, rows["firm_id"])
            self.stage.add(rows.drop("line"))

    def _of_their_owners(self, rows: pl.DataFrame, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Part loans from those whose id another firm's loan has, here or in the ledger."""
        fresh = sorted(set(rows["loan_id"]) - self.owners.keys())
        self.owners |= loan_owners(self.session, fresh)
        for loan_id, key in rows.select("loan_id", "firm_id").iter_rows():
            self.owners.setdefault(loan_id, key)
        owner = pl.col("loan_id").replace_strict(self.owners, default=None, return_dtype=pl.String)
        return split(rows, [Check("loan_id", owner != pl.col("firm_id"), _ANOTHERS_LOAN)], file)

    def _of_the_unerased(self, rows: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Part rows about erased persons from the others; a withdrawal or refusal of theirs is taken."""
        erased = sorted(erased_among(self.session, rows["person_id"].drop_nulls().unique()))
        is_theirs = pl.col("person_id").is_in(erased)
        if batch.kind.name == "consent":
            is_theirs &= pl.col("is_given")
        return split(rows, [Check("person_id", is_theirs, _ERASED)], batch.file)

    def _line(self, batch: Batch) -> FileSummary:
        if self.line is None or (self.line.file, self.line.kind) != (batch.file, batch.kind.name):
            self._finish()
            self.line = FileSummary(batch.file, batch.kind.name)
            self.stage = Stage(self.session, batch.kind)
        return self.line

    def _finish(self) -> None:
        if self.line is None or self.stage is None:
            return
        done = self.stage.insert(self.now)
        self.line.added, self.line.already_known, self.line.repeated = done.added, done.already_known, done.repeated
        self.summary.files.append(self.line)

    def close(self, left_out: tuple[str, ...]) -> ImportSummary:
        self._finish()
        self.summary.rejects = pl.concat([no_rejects(), *self.rejects])
        self.summary.left_out = left_out
        return self.summary


def import_stream(
    session: TenantSession,
    kind: Kind,
    raw: IO[bytes],
    file: str,
    options: Options,
    progress: Progress = lambda *_: None,
    *,
    is_gzipped: bool,
) -> ImportSummary:
    """Load an open file of a canonical kind into the session's transaction, as `import_source` does.

    Parameters
    ----------
    raw
        From its beginning.
    file
        What the summary and messages call it.

    Raises
    ------
    ImportFailedError
        If it cannot be read; the caller rolls back, so nothing is half-loaded.
    """
    total = raw.seek(0, SEEK_END)
    raw.seek(0)
    digest = _digest(raw)
    raw.seek(0)
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count

    door = _Door(session)
    required, optional = _columns(kind)
    chunks = read_stream(raw, file, required, advance, optional, is_gzipped=is_gzipped)
    for batch in ahead(_batches(chunks, kind, file, options)):
        progress(file, done, total)
        door.take(batch)
    progress(file, total, total)
    summary = door.close(())
    _record(session, summary, {file: digest})
    return summary


def _columns(kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that a file of a kind must have, and those that it may have."""
    required = tuple(c.name for c in kind.columns if c.is_required and c.name != "known_on")
    return required, tuple(column for column in kind.schema if column not in required)


def _batches(chunks: Iterable[Chunk], kind: Kind, file: str, options: Options) -> Iterator[Batch]:
    for chunk in chunks:
        rows, bad = typed(chunk.rows, kind, file, options.today)
        rejects = pl.concat([chunk.rejects, bad])
        yield Batch(file, kind, rows, rejects, len(chunk.rows) + len(chunk.rejects))


def _canonical(name: str) -> Adapter:
    kind = KINDS[name]

    def read(path: Path, options: Options, advance: Advance) -> Iterator[Batch]:
        required, optional = _columns(kind)
        chunks = read_csv(path, required, advance, optional)
        return _batches(chunks, kind, path.name, options)

    return Adapter(
        name=name,
        summary=f"Canonical '{name}' rows, layout version {kind.version}: CSV, UTF-8, plain or gzipped.",
        left_out=(),
        files=lambda path: [path],
        read=read,
    )
