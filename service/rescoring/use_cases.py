"""A rescoring: prepared chunk by chunk, checked, then published or withdrawn; published, it can be rolled back.

Every act may be done again: it goes on where it broke off, and does nothing where all is done.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from service.alerts.use_cases import count_alerts, raise_alerts, withdraw_alerts
from service.audit import use_cases as audit
from service.errors import Conflict, InvalidPayload, NotFound
from service.firms.use_cases import arrivals, impossible_balances, keys_of, list_keys
from service.jobs.use_cases import is_kept
from service.kit import clock
from service.kit.db import Author, Database, TenantSession, tenant_of
from service.kit.etag import Precondition
from service.kit.idempotency import prune
from service.rescoring import checks, policy, repository
from service.rescoring.repository import Progress
from service.rescoring.tables import Chunk, Run, Transition
from service.rescoring.work import LEASE_SECONDS, OnProgress, score_chunk, steadily, work_on
from service.scoring import publication
from service.scoring.publication import Comparison
from service.scoring.use_cases import context_of
from service.training.use_cases import live_model, model_version, version_name

CHUNK_FIRMS = 10_000
SUBSET_FIRMS = 200
"""Firms of a subset that is scored while its request waits."""
REFUSALS_SHOWN = 100
WITHDRAWABLE = ("preparing", "prepared", "checked")


@dataclass(frozen=True)
class RunSummary:
    """What a run did, earlier parts of it included.

    Attributes
    ----------
    alerts
        That it raised: none before it is published.
    held_up
        Why it waits to be published though no check failed and it was to be; None if nothing is in its way.
    refusals
        The first of the ``refused``.
    """

    run_id: UUID
    product: str
    as_of: date
    model_version: str
    is_resumed: bool
    state: str
    firms: int
    scored: int
    refused: int
    alerts: int
    checks: list[dict[str, Any]]
    refusals: list[dict[str, object]]
    held_up: str | None = None


@dataclass(frozen=True)
class RunView:
    """A run, how far it is, and who moved it from state to state."""

    run: Run
    model_version: str
    progress: Progress
    history: list[Transition]


def rescore(
    database: Database,
    tenant_id: UUID,
    product: str,
    as_of: date,
    actor: str,
    progress: OnProgress = lambda *_: None,
    *,
    chunk_firms: int = CHUNK_FIRMS,
    firm_keys: Collection[str] | None = None,
    is_published: bool = True,
    despite: str | None = None,
    lease_seconds: float = LEASE_SECONDS,
) -> RunSummary:
    """Prepare, check and publish a run of every firm, or of some; go on with the actor's own that broke off.

    Parameters
    ----------
    firm_keys
        A subset; None: every firm.
    is_published
        Whether it is to be published if no check fails.
    despite
        Why it is to be published even if one does.

    Raises
    ------
    InvalidPayload
        If the day is in the future, or a firm unknown.
    NotFound, Conflict
        If there is no such product, it has no live model, somebody else works on a run of this day, or the run is
        withdrawn meanwhile.
    """

    def begin() -> tuple[Run, bool]:
        with database.session(tenant_id, Author(actor)) as session:
            return prepare(session, product, as_of, actor, chunk_firms=chunk_firms, firm_keys=firm_keys)

    def end() -> RunSummary:
        with database.session(tenant_id, Author(actor)) as session:
            return conclude(session, run.id, actor, is_published=is_published, despite=despite, is_resumed=is_resumed)

    run, is_resumed = steadily(begin)
    work_on(database, tenant_id, run.id, actor, progress, lease_seconds)
    return steadily(end)


def conclude(
    session: TenantSession,
    run_id: UUID,
    actor: str,
    *,
    is_published: bool,
    despite: str | None = None,
    is_resumed: bool = False,
) -> RunSummary:
    """Check a run whose chunks are done, publish it if it may be, and say what it did.

    One that another run keeps from being published stays checked, so that its work is not lost.

    Raises
    ------
    NotFound
        If there is no such run.
    Conflict
        If a chunk is open, or the run was withdrawn: what was asked for is not done.
    """
    view = check(session, run_id, actor)
    checked = view.run
    if checked.state == "withdrawn":
        end = view.history[-1]
        raise Conflict(f"{end.actor} withdrew the run {run_id} before it was done ({end.reason}). Run this day again.")
    may_be = despite is not None or not checks.has_failed(_checks(checked))
    held_up = None
    if is_published and may_be and checked.state == "checked":
        held_up = _held_up(session, checked)
        if held_up is None:
            publish(session, run_id, actor, despite)
    return replace(_summary(session, run_id, is_resumed=is_resumed), held_up=held_up)


def prepare(
    session: TenantSession,
    product: str,
    as_of: date,
    actor: str,
    *,
    chunk_firms: int = CHUNK_FIRMS,
    firm_keys: Collection[str] | None = None,
    parent_id: UUID | None = None,
) -> tuple[Run, bool]:
    """Start a run, whose chunks ``work_on`` scores; return it, and whether it was there already.

    The actor's own run of every firm by the live model goes on if it is not checked yet. One that somebody else left,
    perhaps to look at it first, or that is by another model, is withdrawn. A subset is a run of its own each time.

    Raises
    ------
    InvalidPayload
        If the day is in the future, or a firm unknown.
    NotFound, Conflict
        If there is no such product, it has no live model, or such a run is being worked on.
    """
    if as_of > clock.today():
        raise InvalidPayload(f"as_of {as_of} is in the future.")
    publication.lock(session, product)
    loaded = live_model(session, product)
    unfinished = repository.find_open(session, product, as_of)
    if unfinished is not None and firm_keys is None:
        if (unfinished.actor, unfinished.model_version_id) == (actor, loaded.version.id):
            return unfinished, True
        _end_left(session, unfinished, actor)
    prune(session)
    keys = list_keys(session)
    if firm_keys is not None:
        _check_known(firm_keys, keys)
        keys = sorted(set(firm_keys), key=str.encode)
    run = Run(
        tenant_id=tenant_of(session),
        id=clock.new_id(),
        kind="all" if firm_keys is None else "subset",
        parent_id=parent_id,
        product=product,
        as_of=as_of,
        model_version_id=loaded.version.id,
        context_id=context_of(session, as_of, refresh=True)[0],
        state="preparing",
        firms=len(keys),
        report=None,
        actor=actor,
        started_at=clock.now(),
    )
    repository.add_run(session, run, _chunks(run, keys, chunk_firms))
    return run, False


def _end_left(session: TenantSession, run: Run, actor: str) -> None:
    if repository.is_worked_on(session, run.id, LEASE_SECONDS) or is_kept(session, run_id=str(run.id)):
        raise Conflict(
            f"The run {run.id}, begun by {run.actor}, is being prepared. Let it be finished, or withdraw it; then run"
            " this day again."
        )
    withdraw(session, run.id, actor, f"Begun by {run.actor}, left unfinished and begun anew by {actor}.")


def _check_known(asked: Collection[str], known: Sequence[str]) -> None:
    if not asked:
        raise InvalidPayload("A subset has at least one firm.")
    if unknown := sorted(set(asked) - set(known)):
        raise InvalidPayload(f"No firm has the key {', '.join(unknown[:5])}{' ...' if len(unknown) > 5 else ''}.")


def _chunks(run: Run, keys: Sequence[str], chunk_firms: int) -> list[Chunk]:
    parts = [keys[start : start + chunk_firms] for start in range(0, len(keys), chunk_firms)]
    return [
        Chunk(
            tenant_id=run.tenant_id,
            run_id=run.id,
            number=number,
            first_key=part[0],
            last_key=part[-1],
            firms=len(part),
            firm_keys=None if run.kind == "all" else list(part),
        )
        for number, part in enumerate(parts)
    ]


def rerun(session: TenantSession, run_id: UUID, firm_ids: Collection[UUID], actor: str) -> RunView:
    """Score some firms of a run again, as a checked run of its own: publishing it moves these firms alone.

    It has the product and day of the run, the model that is live now, and what the ledger knows now.

    Raises
    ------
    NotFound
        If there is no such run, or one of the firms is not known.
    """
    parent = get_run(session, run_id).run
    keys = keys_of(session, firm_ids)
    if len(keys) < len(set(firm_ids)):
        raise NotFound("One of the firms is not known.")
    run, _ = prepare(session, parent.product, parent.as_of, actor, firm_keys=keys.values(), parent_id=parent.id)
    worker = clock.new_id()
    while claim := repository.claim(session, run.id, worker, LEASE_SECONDS):
        score_chunk(session, run, claim, actor)
    return check(session, run.id, actor)


def check(session: TenantSession, run_id: UUID, actor: str) -> RunView:
    """Look whether a run whose chunks are done is fit to be published, and keep what was found with it.

    Raises
    ------
    NotFound
        If there is no such run.
    Conflict
        If a chunk is open.
    """
    _to_change(session, run_id)
    repository.move(session, run_id, ["preparing"], "prepared", actor)
    run = _locked(session, run_id)
    if run.state == "preparing":
        raise Conflict("Some of the run's chunks are not scored yet. Let it be finished, then check it.")
    if run.state != "prepared":
        return _view(session, run)
    loaded = model_version(session, run.model_version_id)
    found = publication.compare(session, run.id, loaded, run.as_of)
    run.report = {
        "checks": [asdict(item) for item in checks.check(_facts(session, run, found))],
        "matrix": [
            {"before": before, "after": after, "firms": firms} for (before, after), firms in found.matrix.items()
        ],
        "movers": [asdict(mover) for mover in found.movers],
        "compared_with": [str(other) for other in found.before],
    }
    session.add(run)
    session.flush()
    repository.move(session, run_id, ["prepared"], "checked", actor)
    return get_run(session, run_id)


def _facts(session: TenantSession, run: Run, found: Comparison) -> checks.Facts:
    progress = repository.progress_of(session, run.id)
    replaced = [other for run_id in found.before if (other := repository.find_run(session, run_id)) is not None]
    whole = next((other for other in replaced if other.kind == "all"), None)
    earlier = repository.find_published(session, run.product, run.as_of)
    days = 0 if earlier is None else (run.as_of - earlier.as_of).days
    statuses, impossible = impossible_balances(session, run.as_of)
    return checks.Facts(
        firms=run.firms,
        scored=progress.scored,
        refused=progress.refused,
        rows=found.scores,
        refused_before=None if whole is None else _refused_share(session, whole),
        arrivals=arrivals(session, run.as_of, days, policy.FEED_PERIODS + 1) if days > 0 else {},
        statuses=statuses,
        impossible=impossible,
        matrix=found.matrix,
        stability=found.stability,
    )


def _refused_share(session: TenantSession, run: Run) -> float | None:
    progress = repository.progress_of(session, run.id)
    total = progress.scored + progress.refused
    return progress.refused / total if total else None


def publish(
    session: TenantSession,
    run_id: UUID,
    actor: str,
    despite: str | None = None,
    precondition: Precondition | None = None,
) -> RunView:
    """Let a checked run's scores count from the commit on, all at once, and raise its alerts.

    Parameters
    ----------
    despite
        Why, although a check failed.

    Raises
    ------
    NotFound
        If there is no such run.
    PreconditionFailed
        If it is no longer what it was.
    Conflict
        If it is not checked, a check failed and no reason is given, a later day's run is being prepared, or one of
        this day that began later is published.
    """
    run = _to_change(session, run_id, precondition)
    if run.state == "published":
        return _view(session, run)
    if run.state != "checked":
        raise Conflict(f"The run is {run.state}. Only a checked one can be published.")
    failed = [item["code"] for item in _checks(run) if item["level"] == "fail"]
    if failed and despite is None:
        raise Conflict(
            f"These checks failed: {', '.join(failed)}. Withdraw the run, mend the cause and run it again; or publish"
            " it all the same, with a reason why."
        )
    if held_up := _held_up(session, run):
        raise Conflict(held_up)
    publication.publish(session, run.id, run.product, run.as_of, run.started_at, is_whole=run.kind == "all")
    raised = raise_alerts(session, run.id)
    repository.move(session, run_id, ["checked"], "published", actor, despite)
    facts: dict[str, str | int | bool | None] = {"alerts": raised, "failed_checks": " ".join(failed), "reason": despite}
    audit.append(session, "rescoring.published", f"rescoring_run:{run_id}", facts)
    return get_run(session, run_id)


def withdraw(
    session: TenantSession, run_id: UUID, actor: str, reason: str, precondition: Precondition | None = None
) -> RunView:
    """End a run that is not published: its scores never count, and it raises no alert.

    Raises
    ------
    NotFound
        If there is no such run.
    PreconditionFailed
        If it is no longer what it was.
    Conflict
        If it was published.
    """
    run = _to_change(session, run_id, precondition)
    if run.state == "withdrawn":
        return _view(session, run)
    if not repository.move(session, run_id, WITHDRAWABLE, "withdrawn", actor, reason):
        raise Conflict(f"The run is {run.state}. One that was published is rolled back instead.")
    audit.append(session, "rescoring.withdrawn", f"rescoring_run:{run_id}", {"reason": reason})
    return get_run(session, run_id)


def roll_back(
    session: TenantSession, run_id: UUID, actor: str, reason: str, precondition: Precondition | None = None
) -> RunView:
    """Let a published run's scores count no more: what held without it holds again, and its alerts are withdrawn.

    What later runs found too, and had not raised because this one had, they raise now.

    Raises
    ------
    NotFound
        If there is no such run.
    PreconditionFailed
        If it is no longer what it was.
    Conflict
        If it is not published, or a later day's run is being prepared.
    """
    run = _to_change(session, run_id, precondition)
    if run.state == "rolled_back":
        return _view(session, run)
    if run.state != "published":
        raise Conflict(f"The run is {run.state}. Only a published one can be rolled back.")
    if obstacle := _obstacle(session, run):
        raise Conflict(obstacle)
    publication.roll_back(session, run.id)
    withdraw_alerts(session, run.id)
    for other in publication.published_since(session, run.id):
        raise_alerts(session, other, instead_of=run.id)
    repository.move(session, run_id, ["published"], "rolled_back", actor, reason)
    audit.append(session, "rescoring.rolled_back", f"rescoring_run:{run_id}", {"reason": reason})
    return get_run(session, run_id)


def _to_change(session: TenantSession, run_id: UUID, precondition: Precondition | None = None) -> Run:
    """Return a run that may be changed, while no other run of its product may; locked in this order by everybody."""
    publication.lock(session, get_run(session, run_id).run.product)
    run = _locked(session, run_id)
    if precondition is not None:
        precondition.check(run)
    return run


def _obstacle(session: TenantSession, run: Run) -> str | None:
    """Say why what counts of a run may not change now: no chunk of a later day's run may see other previous grades.

    That is, others than the chunk before it.
    """
    later = repository.find_later(session, run.product, run.as_of)
    if later is None:
        return None
    return (
        f"The run {later.id} of {later.as_of} is being prepared and compares with what is published. Let it be"
        " finished, or withdraw it; then publish this one."
    )


def _held_up(session: TenantSession, run: Run) -> str | None:
    """Say which other run keeps this one from being published."""
    return _obstacle(session, run) or _newer(session, run)


def _newer(session: TenantSession, run: Run) -> str | None:
    """Say by which run this one's scores would be hidden from the start, while its alerts would be raised."""
    newer = publication.replaced_by(session, run.product, run.as_of, run.started_at)
    if newer is None:
        return None
    return (
        f"The run {newer} of the same day began later and is published: this one would move no grade. Withdraw it; or"
        " roll the other one back, then publish this one."
    )


