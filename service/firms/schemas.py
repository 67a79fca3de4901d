"""Wire shapes of firms, invoices, loans and repayment statuses."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictInt, model_validator

from service.firms.use_cases import Added, FirmView, check_firm_key
from service.kit import clock
from service.kit.http import Code, Day, Reference, Schema, Text, Yuan, fen_of

MAX_INVOICES = 10_000
FirmKey = Annotated[
    str,
    Field(min_length=1, max_length=64, json_schema_extra={"pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]*$"}),
    AfterValidator(check_firm_key),
]
DefaultEvent = Literal[
    "non_accrual",
    "credit_loss_sale",
    "bankruptcy",
    "distressed_restructuring",
    "write_off",
    "guarantee_paid",
    "cross_default",
    "unspecified",
]


class Observed(Schema):
    """When a fact was true, and when the lender could know it."""

    known_on: Day | None = Field(
        None,
        description="When the lender could know it; filters features. If not given: the day it was true, or a later"
        " day that it tells of.",
    )

    def times(self, observed_on: date, *told: date | None) -> dict[str, date]:
        """Return both business dates of a row.

        Parameters
        ----------
        told
            Later days of the fact, if the row tells of any: it was not known before, as `Kind.known_on` has it.

        Raises
        ------
        ValueError
            If the fact is in the future, or known before it was true.
        """
        known_on = self.known_on or min(max([observed_on, *filter(None, told)]), clock.today())
        if max(observed_on, known_on) > clock.today():
            raise ValueError("observed_on or known_on lies in the future")
        if known_on < observed_on:
            raise ValueError("known_on is before the fact was true")
        return {"observed_on": observed_on, "known_on": known_on}


class FirmIn(Observed):
    """What is known about a firm."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "91350211M000100Y46",
                    "name": "温州市鹿城区远航鞋业有限公司",
                    "industry": "shoes",
                    "cluster": "wenzhou-shoes",
                    "place": "温州市鹿城区",
                    "founded_on": "2009-04-01",
                    "is_lead": False,
                    "observed_on": "2024-01-31",
                }
            ]
        }
    )

    key: FirmKey = Field(
        description="Unified social credit code (18 characters, check character verified) or a local id."
    )
    name: Text
    industry: Text | None = None
    cluster: Text | None = None
    place: Text | None = None
    founded_on: Day | None = None
    is_lead: StrictBool | None = None
    observed_on: Day | None = Field(None, description="When this was true; today if not given.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.row()
        return self

    def row(self) -> dict[str, Any]:
        """Return the canonical row."""
        facts = self.model_dump(include={"name", "industry", "cluster", "place", "founded_on", "is_lead"})
        times = self.times(self.observed_on or clock.today())
        if self.founded_on is not None and self.founded_on > times["known_on"]:
            raise ValueError("founded_on is after known_on: nobody could know it")
        return {"firm_id": self.key, **facts, **times}


class FirmPatch(Schema):
    """The branch that a firm is handed over to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"branch_id": "0f4d8f0a-1b0e-4a3c-9a53-5a7d0a4f6c01"}]})

    branch_id: UUID | None = Field(description="Null: no branch looks after it.")


class FirmOut(Schema):
    """A firm, as newest known."""

    id: UUID
    key: str
    name: str | None
    industry: str | None
    cluster: str | None
    place: str | None
    founded_on: date | None
    is_lead: bool | None
    branch_id: UUID | None = Field(description="The branch that looks after it.")
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, firm: FirmView) -> Self:
        """Show a firm."""
        return cls(**vars(firm))


class FirmsOut(Schema):
    """A page of firms."""

    items: list[FirmOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class InvoiceIn(Observed):
    """One VAT invoice; a credit note has negative amounts."""

    direction: Literal["output", "input"] = Field(description="`output`: the firm sells; `input`: the firm buys.")
    number: Reference | None = None
    counterparty: Reference
    has_linked_codes: StrictBool = Field(
        False, description="Whether the counterparty has one code as buyer and as seller, so that round trips show."
    )
    issued_on: Day
    net: Yuan
    vat: Yuan
    is_void: StrictBool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.times(self.issued_on)
        return self

    def row(self) -> dict[str, Any]:
        """Return the canonical row, but for the firm."""
        net, vat = fen_of(self.net), fen_of(self.vat)
        facts = self.model_dump(include={"direction", "number", "counterparty", "has_linked_codes", "is_void"})
        return {**facts, **self.times(self.issued_on), "net_fen": net, "vat_fen": vat, "gross_fen": net + vat}


class InvoicesIn(Schema):
    """Invoices of one firm."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "invoices": [
                        {
                            "direction": "output",
                            "number": "11459356",
                            "counterparty": "B03711",
                            "issued_on": "2024-01-15",
                            "net": "9401.71",
                            "vat": "1598.29",
                        }
                    ]
                }
            ]
        }
    )

    invoices: list[InvoiceIn] = Field(min_length=1, max_length=MAX_INVOICES)


