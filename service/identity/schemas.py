"""Wire shapes of organisations, branches and API keys."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import ConfigDict, Field, StrictBool, StrictInt

from service.identity.access import Organisation, Role
from service.identity.actor import Actor, ApprovalLimit
from service.identity.keys import DAYS, LONGEST_DAYS
from service.identity.tables import ApiKey, Branch, Holder
from service.kit.http import Schema, Text

BRANCH = "0f4d8f0a-1b0e-4a3c-9a53-5a7d0a4f6c01"
Days = Annotated[StrictInt, Field(ge=1, le=LONGEST_DAYS)]
Limits = Annotated[list[ApprovalLimit], Field(max_length=15, description="An approver's limits, amount by grade.")]


class MeOut(Schema):
    """Who is asking."""

    id: UUID
    name: str
    role: Role
    organisation: str
    kind: Organisation
    branch_id: UUID | None
    firm_id: UUID | None
    limits: list[ApprovalLimit]

    @classmethod
    def of(cls, actor: Actor, organisation: str) -> Self:
        """Show an actor."""
        return cls(
            id=actor.id,
            name=actor.name,
            role=actor.role,
            organisation=organisation,
            kind=actor.organisation,
            branch_id=actor.reach.branch_id,
            firm_id=actor.reach.firm_id,
            limits=list(actor.limits),
        )


class BranchIn(Schema):
    """A branch's name."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "路桥支行"}]})

    name: Text


class BranchOut(Schema):
    """A branch."""

    id: UUID
    name: str
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, branch: Branch) -> Self:
        """Show a branch."""
        return cls(id=branch.id, name=branch.name, version=branch.version)


class BranchesOut(Schema):
    """A page of branches, the oldest first."""

    items: list[BranchOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class HolderIn(Schema):
    """A role, and how far it reaches."""

    name: Text = Field(description="Whose it is: it goes on record with every act.")
    role: Role
    branch_id: UUID | None = Field(None, description="The branch whose firms are in reach.")
    all_branches: StrictBool = Field(False, description="Every branch's firms are in reach.")
    firm_id: UUID | None = Field(None, description="The firm of a holder of role `firm`.")
    limits: Limits = Field(default_factory=list)

    def holder(self) -> dict[str, Any]:
        """Return the role and its reach as a use case takes them."""
        return {
            "branch_id": self.branch_id,
            "all_branches": self.all_branches,
            "firm_id": self.firm_id,
            "limits": tuple(self.limits),
        }


class KeyIn(HolderIn):
    """An API key to make."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "zhang.wei", "role": "loan_officer", "branch_id": BRANCH, "days": 90},
                {"name": "nightly", "role": "batch"},
            ]
        }
    )

    days: Days = Field(DAYS, description="How long it is good.")


class KeyPatch(Schema):
    """What to change of an API key."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"days": 30}]})

    name: Text | None = None
    days: Days | None = Field(None, description="Let it end so many days from now.")


class HolderOut(Schema):
    """A role, and how far it reaches."""

    id: UUID
    name: str
    role: Role
    branch_id: UUID | None
    firm_id: UUID | None
    limits: list[ApprovalLimit]
    created_at: datetime
    created_by: str
    version: int = Field(description="Its ETag.")

    @classmethod
    def of(cls, holder: Holder) -> Self:
        """Show a holder."""
        return cls.model_validate(holder.model_dump(include=set(cls.model_fields)))


class KeyOut(HolderOut):
    """An API key, without the key itself."""

    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class NewKeyOut(KeyOut):
    """An API key that was made just now."""

    key: str = Field(description="The key itself. It is shown in this answer only.")

    @classmethod
    def made(cls, key: ApiKey, token: str) -> Self:
        """Show a key with its secret, this once."""
        return cls.model_validate({**KeyOut.of(key).model_dump(), "key": token})


class KeysOut(Schema):
    """A page of API keys, the oldest first."""

    items: list[KeyOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")
