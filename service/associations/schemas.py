"""Wire shapes of acts of associations and peer reports."""

from datetime import date, datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, StrictInt, model_validator

from service.associations.tables import AssociationAct, PeerReport
from service.associations.use_cases import ANONYMOUS, EntryView
from service.firms.schemas import FirmKey, Observed
from service.kit.http import Day, Schema, Text

ActKind = Literal["sanction", "warning", "expulsion", "commendation", "admission"]
ReportKind = Literal["late_payment", "quality_dispute", "praise", "other"]
FIRM_KEY = "Unified social credit code, or a local id; a firm that is not known is registered."


class AssociationActIn(Observed):
    """What an association did about a member."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "firm_key": "91350211M000100Y46",
                    "kind": "warning",
                    "severity": 2,
                    "words": "Sold below the agreed quality grade twice; warned by the board.",
                    "observed_on": "2024-05-20",
                    "ended_on": "2024-11-20",
                }
            ]
        }
    )

    firm_key: FirmKey = Field(description=FIRM_KEY)
    kind: ActKind
    severity: StrictInt = Field(ge=1, le=3, description="1 (slight) to 3 (grave).")
    words: Text
    observed_on: Day = Field(description="When it was done.")
    ended_on: Day | None = Field(None, description="When its effect ends, if that is known.")

    @model_validator(mode="after")
    def _dates_fit(self) -> Self:
        self.times(self.observed_on)
        if self.ended_on is not None and self.ended_on < self.observed_on:
            raise ValueError("ended_on is before observed_on")
        return self

    def row(self) -> dict[str, Any]:
        """Return its columns."""
        return self.model_dump(include={"kind", "severity", "words", "ended_on"}) | self.times(self.observed_on)


class AssociationActOut(Schema):
    """An act of an association."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "6c0f2b1e-4d3a-4e8f-8a7b-0b5c9d1e2f01",
                    "firm_key": "91350211M000100Y46",
                    "kind": "warning",
                    "severity": 2,
                    "words": "Sold below the agreed quality grade twice; warned by the board.",
                    "observed_on": "2024-05-20",
                    "known_on": "2024-05-20",
                    "ended_on": "2024-11-20",
                    "ingested_at": "2024-05-21T01:15:00Z",
                    "actor": "wang.fang",
                }
            ]
        }
    )

    id: UUID
    firm_key: str
    kind: ActKind
    severity: int
    words: str
    observed_on: date
    known_on: date
    ended_on: date | None
    ingested_at: datetime
    actor: str = Field(description="Who entered it.")

    @classmethod
    def of(cls, view: EntryView[AssociationAct]) -> Self:
        """Show an act."""
        return cls(**view.row.model_dump(include=set(cls.model_fields)), firm_key=view.firm_key)


class AssociationActsOut(Schema):
    """A page of acts, newest first."""

    items: list[AssociationActOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class PeerReportIn(Observed):
    """What one firm says of another."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "firm_key": "91350211M000100Y46",
                    "reporter": "anonymous",
                    "kind": "late_payment",
                    "words": "Pays soles 60 days late since spring.",
                    "observed_on": "2024-06-01",
                }
            ]
        }
    )

    firm_key: FirmKey = Field(description=FIRM_KEY)
    reporter: FirmKey = Field(description="Key of the firm that reports, or `anonymous`.")
    kind: ReportKind
    words: Text
    observed_on: Day = Field(description="When it was so.")

    @model_validator(mode="after")
    def _is_of_another(self) -> Self:
        self.times(self.observed_on)
        if self.firm_key == ANONYMOUS:
            raise ValueError(f"firm_key cannot be '{ANONYMOUS}'")
        if self.reporter == self.firm_key:
            raise ValueError("a firm does not report on itself")
        return self

    def row(self) -> dict[str, Any]:
        """Return its columns."""
        return self.model_dump(include={"reporter", "kind", "words"}) | self.times(self.observed_on)


class PeerReportOut(Schema):
    """A peer report, and who verified it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "8e1d3c2f-5b4a-4f9e-9b8c-1c6d0e2f3a01",
                    "firm_key": "91350211M000100Y46",
                    "reporter": "anonymous",
                    "kind": "late_payment",
                    "words": "Pays soles 60 days late since spring.",
                    "is_verified": False,
                    "verified_at": None,
                    "verified_by": None,
                    "observed_on": "2024-06-01",
                    "known_on": "2024-06-01",
                    "ingested_at": "2024-06-02T03:00:00Z",
                    "actor": "wang.fang",
                    "version": 1,
                }
            ]
        }
    )

    id: UUID
    firm_key: str
    reporter: str
    kind: ReportKind
    words: str
    is_verified: bool
    verified_at: datetime | None
    verified_by: str | None
    observed_on: date
    known_on: date
    ingested_at: datetime
    actor: str = Field(description="Who entered it.")
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, view: EntryView[PeerReport]) -> Self:
        """Show a report."""
        return cls(**view.row.model_dump(include=set(cls.model_fields)), firm_key=view.firm_key)


class PeerReportsOut(Schema):
    """A page of reports, newest first."""

    items: list[PeerReportOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
