"""Wire shapes of natural persons, their consents and records. What goes out is masked."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from features.kinds.parties import NOTHING_ON_FILE
from service.firms.schemas import Observed
from service.firms.use_cases import ConsentView
from service.kit import clock
from service.kit.http import Day, Schema, Text
from service.kit.personal_id import IdKind, check_number
from service.people.sealing import Identity
from service.people.use_cases import PersonView

FIRM = "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11"
PERSON = "5d2c7c1e-2b5a-4c0f-8f43-0d1a6f2e9b04"
PersonRole = Literal["owner", "legal_representative", "manager", "guarantor"]
Scope = Literal["owner_data", "bureau", "automated_decision"]
Purpose = Literal["credit_assessment"]
Record = Literal["late_payment", "write_off", "judgment", "enforcement", "guarantee_called", "none"]


def _plain_name(name: str) -> str:
    if any(character.isdigit() for character in name):
        raise ValueError("a person's name has no digits")
    return name


class IdIn(Schema):
    """The number of a person's document."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id_kind": "national_id", "number": "11010519491231002X"}]}
    )

    id_kind: IdKind
    number: Annotated[SecretStr, Field(min_length=5, max_length=20)] = Field(
        description="Of an identity card, 18 characters, check character verified; of a passport, 5 to 20 letters and "
        "digits. It is kept encrypted only, and no answer shows it."
    )

    @field_validator("number")
    @classmethod
    def _check_number(cls, number: SecretStr, info: ValidationInfo) -> SecretStr:
        if "id_kind" not in info.data:
            return number
        return SecretStr(check_number(info.data["id_kind"], number.get_secret_value()))


class PersonIn(IdIn, Observed):
    """A person behind a firm."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id_kind": "national_id",
                    "number": "11010519491231002X",
                    "name": "张伟",
                    "role": "owner",
                    "trade_since": "2001-01-01",
                    "observed_on": "2024-01-31",
                }
            ]
        }
    )

    name: Annotated[Text, AfterValidator(_plain_name)] = Field(
        description="Kept encrypted; answers show the first character."
    )
    role: PersonRole = Field(description="What the person is to the firm.")
    trade_since: Day | None = Field(None, description="In this trade since.")
    observed_on: Day | None = Field(None, description="When this was true; today if not given.")

    @model_validator(mode="after")
    def _check_times(self) -> Self:
        self.row()
        return self

    def identity(self) -> Identity:
        """Return what is kept encrypted."""
        return Identity(self.number.get_secret_value(), self.name)

    def row(self) -> dict[str, Any]:
        """Return the canonical row, but for firm and person."""
        facts = self.model_dump(include={"role", "trade_since"})
        times = self.times(self.observed_on or clock.today())
        if self.trade_since is not None and self.trade_since > times["known_on"]:
            raise ValueError("trade_since is after known_on: nobody could know it")
        return {**facts, **times}


class LinkOut(Schema):
    """What a person is to a firm, as newest known."""

    firm_id: UUID
    role: str
    trade_since: date | None
    observed_on: date


class PersonOut(Schema):
    """A person. Number and name are masked; null once the person is erased."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": PERSON,
                    "id_kind": "national_id",
                    "number": "110*************2X",
                    "name": "张**",
                    "firms": [
                        {
                            "firm_id": FIRM,
                            "role": "owner",
                            "trade_since": "2001-01-01",
                            "observed_on": "2024-01-31",
                        }
                    ],
                    "created_at": "2024-02-01T01:12:03Z",
                    "erased_at": None,
                    "version": 1,
                }
            ]
        }
    )

    id: UUID = Field(description="A random pseudonym, which observations carry as `person_id`.")
    id_kind: IdKind
    number: str | None = Field(description="Null, too, where the person's key is lost, until it is entered again.")
    name: str | None
    firms: list[LinkOut] = Field(description="Those within your reach.")
    created_at: datetime = Field(description="When it was first entered for a firm within your reach.")
    erased_at: datetime | None
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, view: PersonView) -> Self:
        """Show a person."""
        names = LinkOut.model_fields
        links = [LinkOut(**{name: getattr(link, name) for name in names}) for link in view.firms]
        return cls(
            id=view.id,
            id_kind=IdKind(view.id_kind),
            number=view.number,
            name=view.name,
            firms=links,
            created_at=view.created_at,
            erased_at=view.erased_at,
            version=view.version,
        )


