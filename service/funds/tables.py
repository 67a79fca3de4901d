"""Rows of guarantee funds: a bank's own, which the fund they name may read while its grant lives."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKeyConstraint, Index, Numeric, Text, text
from sqlmodel import Field

from service.kit.rows import FirmRow, MutableRow, TenantRow


class GuaranteeGrant(TenantRow, MutableRow, table=True):
    """A bank lets a fund see the loans that it guarantees, until the bank ends it."""

    __tablename__ = "guarantee_grant"
    __table_args__ = (
        Index(
            "uq_guarantee_grant_live", "fund_id", "tenant_id", unique=True, postgresql_where=text("ended_at is null")
        ),
        Index("ix_guarantee_grant_granted_at", "tenant_id", "granted_at", "id"),
    )

    tenant_id: UUID = Field(primary_key=True, foreign_key="tenant.id")
    id: UUID = Field(primary_key=True)
    fund_id: UUID = Field(foreign_key="tenant.id")
    fund: str = Field(sa_type=Text)
    granted_at: datetime = Field(sa_type=DateTime(timezone=True))
    granted_by: str = Field(sa_type=Text)
    ended_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    ended_by: str | None = Field(sa_type=Text)


class FundGuarantee(FirmRow, MutableRow, table=True):
    """A fund guarantees a share of a loan; only its end may change.

    `product` is the loan's when the guarantee was made. The database shows the fund scores of this product alone.
    """

    __tablename__ = "fund_guarantee"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "firm_id"], ["firm.tenant_id", "firm.id"]),
        CheckConstraint("coverage > 0 and coverage <= 1", name="coverage"),
        CheckConstraint("cap_fen > 0", name="cap"),
        CheckConstraint("ends_on >= starts_on - 1", name="days"),
        Index("ix_fund_guarantee_book", "fund_id", "tenant_id", "loan_id", "id"),
        Index("ix_fund_guarantee_loan", "tenant_id", "firm_id", "loan_id"),
    )

    id: UUID = Field(primary_key=True)
    loan_id: str = Field(sa_type=Text)
    product: str = Field(sa_type=Text)
    fund_id: UUID = Field(foreign_key="tenant.id")
    coverage: Decimal = Field(sa_type=Numeric(5, 4))
    cap_fen: int | None = Field(sa_type=BigInteger)
    starts_on: date
    ends_on: date | None
    created_at: datetime = Field(sa_type=DateTime(timezone=True))
    created_by: str = Field(sa_type=Text)
