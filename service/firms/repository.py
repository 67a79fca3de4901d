"""Queries of the ledger. Rows go in and out in bulk, by COPY, inside the session's transaction."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid5

import polars as pl
from psycopg import sql
from sqlalchemy import func, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from features.consent import PURPOSE, SCOPES
from features.inputs import Inputs
from features.kinds import KINDS
from features.kinds.contract import Kind
from features.kinds.parties import NOTHING_ON_FILE, PERSONAL_RECORD
from features.kinds.world import DOCUMENT
from features.policy import PERSONAL_RECORD_YEARS
from service.audit import use_cases as audit
from service.firms import reach
from service.firms.tables import LEDGER, Consent, Firm, FirmObservation, Known, Loan, PersonObservation
from service.kit.db import (
    LockSeed,
    TenantSession,
    copy_in,
    has_lock_within,
    of_row,
    read_groups,
    tenant_of,
    wait_for_lock,
)
from service.kit.personal_id import PSEUDONYM

_LOANS_WAIT = 2.0
"""Seconds that a request waits for an import of loans."""
_NOT_WITHDRAWN = """
    (firm_id, person_id) not in (
        select c.firm_id, c.person_id from (
            select firm_id, person_id, is_given,
              rank() over (partition by firm_id, person_id order by observed_on desc) as place
            from consent
            where scope = {scope} and purpose = {purpose} and person_id is not null and %(limits)s
        ) c where c.place = 1 and not c.is_given
    )
"""
"""Whoever withdrew a consent leaves all later processing, also that of days before (docs/adr/0016)."""
_RECORDS = """
    (select tenant_id, firm_id, observed_on, known_on, person_id,
        case when is_over then {nothing} else record end as record,
        case when not is_over then days_past_due end as days_past_due,
        case when not is_over then ended_on end as ended_on
      from (
        select *, coalesce(first_value(ended_on) over newest + make_interval(years => {years}) <= {today}, false)
            as is_over
        from personal_record where %(limits)s
        window newest as (
          partition by firm_id, person_id, record, observed_on
          order by known_on desc, days_past_due desc nulls last, ended_on desc nulls last
        )
      ) marked
    ) personal_record
"""
"""Of a record whose years are over by today nothing is read but that the bureau was asked (docs/adr/0016)."""


_IMPOSSIBLE = text("""
    with statuses as (
      select distinct on (loan_id) loan_id, balance_fen, is_closed from repayment_status
      where tenant_id = :tenant and loan_id is not null and known_on <= :as_of and observed_on <= :as_of
      order by loan_id, observed_on desc, known_on desc, content_sha256
    ), loans as (
      select distinct on (loan_id) loan_id, principal_fen from loan
      where tenant_id = :tenant and known_on <= :as_of and observed_on <= :as_of
      order by loan_id, observed_on desc, known_on desc, content_sha256
    )
    select count(*) as statuses,
      count(*) filter (where s.balance_fen > l.principal_fen) as above_principal,
      count(*) filter (where s.is_closed and s.balance_fen > 0 and s.balance_fen <= l.principal_fen) as owed_after_end,
      count(*) filter (where l.loan_id is null) as of_no_loan
    from statuses s left join loans l using (loan_id)
""")


@dataclass(frozen=True)
class Added:
    """What became of the rows of one kind: ``received`` = ``added`` + ``already_known`` + ``repeated``."""

    received: int
    added: int
    already_known: int
    repeated: int


MANY_ROWS, WORK_MEM = 100_000, "64MB"
# In two steps, by the hashes' first byte: a single text of all would be too long for some tens of millions of rows.
_DIGEST = """
    select coalesce(sum(number), 0)::bigint, sha256(coalesce(string_agg(digest, '' order by first_byte), ''))
    from (
      select get_byte(content_sha256, 0) as first_byte, count(*) as number,
        sha256(string_agg(content_sha256, '' order by content_sha256)) as digest
      from added group by 1
    ) as part
"""
"""Of added rows: how many, and what the audit log keeps of them, so that they can be held against it later."""


def firm_id_of(tenant_id: UUID, key: str) -> UUID:
    """Return a firm's id, which is a function of tenant and key."""
    return uuid5(tenant_id, key)


