"""The door: batches of rows go into the ledger, or are only looked at; each row read is counted in the end."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from service.firms.use_cases import Rehearsal, Stage, list_keys, loan_owners, register_firms
from service.imports.adapters.contract import Batch
from service.imports.checks import Check, split
from service.imports.chunks import ImportFailedError, fault, no_rejects
from service.imports.quality import NO_LOAN, NO_TEXT, OTHERS_LOAN, OTHERWISE, Gauge, without_rows
from service.imports.report import Report, Section
from service.kit import clock
from service.kit.db import TenantSession
from service.people.use_cases import erased_among

MOST_REJECTS = 500_000
"""Rejected rows that are kept to be listed; those beyond are counted."""
MOST_LOANS = 300_000
"""Loans whose owners are kept at hand."""
_UNKNOWN_FIRM = fault("no such firm", "没有该企业", "import firms first", "请先导入企业（kind firm）")
_ANOTHERS_LOAN = fault(
    "another firm has a loan of this number; loan numbers are unique in the whole bank",
    "另一企业已有此编号的贷款；贷款编号全行唯一",
    "check firm and number",
    "请核对企业与贷款编号",
)
_JUST_LOST = fault(
    "another firm was just given this loan number",
    "该贷款编号刚被另一企业使用",
    "import the file again",
    "请重新导入该文件",
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

    def counts(self) -> dict[str, int]:
        """Return the counts by name."""
        return {name: value for name, value in vars(self).items() if name not in {"file", "kind"}}


def files_without_rows(lines: Iterable[FileSummary]) -> list[str]:
    """Return the files of which no row was read.

    Examples
    --------
    >>> files_without_rows([FileSummary("a", "firm", read=1), FileSummary("a", "loan"), FileSummary("b", "firm")])
    ['b']
    """
    read: dict[str, int] = {}
    for line in lines:
        read[line.file] = read.get(line.file, 0) + line.read
    return [file for file, count in read.items() if not count]


@dataclass
class ImportSummary:
    """What an import did, or of a preview would do.

    Attributes
    ----------
    files
        A line a file and kind.
    rejects
        The rejected rows, the first `MOST_REJECTS`.
    left_out
        What the source holds that is left out.
    report
        The quality of what was read.
    """

    files: list[FileSummary]
    rejects: pl.DataFrame
    left_out: tuple[str, ...]
    report: Report

    @property
    def added(self) -> int:
        """Rows that are new in the ledger; none of a preview."""
        return 0 if self.report.is_preview else self.counts()["added"]

    def counts(self) -> dict[str, int]:
        """Return the counts of all files together, by name."""
        totals = Counter(FileSummary("", "").counts())
        for line in self.files:
            totals.update(line.counts())
        return dict(totals)


@dataclass
class _Open:
    """The file and kind whose batches are coming in."""

    line: FileSummary
    stage: Stage
    gauge: Gauge


@dataclass
class _Done:
    files: list[FileSummary] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    rejects: list[pl.DataFrame] = field(default_factory=lambda: [no_rejects()])

    def keep(self, rejects: pl.DataFrame) -> None:
        """Keep as many rejected rows as there is room for."""
        room = MOST_REJECTS - sum(map(len, self.rejects))
        if len(rejects) and room > 0:
            self.rejects.append(rejects.head(room))


class Door:
    """Takes batches in; one stage is open at a time, and is emptied when a file or kind ends.

    Parameters
    ----------
    session
        The transaction that the rows become part of.
    today
        Business date of the import.
    is_preview
        Do all but load: nothing is written, and nothing noted in the audit log.
    """

    def __init__(self, session: TenantSession, today: date, *, is_preview: bool = False) -> None:
        self.session, self.today, self.is_preview = session, today, is_preview
        self.keys = set(list_keys(session))
        self.now = clock.now()
        self.open: _Open | None = None
        self.done = _Done()
        self.owners: dict[str, str] = {}
        self.ledgers_owners: dict[str, str | None] = {}

    def take(self, batch: Batch) -> None:
        """Take a batch in: what the ledger has no place for is rejected, the rest waits on the stage."""
        place = self._place(batch)
        rows, unknown = batch.rows, no_rejects()
        if batch.kind.name == "firm":
            self.keys.update(rows["firm_id"])
        elif batch.kind.is_of_firms:
            is_unknown = ~pl.col("firm_id").is_in(sorted(self.keys))
            rows, unknown = split(rows, [Check("firm_id", is_unknown, _UNKNOWN_FIRM)], batch.file)
        if batch.kind.name == "loan":
            rows, foreign = self._of_their_owners(rows, batch.file)
            unknown = pl.concat([unknown, foreign])
        elif "loan_id" in batch.kind.schema:
            self._look_up_loans(rows, place.gauge)
        if "person_id" in batch.kind.schema:
            rows, forgotten = self._of_the_unerased(rows, batch)
            unknown = pl.concat([unknown, forgotten])
        unknown = unknown.with_columns(pl.col("column").replace(dict(batch.sources)))
        rejects = pl.concat([batch.rejects, unknown]).sort("line", maintain_order=True)
        place.line.read += batch.rows_read or len(batch.rows) + len(batch.rejects)
        place.line.rejected += len(rejects)
        self.done.keep(rejects)
        missing = batch.missing
        if missing is None:
            missing = {name: batch.rows[name].null_count() for name in batch.kind.schema}
        for name, lines in batch.no_texts.items():
            place.gauge.warn("value", name, NO_TEXT, rows.filter(pl.col("line").is_in(lines)))
        place.gauge.take(rows, rejects, missing, batch.looked_at or len(batch.rows), batch.without_known_on)
        place.gauge.unused = batch.unused
        if len(rows):
            if batch.kind.name == "firm" and not self.is_preview:
                register_firms(self.session, rows["firm_id"])
            place.stage.add(rows.drop("line"))

    def close(self, left_out: tuple[str, ...]) -> ImportSummary:
        """Move what waits into the ledger, and say what was done."""
        self._finish()
        empty = files_without_rows(self.done.files)
        sections = [
            without_rows(section) if line.file in empty else section
            for line, section in zip(self.done.files, self.done.sections, strict=True)
        ]
        report = Report(is_preview=self.is_preview, made_on=self.today, sections=sections)
        return ImportSummary(self.done.files, pl.concat(self.done.rejects), left_out, report)

    def _of_their_owners(self, rows: pl.DataFrame, file: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Part loans from those whose id another firm's loan has, here or in the ledger."""
        fresh = sorted(set(rows["loan_id"]) - self.owners.keys())
        self.owners |= loan_owners(self.session, fresh)
        for loan_id, key in rows.select("loan_id", "firm_id").iter_rows():
            self.owners.setdefault(loan_id, key)
        owner = pl.col("loan_id").replace_strict(self.owners, default=None, return_dtype=pl.String)
        return split(rows, [Check("loan_id", owner != pl.col("firm_id"), _ANOTHERS_LOAN)], file)

    def _claim_loans(self, file: str) -> None:
        """Make sure that nobody has given a loan to another firm since its row was checked."""
        meanwhile = loan_owners(self.session, sorted(self.owners), to_add=True)
        lost = sorted(loan_id for loan_id, key in meanwhile.items() if key != self.owners[loan_id])
        if lost:
            raise ImportFailedError(f"{file}, loan {lost[0]}", _JUST_LOST)

    def _look_up_loans(self, rows: pl.DataFrame, gauge: Gauge) -> None:
        """Warn of rows about a loan that the ledger does not have, or has as another firm's."""
        named = rows.drop_nulls("loan_id")
        ids = named["loan_id"].unique().sort().to_list()
        if len(self.ledgers_owners) > MOST_LOANS:
            self.ledgers_owners.clear()
        fresh = [loan_id for loan_id in ids if loan_id not in self.ledgers_owners and loan_id not in self.owners]
        self.ledgers_owners |= dict.fromkeys(fresh) | loan_owners(self.session, fresh)
        found = [self.owners.get(loan_id) or self.ledgers_owners.get(loan_id) for loan_id in ids]
        of_ids = pl.DataFrame({"loan_id": ids, "owner": found}, schema={"loan_id": pl.String, "owner": pl.String})
        owned = named.join(of_ids, on="loan_id", how="left", maintain_order="left")
        gauge.warn("reference", "loan_id", NO_LOAN, owned.filter(pl.col("owner").is_null()))
        gauge.warn("reference", "loan_id", OTHERS_LOAN, owned.filter(pl.col("owner") != pl.col("firm_id")))

    def _of_the_unerased(self, rows: pl.DataFrame, batch: Batch) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Part rows about erased persons from the others; a withdrawal or refusal of theirs is taken."""
        erased = sorted(erased_among(self.session, rows["person_id"].drop_nulls().unique()))
        is_theirs = pl.col("person_id").is_in(erased)
        if batch.kind.name == "consent":
            is_theirs &= pl.col("is_given")
        return split(rows, [Check("person_id", is_theirs, _ERASED)], batch.file)

    def _place(self, batch: Batch) -> _Open:
        if self.open is None or (self.open.line.file, self.open.line.kind) != (batch.file, batch.kind.name):
            self._finish()
            stage = (Rehearsal if self.is_preview else Stage)(self.session, batch.kind)
            gauge = Gauge(batch.kind, batch.sources, (_UNKNOWN_FIRM, _ANOTHERS_LOAN, _ERASED))
            self.open = _Open(FileSummary(batch.file, batch.kind.name), stage, gauge)
        return self.open

    def _finish(self) -> None:
        if self.open is None:
            return
        if self.open.line.kind == "loan" and not self.is_preview:
            self._claim_loans(self.open.line.file)
        line, gauge, stage = self.open.line, self.open.gauge, self.open.stage
        became = stage.insert(self.now, compares_days=not gauge.has_filled_days)
        line.added, line.already_known, line.repeated = became.added, became.already_known, became.repeated
        self.done.files.append(line)
        gauge.note("time", "known_on", OTHERWISE, stage.dated_otherwise)
        self.done.sections.append(gauge.section(line.counts(), line.file))
        self.open = None