def _locked(session: TenantSession, run_id: UUID) -> Run:
    run = repository.find_run(session, run_id, for_update=True)
    if run is None:
        raise NotFound("No rescoring has this id.")
    return run


def _checks(run: Run) -> list[dict[str, Any]]:
    return [] if run.report is None else list(run.report["checks"])


def get_run(session: TenantSession, run_id: UUID) -> RunView:
    """Return a run.

    Raises
    ------
    NotFound
        If the tenant has no such run.
    """
    run = repository.find_run(session, run_id)
    if run is None:
        raise NotFound("No rescoring has this id.")
    return _view(session, run)


def list_runs(session: TenantSession, before: tuple[datetime, UUID] | None = None, limit: int = 100) -> list[RunView]:
    """Return runs, the newest first."""
    runs = repository.page_runs(session, before, limit)
    names = {version_id: version_name(session, version_id) for version_id in {run.model_version_id for run in runs}}
    return [_view(session, run, names[run.model_version_id]) for run in runs]


def list_refusals(session: TenantSession, run_id: UUID) -> list[dict[str, Any]]:
    """Return the first firms that a run could not score, and what is missing of them."""
    return repository.refusals_of(session, run_id, REFUSALS_SHOWN)


def _view(session: TenantSession, run: Run, model: str | None = None) -> RunView:
    return RunView(
        run=run,
        model_version=model or version_name(session, run.model_version_id),
        progress=repository.progress_of(session, run.id),
        history=repository.history_of(session, run.id),
    )


def _summary(session: TenantSession, run_id: UUID, *, is_resumed: bool) -> RunSummary:
    view = get_run(session, run_id)
    return RunSummary(
        run_id=run_id,
        product=view.run.product,
        as_of=view.run.as_of,
        model_version=view.model_version,
        is_resumed=is_resumed,
        state=view.run.state,
        firms=view.progress.scored + view.progress.refused,
        scored=view.progress.scored,
        refused=view.progress.refused,
        alerts=count_alerts(session, run_id),
        checks=_checks(view.run),
        refusals=list_refusals(session, run_id),
    )