class PeopleOut(Schema):
    """A page of people, in order of their ids."""

    items: list[PersonOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class FoundOut(Schema):
    """Who has a document's number: one person within reach, or nobody."""

    items: list[PersonOut]


class ConsentIn(Observed):
    """What a person consents to, or refuses, or withdraws."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "firm_id": FIRM,
                    "scope": "bureau",
                    "purpose": "credit_assessment",
                    "is_given": True,
                    "observed_on": "2024-05-31",
                }
            ]
        }
    )

    firm_id: UUID = Field(description="The firm whose assessment it is for.")
    scope: Scope = Field(description="What may be used, or done.")
    purpose: Purpose = Field("credit_assessment", description="What for; further purposes come with what uses them.")
    is_given: StrictBool = Field(description="True: given. False: withdrawn or refused.")
    observed_on: Day | None = Field(None, description="Day it was given, withdrawn or refused; today if not given.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.row()
        return self

    def row(self) -> dict[str, Any]:
        """Return the canonical row, but for firm and person."""
        facts = self.model_dump(include={"scope", "purpose", "is_given"})
        return {**facts, **self.times(self.observed_on or clock.today())}


class ConsentOut(Schema):
    """A consent, a refusal or a withdrawal, as it was recorded."""

    firm_id: UUID
    scope: str
    purpose: str
    is_given: bool
    observed_on: date
    known_on: date

    @classmethod
    def of(cls, view: ConsentView) -> Self:
        """Show a consent."""
        return cls(**{name: getattr(view, name) for name in cls.model_fields})


class ConsentsOut(Schema):
    """A page of a person's consents, the oldest first; the newest of a firm, scope and purpose counts."""

    items: list[ConsentOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class NotedOut(Schema):
    """Something about a person that was recorded."""

    person_id: UUID
    firm_id: UUID
    added: int = Field(description="1, or 0 where the very same was known before.")


class RecordIn(Observed):
    """A negative record of a person, from a credit bureau or a court, or that there is none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"firm_id": FIRM, "record": "late_payment", "days_past_due": 45, "observed_on": "2024-03-15"}]
        }
    )

    firm_id: UUID = Field(description="The firm whose assessment it is for.")
    record: Record = Field(description="Kind of record; `none`: the bureau was asked, and nothing is on file.")
    observed_on: Day = Field(description="Day the record began; of `none`, the day of asking.")
    days_past_due: Annotated[StrictInt, Field(ge=0, le=20_000)] | None = Field(
        None, description="Most days past due; a late payment needs it."
    )
    ended_on: Day | None = Field(None, description="Day it ended; null while it runs.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        times = self._times()
        if self.record == "late_payment" and self.days_past_due is None:
            raise ValueError("a late payment needs days_past_due")
        if self.record == NOTHING_ON_FILE and (self.days_past_due, self.ended_on) != (None, None):
            raise ValueError("nothing on file (none) has neither days_past_due nor ended_on")
        if self.ended_on is not None and not self.observed_on <= self.ended_on <= times["known_on"]:
            raise ValueError("ended_on is from observed_on to known_on, the day on which the end could be known")
        return self

    def row(self) -> dict[str, Any]:
        """Return the canonical row, but for firm and person."""
        facts = self.model_dump(include={"record", "days_past_due", "ended_on"})
        return {**facts, **self._times()}

    def _times(self) -> dict[str, date]:
        late_on = self.observed_on + timedelta(days=self.days_past_due or 0)
        return self.times(self.observed_on, late_on, self.ended_on)
