"""When a key or a session was last used: noted at once, to the minute, also if the request is refused afterwards."""

from datetime import datetime
from threading import BoundedSemaphore
from typing import Final

import structlog
from sqlalchemy import Update, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from service.identity.actor import Actor
from service.identity.keys import SEEN_EVERY
from service.identity.tables import ApiKey, LoginSession
from service.kit import clock
from service.kit.db import Database

log = structlog.get_logger()

CONNECTIONS: Final = 2
WAIT_SECONDS: Final = 1
"""How long a request waits for a connection to note its use; then the next request notes it."""


class Uses:
    """Notes uses in short transactions on a pool of its own: no request waits for another's, or is undone with it.

    Parameters
    ----------
    database
        Whose rows are noted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database.beside(CONNECTIONS)
        self._places = BoundedSemaphore(CONNECTIONS)

    def note(self, actor: Actor) -> None:
        """Note the use unless one was noted a moment ago, or another request is noting it; this never fails."""
        now = clock.now()
        if actor.seen_at is not None and now - actor.seen_at < SEEN_EVERY:
            return
        if not self._places.acquire(timeout=WAIT_SECONDS):
            log.warning("use_not_noted", why="busy")
            return
        try:
            with self._database.session(actor.tenant_id) as session:
                session.execute(_noting(actor, now))
        except SQLAlchemyError as error:
            log.warning("use_not_noted", why=type(error).__name__)
        finally:
            self._places.release()


def _noting(actor: Actor, now: datetime) -> Update:
    """Return the statement, which passes a row over that somebody is changing."""
    if actor.session_id is not None:
        seen = col(LoginSession.last_seen_at)
        due = select(col(LoginSession.id)).where(col(LoginSession.id) == actor.session_id, seen <= now - SEEN_EVERY)
        here = due.with_for_update(skip_locked=True).scalar_subquery()
        return update(LoginSession).where(col(LoginSession.id) == here).values(last_seen_at=now)
    used = col(ApiKey.last_used_at)
    is_due = or_(used.is_(None), used <= now - SEEN_EVERY)
    due = select(col(ApiKey.id)).where(col(ApiKey.id) == actor.id, is_due)
    here = due.with_for_update(skip_locked=True).scalar_subquery()
    return update(ApiKey).where(col(ApiKey.id) == here).values(last_used_at=now)
