"""People for tests: made with one hash, since hashing is what takes time."""

from typing import Any

from service.identity import passwords
from service.identity.access import BRANCH_ROLES, Role
from service.identity.tables import AppUser
from service.identity.use_cases import tenant_id_of
from service.identity.users import Duty, create_user

PASSWORD = "seven geese over Luqiao"
HASH: list[str] = []


def add_person(database, tenant: str, login: str, role: Role = Role.LOAN_OFFICER, **more: Any) -> AppUser:
    """Add a person with the password PASSWORD; `has_password=False`: without."""
    has_password = more.pop("has_password", True)
    if has_password and not HASH:
        HASH.append(passwords.hash_new(PASSWORD, login))
    branch_id = more.pop("branch_id", None)
    duty = Duty(role, branch_id, all_branches=role in BRANCH_ROLES and branch_id is None)
    with database.session(tenant_id_of(tenant)) as session:
        user = create_user(session, login, f"person {login}", duty, **more)
        user.password_hash = HASH[0] if has_password else None
        session.add(user)
        return user
