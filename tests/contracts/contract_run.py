"""Hold the application against its OpenAPI document with schemathesis, every check on."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import OperationConfig, SchemathesisConfig
from schemathesis.engine import events, from_schema

from service.identity.access import ACCESS, PUBLIC, Role

CONFIG = Path(__file__).with_name("schemathesis.toml")


@dataclass
class Outcome:
    """What a run did and found."""

    cases: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)


def hold_against_the_document(
    app: Any, new_key: Callable[[Role], str], phases: Sequence[str], max_examples: int, routes: Collection[str]
) -> Outcome:
    """Send each operation in turn as every role that may use it.

    Parameters
    ----------
    new_key
        Makes a key for a role; every case has its own, since some revoke what they find.
    phases
        Of examples, coverage, fuzzing, stateful.
    max_examples
        Cases an operation in fuzzing, and chains of calls in the stateful phase.
    routes
        The operations to send.
    """
    config = SchemathesisConfig.from_path(str(CONFIG))
    project = config.projects.default
    if left_out := sorted(set(ACCESS) - set(routes)):
        project.operations.operations.append(OperationConfig.from_dict({"include-name": left_out, "enabled": False}))
    project.generation.update(max_examples=max_examples)
    project.phases.update(phases=list(phases))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    turns = {
        route: itertools.cycle(sorted(roles - {Role.FIRM}) or [Role.FIRM])
        for route, roles in ACCESS.items()
        if roles is not PUBLIC
    }

    @schema.auth(cache_by_key=lambda case, _: case.id)
    class _Turns:
        def get(self, case, _context):
            turn = turns.get(f"{case.operation.method.upper()} {case.operation.path}")
            return new_key(next(turn)) if turn else None

        def set(self, case, data, _context):
            if data:
                case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}

    outcome = Outcome()
    for event in from_schema(schema).execute():
        _note(event, outcome)
    return outcome


def _note(event: Any, outcome: Outcome) -> None:
    if isinstance(event, events.NonFatalError):
        outcome.found.append(f"error: {event.label}: {event.value!r}")
    if isinstance(event, events.FatalError):
        raise event.exception
    if not isinstance(event, events.ScenarioFinished):
        return
    recorder = event.recorder
    for case_id, node in recorder.cases.items():
        outcome.cases[event.phase.value] += 1
        outcome.operations[node.value.operation.label] += 1
        interaction = recorder.interactions.get(case_id)
        if interaction is not None and interaction.response is not None:
            outcome.statuses[interaction.response.status_code] += 1
        for check in recorder.checks.get(case_id, []):
            outcome.checks[check.name] += 1
            if check.failure_info is not None:
                label, why = node.value.operation.label, check.failure_info
                outcome.found.append(
                    f"{event.phase.value}: {label}: {check.name}: {why.failure}\n{why.code_sample[:800]}"
                )


def summary(outcome: Outcome) -> str:
    """Return a run's figures."""
    return json.dumps({name: dict(getattr(outcome, name)) for name in ("cases", "operations", "checks", "statuses")})
