"""Wire shapes of grants, guarantees and a fund's book."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Self
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from service.funds.tables import GuaranteeGrant
from service.funds.use_cases import BankSum, BookLoan, GuaranteeView, Terms
from service.kit.http import Day, Schema, Text, Yuan, fen_of, yuan_of

_SHARE = re.compile(r"[01](\.[0-9]{1,4})?")
BANK = "5b3e1f6e-9a52-5d0b-8a0e-3f1c2d4e5f60"
GUARANTEE = "2c9a4f0e-7b1d-4c6e-9f3a-8e5d1b2a7c33"
FUND = "luqiao-guarantee-fund"
PD = "Probability of default within the product's horizon."
BASIS = "`observed`, `anchored` to a stated level, or `default`: the firm is in default."


def _plain_share(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not _SHARE.fullmatch(str(value)) or not (is_number or isinstance(value, str)):
        raise ValueError("must be a share above 0 and up to 1 with at most 4 decimal places, such as 0.8")
    return str(value)


Share = Annotated[Decimal, BeforeValidator(_plain_share), Field(gt=0, le=1, examples=["0.8"])]


class GrantIn(Schema):
    """The fund that may look."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"fund": FUND}]})

    fund: Text = Field(description="The fund's whole name, as it is registered here.")


class GrantOut(Schema):
    """A bank's leave to a fund to see the loans that it guarantees."""

    id: UUID
    fund: str
    granted_at: datetime
    granted_by: str
    ended_at: datetime | None = Field(description="Null: it lives.")
    ended_by: str | None
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, grant: GuaranteeGrant) -> Self:
        """Show a grant."""
        return cls.model_validate(grant.model_dump(include=set(cls.model_fields)))


class GrantsOut(Schema):
    """A page of grants, the oldest first."""

    items: list[GrantOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class GuaranteeIn(Schema):
    """What a fund guarantees of a loan."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "fund": FUND,
                    "coverage": "0.8",
                    "cap": "400000.00",
                    "starts_on": "2024-01-31",
                    "ends_on": "2025-01-31",
                }
            ]
        }
    )

    fund: Text = Field(description="The fund's whole name; it needs a live grant.")
    coverage: Share = Field(description="The guaranteed share of the principal.")
    cap: Annotated[Yuan, Field(gt=0)] | None = Field(None, description="The fund pays no more, in yuan.")
    starts_on: Day
    ends_on: Day | None = Field(
        None,
        description="The last day; not given: the day on which the loan matures, if it has one; null: no end is set.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ends_on is not None and self.ends_on < self.starts_on:
            raise ValueError("ends_on is before starts_on")
        return self

    @property
    def is_until_maturity(self) -> bool:
        """Whether nothing is said of the end."""
        return "ends_on" not in self.model_fields_set

    def terms(self) -> Terms:
        """Return what is guaranteed."""
        return Terms(self.coverage, None if self.cap is None else fen_of(self.cap), self.starts_on, self.ends_on)


class GuaranteePatch(Schema):
    """When a guarantee ends."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ends_on": "2024-12-31"}]})

    ends_on: Day | None = Field(
        description="The last day; null: no end is set; the day before `starts_on`: it never was in force."
    )


class GuaranteeOut(Schema):
    """A fund's guarantee of a loan."""

    id: UUID
    firm_id: UUID
    loan_id: str
    fund: str
    coverage: Decimal
    cap: Decimal | None
    starts_on: date
    ends_on: date | None
    created_at: datetime
    created_by: str
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, view: GuaranteeView) -> Self:
        """Show a guarantee."""
        row = view.guarantee.model_dump(include=set(cls.model_fields) - {"coverage"})
        cap_fen = view.guarantee.cap_fen
        cap = None if cap_fen is None else yuan_of(cap_fen)
        return cls(**row, fund=view.fund, coverage=share_of(view.guarantee.coverage), cap=cap)


class GuaranteesOut(Schema):
    """A page of a loan's guarantees, the oldest first."""

    items: list[GuaranteeOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class BookLoanOut(Schema):
    """A loan that the fund guarantees, all that the fund may see of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "bank_id": BANK,
                    "bank": "luqiao-community-bank",
                    "guarantee_id": GUARANTEE,
                    "loan_id": "L-2024-000123",
                    "product": "credit-score",
                    "firm_key": "91350211M000100Y46",
                    "firm_name": "温州市鹿城区远航鞋业有限公司",
                    "limit": "500000.00",
                    "coverage": "0.8",
                    "guaranteed": "400000.00",
                    "starts_on": "2024-01-31",
                    "ends_on": None,
                    "pd": 0.031,
                    "pd_basis": "observed",
                    "grade": "10",
                    "as_of": "2024-06-30",
                    "reason_families": ["sales", "owner"],
                }
            ]
        }
    )

    bank_id: UUID
    bank: str
    guarantee_id: UUID
    loan_id: str
    product: str
    firm_key: str
    firm_name: str | None
    limit: Decimal = Field(description="The loan's principal in yuan.")
    coverage: Decimal = Field(description="The guaranteed share of it.")
    guaranteed: Decimal = Field(
        description="Principal times coverage in yuan, fractions of a fen left out, and no more than the cap."
    )
    starts_on: date
    ends_on: date | None
    pd: float | None = Field(description=f"{PD} Null, as the rest: the firm has no score of the loan's product yet.")
    pd_basis: str | None = Field(description=BASIS)
    grade: str | None = Field(description="1 (best) to 15, a pure function of `pd`; D: in default.")
    as_of: date | None = Field(description="The day that the score was made for.")
    reason_families: list[str] | None = Field(description="What the score's reasons are about.")

    @classmethod
    def of(cls, loan: BookLoan) -> Self:
        """Show a loan of the book."""
        return cls(
            **{name: value for name, value in vars(loan).items() if name in cls.model_fields and name != "coverage"},
            limit=yuan_of(loan.principal_fen),
            coverage=share_of(loan.coverage),
            guaranteed=yuan_of(loan.guaranteed_fen),
        )


class BookOut(Schema):
    """A page of the fund's book, by bank and loan."""

    items: list[BookLoanOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class BankSumOut(Schema):
    """The fund's loans at one bank."""

    bank_id: UUID
    bank: str
    loans: int
    scored: int = Field(description="Those with a score of their product.")
    guaranteed: Decimal = Field(description="Yuan, over all loans.")
    pd: float | None = Field(
        description="Mean PD of those scored, each with the weight of what is guaranteed; null without any."
    )

    @classmethod
    def of(cls, bank: BankSum) -> Self:
        """Show a bank's sums."""
        facts = {name: value for name, value in vars(bank).items() if name in cls.model_fields}
        return cls(**facts, guaranteed=yuan_of(bank.guaranteed_fen))


class BookSummaryOut(Schema):
    """The sums of the fund's book."""

    banks: list[BankSumOut] = Field(description="Every bank that lets the fund look, by name.")


def share_of(stored: Decimal) -> Decimal:
    """Return a share without the zeros that the database pads it with.

    Examples
    --------
    >>> share_of(Decimal("0.8000")), share_of(Decimal("1.0000"))
    (Decimal('0.8'), Decimal('1'))
    """
    return stored.normalize()
