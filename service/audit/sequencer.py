"""The sequencer: gives committed entries their numbers, extends each tenant's tree, and signs it once a day.

A transaction that wrote the number itself would have to wait for every other one of its tenant: so it leaves its
entries unnumbered, and one process at a time, holding an advisory lock, numbers what is committed. A round is one
transaction: entries, nodes and the emptied queue are there together or not at all.
"""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import groupby
from threading import Event, Thread
from time import monotonic, sleep
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from service.audit import repository
from service.audit.merkle import DIGEST, Span, Subtree, complete_subtrees, leaf_hash, parents
from service.audit.repository import TreeDamagedError, Waiting
from service.audit.signing import SigningKeyError, SigningKeys
from service.audit.use_cases import sign_checkpoint
from service.errors import Conflict
from service.kit import clock
from service.kit.db import SEQUENCER_ROLE, Database, TenantSession, in_role

log = structlog.get_logger()

POLL_SECONDS: Final = 0.3
LONGEST_WAIT: Final = 30.0
"""Between two tries while the database cannot be reached."""
AT_ONCE: Final = 10_000
"""Entries of one round: some seconds of them would wait for a commit otherwise."""
LATE_SECONDS: Final = 60.0
"""An entry that waits longer for its number is told: numbering stands still, or its log is damaged."""
SIGNING_EVERY: Final = timedelta(minutes=1)
"""How often it is looked whether a day's checkpoint is due."""


def number_pending(database: Database, damaged: set[UUID] | None = None) -> int | None:
    """Give committed entries their numbers, of whatever tenants.

    Parameters
    ----------
    damaged
        Tenants to pass over; those whose tree cannot be extended are added.

    Returns
    -------
    int or None
        How many were numbered, at most `AT_ONCE`; None if another process is at it.
    """
    damaged = set() if damaged is None else damaged
    with database.session() as session, in_role(session, SEQUENCER_ROLE):
        if not repository.take_the_turn(session):
            return None
        pending = repository.read_pending(session, AT_ONCE, damaged)
        # The sort is stable: each tenant's entries stay in the order in which they were read.
        for tenant_id, entries in groupby(sorted(pending, key=lambda e: e.tenant_id), key=lambda e: e.tenant_id):
            try:
                with session.begin_nested():
                    _extend(session, tenant_id, list(entries))
            except (TreeDamagedError, IntegrityError) as error:
                # A number, a node or an id that is there twice is damage too: somebody took or gave what is not ours.
                damaged.add(tenant_id)
                why = error.detail if isinstance(error, TreeDamagedError) else str(error.orig)
                log.warning("audit_tree_damaged", tenant=str(tenant_id), why=why)
    return len(pending)


def number_all(database: Database) -> int:
    """Give everything that is committed now its number, after whoever is at it; return how many entries that were.

    Raises
    ------
    Conflict
        If another process is at it all the time, for `LONGEST_WAIT` seconds.
    """
    total, damaged, until = 0, set[UUID](), monotonic() + LONGEST_WAIT
    while (done := number_pending(database, damaged)) != 0:
        if done is not None:
            total += done
        elif monotonic() < until:
            sleep(POLL_SECONDS)
        else:
            raise Conflict(
                f"Another process has been numbering the audit log for {LONGEST_WAIT:.0f} seconds. Try again; if it "
                "hangs, end its connection: clustercredit audit waiting shows whether it goes on."
            )
    return total


def count_waiting(database: Database) -> Waiting:
    """Return how many committed entries, of whatever tenants, wait for a number, and for how long."""
    with database.session() as session, in_role(session, SEQUENCER_ROLE):
        return repository.read_waiting(session)


