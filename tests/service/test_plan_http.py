"""The plan of a firm's current score over HTTP."""

import uuid

import numpy as np
import pytest
from http_client import make_client

from models.grades import NAMES as GRADES
from service.identity.access import Role
from service.identity.use_cases import tenant_id_of
from tests.models.handmade import NAMES, model
from tests.service.scored import PRODUCT, give_score, make_live


@pytest.fixture
def firm_id(client):
    return client.post("/v1/firms", {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}).json()["id"]


@pytest.fixture
def score(database, tenant, firm_id):
    """Return a function that gives the firm a current score."""
    with database.session(tenant_id_of(tenant)) as session:
        make_live(session)

    def give(**features):
        with database.session(tenant_id_of(tenant)) as session:
            return give_score(session, firm_id, **features)

    return give


def plan_of(client, firm_id):
    return client.get(f"/v1/firms/{firm_id}/plan", product=PRODUCT)


def test_a_firm_sees_its_own_plan_and_no_other(app, database, tenant, client, firm_id, score):
    made = score()
    other = client.post("/v1/firms", {"key": "E2", "name": "乙", "observed_on": "2024-01-31"}).json()["id"]
    firm = make_client(app, database, tenant, Role.FIRM, firm_id=uuid.UUID(firm_id))
    answer = plan_of(firm, firm_id)
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    assert (plan["score_id"], plan["model_version"], plan["grade"]) == (str(made.id), f"{PRODUCT}/1", made.grade)
    assert (plan["pd"], plan["points"]) == (made.pd, made.points)
    assert plan["status"] == "reachable"
    assert GRADES.index(plan["target_grade"]) == GRADES.index(plan["grade"]) - 1
    for way in plan["ways"]:
        features = dict(made.features)
        for change in way["changes"]:
            assert features[change["feature"]] == change["from_value"]
            features[change["feature"]] = change["to_value"]
        after = model().score(np.array([[features[name] for name in NAMES]]))
        last = way["changes"][-1]
        assert (float(after.points[0]), float(after.pd[0]), after.grade[0]) == (
            last["points"],
            last["pd"],
            last["grade"],
        )
        assert last["pd"] <= plan["target_pd"]
    assert plan_of(firm, other).status_code == 404


def test_the_newest_score_counts(client, firm_id, score):
    score()
    newer = score(sales_cv=0.2, ln_sales=16.0)
    assert plan_of(client, firm_id).json()["score_id"] == str(newer.id)


def test_unknown_features_are_no_advice(client, firm_id, score):
    score(sales_cv=None, cust_hhi=None)
    plan = plan_of(client, firm_id).json()
    moved = {change["feature"] for way in plan["ways"] for change in way["changes"]}
    assert moved
    assert not moved & {"sales_cv", "cust_hhi"}


def test_a_firm_out_of_reach_of_the_next_grade_is_told_by_how_much(client, firm_id, score):
    score(ln_sales=21.0, sales_cv=0.3, void_rate=0.01, cust_hhi=0.1, owner_yrs=0.0)
    plan = plan_of(client, firm_id).json()
    assert (plan["status"], plan["ways"], plan["best"]["changes"]) == ("unreachable", [], [])
    assert plan["shortfall"] == pytest.approx(plan["target_points"] - plan["points"])


def test_a_firm_in_default_must_cure_it_first(client, firm_id, score):
    score(is_default=True)
    answer = plan_of(client, firm_id)
    assert answer.status_code == 409
    assert "cured first" in answer.json()["detail"]


def test_without_a_score_a_product_or_a_firm_there_is_no_plan(client, firm_id, score):
    assert plan_of(client, firm_id).status_code == 404
    score()
    assert client.get(f"/v1/firms/{firm_id}/plan", product="nothing").status_code == 404
    assert client.get(f"/v1/firms/{firm_id}/plan").status_code == 422
    assert plan_of(client, "00000000-0000-0000-0000-000000000000").status_code == 404


@pytest.mark.parametrize(
    "role", [Role.MODEL_VALIDATOR, Role.BATCH, Role.CO_INVESTIGATOR, Role.ADMINISTRATOR, Role.ASSOCIATION_CLERK]
)
def test_other_roles_see_no_plan(app, database, tenant, firm_id, role):
    assert plan_of(make_client(app, database, tenant, role), firm_id).status_code == 403
