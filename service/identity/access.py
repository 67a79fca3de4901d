"""Who may do what: one table of routes and roles, read by the guard of every request.

A role says what a holder may do; the holder's branch, or its firm, which firms it may do it to. A route that is not
in the table is closed to everybody.
"""

from enum import StrEnum
from typing import Final


class Organisation(StrEnum):
    """What kind of tenant."""

    BANK = "bank"
    FUND = "fund"
    ASSOCIATION = "association"


class Role(StrEnum):
    """What a person or a machine is to its organisation."""

    LOAN_OFFICER = "loan_officer"
    CO_INVESTIGATOR = "co_investigator"
    APPROVER = "approver"
    BRANCH_HEAD = "branch_head"
    RISK_MANAGER = "risk_manager"
    MODEL_VALIDATOR = "model_validator"
    BATCH = "batch"
    FUND_AUDITOR = "fund_auditor"
    ASSOCIATION_CLERK = "association_clerk"
    FIRM = "firm"
    ADMINISTRATOR = "administrator"


Roles = frozenset[Role]

TITLES: Final[dict[Role, tuple[str, str, str]]] = {
    Role.LOAN_OFFICER: (
        "loan officer",
        "信贷员",
        "own branch's firms, or all if so set: enters, scores, acts on alerts",
    ),
    Role.CO_INVESTIGATOR: ("co-investigator", "协办调查人", "own branch's firms, or all if so set: reads and enters"),
    Role.APPROVER: ("approver", "审批人", "every firm: decides reviews within limits of amount by grade"),
    Role.BRANCH_HEAD: (
        "branch head",
        "支行行长",
        "own branch's firms, or all if so set: as a loan officer, and assigns",
    ),
    Role.RISK_MANAGER: ("risk manager", "风险经理", "every firm; grants guarantee funds their view and ends it"),
    Role.MODEL_VALIDATOR: ("model validator", "模型验证人", "every firm's scores and features, models; read only"),
    Role.BATCH: ("batch", "批处理", "every firm: a machine that enters and scores"),
    Role.FUND_AUDITOR: ("fund auditor", "担保基金审计员", "read only: the loans that the fund guarantees"),
    Role.ASSOCIATION_CLERK: ("association clerk", "协会办事员", "acts of the association and peer reports only"),
    Role.FIRM: ("firm", "企业", "its own score, plan and consents"),
    Role.ADMINISTRATOR: (
        "administrator",
        "管理员",
        "people, keys and branches; no firm's data of its own, but it gives every other role",
    ),
}
"""Each role in English and Chinese, and what it is for."""

ROLES_OF: Final[dict[Organisation, Roles]] = {
    Organisation.BANK: frozenset(Role) - {Role.FUND_AUDITOR},
    Organisation.FUND: frozenset({Role.FUND_AUDITOR, Role.ADMINISTRATOR}),
    Organisation.ASSOCIATION: frozenset({Role.ASSOCIATION_CLERK, Role.ADMINISTRATOR}),
}
"""Which roles an organisation can give."""

BRANCH_ROLES: Final = frozenset({Role.LOAN_OFFICER, Role.CO_INVESTIGATOR, Role.BRANCH_HEAD})
"""Whose reach is a branch unless it is set to all."""


class _Anybody(frozenset[Role]):
    """A set of its own: Python has but one empty frozenset, and a route without roles must stay closed."""


PUBLIC: Final[Roles] = _Anybody()
"""Open to anybody: signing in. A marker, compared by identity."""

_ALL = frozenset(Role)
_OFFICERS = frozenset({Role.LOAN_OFFICER, Role.BRANCH_HEAD})
_ENTERING = _OFFICERS | {Role.CO_INVESTIGATOR, Role.BATCH}
_LENDING = _OFFICERS | {Role.CO_INVESTIGATOR, Role.APPROVER, Role.RISK_MANAGER}
_READING = _LENDING | {Role.MODEL_VALIDATOR, Role.BATCH}
_ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
_RISK_MANAGER = frozenset({Role.RISK_MANAGER})
CHECKING: Final = frozenset({Role.RISK_MANAGER, Role.MODEL_VALIDATOR})
"""Who looks at models, and at runs before they are published."""
_FUND_AUDITOR = frozenset({Role.FUND_AUDITOR})
_ASKING = _OFFICERS | {Role.RISK_MANAGER, Role.FIRM}
_CLERK = frozenset({Role.ASSOCIATION_CLERK})
_OVERSEEING = _CLERK | _FUND_AUDITOR | _ADMINISTRATOR | {Role.RISK_MANAGER, Role.MODEL_VALIDATOR}
_WHOLE_BANK = frozenset({Role.RISK_MANAGER, Role.BATCH})
_WATCHING = _WHOLE_BANK | _ADMINISTRATOR

