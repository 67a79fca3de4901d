"""Organisations and their branches."""

from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy import tuple_
from sqlmodel import col, select

from service.errors import Conflict, NotFound
from service.identity.access import Organisation
from service.identity.tables import Branch, Tenant
from service.kit import clock
from service.kit.db import LockSeed, TenantSession, enter_tenant, name_fund, tenant_of, wait_for_lock
from service.kit.etag import Precondition, save

TENANT_NAMESPACE = UUID("6f1dca1e-51f0-4c5c-9f0d-0d8a6cbd7a11")


def tenant_id_of(name: str) -> UUID:
    """Return a tenant's id, which is a function of its name, so that finding one needs no look at the others."""
    return uuid5(TENANT_NAMESPACE, name)


def create_tenant(session: TenantSession, name: str, kind: Organisation = Organisation.BANK) -> UUID:
    """Make a tenant unless it is there, and let the session work for it.

    Raises
    ------
    Conflict
        If it is there as another kind of organisation.
    """
    tenant_id = tenant_id_of(name)
    enter_tenant(session, tenant_id)
    tenant = session.get(Tenant, tenant_id)
    if tenant is None:
        session.add(Tenant(id=tenant_id, name=name, kind=kind, created_at=clock.now()))
        session.flush()
    elif tenant.kind != kind:
        raise Conflict(f"'{name}' is there already, as a {tenant.kind}.")
    return tenant_id


def enter_named_tenant(session: TenantSession, name: str) -> UUID:
    """Let the session work for the tenant of this name.

    Raises
    ------
    NotFound
        If there is no such tenant.
    """
    tenant_id = tenant_id_of(name)
    enter_tenant(session, tenant_id)
    if session.get(Tenant, tenant_id) is None:
        raise NotFound(f"There is no tenant '{name}'. Make it with: clustercredit tenant create {name}")
    return tenant_id


def own_organisation(session: TenantSession) -> Tenant:
    """Return the organisation that the session works for."""
    tenant = session.get(Tenant, tenant_of(session))
    assert tenant is not None
    return tenant


def find_fund(session: TenantSession, name: str) -> UUID:
    """Return the id of the guarantee fund of this name; it is found by its whole name only, never listed.

    Raises
    ------
    NotFound
        If there is no such fund.
    """
    fund_id = tenant_id_of(name)
    with name_fund(session, fund_id):
        query = select(Tenant.id).where(Tenant.id == fund_id, Tenant.kind == Organisation.FUND)
        found = session.exec(query).one_or_none()
    if found is None:
        raise NotFound(f"There is no guarantee fund '{name}'. Ask the fund for the exact name it has here.")
    return found


def create_branch(session: TenantSession, name: str) -> Branch:
    """Make a branch.

    Raises
    ------
    Conflict
        If the organisation is no bank, or the name is taken.
    """
    if own_organisation(session).kind != Organisation.BANK:
        raise Conflict("Only a bank has branches.")
    wait_for_lock(session, LockSeed.BRANCHES)
    _check_name(session, name)
    branch = Branch(tenant_id=tenant_of(session), id=clock.new_id(), name=name, created_at=clock.now())
    session.add(branch)
    session.flush()
    return branch


def rename_branch(session: TenantSession, branch_id: UUID, name: str, precondition: Precondition) -> Branch:
    """Give a branch another name.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such branch, or it is no longer what it was.
    Conflict
        If the name is taken.
    """
    wait_for_lock(session, LockSeed.BRANCHES)
    branch = get_branch(session, branch_id, for_update=True)
    precondition.check(branch)
    if name != branch.name:
        _check_name(session, name)
    branch.name = name
    save(session, branch)
    return branch


def get_branch(session: TenantSession, branch_id: UUID, *, for_update: bool = False) -> Branch:
    """Return a branch.

    Raises
    ------
    NotFound
        If the tenant has no such branch.
    """
    query = select(Branch).where(Branch.id == branch_id)
    branch = session.exec(query.with_for_update() if for_update else query).one_or_none()
    if branch is None:
        raise NotFound("No branch has this id.")
    return branch


def find_branch(session: TenantSession, name: str) -> Branch:
    """Return a branch by its name.

    Raises
    ------
    NotFound
        If the tenant has no such branch.
    """
    branch = session.exec(select(Branch).where(Branch.name == name)).one_or_none()
    if branch is None:
        raise NotFound(f"There is no branch '{name}'.")
    return branch


def list_branches(session: TenantSession, after: tuple[datetime, UUID] | None, limit: int) -> list[Branch]:
    """Return branches, the oldest first."""
    query = select(Branch).order_by(col(Branch.created_at), col(Branch.id)).limit(limit)
    if after is not None:
        query = query.where(tuple_(col(Branch.created_at), col(Branch.id)) > tuple_(*after))
    return list(session.exec(query))


def _check_name(session: TenantSession, name: str) -> None:
    if session.exec(select(Branch.id).where(Branch.name == name)).first() is not None:
        raise Conflict(f"There is a branch '{name}' already.")
