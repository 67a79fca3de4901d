"""Work on a run's chunks: any number of workers, in any processes, one score a firm.

A chunk is taken in a short transaction: one attempt more, and a lease by the database's clock. It is scored in a second
one, which ends by marking it done if the attempt is still the last. Whoever lost it meanwhile - killed, stopped, cut
off - commits nothing: its lease ends, another takes over, and what it wakes up to do is rolled back.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from threading import Event, Thread
from time import monotonic
from typing import TypeVar
from uuid import UUID

from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)

from service.alerts.use_cases import note_findings
from service.firms.use_cases import list_keys
from service.jobs.attempt import SupersededError
from service.kit import clock
from service.kit.db import Author, Database, TenantSession
from service.rescoring import repository
from service.rescoring.repository import Claim
from service.rescoring.tables import Run
from service.scoring.batch import Batch
from service.scoring.use_cases import get_context, score_range
from service.training.use_cases import model_version

LEASE_SECONDS = 60.0
"""How long a chunk stays with a worker that is not heard of."""
BEATS = 3
"""Heartbeats in a lease."""
LONGEST_LEASES = 60
"""A worker that takes longer for a chunk hangs: it is prolonged no more."""
PATIENCE_SECONDS = 300.0
"""How long a worker waits for a database that does not answer."""
SLICE_FIRMS = 2_000
"""Firms whose observations are in memory at a time: 425 firms of the contest's data have 1.1 million invoices."""
MOST_LOSSES = 5
"""Connections that a worker may lose running over the same chunk: the chunk itself may be what ends them."""
_PAUSE_SECONDS = 0.2
_LOST = (OperationalError, InterfaceError, InternalError)
"""What a connection that is lost, or a server that restarts, shows itself by."""
OnProgress = Callable[[str, int, int], None]
SafePoint = Callable[[], object]
"""Raises if the work is to end here."""
Result = TypeVar("Result")


class LostChunkError(Exception):
    """Another worker took the chunk over: what was done here must not be committed."""


def steadily(
    act: Callable[[], Result], patience: float = PATIENCE_SECONDS, safe_point: SafePoint = lambda: None
) -> Result:
    """Do something that may be done twice, again and again while the database does not answer, if nobody objects.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        The last error, if it does not answer for longer than ``patience`` seconds.
    """
    until = monotonic() + patience
    while True:
        try:
            return act()
        except _LOST as error:
            if monotonic() > until or not _is_lost(error):
                raise
            safe_point()
            Event().wait(_PAUSE_SECONDS)


def _is_lost(error: DBAPIError) -> bool:
    """Tell whether the connection failed, and not the statement: then the server gave no code, or one of these."""
    code = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or code is None or code[:2] in {"08", "57"} or code == "25P03"


def work_on(
    database: Database,
    tenant_id: UUID,
    run_id: UUID,
    actor: str,
    progress: OnProgress = lambda *_: None,
    lease_seconds: float = LEASE_SECONDS,
) -> None:
    """Score chunks of a run until none is open; wait for those that others work on, and take over what they lose.

    Does nothing for a run that is not being prepared. A database that restarts is waited for.

    Parameters
    ----------
    progress
        A safe point: whatever it raises ends the work, within a chunk too.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        If the same chunk costs the connection again and again.
    """
    worker, losses = clock.new_id(), Counter[int]()
    safe_point: SafePoint = partial(progress, "scoring", 0, 0)
    while True:
        take = partial(_take, database, tenant_id, run_id, actor, worker, lease_seconds)
        run, claim, done = steadily(take, safe_point=safe_point)
        if run is None:
            return
        safe_point = partial(progress, f"scoring as of {run.as_of}", done.done, done.chunks)
        safe_point()
        if run.state != "preparing":
            return
        if claim is None:
            Event().wait(_PAUSE_SECONDS)
            continue
        try:
            _work(database, run, claim, actor, lease_seconds, safe_point)
        except LostChunkError:
            continue
        except _LOST as error:
            losses[claim.number] += 1
            if not _is_lost(error) or losses[claim.number] >= MOST_LOSSES:
                raise
            Event().wait(_PAUSE_SECONDS * 2 ** losses[claim.number])


def _take(
    database: Database, tenant_id: UUID, run_id: UUID, actor: str, worker: UUID, lease_seconds: float
) -> tuple[Run | None, Claim | None, repository.Progress]:
    """Take a chunk; once none is open, the run is prepared."""
    with database.session(tenant_id, Author(actor)) as session:
        claim = repository.claim(session, run_id, worker, lease_seconds)
        done = repository.progress_of(session, run_id)
        if done.done == done.chunks:
            repository.move(session, run_id, ["preparing"], "prepared", actor)
        return repository.find_run(session, run_id), claim, done


