"""For every route of the service, a request that its roles may make: one short function a route.

`tests/contracts/test_access.py` sends each as every role, about its own firm, another branch's and another tenant's.
A route without an entry fails that test.
"""

import itertools
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from service.observations.schemas import EXAMPLES
from tests.contracts.world import NUMBERS, PRODUCT, SECOND, Owner
from tests.service.people.invented_ids import national_id


class Of(StrEnum):
    """What a route's path or body names."""

    FIRM = "something of one firm: within reach, else 404"
    TENANT = "something of the whole tenant: its own, else 404"
    LIST = "a list: it shows what is within reach"
    NOTHING = "nothing that somebody could own"


@dataclass(frozen=True)
class Call:
    """A request: its path, and what it carries; If-Match and Idempotency-Key are sent with every one.

    A body is JSON, or, in bytes, a CSV file.
    """

    path: str
    body: Any = None

    @property
    def content(self) -> bytes | None:
        """The body as it is sent."""
        return self.body if self.body is None or isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def content_type(self) -> str:
        """What the body is."""
        return "text/csv" if isinstance(self.body, bytes) else "application/json"


@dataclass(frozen=True)
class Entry:
    of: Of
    build: Callable[[Owner], Call]
    shows: str = field(default="")
    """Name of the id that the answer to its owner holds."""
    settled: int = 0
    """What a repetition is answered whose act can be done once only; so is who may, and nobody else."""


REQUESTS: dict[str, Entry] = {}
Build = Callable[[Owner], Call]


def request(route: str, of: Of = Of.FIRM, shows: str = "", settled: int = 0) -> Callable[[Build], Build]:
    """Register a route's request."""

    def keep(build: Build) -> Build:
        REQUESTS[route] = Entry(of, build, shows, settled)
        return build

    return keep


def _reads(route: str, of: Of, shows: str) -> None:
    """Register a GET whose path says all; ``{x_id}`` is the owner's ``x``."""

    def build(owner: Owner) -> Call:
        ids = {f"{name}_id": value for name, value in owner.ids.items()}
        return Call(route.removeprefix("GET ").format(**ids))

    request(route, of, shows)(build)


_reads("GET /v1/me", Of.NOTHING, "")
_reads("GET /v1/branches", Of.LIST, "branch")
_reads("GET /v1/branches/{branch_id}", Of.TENANT, "branch")
_reads("GET /v1/keys", Of.LIST, "key")
_reads("GET /v1/keys/{key_id}", Of.TENANT, "key")
_reads("GET /v1/users", Of.LIST, "user")
_reads("GET /v1/users/{user_id}", Of.TENANT, "user")
_reads("GET /v1/firms", Of.LIST, "firm")
_reads("GET /v1/firms/{firm_id}", Of.FIRM, "firm")
_reads("GET /v1/scores/{score_id}", Of.FIRM, "score")
_reads("GET /v1/firms/{firm_id}/scores", Of.FIRM, "score")
_reads("GET /v1/firms/{firm_id}/statement", Of.FIRM, "")
_reads("GET /v1/models", Of.LIST, "model")
_reads("GET /v1/models/{model_id}", Of.TENANT, "model")
_reads("GET /v1/rescorings", Of.LIST, "run")
_reads("GET /v1/rescorings/{run_id}", Of.TENANT, "run")
_reads("GET /v1/alerts", Of.LIST, "alert")
_reads("GET /v1/alerts/{alert_id}", Of.FIRM, "alert")


_reads("GET /v1/jobs", Of.LIST, "job")
_reads("GET /v1/jobs/{job_id}", Of.TENANT, "job")
_reads("GET /v1/jobs/{job_id}/events", Of.TENANT, "job")


@request("GET /v1/imports/{job_id}/report", Of.TENANT)
def _(owner: Owner) -> Call:
    return Call(f"/v1/imports/{owner['import_job']}/report")


@request("POST /v1/jobs/{job_id}/cancel", Of.TENANT, "job")
def _(owner: Owner) -> Call:
    return Call(f"/v1/jobs/{owner['job']}/cancel")


