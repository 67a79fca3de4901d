"""Note what is in a run's scores, raise it as alerts once the run is published, and note who has seen them."""

import hashlib
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from service.alerts import repository
from service.alerts.rules import RULES
from service.alerts.snapshot import COOLDOWN_DAYS, Finding, GradeSnapshot, Rule, Severity
from service.alerts.tables import Alert, AlertCandidate
from service.errors import NotFound
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.kit.etag import Precondition, save
from service.scoring.use_cases import Scored

_RANK = "LMHC"
_Newest = dict[tuple[str, UUID, str], tuple[date, str]]


def note_findings(session: TenantSession, scores: list[Scored], run_id: UUID) -> int:
    """Check every rule against a run's new scores and keep what is found, in the session's transaction.

    Nobody is alerted: a run may be withdrawn.

    Returns
    -------
    int
        Findings.
    """
    rows = [
        _candidate(session, rule, score, finding, run_id)
        for score in scores
        for rule in RULES
        for finding in rule.check(_snapshot(score))
    ]
    repository.insert_candidates(session, rows)
    return len(rows)


def raise_alerts(session: TenantSession, run_id: UUID, instead_of: UUID | None = None) -> int:
    """Turn a run's findings into alerts, in the transaction that publishes it.

    A finding whose fingerprint is known is the same alert; one within the rule's cooldown of the last alert about
    the same firm and product is left out, unless it is more severe.

    Parameters
    ----------
    instead_of
        A run whose alerts are withdrawn: only about their firms is there anything to raise.

    Returns
    -------
    int
        Alerts that are new.
    """
    raised, after = 0, ""
    while found := repository.page_candidates(session, run_id, after, instead_of):
        newest = repository.newest_of(session, [candidate.firm_id for candidate in found])
        rows = [_alert(candidate) for candidate in found if not _is_cooling(newest, candidate)]
        raised += repository.insert_alerts(session, rows)
        after = found[-1].fingerprint
    return raised


def withdraw_alerts(session: TenantSession, run_id: UUID) -> None:
    """Mark the alerts of a run that is rolled back: they stay on record, and what is found again is a new alert."""
    repository.withdraw_alerts(session, run_id, clock.now())


def count_alerts(session: TenantSession, run_id: UUID) -> int:
    """Return how many alerts a run has raised."""
    return repository.count_alerts(session, run_id)


def _snapshot(score: Scored) -> GradeSnapshot:
    return GradeSnapshot(
        product=score.product,
        as_of=score.as_of,
        pd=score.pd,
        stable_grade=score.stable_grade,
        previous_grade=score.previous_grade,
        previous_as_of=score.previous_as_of,
        previous_pd=score.previous_pd,
    )


def _is_cooling(newest: _Newest, candidate: AlertCandidate) -> bool:
    last = newest.get((candidate.rule, candidate.firm_id, candidate.product))
    if last is None:
        return False
    last_on, last_severity = last
    is_close = abs((candidate.as_of - last_on).days) < COOLDOWN_DAYS[cast("Severity", candidate.severity)]
    return is_close and _RANK.index(candidate.severity) <= _RANK.index(last_severity)


def _candidate(session: TenantSession, rule: Rule, score: Scored, finding: Finding, run_id: UUID) -> dict[str, Any]:
    identity = f"{rule.code}/{score.firm_id}/{score.product}/{finding.period}/{finding.severity}"
    return {
        "tenant_id": tenant_of(session),
        "rule": rule.code,
        "firm_id": score.firm_id,
        "product": score.product,
        "severity": finding.severity,
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "as_of": score.as_of,
        "run_id": run_id,
        "text": finding.text,
        "evidence": {**finding.evidence, "score_id": str(score.score_id)},
    }


def _alert(candidate: AlertCandidate) -> dict[str, Any]:
    return {**candidate.model_dump(), "id": clock.new_id(), "raised_at": clock.now(), "version": 1}


def list_alerts(
    session: TenantSession,
    *,
    is_acknowledged: bool | None = None,
    is_withdrawn: bool = False,
    firm_id: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[Alert]:
    """Return alerts that hold, or those that were withdrawn, newest first."""
    return repository.page_alerts(
        session,
        is_acknowledged=is_acknowledged,
        is_withdrawn=is_withdrawn,
        firm_id=firm_id,
        before=before,
        limit=limit,
    )


def get_alert(session: TenantSession, alert_id: UUID, *, for_update: bool = False) -> Alert:
    """Return an alert.

    Raises
    ------
    NotFound
        If no alert within reach has this id.
    """
    alert = repository.find_alert(session, alert_id, for_update=for_update)
    if alert is None:
        raise NotFound("No alert has this id.")
    return alert


def acknowledge(
    session: TenantSession, alert_id: UUID, actor: str, note: str | None, precondition: Precondition
) -> Alert:
    """Note who has seen an alert; the first to do so stays on record.

    Raises
    ------
    NotFound, PreconditionFailed
        If there is no such alert, or it is no longer what it was.
    """
    alert = get_alert(session, alert_id, for_update=True)
    precondition.check(alert)
    if alert.acknowledged_at is None:
        alert.acknowledged_at, alert.acknowledged_by, alert.note = clock.now(), actor, note
        save(session, alert)
    return alert
