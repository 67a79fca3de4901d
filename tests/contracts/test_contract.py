"""Promise 12: what the service answers is what openapi.json says, and it takes nothing that the document refuses.

`make test` runs the phases that do not depend on chance, `make chaos` all of them with 200 cases an operation.
"""

import pytest

from service.app import create_app
from service.identity.access import ACCESS, Role
from service.settings import Settings
from tests.contracts.contract_run import hold_against_the_document, summary

CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
    "object_level_authorization",
}


@pytest.fixture
def own_app(database):
    """Return the application with the limits that it is shipped with."""
    return create_app(Settings(), database)


@pytest.fixture
def tokens(world) -> dict[Role, str]:
    """Return a key of each role; of a role that may be bound to a branch, one that reaches every firm."""
    return {holder.role: holder.token for holder in world.holders if "branch" not in holder.name.partition(" of ")[2]}


def _check(outcome):
    assert not outcome.found, "\n\n".join(outcome.found[:20])
    assert set(outcome.checks) == CHECKS
    assert set(outcome.operations) == set(ACCESS)
    assert outcome.statuses[201] > 0
    assert outcome.statuses[200] > 0


def test_answers_are_as_documented(own_app, tokens):
    _check(hold_against_the_document(own_app, tokens, 1, fuzzing=False, stateful=False))


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_answers_are_as_documented_in_every_phase(own_app, tokens, capsys):
    outcome = hold_against_the_document(own_app, tokens, 200)
    with capsys.disabled():
        print("\npromise 12:", summary(outcome))  # noqa: T201
    _check(outcome)
    assert set(outcome.cases) == {"examples", "coverage", "fuzzing", "stateful"}
