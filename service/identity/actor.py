"""Who is asking, and how far it reaches."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from pydantic import Field

from service.identity.access import BRANCH_ROLES, ROLES_OF, Organisation, Role
from service.kit.db import TenantSession, author_of, set_author
from service.kit.http import Schema, Yuan


@dataclass(frozen=True)
class Reach:
    """Which of the tenant's firms: those of a branch, or a single one; all of them if neither is set."""

    branch_id: UUID | None = None
    firm_id: UUID | None = None


class ApprovalLimit(Schema):
    """What an approver may approve: so much for firms of this grade or a better one."""

    worst_grade: int = Field(ge=1, le=15, description="The riskiest grade that the limit holds for.", examples=[8])
    amount: Yuan = Field(gt=0, description="Largest amount in yuan.", examples=["5000000"])


@dataclass(frozen=True)
class Actor:
    """A person with a session, or the holder of an API key.

    Attributes
    ----------
    id
        Of the key or the person.
    name
        What goes on record.
    limits
        What an approver may approve.
    session_id
        Of a person's session; None for the holder of a key.
    seen_at
        When the key or session was last used before, as far as it was noted.
    """

    tenant_id: UUID
    organisation: Organisation
    id: UUID
    name: str
    role: Role
    reach: Reach
    limits: tuple[ApprovalLimit, ...]
    session_id: UUID | None = None
    seen_at: datetime | None = None


def act(session: TenantSession, actor: Actor) -> None:
    """Let the session reach what the actor may reach, and no more."""
    session.info["asker_id"] = actor.id
    session.info["reach"] = actor.reach
    set_author(session, replace(author_of(session), name=actor.name, id=actor.id))


def check_holder(
    organisation: Organisation,
    role: Role,
    *,
    branch_id: UUID | None,
    all_branches: bool,
    firm_id: UUID | None,
    limits: list[ApprovalLimit],
) -> None:
    """Check that an organisation can give a role, with this reach and these limits.

    Raises
    ------
    ValueError
        Saying what does not fit.

    Examples
    --------
    >>> check_holder(Organisation.FUND, Role.BATCH, branch_id=None, all_branches=False, firm_id=None, limits=[])
    Traceback (most recent call last):
    ...
    ValueError: a fund has no role 'batch'
    """
    if role not in ROLES_OF[organisation]:
        raise ValueError(f"a {organisation} has no role '{role}'")
    has_branch = branch_id is not None or all_branches
    if role in BRANCH_ROLES and (branch_id is None) != all_branches:
        raise ValueError(f"role '{role}' needs either branch_id or all_branches (--branch NAME or --all-branches)")
    if role not in BRANCH_ROLES and has_branch:
        raise ValueError(f"role '{role}' sees every firm it may see: it takes neither branch_id nor all_branches")
    if (role is Role.FIRM) != (firm_id is not None):
        raise ValueError("role 'firm' needs firm_id" if role is Role.FIRM else f"role '{role}' takes no firm_id")
    if (role is Role.APPROVER) != bool(limits):
        needed = 'role \'approver\' needs limits, such as [{"worst_grade": 8, "amount": "5000000"}]'
        raise ValueError(needed if role is Role.APPROVER else f"role '{role}' takes no limits")
