"""Import a file or a source's folder: whole or not at all, good rows loaded, bad ones named."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import SEEK_END
from pathlib import Path
from typing import IO

import polars as pl

from features.kinds import KINDS
from features.kinds.contract import Kind
from service.audit.use_cases import append
from service.imports.adapters import ADAPTERS
from service.imports.adapters.contract import Adapter, Batch, Options
from service.imports.ahead import ahead
from service.imports.checks import typed
from service.imports.chunks import Advance, Chunk, ImportFailedError, fault, no_such
from service.imports.columns import explained, passed_over, wanted
from service.imports.door import Door, ImportSummary
from service.imports.folder import ALL, files_of, strangers_in
from service.imports.mapping import ColumnMapping
from service.imports.readers import Reading, read, read_path
from service.imports.readers.header import MissingColumnsError
from service.kit.db import TenantSession
from service.kit.personal_id import holds_national_id

Progress = Callable[[str, int, int], None]
_AS_THEY_ARE = fault(
    "reads its files as they are: mapping and reading are a canonical kind's", "按原样读取文件，不用映射与读法",
    "leave them out", "请勿指定",
)  # fmt: skip


@dataclass(frozen=True)
class Manner:
    """How a canonical kind's file is taken.

    Attributes
    ----------
    mapping
        What turns its columns into the kind's; None: they are the kind's.
    reading
        How it is read; what is given here goes before what the mapping says.
    is_preview
        Do all but load: nothing is written, and nothing noted in the audit log.
    """

    mapping: ColumnMapping | None = None
    reading: Reading = Reading()  # noqa: RUF009 - frozen
    is_preview: bool = False

    def how_to_read(self, kind: Kind) -> Reading:
        """Return the mapping's reading, but for what is given here, and with the kind's columns of texts."""
        texts = frozenset(_source(name, self.mapping) for name in _free_texts(kind))
        if self.mapping is None:
            return replace(self.reading, texts=texts)
        given = {name: value for name, value in vars(self.reading).items() if value is not None}
        return replace(self.mapping.reading, **given | {"texts": texts})


def source_of(name: str, manner: Manner = Manner()) -> Adapter:
    """Return the source of a name: an adapter, a canonical kind, or `ALL` of them.

    Raises
    ------
    ImportFailedError
        If there is none, or the manner is not for it.
    """
    if name in ADAPTERS or name == ALL:
        if (manner.mapping, manner.reading) != (None, Reading()):
            raise ImportFailedError(f"'{name}'", _AS_THEY_ARE)
        return _folder(manner) if name == ALL else ADAPTERS[name]
    if name in KINDS:
        return _canonical(KINDS[name], manner)
    raise ImportFailedError(f"kind '{name}'", no_such("kind", "种类", name, [*KINDS, *ADAPTERS, ALL]))


def import_source(
    session: TenantSession,
    name: str,
    path: Path,
    options: Options,
    progress: Progress = lambda *_: None,
    manner: Manner = Manner(),
) -> ImportSummary:
    """Load a source into the session's transaction.

    Parameters
    ----------
    name
        A canonical kind, an adapter, or `ALL`.
    path
        A file; for an adapter or `ALL`, a folder.
    progress
        Called with a file's name, bytes done and bytes in all.
    manner
        How a canonical kind's file is taken, and whether it is loaded at all.

    Raises
    ------
    ImportFailedError
        If a file cannot be read; the caller rolls back, so nothing is half-loaded.
    """
    source = source_of(name, manner)
    if name not in KINDS and not path.is_dir():
        words = (f"'{name}' reads a folder: {source.summary}", f"“{name}”读取文件夹")
        raise ImportFailedError(str(path), fault(*words, "name the folder", "请指明文件夹"))
    total = sum(file.stat().st_size for file in source.files(path) if file.exists())
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count

    current = path.name
    door = Door(session, options.today, is_preview=manner.is_preview)
    for batch in ahead(source.read(path, options, advance)):
        current = batch.file
        progress(current, done, total)
        door.take(batch)
    progress(current, total, total)
    summary = door.close((*source.left_out, *source.strangers(path)))
    digests = {}
    for file in source.files(path):
        if file.name in {line.file for line in summary.files}:
            with file.open("rb") as content:
                digests[file.name] = _digest(content)
    _record(session, summary, digests, manner)
    return summary


def import_stream(
    session: TenantSession,
    kind: Kind,
    raw: IO[bytes],
    file: str,
    options: Options,
    progress: Progress = lambda *_: None,
    manner: Manner = Manner(),
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

    door = Door(session, options.today, is_preview=manner.is_preview)
    required, optional = wanted(kind, file, manner.mapping)
    chunks = read(raw, file, required, optional, advance, manner.how_to_read(kind))
    for batch in ahead(_batches(chunks, file, kind, options, manner.mapping)):
        progress(file, done, total)
        door.take(batch)
    progress(file, total, total)
    summary = door.close(())
    _record(session, summary, {file: digest}, manner)
    return summary


def _digest(content: IO[bytes]) -> bytes:
    return hashlib.file_digest(content, "sha256").digest()  # type: ignore[arg-type]


def _record(session: TenantSession, summary: ImportSummary, digests: Mapping[str, bytes], manner: Manner) -> None:
    """Note in the audit log which files were loaded, by the SHA-256 of their content, and of the mapping if any."""
    if manner.is_preview:
        return
    for line in summary.files:
        digest = digests[line.file]
        facts: dict[str, str | int | bool | None] = {
            **line.counts(),
            "file": None if holds_national_id(line.file, or_old=True) else line.file.encode(errors="replace").decode(),
            "kind": line.kind,
        }
        if manner.mapping is not None:
            facts["mapping"] = manner.mapping.sha256
        append(session, "import.loaded", f"import:{digest.hex()}", facts, after=digest)


def _batches(
    chunks: Iterator[Chunk], file: str, kind: Kind, options: Options, mapping: ColumnMapping | None
) -> Iterator[Batch]:
    try:
        for chunk in chunks:
            yield _batch(chunk, file, kind, options, mapping)
    except MissingColumnsError as error:
        raise explained(error, kind, mapping) from None


def _batch(chunk: Chunk, file: str, kind: Kind, options: Options, mapping: ColumnMapping | None) -> Batch:
    """Type and check a chunk of a canonical file, or of one that a mapping makes canonical."""
    ours = chunk if mapping is None else mapping.apply(chunk, file)
    rows, bad = typed(ours.rows, kind, file, options.today)
    sources = {} if mapping is None else mapping.columns
    rejects = pl.concat([ours.rejects, bad if mapping is None else mapping.in_their_words(bad, chunk.rows)])
    looked_at = len(chunk.rows)
    filled = _without_known_on(ours.rows, rows)
    return Batch(
        file=file,
        kind=kind,
        rows=rows,
        rejects=rejects,
        rows_read=looked_at + len(chunk.rejects),
        missing=_missing(chunk.rows, rows, kind, mapping, len(filled)),
        looked_at=looked_at,
        without_known_on=filled,
        sources=sources,
        no_texts=_no_texts(chunk, kind, mapping),
        unused=passed_over(chunk.found, kind, mapping),
    )


def _no_texts(chunk: Chunk, kind: Kind, mapping: ColumnMapping | None) -> dict[str, list[int]]:
    """Return by our columns of texts the lines of cells that are something else in the workbook."""
    return {name: lines for name in _free_texts(kind) if (lines := chunk.no_texts.get(_source(name, mapping)))}


def _free_texts(kind: Kind) -> list[str]:
    """Return the columns of free texts and codes."""
    return [column.name for column in kind.columns if column.dtype == pl.String() and not column.choices]


def _source(name: str, mapping: ColumnMapping | None) -> str:
    """Return what the file calls a column of ours; empty if it is not mapped."""
    return name if mapping is None else mapping.columns.get(name, "")


def _without_known_on(texts: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``line`` of the typed rows that came without known_on."""
    if "known_on" not in texts.columns:
        return rows.select("line")
    return rows.select("line").join(texts.filter(_is_blank("known_on")), on="line", how="semi")