def firm_ids_of(tenant_id: UUID, keys: Iterable[str]) -> list[str]:
    """Return the ids of many firms in hexadecimal, each the same as `firm_id_of`, at a third of the time.

    Examples
    --------
    >>> tenant = UUID("11131ffa-6a38-5c03-a583-5558fca0e3c0")
    >>> firm_ids_of(tenant, ["E1"]) == [firm_id_of(tenant, "E1").hex]
    True
    """
    prefix = tenant_id.bytes
    digests = [hashlib.sha1(prefix + key.encode(), usedforsecurity=False).hexdigest() for key in keys]
    return [f"{hexed[:12]}5{hexed[13:16]}{_VARIANT[hexed[16]]}{hexed[17:32]}" for hexed in digests]


_VARIANT = {digit: f"{int(digit, 16) & 3 | 8:x}" for digit in "0123456789abcdef"}
"""RFC 9562, section 4.1: the two top bits of the ninth byte are 1 and 0."""


def content_sha256(kind: Kind, frame: pl.DataFrame) -> pl.Series:
    r"""Hash each row's whole content but for the day it was known: the row's identity.

    Parameters
    ----------
    kind
        The rows' kind; its name and version are part of what is hashed.
    frame
        Rows of the kind, ``firm_id`` being the firm's key.

    Returns
    -------
    polars.Series
        Hash as PostgreSQL writes binary values: ``\x`` and 64 hexadecimal digits.
    """
    parts: list[pl.Expr] = [pl.lit(f"{kind.name}/{kind.version}")]
    for name in kind.schema:
        text = pl.col(name).cast(pl.String)
        if name == "known_on":
            continue
        if frame[name].null_count():
            parts.append(pl.concat_str(pl.lit("\x1f="), text).fill_null("\x1f-"))
        else:
            parts += [pl.lit("\x1f="), text]
    contents = frame.select(pl.concat_str(parts)).to_series().cast(pl.Binary).to_list()
    digests = pl.Series([hashlib.sha256(content).digest() for content in contents], dtype=pl.Binary)
    return ("\\x" + digests.bin.encode("hex")).alias("content_sha256")


def register_firms(session: TenantSession, keys: pl.Series, created_at: datetime, branch_id: UUID | None) -> None:
    """Make a row for each firm that has none; a new one belongs to the branch."""
    tenant_id = tenant_of(session)
    fresh = keys.unique().sort()
    session.execute(text("create temp table staged_firm (id uuid, key text) on commit drop"))
    ids = [str(firm_id_of(tenant_id, key)) for key in fresh]
    copy_in(session, "staged_firm", pl.DataFrame({"id": ids, "key": fresh}))
    insert = text(
        "insert into firm (tenant_id, id, key, branch_id, created_at, version)"
        " select :tenant, id, key, :branch, :at, 1 from staged_firm on conflict do nothing"
    )
    session.execute(insert, {"tenant": tenant_id, "branch": branch_id, "at": created_at})
    session.execute(text("drop table staged_firm"))


