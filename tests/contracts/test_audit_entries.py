"""Completeness of the audit log: a request that changes or discloses something leaves an entry that names it."""

import pytest
from sqlalchemy import text

from service.identity.access import ACCESS, PUBLIC, Role
from tests.contracts.route_requests import REQUESTS
from tests.contracts.test_access import send

pytestmark = pytest.mark.xdist_group("access")
CHANGING = sorted(route for route in ACCESS if not route.startswith("GET "))
DISCLOSING = {"GET /v1/documents/{sha256}/content", "GET /v1/exports/{kind}"}
"""Routes that change nothing and are on record all the same."""
NOT_HERE = {
    "POST /v1/sessions": "signs nobody in here: test_a_sign_in_and_its_end_are_entries",
    "DELETE /v1/sessions/current": "ends nothing for a key: test_a_sign_in_and_its_end_are_entries",
    "POST /v1/me/password": "changes nothing for a key: app_user is watched",
    "POST /v1/reviews/{review_id}/withdraw": "only who opened a review may, and no key here has: review is watched",
    "POST /v1/firms/{firm_id}/reviews": "may find one open, by the tests of access: review is watched",
    "POST /v1/jobs/{job_id}/cancel": "changes nothing for a job that is over: job is watched",
}
"""Changing routes whose requests here succeed in nothing, and what stands for them."""
WRITTEN = text("""
    select body::json ->> 'action', body::json ->> 'request_id'
    from (select body from audit_pending union all select body from audit_entry) as entry
""")
ONCE_A_WORLD = {
    "POST /v1/guarantee-grants": "guarantee_grant.inserted",
    "DELETE /v1/guarantee-grants/{grant_id}": "guarantee_grant.updated",
    "DELETE /v1/documents/{sha256}/content": "document.destroyed",
    "POST /v1/rescorings/{run_id}/publish": "rescoring.published",
    "POST /v1/rescorings/{run_id}/withdraw": "rescoring.withdrawn",
    "POST /v1/rescorings/{run_id}/rollback": "rescoring.rolled_back",
}
"""What only the first request does, of whichever test; a repetition changes nothing, and is no entry."""


@pytest.mark.parametrize("route", sorted(DISCLOSING | set(CHANGING) - set(NOT_HERE)))
def test_a_change_or_disclosure_leaves_an_entry_of_its_request(database, talker, world, route):
    answers = []
    for holder in world.holders:
        if holder.role not in ACCESS[route]:
            continue
        # The sibling's things, which the tests of access leave alone; a firm and other organisations have their own.
        is_banks = holder.home is world.owners["bank home"] and holder.role is not Role.FIRM
        call = REQUESTS[route].build(world.owners["bank sibling"] if is_banks else holder.home)
        answers.append(send(talker, holder.token, route, call))
    done = [answer.headers["X-Request-Id"] for answer in answers if answer.is_success]
    with database.engine.connect() as connection:
        entries = connection.execute(WRITTEN).all()
    written = {request for _, request in entries}
    if route in ONCE_A_WORLD and not written & set(done):
        assert any(action == ONCE_A_WORLD[route] and request for action, request in entries)
    else:
        assert done
        assert done[0] in written


def test_the_exceptions_are_routes():
    assert set(NOT_HERE) <= set(CHANGING)
    assert set(REQUESTS) >= set(CHANGING) - {route for route in CHANGING if ACCESS[route] is PUBLIC}