@request("POST /v1/imports", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/imports?kind=firm", "firm_id,observed_on,name\nE-1,2024-01-31,甲\n".encode())


_reads("GET /v1/kinds", Of.NOTHING, "")
_reads("GET /v1/instruments", Of.NOTHING, "")


@request("GET /v1/kinds/{kind}", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/kinds/event")


@request("GET /v1/instruments/{name}", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/instruments/soft-1")


@request("POST /v1/observations", Of.FIRM, "firm")
def _(owner: Owner) -> Call:
    return Call("/v1/observations", EXAMPLES["debt_elsewhere"] | {"firm_id": owner["firm"]})


@request("GET /v1/observations", Of.FIRM, "observation")
def _(owner: Owner) -> Call:
    return Call(f"/v1/observations?kind=event&firm_id={owner['firm']}")


@request("POST /v1/firms/{firm_id}/documents", Of.FIRM, "firm")
def _(owner: Owner) -> Call:
    facts = "document_type=statement&title=2024&observed_on=2024-05-31"
    return Call(f"/v1/firms/{owner['firm']}/documents?{facts}", b"month,sales\n2024-05,1200\n")


@request("GET /v1/documents/{sha256}", Of.FIRM, "document")
def _(owner: Owner) -> Call:
    return Call(f"/v1/documents/{owner['document']}")


@request("GET /v1/documents/{sha256}/content", Of.FIRM)
def _(owner: Owner) -> Call:
    return Call(f"/v1/documents/{owner['document']}/content")


@request("DELETE /v1/documents/{sha256}/content", Of.FIRM)
def _(owner: Owner) -> Call:
    return Call(f"/v1/documents/{owner['spare_document']}/content")


@request("GET /v1/exports/{kind}", Of.LIST, "own_loan")
def _(owner: Owner) -> Call:
    return Call("/v1/exports/loan?format=csv")


@request("POST /v1/models", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/models", {"product": PRODUCT, "as_of": str(SECOND)})


@request("POST /v1/rescorings", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/rescorings", {"product": PRODUCT, "as_of": str(SECOND)})


@request("POST /v1/branches", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/branches", {"name": uuid.uuid4().hex})


@request("PATCH /v1/branches/{branch_id}", Of.TENANT, "branch")
def _(owner: Owner) -> Call:
    return Call(f"/v1/branches/{owner['branch']}", {"name": uuid.uuid4().hex})


@request("POST /v1/keys", Of.TENANT, "branch")
def _(owner: Owner) -> Call:
    return Call("/v1/keys", {"name": "officer", "role": "loan_officer", "branch_id": owner["branch"]})


@request("PATCH /v1/keys/{key_id}", Of.TENANT, "kept_key")
def _(owner: Owner) -> Call:
    return Call(f"/v1/keys/{owner['kept_key']}", {"days": 30})


@request("DELETE /v1/keys/{key_id}", Of.TENANT, "key")
def _(owner: Owner) -> Call:
    return Call(f"/v1/keys/{owner['key']}")


@request("POST /v1/users", Of.TENANT, "branch")
def _(owner: Owner) -> Call:
    login = f"p-{uuid.uuid4().hex}"
    return Call("/v1/users", {"login": login, "name": "n", "role": "loan_officer", "branch_id": owner["branch"]})


@request("PATCH /v1/users/{user_id}", Of.TENANT, "user")
def _(owner: Owner) -> Call:
    return Call(f"/v1/users/{owner['user']}", {"name": uuid.uuid4().hex})


@request("POST /v1/sessions", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/sessions", {"organisation": owner.tenant, "login": "nobody", "password": "seven geese"})


_reads("GET /v1/oidc/login", Of.NOTHING, "")
_reads("GET /v1/oidc/callback", Of.NOTHING, "")


@request("DELETE /v1/sessions/current", Of.NOTHING, settled=409)
def _(owner: Owner) -> Call:
    """Answered 409 to whoever comes with a key; tests/service/identity/test_sessions.py comes with sessions."""
    return Call("/v1/sessions/current")


@request("POST /v1/me/password", Of.NOTHING, settled=409)
def _(owner: Owner) -> Call:
    return Call("/v1/me/password", {"current": "seven geese over Luqiao", "new": "a button for every coat"})


@request("POST /v1/firms", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/firms", {"key": f"N-{uuid.uuid4().hex}", "name": "新厂", "observed_on": "2024-01-31"})


@request("PATCH /v1/firms/{firm_id}", Of.FIRM, "firm")
def _(owner: Owner) -> Call:
    return Call(f"/v1/firms/{owner['firm']}", {"branch_id": owner["branch"]})


@request("POST /v1/firms/{firm_id}/invoices")
def _(owner: Owner) -> Call:
    invoice = {"direction": "output", "counterparty": "B1", "issued_on": "2024-01-15", "net": "100.10", "vat": 13}
    return Call(f"/v1/firms/{owner['firm']}/invoices", {"invoices": [invoice]})


@request("POST /v1/loans", Of.FIRM, "firm")
def _(owner: Owner) -> Call:
    loan = {"loan_id": f"L-{uuid.uuid4().hex}", "product": PRODUCT, "principal": "1", "started_on": "2024-01-31"}
    return Call("/v1/loans", {"firm_id": owner["firm"], **loan})


@request("POST /v1/loans/{loan_id}/status", Of.FIRM, "firm")
def _(owner: Owner) -> Call:
    return Call(f"/v1/loans/{owner['own_loan']}/status", {"observed_on": "2024-02-29", "days_past_due": 3})


@request("POST /v1/scores", Of.FIRM, "firm")
def _(owner: Owner) -> Call:
    return Call("/v1/scores", {"firm_id": owner["firm"], "product": PRODUCT, "as_of": str(SECOND)})


@request("POST /v1/alerts/{alert_id}/acknowledge", Of.FIRM, "alert")
def _(owner: Owner) -> Call:
    return Call(f"/v1/alerts/{owner['alert']}/acknowledge", {"note": "called"})


@request("POST /v1/rescorings/{run_id}/publish", Of.TENANT, "checked_run")
def _(owner: Owner) -> Call:
    return Call(f"/v1/rescorings/{owner['checked_run']}/publish", {"override_reason": "a test"})


@request("POST /v1/rescorings/{run_id}/withdraw", Of.TENANT, "spare_run")
def _(owner: Owner) -> Call:
    return Call(f"/v1/rescorings/{owner['spare_run']}/withdraw", {"reason": "a test"})


@request("POST /v1/rescorings/{run_id}/rollback", Of.TENANT, "published_run")
def _(owner: Owner) -> Call:
    return Call(f"/v1/rescorings/{owner['published_run']}/rollback", {"reason": "a test"})


@request("POST /v1/rescorings/{run_id}/rerun", Of.TENANT, "run")
def _(owner: Owner) -> Call:
    return Call(f"/v1/rescorings/{owner['run']}/rerun", {"firm_ids": [owner["firm"]]})


_reads("GET /v1/reviews", Of.LIST, "review")
_reads("GET /v1/reviews/{review_id}", Of.FIRM, "review")
_reads("GET /v1/firms/{firm_id}/automated-decision", Of.FIRM, "firm")
_reads("GET /v1/association-acts", Of.LIST, "act")
_reads("GET /v1/association-acts/{act_id}", Of.FIRM, "act")
_reads("GET /v1/peer-reports", Of.LIST, "report")
_reads("GET /v1/peer-reports/{report_id}", Of.FIRM, "report")


@request("GET /v1/firms/{firm_id}/plan", Of.FIRM, "firm", settled=409)
def _(owner: Owner) -> Call:
    return Call(f"/v1/firms/{owner['firm']}/plan?product={PRODUCT}")


@request("POST /v1/firms/{firm_id}/reviews", settled=409)
def _(owner: Owner) -> Call:
    return Call(f"/v1/firms/{owner['firm']}/reviews", {"product": PRODUCT, "reason_code": "borderline"})


@request("POST /v1/reviews/{review_id}/decision", Of.FIRM, "review", settled=409)
def _(owner: Owner) -> Call:
    return Call(f"/v1/reviews/{owner['review']}/decision", {"decision": "decline", "words": "no"})


@request("POST /v1/reviews/{review_id}/withdraw", Of.FIRM, "closed_review", settled=409)
def _(owner: Owner) -> Call:
    return Call(f"/v1/reviews/{owner['closed_review']}/withdraw")


@request("POST /v1/firms/{firm_id}/automated-decision", Of.FIRM, "firm")
def _(owner: Owner) -> Call:
    return Call(f"/v1/firms/{owner['firm']}/automated-decision", {"is_allowed": False})


@request("POST /v1/association-acts", Of.NOTHING)
def _(owner: Owner) -> Call:
    act = {"kind": "warning", "severity": 1, "words": "w", "observed_on": "2024-01-31"}
    return Call("/v1/association-acts", {"firm_key": f"N-{uuid.uuid4().hex}", **act})


@request("POST /v1/peer-reports", Of.NOTHING)
def _(owner: Owner) -> Call:
    report = {"reporter": "anonymous", "kind": "praise", "words": "w", "observed_on": "2024-01-31"}
    return Call("/v1/peer-reports", {"firm_key": f"N-{uuid.uuid4().hex}", **report})


@request("POST /v1/peer-reports/{report_id}/verify", Of.FIRM, "report", settled=409)
def _(owner: Owner) -> Call:
    return Call(f"/v1/peer-reports/{owner['report']}/verify")


_reads("GET /v1/guarantee-grants", Of.LIST, "grant")
_reads("GET /v1/guarantee-grants/{grant_id}", Of.TENANT, "grant")
_reads("GET /v1/guarantees/{guarantee_id}", Of.FIRM, "guarantee")
_reads("GET /v1/book", Of.LIST, "own_loan")
_reads("GET /v1/book/summary", Of.LIST, "bank")
_days = itertools.count(1)


@request("POST /v1/guarantee-grants", Of.NOTHING, settled=409)
def _(owner: Owner) -> Call:
    return Call("/v1/guarantee-grants", {"fund": owner["_new_fund"]})


@request("DELETE /v1/guarantee-grants/{grant_id}", Of.TENANT, "spare_grant")
def _(owner: Owner) -> Call:
    return Call(f"/v1/guarantee-grants/{owner['spare_grant']}")


@request("POST /v1/loans/{loan_id}/guarantees", Of.FIRM, "own_loan")
def _(owner: Owner) -> Call:
    """Guarantee the loan for a day on which nobody does yet."""
    day = str(date(1990, 1, 1) + timedelta(next(_days)))
    terms = {"fund": owner["_fund"], "coverage": "0.8", "starts_on": day, "ends_on": day}
    return Call(f"/v1/loans/{owner['own_loan']}/guarantees", terms)


@request("GET /v1/loans/{loan_id}/guarantees", Of.FIRM, "guarantee")
def _(owner: Owner) -> Call:
    return Call(f"/v1/loans/{owner['own_loan']}/guarantees")


@request("PATCH /v1/guarantees/{guarantee_id}", Of.FIRM, "guarantee")
def _(owner: Owner) -> Call:
    return Call(f"/v1/guarantees/{owner['guarantee']}", {"ends_on": None})


@request("GET /v1/book/{bank_id}/{loan_id}", Of.TENANT, "own_loan")
def _(owner: Owner) -> Call:
    return Call(f"/v1/book/{owner['bank']}/{owner['own_loan']}")


_reads("GET /v1/firms/{firm_id}/people", Of.FIRM, "person")
_reads("GET /v1/people/{person_id}", Of.FIRM, "person")
_reads("GET /v1/people/{person_id}/consents", Of.FIRM, "firm")
_serials = itertools.count(200)


@request("POST /v1/firms/{firm_id}/people", Of.FIRM, "firm")
def _(owner: Owner) -> Call:
    person = {"id_kind": "national_id", "number": national_id(next(_serials)), "name": "李娜", "role": "owner"}
    return Call(f"/v1/firms/{owner['firm']}/people", {**person, "observed_on": "2024-01-31"})


@request("POST /v1/search/people", Of.LIST, "person")
def _(owner: Owner) -> Call:
    return Call("/v1/search/people", {"id_kind": "national_id", "number": NUMBERS[owner["_key"]]})


@request("DELETE /v1/people/{person_id}", Of.FIRM, "spare_person")
def _(owner: Owner) -> Call:
    return Call(f"/v1/people/{owner['spare_person']}")


@request("POST /v1/people/{person_id}/consents", Of.FIRM, "person")
def _(owner: Owner) -> Call:
    consent = {"firm_id": owner["firm"], "scope": "owner_data", "is_given": False, "observed_on": "2024-02-01"}
    return Call(f"/v1/people/{owner['person']}/consents", consent)


@request("POST /v1/people/{person_id}/records", Of.FIRM, "person")
def _(owner: Owner) -> Call:
    record = {"firm_id": owner["firm"], "record": "late_payment", "days_past_due": 45, "observed_on": "2024-03-15"}
    return Call(f"/v1/people/{owner['person']}/records", record)


@request("GET /v1/audit/entries", Of.LIST, "audit_entry")
def _(owner: Owner) -> Call:
    return Call("/v1/audit/entries?limit=1000")


_reads("GET /v1/audit/checkpoints", Of.NOTHING, "")
_reads("GET /v1/audit/keys", Of.NOTHING, "")


@request("GET /v1/audit/entries/{entry_id}", Of.TENANT, "audit_entry")
def _(owner: Owner) -> Call:
    return Call(f"/v1/audit/entries/{owner['audit_entry']}")


@request("GET /v1/audit/entries/{entry_id}/proof", Of.TENANT)
def _(owner: Owner) -> Call:
    return Call(f"/v1/audit/entries/{owner['audit_entry']}/proof")


@request("GET /v1/audit/consistency", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/audit/consistency?from=1")


@request("POST /v1/audit/checkpoints", Of.NOTHING)
def _(owner: Owner) -> Call:
    return Call("/v1/audit/checkpoints")
