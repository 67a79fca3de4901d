"""Enter acts of associations and peer reports, and verify reports.

Firms are named by key; whoever enters something sees no more of them. No feature reads these ledgers: neither an act
nor a report, verified or not, moves a PD.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic
from uuid import UUID

from service.associations import repository
from service.associations.repository import Entry
from service.associations.tables import AssociationAct, PeerReport
from service.errors import Conflict, Forbidden, NotFound
from service.firms.use_cases import firm_id_of, keys_of, register_firms
from service.identity.actor import Actor
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.kit.etag import Precondition, save

ACTS, REPORTS = AssociationAct, PeerReport
"""The two lists."""
ANONYMOUS = "anonymous"
"""The reporter of a report whose author wants no name on it."""


@dataclass(frozen=True)
class EntryView(Generic[Entry]):
    """An act or a report, and the key of the firm that it is about."""

    row: Entry
    firm_key: str


def enter_act(session: TenantSession, actor: Actor, firm_key: str, values: dict[str, Any]) -> EntryView[AssociationAct]:
    """Add an act about a firm, which is registered if it is not known."""
    return _enter(session, firm_key, AssociationAct(**_provenance(session, actor, firm_key), **values))


def enter_report(session: TenantSession, actor: Actor, firm_key: str, values: dict[str, Any]) -> EntryView[PeerReport]:
    """Add a report about a firm, which is registered if it is not known. It is not verified."""
    unverified: dict[str, Any] = dict.fromkeys(("verified_at", "verified_by", "verified_by_id"))
    row = PeerReport(**_provenance(session, actor, firm_key), **values, is_verified=False, **unverified)
    return _enter(session, firm_key, row)


def _provenance(session: TenantSession, actor: Actor, firm_key: str) -> dict[str, Any]:
    return {
        "tenant_id": tenant_of(session),
        "id": clock.new_id(),
        "firm_id": firm_id_of(tenant_of(session), firm_key),
        "ingested_at": clock.now(),
        "actor": actor.name,
        "actor_id": actor.id,
    }


def _enter(session: TenantSession, firm_key: str, row: Entry) -> EntryView[Entry]:
    register_firms(session, [firm_key])
    session.add(row)
    session.flush()
    return EntryView(row, firm_key)


def get_act(session: TenantSession, act_id: UUID) -> EntryView[AssociationAct]:
    """Return an act.

    Raises
    ------
    NotFound
        If no act about a firm within reach has this id.
    """
    row = repository.find_entry(session, AssociationAct, act_id)
    if row is None:
        raise NotFound("No act has this id.")
    return _views(session, [row])[0]


def get_report(session: TenantSession, report_id: UUID) -> EntryView[PeerReport]:
    """Return a report.

    Raises
    ------
    NotFound
        If no report about a firm within reach has this id.
    """
    return _views(session, [_report(session, report_id)])[0]


def _report(session: TenantSession, report_id: UUID, *, for_update: bool = False) -> PeerReport:
    row = repository.find_entry(session, PeerReport, report_id, for_update=for_update)
    if row is None:
        raise NotFound("No report has this id.")
    return row


def list_entries(
    session: TenantSession,
    table: type[Entry],
    firm_key: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[EntryView[Entry]]:
    """Return acts or reports, newest first."""
    firm_id = None if firm_key is None else firm_id_of(tenant_of(session), firm_key)
    return _views(session, repository.page_entries(session, table, firm_id, before, limit))


def _views(session: TenantSession, rows: Sequence[Entry]) -> list[EntryView[Entry]]:
    keys = keys_of(session, {row.firm_id for row in rows})
    return [EntryView(row, keys[row.firm_id]) for row in rows]


def verify(session: TenantSession, actor: Actor, report_id: UUID, precondition: Precondition) -> EntryView[PeerReport]:
    """Take note that a report was found to be true, by somebody other than who entered it.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such report, or it is no longer what it was.
    Forbidden
        If the actor entered it.
    Conflict
        If it is verified already.
    """
    report = _report(session, report_id, for_update=True)
    precondition.check(report)
    if report.actor_id == actor.id:
        raise Forbidden("You entered this report; another person must verify it.")
    if report.is_verified:
        raise Conflict(f"The report was verified already, by {report.verified_by}.")
    report.is_verified, report.verified_at = True, clock.now()
    report.verified_by, report.verified_by_id = actor.name, actor.id
    save(session, report)
    return _views(session, [report])[0]