ACCESS: Final[dict[str, Roles]] = {
    "POST /v1/sessions": PUBLIC,
    "DELETE /v1/sessions/current": _ALL,
    "GET /v1/oidc/login": PUBLIC,
    "GET /v1/oidc/callback": PUBLIC,
    "GET /v1/me": _ALL,
    "POST /v1/me/password": _ALL,
    "POST /v1/users": _ADMINISTRATOR,
    "GET /v1/users": _ADMINISTRATOR,
    "GET /v1/users/{user_id}": _ADMINISTRATOR,
    "PATCH /v1/users/{user_id}": _ADMINISTRATOR,
    "POST /v1/branches": _ADMINISTRATOR,
    "GET /v1/branches": _LENDING | _ADMINISTRATOR,
    "GET /v1/branches/{branch_id}": _LENDING | _ADMINISTRATOR,
    "PATCH /v1/branches/{branch_id}": _ADMINISTRATOR,
    "POST /v1/keys": _ADMINISTRATOR,
    "GET /v1/keys": _ADMINISTRATOR,
    "GET /v1/keys/{key_id}": _ADMINISTRATOR,
    "PATCH /v1/keys/{key_id}": _ADMINISTRATOR,
    "DELETE /v1/keys/{key_id}": _ADMINISTRATOR,
    "POST /v1/firms": _ENTERING | {Role.RISK_MANAGER},
    "GET /v1/firms": _READING,
    "GET /v1/firms/{firm_id}": _READING | {Role.FIRM},
    "PATCH /v1/firms/{firm_id}": frozenset({Role.BRANCH_HEAD, Role.RISK_MANAGER}),
    "POST /v1/firms/{firm_id}/invoices": _ENTERING,
    "POST /v1/firms/{firm_id}/people": _ENTERING,
    "GET /v1/firms/{firm_id}/people": _LENDING | {Role.FIRM},
    "POST /v1/search/people": _LENDING,
    "GET /v1/people/{person_id}": _LENDING,
    "DELETE /v1/people/{person_id}": frozenset({Role.BRANCH_HEAD, Role.RISK_MANAGER}),
    "POST /v1/people/{person_id}/consents": _ENTERING | {Role.FIRM},
    "GET /v1/people/{person_id}/consents": _LENDING | {Role.FIRM},
    "POST /v1/people/{person_id}/records": _ENTERING,
    "POST /v1/loans": _OFFICERS | {Role.BATCH},
    "POST /v1/loans/{loan_id}/status": _OFFICERS | {Role.BATCH},
    "POST /v1/imports": _WHOLE_BANK,
    "GET /v1/kinds": _ALL,
    "GET /v1/kinds/{kind}": _ALL,
    "POST /v1/observations": _ENTERING | {Role.RISK_MANAGER},
    "GET /v1/observations": _READING,
    "GET /v1/instruments": _ALL,
    "GET /v1/instruments/{name}": _ALL,
    "POST /v1/firms/{firm_id}/documents": _ENTERING | {Role.RISK_MANAGER},
    "GET /v1/documents/{sha256}": _LENDING,
    "GET /v1/documents/{sha256}/content": _LENDING,
    "DELETE /v1/documents/{sha256}/content": _RISK_MANAGER | _ADMINISTRATOR,
    "GET /v1/exports/{kind}": _RISK_MANAGER,
    "GET /v1/imports/{job_id}/report": _WHOLE_BANK,
    "POST /v1/rescorings": _WHOLE_BANK,
    "GET /v1/jobs": _WATCHING,
    "GET /v1/jobs/{job_id}": _WATCHING,
    "GET /v1/jobs/{job_id}/events": _WATCHING,
    "POST /v1/jobs/{job_id}/cancel": _WATCHING,
    "POST /v1/models": _RISK_MANAGER,
    "GET /v1/models": CHECKING,
    "GET /v1/models/{model_id}": CHECKING,
    "POST /v1/scores": _OFFICERS | {Role.APPROVER, Role.RISK_MANAGER, Role.BATCH},
    "GET /v1/scores/{score_id}": _READING | {Role.FIRM},
    "GET /v1/firms/{firm_id}/scores": _READING | {Role.FIRM},
    "GET /v1/rescorings": CHECKING | {Role.BATCH},
    "GET /v1/rescorings/{run_id}": CHECKING | {Role.BATCH},
    "POST /v1/rescorings/{run_id}/publish": _RISK_MANAGER,
    "POST /v1/rescorings/{run_id}/withdraw": _RISK_MANAGER,
    "POST /v1/rescorings/{run_id}/rollback": _RISK_MANAGER,
    "POST /v1/rescorings/{run_id}/rerun": _RISK_MANAGER | {Role.BATCH},
    "GET /v1/alerts": _READING,
    "GET /v1/alerts/{alert_id}": _READING,
    "POST /v1/alerts/{alert_id}/acknowledge": _OFFICERS | {Role.RISK_MANAGER},
    "POST /v1/guarantee-grants": _RISK_MANAGER,
    "GET /v1/guarantee-grants": _LENDING,
    "GET /v1/guarantee-grants/{grant_id}": _LENDING,
    "DELETE /v1/guarantee-grants/{grant_id}": _RISK_MANAGER,
    "POST /v1/loans/{loan_id}/guarantees": _OFFICERS | {Role.RISK_MANAGER, Role.BATCH},
    "GET /v1/loans/{loan_id}/guarantees": _LENDING | {Role.BATCH},
    "GET /v1/guarantees/{guarantee_id}": _LENDING | {Role.BATCH},
    "PATCH /v1/guarantees/{guarantee_id}": _OFFICERS | {Role.RISK_MANAGER, Role.BATCH},
    "GET /v1/book": _FUND_AUDITOR,
    "GET /v1/book/summary": _FUND_AUDITOR,
    "GET /v1/book/{bank_id}/{loan_id}": _FUND_AUDITOR,
    "GET /v1/firms/{firm_id}/plan": _ASKING | {Role.APPROVER},
    "GET /v1/firms/{firm_id}/statement": _LENDING | {Role.FIRM},
    "POST /v1/firms/{firm_id}/reviews": _ASKING,
    "GET /v1/reviews": _LENDING | {Role.FIRM},
    "GET /v1/reviews/{review_id}": _LENDING | {Role.FIRM},
    "POST /v1/reviews/{review_id}/decision": frozenset({Role.APPROVER}),
    "POST /v1/reviews/{review_id}/withdraw": _ASKING,
    "POST /v1/firms/{firm_id}/automated-decision": _OFFICERS | {Role.FIRM},
    "GET /v1/firms/{firm_id}/automated-decision": _LENDING | {Role.FIRM},
    "POST /v1/association-acts": _CLERK,
    "GET /v1/association-acts": _CLERK | _OFFICERS | {Role.RISK_MANAGER},
    "GET /v1/association-acts/{act_id}": _CLERK | _OFFICERS | {Role.RISK_MANAGER},
    "POST /v1/peer-reports": _CLERK,
    "GET /v1/peer-reports": _CLERK | _OFFICERS | {Role.RISK_MANAGER},
    "GET /v1/peer-reports/{report_id}": _CLERK | _OFFICERS | {Role.RISK_MANAGER},
    "POST /v1/peer-reports/{report_id}/verify": _CLERK | {Role.RISK_MANAGER},
    "GET /v1/audit/entries": _OVERSEEING,
    "GET /v1/audit/entries/{entry_id}": _OVERSEEING,
    "GET /v1/audit/entries/{entry_id}/proof": _OVERSEEING,
    "GET /v1/audit/consistency": _OVERSEEING,
    "GET /v1/audit/checkpoints": _OVERSEEING,
    "POST /v1/audit/checkpoints": _OVERSEEING,
    "GET /v1/audit/keys": _ALL,
}
"""Which roles may use a route."""
