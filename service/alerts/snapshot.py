"""What a rule sees and what it says: plain values, no queries."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

Severity = Literal["L", "M", "H", "C"]
COOLDOWN_DAYS: dict[Severity, int] = {"L": 90, "M": 30, "H": 14, "C": 0}
"""Days in which the same rule stays quiet about the same firm (methods.md section 9)."""


@dataclass(frozen=True)
class GradeSnapshot:
    """A firm's new grade beside the last one of an earlier day."""

    product: str
    as_of: date
    pd: float
    stable_grade: str
    previous_grade: str | None
    previous_as_of: date | None
    previous_pd: float | None


@dataclass(frozen=True)
class Finding:
    """Something a loan officer has to look at.

    Attributes
    ----------
    period
        With rule and firm, the finding's identity: found again, it is the same alert.
    """

    severity: Severity
    period: str
    text: dict[str, str]
    evidence: dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """A thing the system watches.

    Attributes
    ----------
    code
        Names the danger.
    event
        Its number in methods.md section 9.
    """

    code: str
    event: str
    en: str
    zh: str
    check: Callable[[GradeSnapshot], list[Finding]]
