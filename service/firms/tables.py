"""Rows of the ledger. Append-only: a correction is a new row with a later `known_on`.

Amounts are whole fen (`_fen`), the unit that features are computed in.
"""

from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

import polars as pl
from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)
from sqlmodel import Field
from sqlmodel.main import SQLModelMetaclass

from features.kinds import KINDS
from features.kinds.contract import Kind
from service.kit.rows import FirmRow, MutableRow, TenantRow


class Firm(TenantRow, MutableRow, table=True):
    """A firm that a tenant knows, by its unified social credit code or a local id, and the branch it belongs to."""

    __tablename__ = "firm"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key"),
        ForeignKeyConstraint(["tenant_id", "branch_id"], ["branch.tenant_id", "branch.id"]),
        Index("ix_firm_branch", "tenant_id", "branch_id", "key"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    key: str = Field(sa_type=Text(collation="C"))
    branch_id: UUID | None
    created_at: datetime = Field(sa_type=DateTime(timezone=True))


class Known(TenantRow):
    """What every row of the ledger has: its three times, and the hash of its content as its identity."""

    content_sha256: bytes = Field(primary_key=True, sa_type=LargeBinary)
    observed_on: date
    known_on: date
    ingested_at: datetime = Field(sa_type=DateTime(timezone=True))


class Observation(FirmRow, Known):
    """A row about a firm."""


def _of_firm(table: str) -> tuple[ForeignKeyConstraint, Index]:
    return (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        Index(f"ix_{table}_tenant_id_firm_id", "tenant_id", "firm_id"),
    )


class FirmObservation(Observation, table=True):
    """What a firm is: name, trade, cluster, place."""

    __tablename__ = "firm_observation"
    __table_args__ = _of_firm("firm_observation")

    name: str = Field(sa_type=Text)
    industry: str | None = Field(sa_type=Text)
    cluster: str | None = Field(sa_type=Text)
    place: str | None = Field(sa_type=Text)
    founded_on: date | None
    is_lead: bool | None


class PersonObservation(Observation, table=True):
    """A person behind a firm, under a pseudonym of the lender's."""

    __tablename__ = "person_observation"
    __table_args__ = (
        *_of_firm("person_observation"),
        Index("ix_person_observation_person_id", "tenant_id", "person_id"),
    )

    person_id: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    trade_since: date | None


class Consent(Observation, table=True):
    """What a person behind a firm, or the firm, consented to or refused on a day; a withdrawal is a later row."""

    __tablename__ = "consent"
    __table_args__ = (*_of_firm("consent"), Index("ix_consent_person_id", "tenant_id", "person_id"))

    person_id: str | None = Field(sa_type=Text)
    scope: str = Field(sa_type=Text)
    purpose: str = Field(sa_type=Text)
    is_given: bool


class PersonalRecord(Observation, table=True):
    """A negative record of a person behind a firm; a later row of the same record carries its end."""

    __tablename__ = "personal_record"
    __table_args__ = _of_firm("personal_record")

    person_id: str = Field(sa_type=Text)
    record: str = Field(sa_type=Text)
    days_past_due: int | None
    ended_on: date | None


class Invoice(Observation, table=True):
    """A VAT invoice that a firm issued or received; negative amounts are credit notes.

    Without a foreign key to the firm: checking it took a third of an import's insert. Rows come in through `Stage`
    alone, which takes registered firms only, and no firm is ever deleted. A partition a year: the day is in the key
    because PostgreSQL wants it there; the content's hash, of which it is a part, is what identifies a row. The firm,
    which is a part of it too, is in front of it, so that one index finds rows of a firm and those that are known
    (docs/adr/0031).
    """

    __tablename__ = "invoice"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "firm_id", "content_sha256", "observed_on"),
        {"postgresql_partition_by": "RANGE (observed_on)"},
    )

    firm_id: UUID = Field(primary_key=True)
    observed_on: date = Field(primary_key=True)
    direction: str = Field(sa_type=Text)
    number: str | None = Field(sa_type=Text)
    counterparty: str = Field(sa_type=Text)
    has_linked_codes: bool
    net_fen: int = Field(sa_type=BigInteger)
    vat_fen: int = Field(sa_type=BigInteger)
    gross_fen: int = Field(sa_type=BigInteger)
    is_void: bool


class Loan(Observation, table=True):
    """A loan to a firm; `observed_on` is its start."""

    __tablename__ = "loan"
    __table_args__ = (*_of_firm("loan"), Index("ix_loan_tenant_id_loan_id", "tenant_id", "loan_id"))

    loan_id: str = Field(sa_type=Text)
    product: str = Field(sa_type=Text)
    principal_fen: int = Field(sa_type=BigInteger)
    matures_on: date | None


class RepaymentStatus(Observation, table=True):
    """How a loan, or a firm's debts as a whole, stood on a day."""

    __tablename__ = "repayment_status"
    __table_args__ = _of_firm("repayment_status")

    loan_id: str | None = Field(sa_type=Text)
    days_past_due: int | None
    balance_fen: int | None = Field(sa_type=BigInteger)
    default_event: str | None = Field(sa_type=Text)
    is_closed: bool
    is_undated: bool


_SQL = {pl.String: Text, pl.Date: Date, pl.Int64: BigInteger, pl.Boolean: Boolean, pl.Float64: Double}
_PYTHON = {pl.String: str, pl.Date: date, pl.Int64: int, pl.Boolean: bool, pl.Float64: float}


def _table_of(kind: Kind) -> type[Known]:
    """Make the table of a kind whose columns stand in its layout alone."""
    own = [column for column in kind.columns if column.name not in {"firm_id", "observed_on", "known_on"}]
    hints = {
        column.name: _PYTHON[type(column.dtype)] if column.is_required else _PYTHON[type(column.dtype)] | None
        for column in own
    }
    body: dict[str, Any] = {column.name: Field(sa_type=_SQL[type(column.dtype)]) for column in own}
    constraints: tuple[Any, ...] = ()
    if kind.is_of_firms:
        hints["firm_id"], body["firm_id"] = UUID, Field(primary_key=True)
        constraints = (
            PrimaryKeyConstraint("tenant_id", "firm_id", "content_sha256"),
            ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        )
    body |= {
        "__tablename__": kind.table,
        "__table_args__": constraints,
        "__annotations__": hints,
        "__module__": __name__,
        "__doc__": f"{kind.words.en.capitalize()}.",
    }
    name = "".join(map(str.capitalize, kind.table.split("_")))
    base = Observation if kind.is_of_firms else Known
    return cast("type[Known]", SQLModelMetaclass(name, (base,), body, table=True))


LEDGER: dict[str, type[Known]] = {
    "firm": FirmObservation,
    "person": PersonObservation,
    "invoice": Invoice,
    "loan": Loan,
    "repayment_status": RepaymentStatus,
    "consent": Consent,
    "personal_record": PersonalRecord,
}
"""The table of each kind. Those made here have no class of their own: their columns are the kind's."""
LEDGER |= {name: _table_of(kind) for name, kind in KINDS.items() if name not in LEDGER}
Index(
    "ix_document_observation_sha256",
    *(LEDGER["document"].__table__.c[name] for name in ("tenant_id", "sha256")),  # type: ignore[attr-defined]
)