def _work(
    database: Database, run: Run, claim: Claim, actor: str, lease_seconds: float, safe_point: SafePoint = lambda: None
) -> None:
    """Score a chunk in one transaction; let it go at once if that fails, so that it is not waited for."""
    try:
        with (
            _heartbeat(database, run, claim, lease_seconds) as is_mine,
            database.session(run.tenant_id, Author(actor)) as session,
        ):
            repository.limit_idleness(session, _longest_silence(claim, lease_seconds))
            score_chunk(session, run, claim, actor, is_mine, safe_point)
    except LostChunkError:
        raise
    except IntegrityError as error:
        if steadily(lambda: _renew(database, run, claim, lease_seconds), safe_point=safe_point):
            raise
        raise LostChunkError from error  # who has the chunk now was first with its scores
    except BaseException:
        _let_go(database, run, claim, safe_point)
        raise


def _longest_silence(claim: Claim, lease_seconds: float) -> float:
    """Return for how long a worker may compute without a statement: longer each time that a chunk is taken.

    One that needs longer than the first attempt may would else never be done.
    """
    return lease_seconds * min(1 << min(claim.attempt, 10), LONGEST_LEASES)


def _let_go(database: Database, run: Run, claim: Claim, safe_point: SafePoint) -> None:
    def act() -> None:
        with database.session(run.tenant_id) as session:
            repository.let_go(session, run.id, claim)

    steadily(act, safe_point=safe_point)


def score_chunk(
    session: TenantSession,
    run: Run,
    claim: Claim,
    actor: str,
    is_mine: Callable[[], bool] = lambda: True,
    safe_point: SafePoint = lambda: None,
) -> None:
    """Score a chunk's firms, note what rules find in them, and mark it done, in the session's transaction.

    Between slices of firms is a safe point.

    Raises
    ------
    LostChunkError
        If another attempt has it; the transaction must be rolled back.
    """
    loaded = model_version(session, run.model_version_id)
    context = (run.context_id, get_context(session, run.context_id))
    batch = Batch(run.product, run.as_of, (run.id, claim.number))
    scored, alerts, refusals = 0, 0, []
    for keys in slices(list_keys(session, claim.first_key, claim.last_key), claim.firm_keys):
        safe_point()
        if not is_mine():
            raise LostChunkError
        made, refused = score_range(session, loaded, run.as_of, context, keys, actor, batch)
        alerts += note_findings(session, made, run.id)
        scored += len(made)
        refusals += [asdict(refusal) for refusal in refused]
    batch.enter(session)
    told = json.dumps(refusals, ensure_ascii=False)
    if not repository.complete(session, run.id, claim, scored=scored, alerts=alerts, refusals=told):
        raise LostChunkError


def slices(keys: Sequence[str], wanted: Sequence[str] | None, size: int = SLICE_FIRMS) -> Iterator[tuple[str, str]]:
    """Yield ranges of keys that hold all firms, or the wanted ones and no others, at most ``size`` each.

    Examples
    --------
    >>> list(slices(["a", "b", "c", "d", "e"], None, size=2))
    [('a', 'b'), ('c', 'd'), ('e', 'e')]
    >>> list(slices(["a", "b", "c", "d", "e"], ["a", "b", "d"]))
    [('a', 'b'), ('d', 'd')]
    """
    asked = set(keys if wanted is None else wanted)
    part: list[str] = []
    for key in keys:
        if part and (key not in asked or len(part) == size):
            yield part[0], part[-1]
            part = []
        if key in asked:
            part.append(key)
    if part:
        yield part[0], part[-1]


def _renew(database: Database, run: Run, claim: Claim, lease_seconds: float) -> bool:
    """Prolong a lease; return whether the chunk is still this attempt's."""
    with database.session(run.tenant_id) as session:
        return repository.renew(session, run.id, claim, lease_seconds)


@contextmanager
def _heartbeat(database: Database, run: Run, claim: Claim, lease_seconds: float) -> Iterator[Callable[[], bool]]:
    """Prolong a lease from a thread, and yield whether the chunk is still ours, as far as is known.

    A beat that the database does not take is left out: the next one, or the end of the lease, decides.
    """
    is_over, is_lost = Event(), Event()

    def beat() -> None:
        for _ in range(BEATS * LONGEST_LEASES):
            if is_over.wait(lease_seconds / BEATS):
                return
            try:
                is_ours = _renew(database, run, claim, lease_seconds)
            except SupersededError:
                is_ours = False
            except SQLAlchemyError:
                continue
            if not is_ours:
                is_lost.set()
                return

    thread = Thread(target=beat, name=f"heartbeat of chunk {claim.number}", daemon=True)
    thread.start()
    try:
        yield lambda: not is_lost.is_set()
    finally:
        is_over.set()
        thread.join()