class AddedOut(Schema):
    """What became of the rows that were sent."""

    received: int
    added: int
    already_known: int = Field(description="Rows whose content was in the ledger before.")
    repeated: int = Field(description="Rows that stood more than once in this call.")

    @classmethod
    def of(cls, added: Added) -> Self:
        """Show the counts."""
        return cls(**vars(added))


class LoanIn(Observed):
    """A loan to a firm."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "firm_id": "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11",
                    "loan_id": "L-2024-000123",
                    "product": "credit-score",
                    "principal": "500000.00",
                    "started_on": "2024-01-31",
                    "matures_on": "2025-01-31",
                }
            ]
        }
    )

    firm_id: UUID
    loan_id: Code = Field(description="The lender's own number of the loan.")
    product: Code
    principal: Yuan
    started_on: Day
    matures_on: Day | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.times(self.started_on)
        if self.principal <= Decimal(0):
            raise ValueError("principal must be above zero")
        if self.matures_on is not None and self.matures_on <= self.started_on:
            raise ValueError("matures_on must be after started_on")
        return self

    def row(self) -> dict[str, Any]:
        """Return the canonical row, but for the firm."""
        facts = self.model_dump(include={"loan_id", "product", "matures_on"})
        return {**facts, **self.times(self.started_on), "principal_fen": fen_of(self.principal)}


class LoanOut(Schema):
    """A loan that was added."""

    id: str = Field(description="The lender's own number of the loan.")
    firm_id: UUID
    added: int = Field(description="1, or 0 where the very same loan was known before.")


class RepaymentStatusIn(Observed):
    """How a loan stood on a day."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"observed_on": "2024-02-29", "days_past_due": 0, "balance": "458333.33"}]}
    )

    observed_on: Day
    days_past_due: Annotated[StrictInt, Field(ge=0, le=20_000)] | None = None
    balance: Annotated[Yuan, Field(ge=0)] | None = None
    default_event: DefaultEvent | None = Field(None, description="An event that is a default by itself.")
    is_closed: StrictBool = Field(False, description="The loan has ended.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.times(self.observed_on)
        if self.days_past_due is None and self.default_event is None and not self.is_closed:
            raise ValueError("give days_past_due, default_event or is_closed")
        return self

    def row(self) -> dict[str, Any]:
        """Return the canonical row, but for firm and loan."""
        facts = self.model_dump(include={"days_past_due", "default_event", "is_closed"})
        balance_fen = None if self.balance is None else fen_of(self.balance)
        return {**facts, **self.times(self.observed_on), "balance_fen": balance_fen, "is_undated": False}


class RepaymentStatusOut(Schema):
    """A repayment status that was added."""

    loan_id: str
    firm_id: UUID
    added: int = Field(description="1, or 0 where the very same status was known before.")
