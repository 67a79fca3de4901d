"""Rows of the audit log: entries until they are numbered and after, the tree over them, and what was signed of it."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, LargeBinary, SmallInteger, Text
from sqlmodel import Field

from service.kit.rows import TenantRow

_LEDGER: Final = (
    "firm_observation",
    "person_observation",
    "consent",
    "personal_record",
    "invoice",
    "loan",
    "repayment_status",
    "capital",
    "ownership",
    "relation",
    "financial_statement",
    "tax_bill",
    "utility_bill",
    "account_month",
    "product_held",
    "instalment",
    "debt_elsewhere",
    "guarantee_observation",
    "fund_membership",
    "external_rating",
    "counterparty_tag",
    "inventory",
    "receivable",
    "soft_assessment",
    "soft_claim",
    "association_act_observation",
    "peer_report_observation",
    "digital_maturity",
    "patent",
    "research",
    "training",
    "event",
    "document_observation",
    "industry_statistic",
    "place_statistic",
)
NOT_WATCHED: Final[dict[str, str]] = {
    **dict.fromkeys(_LEDGER, "filled in bulk: each import and each request that adds leaves an entry"),
    "audit_pending": "the log itself",
    "audit_entry": "the log itself",
    "audit_node": "the log itself: hashes that follow from its entries",
    "audit_checkpoint": "the log itself; who asks for a checkpoint leaves an entry",
    "score": "filled in bulk: each chunk and each request that scores leaves an entry over all its scores",
    "score_batch": "the leaves of scores, whose entry has their root",
    "alert_candidate": "filled in bulk with a chunk's scores; what becomes of it on publishing is an alert",
    "publication": "a rescoring's publishing and rolling back leave entries of their own",
    "rescoring_transition": "a rescoring's own change of state, whose row is watched",
    "document_file": "stored and destroyed by acts that leave entries of their own, with the file's hash",
    "upload": "a file that waits for its import, which leaves an entry with its hash; destroyed then",
    "current_score": "points to a row of score, and is written with it",
    "rescoring_chunk": "planned in bulk by its run, which leaves an entry; done with its scores, which leave one",
    "day_context": "worked out from the ledger, again and again alike",
    "idempotency_key": "an answer's copy of 24 hours, sealed with the asker's secret",
    "rate_window": "counts of requests, of minutes",
    "keyring": "one row an installation: no tenant's, and it tells nothing but which keyring belongs here",
}
"""Tables whose changes no trigger records, and why."""


class PendingEntry(TenantRow, table=True):
    """An entry that its transaction wrote and the sequencer has not numbered yet."""

    __tablename__ = "audit_pending"
    __table_args__ = (
        # What becomes a line of an export: whoever can add entries must not be able to add one that breaks it.
        CheckConstraint(
            "left(body, 1) = '{' and right(body, 1) = '}' and position(chr(10) in body) = 0"
            " and octet_length(body) <= 4000000 and json_typeof(cast(body as json)) = 'object'"
            " and coalesce(cast(body as json) ->> 'tenant_id' = cast(tenant_id as text), false)"
            " and coalesce(cast(body as json) ->> 'id' = cast(id as text), false)",
            name="body",
        ),
        Index("ix_audit_pending_recorded_at", "recorded_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))
    actor: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)


class Entry(TenantRow, table=True):
    """A numbered entry: its body, in RFC 8785 JSON, is what the leaf is the hash of."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        CheckConstraint("number >= 0", name="number"),
        Index("uq_audit_entry_id", "tenant_id", "id", unique=True),
        Index("ix_audit_entry_subject", "tenant_id", "subject", "number"),
        Index("ix_audit_entry_actor", "tenant_id", "actor", "number"),
        Index("ix_audit_entry_recorded_at", "tenant_id", "recorded_at"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    id: UUID
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))
    actor: str = Field(sa_type=Text)
    subject: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
    leaf: bytes = Field(sa_type=LargeBinary)


class Node(TenantRow, table=True):
    """The hash of a complete subtree of ``2**level`` leaves, of which it is the one at `place`."""

    __tablename__ = "audit_node"
    __table_args__ = (CheckConstraint("level >= 1", name="level"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    level: int = Field(primary_key=True, sa_type=SmallInteger, sa_column_kwargs={"autoincrement": False})
    place: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    hash: bytes = Field(sa_type=LargeBinary)


class Checkpoint(TenantRow, table=True):
    """Size and root of the tree at an instant, signed."""

    __tablename__ = "audit_checkpoint"
    __table_args__ = (Index("ix_audit_checkpoint_at", "tenant_id", "at", "id"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    at: datetime = Field(sa_type=DateTime(timezone=True))
    size: int = Field(sa_type=BigInteger)
    root: bytes = Field(sa_type=LargeBinary)
    key_id: str = Field(sa_type=Text)
    signed: str = Field(sa_type=Text)
    signature: bytes = Field(sa_type=LargeBinary)
