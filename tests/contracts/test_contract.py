"""Promise 12: what the service answers is what openapi.json says, and it takes nothing that the document refuses.

`make test` sends the document's examples, and the cases at the edges of a third of the operations: chance plays no
part. `make chaos` runs every phase for every operation, with 200 cases each.
"""

import uuid
from zlib import crc32

import pytest

from service.app import create_app
from service.identity.access import ACCESS, BRANCH_ROLES, Role
from service.identity.actor import ApprovalLimit
from service.identity.keys import create_key
from service.identity.use_cases import tenant_id_of
from service.settings import Settings
from tests.contracts.contract_run import hold_against_the_document, summary
from tests.contracts.world import add_bank

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
def own_app(database, app):
    """Return the application with the limits that it is shipped with, but for those of requests a minute."""
    no_limit = {"requests_per_minute": 0, "tenant_requests_per_minute": 0, "failed_requests_per_minute": 0}
    folders = {"keyring_dir": app.state.keyring.folder, "signing_dir": app.state.keyring.folder / "signing"}
    return create_app(Settings(event_stream_seconds=1, **folders, **no_limit), database)


@pytest.fixture
def new_key(database, app):
    """Return what makes keys of a bank with everything in it; each reaches all of it."""
    tenant = f"contract-{uuid.uuid4().hex[:8]}"
    home = add_bank(database, app.state.keyring, "contract", tenant)["contract home"]
    reach = {role: {"all_branches": True} for role in BRANCH_ROLES} | {
        Role.APPROVER: {"limits": (ApprovalLimit(worst_grade=15, amount="5000000"),)},
        Role.FIRM: {"firm_id": uuid.UUID(home["firm"])},
    }

    def make(role: Role) -> str:
        name = home["_fund"] if role is Role.FUND_AUDITOR else tenant
        with database.session(tenant_id_of(name)) as session:
            return create_key(session, str(role), role, **reach.get(role, {}))[1]

    return make


def _check(outcome, routes):
    assert not outcome.found, "\n\n".join(outcome.found[:20])
    assert set(outcome.checks) == CHECKS
    assert set(outcome.operations) == set(routes)
    assert outcome.statuses[201] > 0
    assert outcome.statuses[200] > 0


def test_examples_are_answered_as_documented(own_app, new_key):
    outcome = hold_against_the_document(own_app, new_key, ["examples"], 1, ACCESS)
    assert not outcome.found, "\n\n".join(outcome.found[:20])
    writing = {f"{m.upper()} {p}" for p, i in own_app.openapi()["paths"].items() for m in i if "requestBody" in i[m]}
    assert set(outcome.operations) >= writing


def test_answers_are_as_documented(own_app, new_key):
    third = [route for route in ACCESS if crc32(route.encode()) % 3 == 0]
    assert len(third) >= len(ACCESS) / 5
    _check(hold_against_the_document(own_app, new_key, ["coverage"], 1, third), third)


@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_answers_are_as_documented_in_every_phase(own_app, new_key, capsys):
    phases = ["examples", "coverage", "fuzzing", "stateful"]
    outcome = hold_against_the_document(own_app, new_key, phases, 200, ACCESS)
    with capsys.disabled():
        print("\npromise 12:", summary(outcome))  # noqa: T201
    _check(outcome, ACCESS)
    assert set(outcome.cases) == set(phases)
