"""Every alert rule, listed by hand."""

from service.alerts.rules import grade_drop
from service.alerts.snapshot import Rule

RULES: tuple[Rule, ...] = (grade_drop.RULE,)
