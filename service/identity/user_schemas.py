"""Wire shapes of people, of signing in, and of sessions."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StringConstraints, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from service.identity.access import Role
from service.identity.passwords import LONGEST, SHORTEST
from service.identity.schemas import BRANCH, HolderIn, HolderOut, Limits, MeOut
from service.identity.sessions import Begun
from service.identity.tables import AppUser
from service.identity.users import Duty, UserChange
from service.kit.http import Schema, Secret, Text, impersonal

Login = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$", to_lower=True),
    AfterValidator(impersonal),
    Field(description="What a person signs in as: letters, digits and `._@-`; capitals are taken as small letters."),
]

NewPassword = Annotated[
    Secret,
    Field(
        min_length=SHORTEST,
        max_length=LONGEST,
        description="Any characters that can be seen, four letters among them: not the login, and not best known words"
        " (such as `password`, `woaini`) or stretches of the keyboard with nothing but digits and signs.",
    ),
]
Password = Annotated[Secret, Field(min_length=1, max_length=LONGEST)]
Subject = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$"),
    AfterValidator(impersonal),
    Field(description="What the identity provider calls this person (its claim `sub`, or the one that is set)."),
]


def _unset() -> None:
    return None


class UserIn(HolderIn):
    """A person to add."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "login": "li.na",
                    "name": "李娜",
                    "role": "loan_officer",
                    "branch_id": BRANCH,
                    "password": "seven geese over Luqiao",
                },
                {"login": "chen.jing", "name": "陈静", "role": "risk_manager", "oidc_subject": "248289761001"},
            ]
        }
    )

    login: Login
    password: NewPassword | None = Field(None, description="None for one who signs in by an identity provider alone.")
    oidc_subject: Subject | None = None

    def duty(self) -> Duty:
        """Return the role and its reach as a use case takes them."""
        return Duty(self.role, **self.holder())


class UserPatch(Schema):
    """What to change of a person; what is not sent stays. Null unlinks `oidc_subject`, and changes nothing else."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"disabled": True}, {"role": "branch_head", "branch_id": BRANCH}, {"oidc_subject": None}]
        }
    )

    name: Text | SkipJsonSchema[None] = Field(default_factory=_unset)
    role: Role | SkipJsonSchema[None] = Field(
        default_factory=_unset, description="With it reach and limits are given anew."
    )
    branch_id: UUID | None = None
    all_branches: StrictBool = False
    firm_id: UUID | None = None
    limits: Limits = Field(default_factory=list)
    disabled: StrictBool | SkipJsonSchema[None] = Field(
        default_factory=_unset, description="Whether the person is kept from signing in."
    )
    password: NewPassword | SkipJsonSchema[None] = Field(
        default_factory=_unset, description="A new password, which you tell the person."
    )
    oidc_subject: Subject | None = Field(None, description="Null unlinks the person from the identity provider.")

    @field_validator("name", "role", "disabled", "password", mode="before")
    @classmethod
    def _not_null(cls, value: object) -> object:
        if value is None:
            raise ValueError("must not be null; leave it out to leave it as it is")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.role is None and (self.branch_id or self.all_branches or self.firm_id or self.limits):
            raise ValueError("branch_id, all_branches, firm_id and limits go with a role")
        return self

    def change(self) -> UserChange:
        """Return the change as a use case takes it."""
        reach = (self.branch_id, self.firm_id, tuple(self.limits), self.all_branches)
        duty = None if self.role is None else Duty(self.role, *reach)
        return UserChange(
            name=self.name,
            duty=duty,
            is_disabled=self.disabled,
            password=None if self.password is None else self.password.get_secret_value(),
            oidc_subject=(self.oidc_subject or "") if "oidc_subject" in self.model_fields_set else None,
        )


class UserOut(HolderOut):
    """A person who may sign in."""

    login: str
    has_password: bool
    oidc_subject: str | None
    disabled_at: datetime | None
    password_changed_at: datetime | None
    last_login_at: datetime | None

    @classmethod
    def of_user(cls, user: AppUser) -> Self:
        """Show a person, without the password's hash."""
        shown = user.model_dump(include=set(cls.model_fields))
        return cls.model_validate({**shown, "has_password": user.password_hash is not None})


class UsersOut(Schema):
    """A page of people, the oldest first."""

    items: list[UserOut]
    next: str | None = Field(description="Cursor of the next page; null on the last.")


class SignIn(Schema):
    """Who signs in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"organisation": "luqiao-community-bank", "login": "li.na", "password": "seven geese over Luqiao"}
            ]
        }
    )

    organisation: Text = Field(description="The tenant's name.")
    login: Login
    password: Password


class SessionOut(MeOut):
    """A session that was begun just now, and whose it is."""

    expires_at: datetime = Field(description="When it ends at the latest; half an hour without a request ends it too.")

    @classmethod
    def begun(cls, begun: Begun, organisation: str) -> Self:
        """Show a session, without its token."""
        me = MeOut.of(begun.actor, organisation)
        return cls.model_validate({**me.model_dump(), "expires_at": begun.expires_at})


class PasswordChange(Schema):
    """One's own new password."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"current": "seven geese over Luqiao", "new": "a button for every coat in town"}]
        }
    )

    current: Password = Field(description="The present password.")
    new: NewPassword
