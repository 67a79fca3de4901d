"""Which of the tenant's firms a session may see: a branch's, a single one, or all.

Every query for firms, or for rows about a firm, is narrowed to the reach of who is asking, before it is sent; no use
case can forget it. Tables of the whole population are built with `whole_population`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from service.firms.tables import Firm
from service.identity.actor import Reach
from service.kit.db import TenantSession, of_row
from service.kit.rows import FirmRow

EVERYTHING = Reach()
_firm = Firm.__table__  # type: ignore[attr-defined]


def of(session: Session) -> Reach:
    """Return how far a session reaches."""
    reach: Reach = session.info.get("reach", EVERYTHING)
    return reach


@event.listens_for(TenantSession, "do_orm_execute")
def scope_to_reach(state: ORMExecuteState) -> None:
    """Narrow a query to the firms within reach."""
    reach = of(state.session)
    if reach == EVERYTHING or state.is_column_load:
        return
    if reach.firm_id is not None:
        firm_id = reach.firm_id
        options = (
            with_loader_criteria(Firm, lambda firm: firm.id == firm_id, include_aliases=True),
            with_loader_criteria(FirmRow, lambda row: of_row(row, "firm_id") == firm_id, include_aliases=True),
        )
    else:
        tenant_id, branch_id = state.session.info["tenant_id"], reach.branch_id
        within = select(_firm.c.id).where(_firm.c.tenant_id == tenant_id, _firm.c.branch_id == branch_id)
        options = (
            with_loader_criteria(Firm, lambda firm: firm.branch_id == branch_id, include_aliases=True),
            with_loader_criteria(FirmRow, lambda row: of_row(row, "firm_id").in_(within), include_aliases=True),
        )
    state.statement = state.statement.options(*options)


@contextmanager
def whole_population(session: TenantSession) -> Iterator[None]:
    """Let the session see all of the tenant's firms for a while, to compute what no single firm can be told from."""
    reach = session.info.pop("reach", EVERYTHING)
    try:
        yield
    finally:
        session.info["reach"] = reach
