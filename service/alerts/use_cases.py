"""Raise alerts from new scores, once each, and note who has seen them."""

import hashlib
from datetime import date, datetime
from typing import Any
from uuid import UUID

from service.alerts import repository
from service.alerts.rules import RULES
from service.alerts.snapshot import COOLDOWN_DAYS, Finding, GradeSnapshot, Rule
from service.alerts.tables import Alert
from service.errors import NotFound
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.kit.etag import Precondition, save
from service.scoring.use_cases import Scored

_RANK = "LMHC"
_Newest = dict[tuple[str, UUID, str], tuple[date, str]]


def raise_alerts(session: TenantSession, scores: list[Scored], run_id: UUID) -> int:
    """Check every rule against new scores and keep what is found, in the session's transaction.

    A finding whose fingerprint is known is the same alert; one within the rule's cooldown of the last alert about
    the same firm and product is left out, unless it is more severe.

    Returns
    -------
    int
        Alerts that are new.
    """
    newest = repository.newest_of(session, [score.firm_id for score in scores])
    rows = [
        _row(session, rule, score, finding, run_id)
        for score in scores
        for rule in RULES
        for finding in rule.check(_snapshot(score))
        if not _is_cooling(newest, rule, score, finding)
    ]
    return repository.insert_alerts(session, rows)


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


def _is_cooling(newest: _Newest, rule: Rule, score: Scored, finding: Finding) -> bool:
    last = newest.get((rule.code, score.firm_id, score.product))
    if last is None:
        return False
    last_on, last_severity = last
    is_close = abs((score.as_of - last_on).days) < COOLDOWN_DAYS[finding.severity]
    return is_close and _RANK.index(finding.severity) <= _RANK.index(last_severity)


def _row(session: TenantSession, rule: Rule, score: Scored, finding: Finding, run_id: UUID) -> dict[str, Any]:
    identity = f"{rule.code}/{score.firm_id}/{score.product}/{finding.period}/{finding.severity}"
    return {
        "tenant_id": tenant_of(session),
        "id": clock.new_id(),
        "rule": rule.code,
        "firm_id": score.firm_id,
        "product": score.product,
        "severity": finding.severity,
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "as_of": score.as_of,
        "raised_at": clock.now(),
        "run_id": run_id,
        "text": finding.text,
        "evidence": {**finding.evidence, "score_id": str(score.score_id)},
        "version": 1,
    }


def list_alerts(
    session: TenantSession,
    *,
    is_acknowledged: bool | None = None,
    firm_id: UUID | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[Alert]:
    """Return alerts, newest first."""
    return repository.page_alerts(session, is_acknowledged=is_acknowledged, firm_id=firm_id, before=before, limit=limit)


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