class Stage:
    """Rows of one kind on their way into the ledger: a temporary table that one INSERT empties.

    Parameters
    ----------
    session
        The transaction that the rows become part of.
    kind
        Their kind.

    Attributes
    ----------
    dated_otherwise
        Rows that the ledger had already with another ``known_on``, which it keeps; 0 unless ``insert`` was to look.
    """

    def __init__(self, session: TenantSession, kind: Kind) -> None:
        self.session, self.kind, self.received = session, kind, 0
        self.dated_otherwise = 0
        self.firm_ids: dict[str, str] = {}
        self.table = f"staged_{kind.table}"
        without = "tenant_id, ingested_at"
        session.execute(text(f"create temp table {self.table} (like {kind.table}) on commit drop"))
        for column in without.split(", "):
            session.execute(text(f"alter table {self.table} drop column {column}"))

    def add(self, frame: pl.DataFrame) -> pl.Series:
        """Copy rows in, ``firm_id`` being the firm's key, and return the hash of each one's content."""
        rows = self.prepared(frame)
        copy_in(self.session, self.table, rows)
        self.received += len(rows)
        return rows["content_sha256"]

    def prepared(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return rows as the ledger has them: the firm's id for its key, and the hash of the content."""
        rows = self.kind.check(frame)
        hashes = content_sha256(self.kind, rows)
        if not self.kind.is_of_firms:
            return rows.with_columns(hashes)
        tenant_id, keys = tenant_of(self.session), rows["firm_id"].unique().to_list()
        self.firm_ids |= {key: str(firm_id_of(tenant_id, key)) for key in keys if key not in self.firm_ids}
        ids = {key: self.firm_ids[key] for key in keys}
        return rows.with_columns(hashes, pl.col("firm_id").replace_strict(ids, return_dtype=pl.String))

    def insert(self, ingested_at: datetime, *, compares_days: bool = False) -> Added:
        """Move the rows into the ledger, each content once, note that in the audit log, and say what was new."""
        added, digest = self._move(ingested_at)
        distinct = added if added == self.received else self._distinct()
        if compares_days and distinct > added:
            self.dated_otherwise = self._dated_otherwise(ingested_at)
        self.session.execute(text(f"drop table {self.table}"))
        done = Added(self.received, added, distinct - added, self.received - distinct)
        self._record(done, digest, ingested_at)
        return done

    def _distinct(self) -> int:
        return int(self.session.execute(text(f"select count(distinct content_sha256) from {self.table}")).scalar_one())  # noqa: S608

    def _dated_otherwise(self, ingested_at: datetime) -> int:
        query = text(
            f"select count(*) from {self.table} staged join {self.kind.table} ledger on {self._same()}"  # noqa: S608
            " where ledger.tenant_id = :tenant and ledger.ingested_at <> :at and ledger.known_on <> staged.known_on"
        )
        values = {"tenant": tenant_of(self.session), "at": ingested_at}
        return int(self.session.execute(query, values).scalar_one())

    def _same(self) -> str:
        """Return when a row of the stage is one of the ledger's, as the ledger's index has it."""
        return " and ".join(f"ledger.{name} = staged.{name}" for name in self._identity())

    def _identity(self) -> list[str]:
        return [*(name for name in ("firm_id", "observed_on") if name in self.kind.schema), "content_sha256"]

    def _move(self, ingested_at: datetime) -> tuple[int, bytes]:
        """Insert many rows of a kind that the tenant has none of without asking of each whether it is known.

        That saves a third of the time. If another transaction adds one of them meanwhile, they are asked for after all.
        """
        if self.received < MANY_ROWS:
            return self._insert(ingested_at)
        self.session.execute(text(f"set local work_mem = '{WORK_MEM}'"))
        if self._has_some():
            return self._insert(ingested_at)
        try:
            with self.session.begin_nested():
                return self._insert(ingested_at, is_first=True)
        except IntegrityError:
            return self._insert(ingested_at)

    def _has_some(self) -> bool:
        query = text(f"select exists (select from {self.kind.table} where tenant_id = :tenant)")  # noqa: S608
        return bool(self.session.execute(query, {"tenant": tenant_of(self.session)}).scalar_one())

    def _insert(self, ingested_at: datetime, *, is_first: bool = False) -> tuple[int, bytes]:
        """Insert in the order of the key, so that every page of its index is written once."""
        table = LEDGER[self.kind.name].__table__  # type: ignore[attr-defined]
        key = ", ".join(column.name for column in table.primary_key if column.name != "tenant_id")
        columns = ", ".join([*self.kind.schema, "content_sha256"])
        once, known = (f"distinct on ({key})", "") if is_first else ("", "on conflict do nothing")
        insert = text(
            f"with added as (insert into {self.kind.table} (tenant_id, ingested_at, {columns})"  # noqa: S608
            f" select {once} :tenant, :at, {columns} from {self.table} order by {key}, known_on"
            f" {known} returning content_sha256) {_DIGEST}"
        )
        added, digest = self.session.execute(insert, {"tenant": tenant_of(self.session), "at": ingested_at}).one()
        return added, digest

    def _record(self, done: Added, digest: bytes, ingested_at: datetime) -> None:
        table = self.kind.table
        facts: dict[str, str | int | bool | None] = {
            "added": done.added,
            "already_known": done.already_known,
            "ingested_at": ingested_at.isoformat(timespec="microseconds"),
            "repeated": done.repeated,
        }
        of_one = len(self.firm_ids) == 1
        subject = f"firm:{next(iter(self.firm_ids.values()))}" if of_one else f"{table}:{done.received} rows"
        audit.append(self.session, f"{table}.added", subject, facts, after=digest)


class Rehearsal(Stage):
    """A stage whose rows go nowhere: ``insert`` says what would become of them, and changes nothing."""

    def insert(self, ingested_at: datetime, *, compares_days: bool = False) -> Added:
        """Count what would be new, and empty the stage."""
        count = text(
            "select count(*) as distinct_rows, count(*) filter (where exists ("  # noqa: S608 - our own names
            f"  select from {self.kind.table} ledger where ledger.tenant_id = :tenant and {self._same()})) as known"
            f" from (select distinct {', '.join(self._identity())} from {self.table}) staged"
        )
        distinct, known = self.session.execute(count, {"tenant": tenant_of(self.session)}).one()
        if compares_days and known:
            self.dated_otherwise = self._dated_otherwise(ingested_at)
        self.session.execute(text(f"drop table {self.table}"))
        return Added(self.received, distinct - known, known, self.received - distinct)


def read_inputs(
    session: TenantSession, as_of: date, today: date, kinds: tuple[str, ...], key_range: tuple[str | None, str | None]
) -> Inputs:
    """Read what was known on a date about the firms of a range of keys; all of them without a range.

    Whatever the date, rows of people whose newest consent to their use is a withdrawal are not read, and records whose
    five years are over today are read as ``none``.
    """
    keys = {str(firm_id): key for key, firm_id in read_ids(session, *key_range)}
    is_everybody = key_range[0] is None and reach.of(session) == reach.EVERYTHING
    ids = None if is_everybody else list(keys)
    frames = {}
    for name in kinds:
        source, values = _readable(session, KINDS[name], as_of, today, ids)
        columns = {column: dtype for column, dtype in KINDS[name].schema.items() if column != "firm_id"}
        frame = read_groups(session, source, columns, "firm_id", values)
        frames[name] = frame.with_columns(pl.col("firm_id").replace_strict(keys, return_dtype=pl.String))
    return Inputs.of_frames(frames)


def _readable(
    session: TenantSession, kind: Kind, as_of: date, today: date, firm_ids: list[str] | None
) -> tuple[str, dict[str, object]]:
    """Return what follows FROM for a kind's rows that may be read, of some firms or all, and its values."""
    of_firms = "tenant_id = {tenant}" + ("" if firm_ids is None else " and firm_id = any({ids}::uuid[])")
    limits = "known_on <= {as_of} and " + of_firms
    if kind.name in SCOPES:
        limits += " and " + _NOT_WITHDRAWN % {"limits": of_firms}
    source = _RECORDS % {"limits": of_firms} if kind.name == PERSONAL_RECORD.name else kind.table
    values = {
        "tenant": tenant_of(session),
        "as_of": as_of,
        "ids": firm_ids,
        "purpose": PURPOSE,
        "scope": SCOPES.get(kind.name),
        "today": today,
        "years": PERSONAL_RECORD_YEARS,
        "nothing": NOTHING_ON_FILE,
    }
    return f"{source} where {limits}", values


_BYTE = "get_byte(content_sha256, 0)"


def count_rows(session: TenantSession, kind: Kind, known_by: date, today: date) -> dict[str, int]:
    """Return how many rows of a kind may be read, by the firm's id; of a kind that is of no firm in all, as ``""``."""
    group = "firm_id::text" if kind.is_of_firms else "''"
    source, values = _readable(session, kind, known_by, today, None)
    connection: Any = session.connection().connection.driver_connection
    query = sql.SQL(f"select {group}, count(*) from {source} group by 1").format(  # noqa: S608 - our own names
        **{name: sql.Literal(value) for name, value in values.items()}
    )
    return dict(connection.execute(query).fetchall())


def read_rows(
    session: TenantSession, kind: Kind, known_by: date, today: date, keys: Mapping[str, str] | None
) -> pl.DataFrame:
    """Return the rows of a kind that may be read, of the firms of some ids with their keys, in no order."""
    source, values = _readable(session, kind, known_by, today, None if keys is None else list(keys))
    if keys is None:
        return read_groups(session, source, kind.schema, _BYTE, values).drop(_BYTE)
    columns = {column: dtype for column, dtype in kind.schema.items() if column != "firm_id"}
    frame = read_groups(session, source, columns, "firm_id", values)
    return frame.with_columns(pl.col("firm_id").replace_strict(keys, return_dtype=pl.String)).select(kind.schema.keys())


def count_arrivals(session: TenantSession, kind: str, as_of: date, days: int, periods: int) -> list[int]:
    """Return the rows of a kind that became known in each of some periods of equal length, the last one first."""
    query = text(f"""
        select (:as_of - known_on) / :days as period, count(*) as known from {KINDS[kind].table}
        where tenant_id = :tenant and known_on <= :as_of and known_on > :as_of - :days * :periods group by 1
    """)  # noqa: S608 - our own names
    values = {"tenant": tenant_of(session), "as_of": as_of, "days": days, "periods": periods}
    found = {row.period: row.known for row in session.execute(query, values)}
    return [found.get(period, 0) for period in range(periods)]


def count_impossible(session: TenantSession, as_of: date) -> tuple[int, dict[str, int]]:
    """Return the loans with a status, and how many of their newest balances cannot be, by what is wrong."""
    row = session.execute(_IMPOSSIBLE, {"tenant": tenant_of(session), "as_of": as_of}).one()
    counts = {name: getattr(row, name) for name in ("above_principal", "owed_after_end", "of_no_loan")}
    return row.statuses, counts


def read_ids(session: TenantSession, first_key: str | None, last_key: str | None) -> list[tuple[str, UUID]]:
    """Return keys and ids of a range of firms, or of all, in order of the keys' bytes."""
    query = select(Firm.key, Firm.id).order_by(Firm.key)
    if first_key is not None:
        query = query.where(col(Firm.key) >= first_key, col(Firm.key) <= last_key)
    return [(key, firm_id) for key, firm_id in session.exec(query)]


def find_firm(session: TenantSession, firm_id: UUID, *, for_update: bool = False) -> Firm | None:
    """Return a firm within reach."""
    query = select(Firm).where(Firm.id == firm_id)
    return session.exec(query.with_for_update() if for_update else query).one_or_none()


def newest_observations(session: TenantSession, firm_ids: Sequence[UUID]) -> dict[UUID, FirmObservation]:
    """Return the newest thing known about what each firm is."""
    newest = (col(FirmObservation.observed_on).desc(), col(FirmObservation.known_on).desc())
    query = (
        select(FirmObservation)
        .ext(distinct_on(col(FirmObservation.firm_id)))
        .where(col(FirmObservation.firm_id).in_(firm_ids))
        .order_by(col(FirmObservation.firm_id), *newest, col(FirmObservation.content_sha256))
    )
    return {seen.firm_id: seen for seen in session.exec(query)}


def page_observations(
    session: TenantSession,
    kind: Kind,
    firm_id: UUID | None,
    known_by: date | None,
    before: tuple[date, bytes] | None,
    limit: int,
) -> list[Known]:
    """Return rows of a kind, of firms within reach, newest first, from the one before a place on."""
    table = LEDGER[kind.name]
    place = (col(table.observed_on), col(table.content_sha256))
    query = select(table).order_by(*(column.desc() for column in place)).limit(limit)
    if firm_id is not None:
        query = query.where(of_row(table, "firm_id") == firm_id)
    if known_by is not None:
        query = query.where(col(table.known_on) <= known_by)
    return list(session.exec(query if before is None else query.where(tuple_(*place) < tuple_(*before))))


def find_documents(session: TenantSession, sha256: str) -> list[Known]:
    """Return what is known of a document's file, about firms within reach, newest first."""
    table = LEDGER[DOCUMENT.name]
    newest = (col(table.observed_on).desc(), col(table.known_on).desc(), col(table.content_sha256))
    return list(session.exec(select(table).where(of_row(table, "sha256") == sha256).order_by(*newest)))


def page_firms(session: TenantSession, after: str | None, limit: int) -> list[Firm]:
    """Return firms in order of their keys, from the one after ``after`` on."""
    query = select(Firm).order_by(Firm.key).limit(limit)
    return list(session.exec(query if after is None else query.where(col(Firm.key) > after)))


def find_loan(session: TenantSession, loan_id: str) -> Loan | None:
    """Return the newest row of a loan."""
    newest = (col(Loan.observed_on).desc(), col(Loan.known_on).desc(), col(Loan.content_sha256))
    return session.exec(select(Loan).where(Loan.loan_id == loan_id).order_by(*newest).limit(1)).one_or_none()


def lock_loans(session: TenantSession) -> None:
    """Let one transaction at a time add loans: their numbers are one firm's each, which no index says."""
    wait_for_lock(session, LockSeed.FIRMS)


def may_add_loan(session: TenantSession) -> bool:
    """Lock the loans as `lock_loans` does, unless an import has them for longer than a request may wait."""
    return has_lock_within(_LOANS_WAIT, session, LockSeed.FIRMS)


def loan_owners(session: TenantSession, loan_ids: list[str]) -> dict[str, str]:
    """Return the key of the firm that each loan belongs to."""
    query = text("""
        select distinct loan.loan_id, firm.key from loan
        join firm on firm.tenant_id = loan.tenant_id and firm.id = loan.firm_id
        where loan.tenant_id = :tenant and loan.loan_id = any(:ids)
    """)
    rows = session.execute(query, {"tenant": tenant_of(session), "ids": loan_ids})
    return {row.loan_id: row.key for row in rows}


def keys_of(session: TenantSession, firm_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the keys of those firms that are within reach."""
    return dict(session.exec(select(Firm.id, Firm.key).where(col(Firm.id).in_(firm_ids))).all())


def key_of(session: TenantSession, firm_id: UUID) -> str:
    """Return the key of a firm that is there."""
    return session.exec(select(Firm.key).where(Firm.id == firm_id)).one()


def first_ingested(session: TenantSession, person_ids: Sequence[str]) -> dict[str, datetime]:
    """Return when the first row of each person was added, of firms within reach."""
    name = col(PersonObservation.person_id)
    query = select(name, func.min(PersonObservation.ingested_at)).where(name.in_(person_ids)).group_by(name)
    return dict(session.exec(query).all())


def newest_links(session: TenantSession, person_ids: Sequence[str]) -> list[PersonObservation]:
    """Return the newest row of each firm, person and role, of firms within reach."""
    link = (col(PersonObservation.person_id), col(PersonObservation.firm_id), col(PersonObservation.role))
    newest = (col(PersonObservation.observed_on).desc(), col(PersonObservation.known_on).desc())
    query = (
        select(PersonObservation)
        .ext(distinct_on(*link))
        .where(col(PersonObservation.person_id).in_(person_ids))
        .order_by(*link, *newest, col(PersonObservation.content_sha256))
    )
    return list(session.exec(query))


def page_people(session: TenantSession, firm_id: UUID, after: str | None, limit: int | None) -> list[str]:
    """Return the people of a firm whose pseudonyms have the form of our ids, in order of these."""
    name = col(PersonObservation.person_id)
    query = select(name).distinct().where(PersonObservation.firm_id == firm_id, name.regexp_match(f"^{PSEUDONYM}$"))
    query = query if after is None else query.where(name > after)
    return list(session.exec(query.order_by(name).limit(limit)))


def has_withdrawal(session: TenantSession, firm_id: UUID, since: datetime) -> bool:
    """Tell whether a withdrawal or refusal of a person's, that touches features of a firm, came in since."""
    query = select(Consent.firm_id).where(
        Consent.firm_id == firm_id,
        col(Consent.person_id).is_not(None),
        col(Consent.scope).in_(SCOPES.values()),
        Consent.purpose == PURPOSE,
        ~col(Consent.is_given),
        col(Consent.ingested_at) >= since,
    )
    return session.exec(query.limit(1)).first() is not None


def page_consents(
    session: TenantSession, person_id: str, after: tuple[date, bytes] | None, limit: int | None, firm_id: UUID | None
) -> list[Consent]:
    """Return consents of a person for firms within reach, or for one of them, the oldest first."""
    place = (col(Consent.observed_on), col(Consent.content_sha256))
    query = select(Consent).where(Consent.person_id == person_id).order_by(*place).limit(limit)
    if firm_id is not None:
        query = query.where(Consent.firm_id == firm_id)
    return list(session.exec(query if after is None else query.where(tuple_(*place) > tuple_(*after))))
