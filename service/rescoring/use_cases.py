"""Score every firm of a tenant as of a day, chunk by chunk, each in one transaction; a broken run goes on."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from uuid import UUID

from service.errors import InvalidPayload
from service.firms.use_cases import list_keys
from service.kit import clock
from service.kit.db import Author, Database, TenantSession, tenant_of
from service.kit.idempotency import prune
from service.rescoring import repository
from service.rescoring.tables import Run
from service.scoring.use_cases import Scored, context_of, get_context, score_range
from service.training.use_cases import live_model, model_version

CHUNK_FIRMS = 2_000
Progress = Callable[[str, int, int], None]
OnScores = Callable[[TenantSession, list[Scored], UUID], int]
"""What else a chunk's transaction does with its scores; returns how many alerts it raised."""


@dataclass(frozen=True)
class RunSummary:
    """What a run did, earlier parts of it included."""

    run_id: UUID
    product: str
    as_of: date
    model_version: str
    is_resumed: bool
    firms: int
    scored: int
    alerts: int
    refusals: list[dict[str, object]]


def rescore(
    database: Database,
    tenant_id: UUID,
    product: str,
    as_of: date,
    actor: str,
    on_scores: OnScores,
    progress: Progress = lambda *_: None,
    chunk_firms: int = CHUNK_FIRMS,
) -> RunSummary:
    """Score every firm with the product's live model; go on with a run of the same product and day that broke off.

    A chunk's scores, its alerts and its own completion commit together, so a kill at any moment leaves a run that
    the same call finishes, with one score a firm.

    Raises
    ------
    InvalidPayload
        If the day is in the future.
    NotFound, Conflict
        If there is no such product, or it has no live model.
    """
    if as_of > clock.today():
        raise InvalidPayload(f"as_of {as_of} is in the future.")
    with database.session(tenant_id, Author(actor)) as session:
        run, is_resumed = _start(session, product, as_of, actor, chunk_firms)
        chunks = repository.chunks_of(session, run.id)
    total, numbers = len(chunks), [chunk.number for chunk in chunks if chunk.done_at is None]
    for done, number in enumerate(numbers, start=total - len(numbers)):
        progress(f"scoring as of {as_of}", done, total)
        with database.session(tenant_id, Author(actor)) as session:
            _score_chunk(session, run, number, actor, on_scores)
    progress(f"scoring as of {as_of}", total, total)
    with database.session(tenant_id, Author(actor)) as session:
        repository.finish(session, run.id, clock.now())
        return _summary(session, run, is_resumed=is_resumed)


def _start(session: TenantSession, product: str, as_of: date, actor: str, chunk_firms: int) -> tuple[Run, bool]:
    repository.lock_run(session, product, as_of)
    unfinished = repository.find_unfinished(session, product, as_of)
    if unfinished is not None:
        return unfinished, True
    prune(session)
    loaded = live_model(session, product)
    context_id, _ = context_of(session, as_of, refresh=True)
    keys = list_keys(session)
    slices = [keys[start : start + chunk_firms] for start in range(0, len(keys), chunk_firms)]
    run = Run(
        tenant_id=tenant_of(session),
        id=clock.new_id(),
        product=product,
        as_of=as_of,
        model_version_id=loaded.version.id,
        context_id=context_id,
        actor=actor,
        started_at=clock.now(),
        finished_at=None,
    )
    repository.add_run(session, run, [(part[0], part[-1]) for part in slices])
    return run, False


def _score_chunk(session: TenantSession, run: Run, number: int, actor: str, on_scores: OnScores) -> None:
    chunk = repository.claim(session, run.id, number)
    if chunk is None:
        return
    loaded = model_version(session, run.model_version_id)
    context = (run.context_id, get_context(session, run.context_id))
    keys = (chunk.first_key, chunk.last_key)
    scored, refusals = score_range(session, loaded, run.as_of, context, keys, actor, (run.id, number))
    chunk.alerts = on_scores(session, scored, run.id)
    chunk.scored, chunk.refusals, chunk.done_at = len(scored), [asdict(r) for r in refusals], clock.now()
    session.add(chunk)


def _summary(session: TenantSession, run: Run, *, is_resumed: bool) -> RunSummary:
    chunks = repository.chunks_of(session, run.id)
    refusals = [refusal for chunk in chunks for refusal in chunk.refusals]
    scored = sum(chunk.scored for chunk in chunks)
    return RunSummary(
        run_id=run.id,
        product=run.product,
        as_of=run.as_of,
        model_version=model_version(session, run.model_version_id).version.name,
        is_resumed=is_resumed,
        firms=scored + len(refusals),
        scored=scored,
        alerts=sum(chunk.alerts for chunk in chunks),
        refusals=refusals,
    )
