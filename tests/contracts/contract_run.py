"""Hold the application against its OpenAPI document with schemathesis, every check on."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from service.identity.access import ACCESS, PUBLIC

CONFIG = Path(__file__).with_name("schemathesis.toml")


@dataclass
class Outcome:
    """What a run did and found."""

    cases: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)


def hold_against_the_document(app: Any, tokens: Mapping[str, str], max_examples: int, **phases: bool) -> Outcome:
    """Run the phases examples, coverage, fuzzing and stateful; each operation in turn as every role that may use it.

    Parameters
    ----------
    tokens
        Keys by role.
    max_examples
        Cases an operation in fuzzing.
    phases
        False to leave one out.
    """
    config = SchemathesisConfig.from_path(str(CONFIG))
    project = config.projects.default
    project.generation.max_examples = max_examples
    for name, is_on in phases.items():
        project.phases.get_by_name(name=name).enabled = is_on
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    turns: dict[str, Iterator[str]] = {
        route: itertools.cycle(sorted(set(tokens) & roles) or sorted(tokens))
        for route, roles in ACCESS.items()
        if roles is not PUBLIC
    }

    @schema.auth(cache_by_key=lambda case, context: case.id)
    class _Turns:
        def get(self, case, context):
            turn = turns.get(f"{case.operation.method.upper()} {case.operation.path}")
            return tokens[next(turn)] if turn else None

        def set(self, case, data, context):
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
