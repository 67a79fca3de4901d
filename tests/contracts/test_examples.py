"""The examples of the OpenAPI document are accepted by the schemas that they illustrate."""

import pytest

from service.alerts.schemas import AcknowledgeIn, AlertOut
from service.associations.schemas import AssociationActIn, AssociationActOut, PeerReportIn, PeerReportOut
from service.firms.schemas import FirmIn, InvoicesIn, LoanIn, RepaymentStatusIn
from service.identity.user_schemas import PasswordChange, SignIn, UserIn, UserPatch
from service.imports.report import Report
from service.jobs.schemas import JobOut
from service.observations.schemas import MODELS
from service.people.schemas import ConsentIn, IdIn, PersonIn, PersonOut, RecordIn
from service.rescoring.schemas import RescoringIn
from service.reviews.schemas import AutomatedDecisionIn, AutomatedDecisionOut, DecisionIn, ReviewIn, ReviewOut
from service.scoring.schemas import PlanOut, ScoreOut, ScoreRequest
from service.training.schemas import ModelIn

SCHEMAS = (
    *(FirmIn, InvoicesIn, LoanIn, RepaymentStatusIn, ScoreRequest, ScoreOut, PlanOut, AcknowledgeIn, AlertOut),
    *(ModelIn, RescoringIn, JobOut, Report),
    *(UserIn, UserPatch, SignIn, PasswordChange),
    *(ReviewIn, ReviewOut, DecisionIn, AutomatedDecisionIn, AutomatedDecisionOut),
    *(AssociationActIn, AssociationActOut, PeerReportIn, PeerReportOut),
    *(IdIn, PersonIn, PersonOut, ConsentIn, RecordIn),
    *MODELS.values(),
)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_examples_are_valid(schema):
    examples = schema.model_config["json_schema_extra"]["examples"]
    assert examples
    for example in examples:
        schema.model_validate(example)