def sign_due(database: Database, keys: SigningKeys) -> int:
    """Sign a checkpoint for each tenant whose log has grown since its last one, if that is of a day before today.

    Returns
    -------
    int
        How many were signed.

    Raises
    ------
    SigningKeyError
        If the key cannot be used.
    """
    keys.public_keys()  # keys that cannot be used are said once, not for each tenant
    midnight = datetime.combine(clock.today(), time(), clock.CHINA)
    with database.session() as session, in_role(session, SEQUENCER_ROLE):
        if not repository.take_the_turn(session):
            return 0
        grown = repository.read_grown(session, midnight)
        signed = 0
        for tenant_id, name in grown:
            try:
                sign_checkpoint(session, keys, tenant_id, name)
                signed += 1
            except TreeDamagedError as error:
                log.warning("audit_tree_damaged", tenant=str(tenant_id), why=error.detail)
            except SigningKeyError as error:
                log.warning("audit_not_signed", tenant=str(tenant_id), why=error.detail)
    return signed


class Sequencer:
    """Numbers entries in a thread of its own, on a connection of its own, until it is stopped.

    Several processes may each have one: one of them works, the others wait for their turn.

    Parameters
    ----------
    database
        Whose log it is.
    keys
        What signs the daily checkpoints; None where the keys are not at home, and nothing is signed.

    Examples
    --------
    >>> with Sequencer(database, keys):  # doctest: +SKIP
    ...     serve()
    """

    def __init__(self, database: Database, keys: SigningKeys | None) -> None:
        self._database, self._keys = database.beside(1), keys
        self._damaged: set[UUID] = set()
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="sequencer", daemon=True)
        self._sign_at = clock.now()

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Let the round at hand end, and wait for it."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        wait = 0.0
        while not self._stopped.wait(wait):
            try:
                done = number_pending(self._database, self._damaged)
                self._sign()
                wait = 0.0 if done == AT_ONCE else POLL_SECONDS
            except Exception as error:  # noqa: BLE001 - whatever it is: a thread that ends numbers nothing more
                wait = min(LONGEST_WAIT, 2 * max(wait, POLL_SECONDS))
                log.warning("audit_not_numbered", why=type(error).__name__, again_in_seconds=wait)

    def _sign(self) -> None:
        """Sign what is due; what keeps it from being signed does not keep entries from being numbered."""
        now = clock.now()
        if now < self._sign_at:
            return
        self._sign_at = now + SIGNING_EVERY
        self._damaged.clear()  # it may have been mended
        try:
            waiting = count_waiting(self._database)
            if waiting.seconds > LATE_SECONDS:
                log.warning("audit_entries_wait", entries=waiting.entries, oldest_seconds=round(waiting.seconds))
            if self._keys is not None:
                sign_due(self._database, self._keys)
        except SigningKeyError as error:
            log.warning("audit_not_signed", why=error.detail)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("audit_not_signed", why=type(error).__name__)


def _extend(session: TenantSession, tenant_id: UUID, entries: Sequence[repository.Pending]) -> None:
    """Give a tenant's entries their numbers and add the complete subtrees that they fill."""
    size = repository.tree_size(session, tenant_id)
    edge = repository.read_subtrees(session, tenant_id, complete_subtrees(Span(0, size)))
    leaves = [leaf_hash(entry.body.encode()) for entry in entries]
    repository.number_entries(session, tenant_id, size, [entry.id for entry in entries], leaves)
    repository.insert_nodes(session, tenant_id, _new_nodes(edge, size, leaves))


def _new_nodes(edge: dict[Subtree, bytes], size: int, leaves: Sequence[bytes]) -> dict[Subtree, bytes]:
    """Return the complete subtrees above the leaves' level that leaves after the first ``size`` ones fill.

    Parameters
    ----------
    edge
        The complete subtrees that the tree so far is made of.
    """
    nodes: dict[Subtree, bytes] = {}
    level, start, row = 0, size, b"".join(leaves)
    while row:
        if start % 2:
            start -= 1
            row = edge[Subtree(level, start)] + row
        row = parents(row[: len(row) - len(row) % (2 * DIGEST)])
        level, start = level + 1, start // 2
        for place in range(len(row) // DIGEST):
            nodes[Subtree(level, start + place)] = row[place * DIGEST : (place + 1) * DIGEST]
    return nodes
