"""Rows of contexts, scores and the pointer to a firm's current score."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlmodel import Field

from service.kit.rows import FirmRow, TenantRow


class DayContext(TenantRow, table=True):
    """Whole-population tables of one day, read by online and batch scoring alike. Append-only: the newest counts."""

    __tablename__ = "day_context"
    __table_args__ = (Index("ix_day_context_newest", "tenant_id", "as_of", "built_at"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    as_of: date
    body: str = Field(sa_type=Text)
    built_at: datetime = Field(sa_type=DateTime(timezone=True))


class Score(FirmRow, table=True):
    """A score as it was given, with all that it rested on. Append-only.

    The JSON columns keep the text to the letter, because its hash is in the audit log: `batch_id` is the entry over
    the rows that were written together (docs/score-row.md). Version and context are named without a foreign key: the
    same two rows for a whole chunk, which nobody may delete (docs/adr/0026).

    A partition a year: the day is in the key because PostgreSQL wants it there; the id alone identifies a score.
    """

    __tablename__ = "score"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        Index("ix_score_firm", "tenant_id", "firm_id", "scored_at", "id"),
        Index(
            "uq_score_run_firm", "tenant_id", "run_id", "firm_id", "as_of", unique=True,
            postgresql_where=text("run_id is not null"),
        ),
        CheckConstraint("decision in ('automated', 'person')", name="decision"),
        {"postgresql_partition_by": "RANGE (as_of)"},
    )  # fmt: skip

    tenant_id: UUID = Field(primary_key=True)
    id: UUID = Field(primary_key=True)
    firm_id: UUID
    product: str = Field(sa_type=Text)
    as_of: date = Field(primary_key=True)
    scored_at: datetime = Field(sa_type=DateTime(timezone=True))
    actor: str = Field(sa_type=Text)
    model_version_id: UUID
    context_id: UUID
    run_id: UUID | None
    pd: float
    pd_basis: str = Field(sa_type=Text)
    interval_low: float
    interval_high: float
    interval_kind: str = Field(sa_type=Text)
    grade: str = Field(sa_type=Text)
    stable_grade: str = Field(sa_type=Text)
    points: float | None
    reasons: list[dict[str, Any]] = Field(sa_type=JSON)
    features: dict[str, float | None] = Field(sa_type=JSON)
    missing: list[dict[str, Any]] = Field(sa_type=JSON)
    decision: str = Field(sa_type=Text)
    reason_families: list[str] = Field(sa_type=ARRAY(Text))
    batch_id: UUID | None


class Publication(TenantRow, table=True):
    """A rescoring whose scores count, since and until when; scores of others are nobody's grade.

    Of a day's runs the one that began last holds, whenever each was published, and whenever each came to a firm.
    """

    __tablename__ = "publication"
    __table_args__ = (Index("ix_publication_newest", "tenant_id", "product", "as_of", "started_at"),)

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    run_id: UUID = Field(primary_key=True)
    product: str = Field(sa_type=Text)
    as_of: date
    started_at: datetime = Field(sa_type=DateTime(timezone=True))
    is_whole: bool
    published_at: datetime = Field(sa_type=DateTime(timezone=True))
    rolled_back_at: datetime | None = Field(sa_type=DateTime(timezone=True))


class ScoreBatch(TenantRow, table=True):
    """The leaf hashes of scores that were written together, whose root an entry of the same id has. Append-only."""

    __tablename__ = "score_batch"

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    as_of: date
    leaves: bytes = Field(sa_type=LargeBinary)


class CurrentScore(FirmRow, table=True):
    """Which score of a firm and product is current: of the newest `as_of` and, among those, the one begun last.

    A run's scores were begun when the run was, an online one when it was made: `scored_at` is that moment here. It is
    kept in this row because who waited for a row to compare with sees the row as it is by then, and no other row that
    was added meanwhile. Only online scores and those of published runs count. Without a foreign key to the score:
    checked against partitions it took a third of the time of adding scores. Rows are made from rows of `score` alone,
    and what they point to is never dropped (`service.retention`).
    """

    __tablename__ = "current_score"
    tenant_id: UUID = Field(primary_key=True)
    firm_id: UUID = Field(primary_key=True)
    product: str = Field(primary_key=True, sa_type=Text)
    score_id: UUID
    as_of: date
    scored_at: datetime = Field(sa_type=DateTime(timezone=True))