def _missing(
    texts: pl.DataFrame, rows: pl.DataFrame, kind: Kind, mapping: ColumnMapping | None, filled: int
) -> dict[str, int]:
    """Count the rows without a value, by our columns, of all rows read: of rejected ones the texts are looked at."""
    rejected = texts.join(rows.select("line"), on="line", how="anti")
    missing = {}
    for name in kind.schema:
        source = _source(name, mapping)
        if mapping is not None and name in mapping.constants:
            missing[name] = 0
        elif source not in texts.columns:
            missing[name] = len(texts)
        else:
            nulls = filled if name == "known_on" else rows[name].null_count()
            missing[name] = nulls + rejected.filter(_is_blank(source)).height
    return missing


def _is_blank(name: str) -> pl.Expr:
    return pl.col(name).fill_null("").str.strip_chars() == ""


def _canonical(kind: Kind, manner: Manner) -> Adapter:
    def read_file(path: Path, options: Options, advance: Advance) -> Iterator[Batch]:
        required, optional = wanted(kind, path.name, manner.mapping)
        chunks = read_path(path, required, optional, advance, manner.how_to_read(kind))
        return _batches(chunks, path.name, kind, options, manner.mapping)

    return Adapter(
        name=kind.name,
        summary=f"Canonical '{kind.name}' rows, layout version {kind.version}: CSV, XLSX, NDJSON or Parquet.",
        left_out=(),
        files=lambda path: [path],
        read=read_file,
    )


def _folder(manner: Manner) -> Adapter:
    """Take every kind's file of a folder, through one door: a row may name what an earlier file brings."""

    def read_files(folder: Path, options: Options, advance: Advance) -> Iterator[Batch]:
        for kind, path in files_of(folder).items():
            yield from _canonical(KINDS[kind], manner).read(path, options, advance)

    return Adapter(
        name=ALL,
        summary="A folder with files named after kinds, like firm.csv and loan.xlsx, as `export all` writes it.",
        left_out=(),
        files=lambda folder: list(files_of(folder).values()),
        read=read_files,
        strangers=strangers_in,
    )
