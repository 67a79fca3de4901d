"""From observations to grades and alerts, on the demo's cluster, in a real database and over HTTP."""

import json
import math
import uuid
from collections import Counter
from contextlib import contextmanager
from datetime import date, timedelta

import numpy as np
import pytest
from http_client import make_client
from sqlalchemy import text

from features.build import CATALOG
from features.consent import refused_automated
from models.grades import DEFAULTED, NAMES, grade_of, pd_of, stable_grade
from service.alerts.use_cases import list_alerts, note_findings
from service.audit import merkle
from service.audit.use_cases import get_entry
from service.firms.use_cases import add_inputs, add_invoices, firm_id_of, list_keys, read_inputs
from service.identity.access import Role
from service.identity.actor import Reach
from service.identity.use_cases import create_branch
from service.kit import clock
from service.rescoring import work
from service.rescoring.use_cases import rescore
from service.scoring.batch import Batch
from service.scoring.use_cases import context_of, get_score, plan_firm, prove_score, score_firm, score_range
from service.training.use_cases import live_model, promote, train
from tests.features.rows import consent, inputs

PRODUCT = "credit-score"
FIRST, SECOND = date(2025, 12, 31), date(2026, 6, 30)
CONTENT = (
    "pd, interval_low, interval_high, interval_kind, grade, points, pd_basis, reasons, features, missing, decision,"
    " reason_families"
)


pytestmark = pytest.mark.xdist_group("bank")


@pytest.fixture
def officer(app, database, bank):
    return make_client(app, database, bank.name)


@pytest.fixture(scope="module")
def scores(database, bank):
    """Return the batch's scores of the second day, by firm key."""
    source = "score s join firm on firm.id = s.firm_id where run_id = :run"
    query = text(f"select firm.key, {CONTENT}, stable_grade, s.id from {source}")
    with database.session(bank.tenant_id) as session:
        return {row["key"]: dict(row) for row in session.execute(query, {"run": bank.runs[1].run_id}).mappings()}


@contextmanager
def undone(database, bank):
    """Open a transaction of the bank's that is rolled back in the end."""
    with database.session(bank.tenant_id) as session:
        outer = session.begin_nested()
        yield session
        outer.rollback()


def test_every_firm_is_scored_or_refused_once(database, bank, scores):
    with database.session(bank.tenant_id) as session:
        keys = [key for key in list_keys(session) if not key.startswith("new-")]
    refused = [refusal["key"] for refusal in bank.runs[1].refusals]
    assert sorted([*scores, *refused]) == keys
    assert len(keys) == 415
    assert 0 < len(refused) < 40
    assert len(scores) == bank.runs[1].scored
    assert [run.firms for run in bank.runs] == [415, 415]


def test_online_equals_batch_for_every_firm(database, bank, scores):
    query = text(
        f"select firm.key, {CONTENT}, stable_grade from score s join firm on firm.id = s.firm_id where s.id = any(:ids)"
    )

    with undone(database, bank) as session:
        loaded = live_model(session, PRODUCT)
        context = context_of(session, SECOND)
        ids = []
        for key in [key for key in list_keys(session) if not key.startswith("new-")]:
            made, refused = score_range(session, loaded, SECOND, context, (key, key), "officer", Batch(PRODUCT, SECOND))
            assert len(made) + len(refused) == 1
            assert bool(made) == (key in scores)
            ids += [score.score_id for score in made]
        for row in session.execute(query, {"ids": ids}).mappings():
            batch = {name: value for name, value in scores[row["key"]].items() if name != "id"}
            assert dict(row) == batch, row["key"]


def test_http_gives_the_same_score(officer, bank, scores):
    key = sorted(scores)[7]
    request = {"firm_id": str(firm_id_of(bank.tenant_id, key)), "product": PRODUCT, "as_of": str(SECOND)}
    answer = officer.post("/v1/scores", request)
    assert answer.status_code == 201, answer.text
    online, batch = answer.json(), scores[key]
    assert (online["pd"], online["points"], online["grade"]) == (batch["pd"], batch["points"], batch["grade"])
    assert online["reasons"] == batch["reasons"]
    assert online["features"] == batch["features"]
    assert online["decision"] == batch["decision"]
    assert "reason_families" not in online
    assert officer.get(f"/v1/scores/{online['id']}").json() == online
    listed = officer.get(f"/v1/firms/{request['firm_id']}/scores").json()["items"]
    assert listed[0] == online
    assert len(listed) >= 3
    assert {item["as_of"] for item in listed} >= {str(FIRST), str(SECOND)}
    pages, cursor = [], None
    while True:
        page = officer.get(
            f"/v1/firms/{request['firm_id']}/scores", limit=1, **({"cursor": cursor} if cursor else {})
        ).json()
        pages += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert pages == listed


def test_scores_of_a_run_and_online_ones_are_proven_by_the_audit_log(database, bank, officer, scores):
    request = {"firm_id": str(firm_id_of(bank.tenant_id, sorted(scores)[5])), "product": PRODUCT, "as_of": str(SECOND)}
    online = officer.post("/v1/scores", request).json()["id"]
    with database.session(bank.tenant_id) as session:
        query = text("select id from score where run_id = :run order by firm_id")
        ids = session.execute(query, {"run": bank.runs[1].run_id}).scalars().all()
        for score_id in (*ids[::30], uuid.UUID(online)):
            proof = prove_score(session, score_id)
            root = bytes.fromhex(json.loads(get_entry(session, proof.entry_id).body)["after"])
            assert merkle.verify_inclusion(merkle.leaf_hash(proof.row), proof.index, proof.size, proof.path, root)


def test_a_score_is_whole(officer, bank, scores):
    for key in sorted(scores)[:40]:
        row = scores[key]
        assert row["interval_low"] <= row["pd"] <= row["interval_high"]
        assert row["grade"] in NAMES
        if row["grade"] == DEFAULTED:
            assert (row["pd"], row["points"], row["pd_basis"]) == (1.0, None, "default")
            assert row["reason_families"] == ["default"]
            continue
        told = [reason["features"] for reason in row["reasons"] if "owner_dpd" not in reason["features"]]
        families = [CATALOG[name].family for names in told for name in names]
        assert row["reason_families"] == list(dict.fromkeys(families))
        assert row["grade"] == grade_of(row["pd"])
        assert row["pd"] == pytest.approx(float(pd_of(row["points"])), rel=1e-12)
        assert row["pd_basis"] == "observed"
        assert 1 <= len(row["reasons"]) <= 4
        for reason in row["reasons"]:
            assert reason["text"]["en"]
            assert any("\u4e00" <= character <= "\u9fff" for character in reason["text"]["zh-CN"])
        unknown = {name for name, value in row["features"].items() if value is None}
        assert {item["name"] for item in row["missing"] if item["rule"] == "B"} <= unknown


def test_a_person_decides_where_automated_decisions_are_refused(database, bank, scores):
    with database.session(bank.tenant_id) as session:
        refused = set(refused_automated(read_inputs(session, SECOND), SECOND))
    assert 0 < len(refused & scores.keys()) < len(scores)
    assert {key for key, row in scores.items() if row["decision"] == "person"} == refused & scores.keys()
    assert {row["decision"] for row in scores.values()} == {"automated", "person"}


@pytest.mark.parametrize("as_of", [FIRST, SECOND])
def test_a_refusal_routes_the_next_score_of_any_day_to_a_person(database, bank, scores, as_of):
    """What is known today decides, also where it was said, or could be known, after the day that is scored."""
    key = next(key for key, row in sorted(scores.items()) if row["decision"] == "automated")
    query = text("select decision from score where id = :id")
    with undone(database, bank) as session:
        loaded, context = live_model(session, PRODUCT), context_of(session, as_of)
        for is_given, decision in ((False, "person"), (True, "automated")):
            day = clock.today() - timedelta(days=not is_given)
            row = consent(None, "automated_decision", key, day, given=is_given)
            add_inputs(session, inputs(row), lambda *_: None)
            made, _ = score_range(session, loaded, as_of, context, (key, key), "officer", Batch(PRODUCT, as_of))
            assert session.execute(query, {"id": made[0].score_id}).scalar_one() == decision


def test_a_withdrawn_consent_leaves_scores_of_any_day_and_keeps_the_stored_one(database, bank, scores):
    """Owner features are gone from new scores, also as of a day before; the stored score stays (docs/adr/0016)."""
    key = next(k for k, r in sorted(scores.items()) if r["features"]["owner_yrs"] and r["grade"] != DEFAULTED)
    query = text("select features from score where id = :id")
    with undone(database, bank) as session:
        person_id = read_inputs(session, SECOND, key, key).persons["person_id"].item()
        rows = [consent(person_id, scope, key, date(2026, 7, 1), given=False) for scope in ("owner_data", "bureau")]
        add_inputs(session, inputs(*rows), lambda *_: None)
        loaded, context = live_model(session, PRODUCT), context_of(session, SECOND)
        made, _ = score_range(session, loaded, SECOND, context, (key, key), "officer", Batch(PRODUCT, SECOND))
        fresh = session.execute(query, {"id": made[0].score_id}).scalar_one()
        assert (fresh["owner_yrs"], fresh["owner_dpd"]) == (None, None)
        changed = {name for name in fresh if fresh[name] != scores[key]["features"][name]}
        assert changed <= {"owner_yrs", "owner_dpd"}
        assert session.execute(query, {"id": scores[key]["id"]}).scalar_one() == scores[key]["features"]


def test_the_exported_card_gives_the_same_points(database, bank, scores):
    """Twenty lines of plain Python and a JSON file: anybody can check a score."""
    from models import artifact

    with database.session(bank.tenant_id) as session:
        card = json.loads(json.dumps(artifact.export(live_model(session, PRODUCT).model)))

    def points_of(features):
        total = card["base_points"]
        for unit in card["units"]:
            values = [features[name] for name in unit["features"]]
            if unit["kind"] == "line":
                value = values[0]
                if value is None:
                    total += unit["missing_points"]
                else:
                    total += unit["points_per_unit"] * (min(max(value, unit["low"]), unit["high"]) - unit["centre"])
            else:
                cell = unit["points"]
                for value, cuts in zip(values, unit["cuts"], strict=True):
                    cell = cell[len(cuts) + 1 if value is None else sum(cut < value for cut in cuts)]
                total += cell
        return total

    checked = 0
    for row in scores.values():
        if row["grade"] != DEFAULTED:
            assert points_of(row["features"]) == pytest.approx(row["points"], abs=1e-9)
            checked += 1
    assert checked > 300


def test_a_plan_starts_from_the_current_score_and_leads_where_it_says(database, bank, scores):
    statuses = Counter()
    with database.session(bank.tenant_id) as session:
        model = live_model(session, PRODUCT).model
        for key in sorted(key for key, row in scores.items() if row["grade"] != DEFAULTED)[::6]:
            planned = plan_firm(session, firm_id_of(bank.tenant_id, key), PRODUCT)
            found, score = planned.plan, planned.view.score
            assert (found.points, found.pd, found.grade) == (score.points, score.pd, score.grade)
            statuses[found.status] += 1
            unknown = {item["name"] for item in score.missing}
            for way in (*found.ways, *([found.best] if found.best else [])):
                features = dict(score.features)
                for change in way.changes:
                    assert change.feature not in unknown
                    assert features[change.feature] == change.from_value
                    features[change.feature] = change.to_value
                    values = [math.nan if features[name] is None else features[name] for name in model.names]
                    after = model.score(np.array([values]))
                    assert (float(after.points[0]), str(after.grade[0])) == (change.points, change.grade)
            for way in found.ways:
                assert NAMES.index(way.changes[-1].grade) <= NAMES.index(found.target_grade)
    assert statuses["reachable"] > 20


def test_a_firm_with_too_little_data_is_refused_and_told_why(officer, bank):
    made = officer.post(
        "/v1/firms", {"key": f"new-{uuid.uuid4().hex[:8]}", "name": "新厂", "observed_on": "2026-01-01"}
    )
    answer = officer.post("/v1/scores", {"firm_id": made.json()["id"], "product": PRODUCT, "as_of": str(SECOND)})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"] == "urn:clustercredit:insufficient-data"
    assert {item["name"] for item in problem["missing"]} == {"invoices", "invoice_history_6m", "sales_invoices_3"}
    assert all(item["text"]["zh-CN"] and item["text"]["en"] for item in problem["missing"])
    early = officer.post("/v1/scores", {"firm_id": made.json()["id"], "product": PRODUCT, "as_of": "2025-01-01"})
    assert early.status_code == 422
    assert early.json()["missing"][0]["name"] == "firm"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"product": "nothing"}, 404),
        ({"firm_id": "00000000-0000-0000-0000-000000000000"}, 404),
        ({"as_of": "2190-01-01"}, 422),
        ({"as_of": "yesterday"}, 422),
        ({"extra": 1}, 422),
    ],
)
def test_a_request_that_cannot_be_answered(officer, bank, scores, change, status):
    request = {"firm_id": str(firm_id_of(bank.tenant_id, min(scores))), "product": PRODUCT, "as_of": str(SECOND)}
    assert officer.post("/v1/scores", {**request, **change}).status_code == status


def test_a_tenant_without_a_model_is_told_to_train(client):
    firm = client.post("/v1/firms", {"key": "E1", "name": "甲", "observed_on": "2024-01-31"}).json()
    answer = client.post("/v1/scores", {"firm_id": firm["id"], "product": PRODUCT})
    assert answer.status_code == 409
    assert "clustercredit train" in answer.json()["detail"]


def test_later_knowledge_leaves_a_score_as_it_was(database, bank, scores):
    """Point in time: a row known after `as_of` changes no byte of the score."""
    key = sorted(key for key, row in scores.items() if row["grade"] != DEFAULTED)[11]
    firm_id = firm_id_of(bank.tenant_id, key)
    invoice = {
        "direction": "output",
        "number": "late",
        "counterparty": "late",
        "has_linked_codes": True,
        "net_fen": 10**11,
        "vat_fen": 0,
        "gross_fen": 10**11,
        "is_void": False,
    }
    query = text(f"select {CONTENT} from score where id = :id")

    with undone(database, bank) as session:
        add_invoices(session, firm_id, [{**invoice, "observed_on": SECOND, "known_on": date(2026, 7, 1)}])
        loaded, context = live_model(session, PRODUCT), context_of(session, SECOND)
        made, _ = score_range(session, loaded, SECOND, context, (key, key), "officer", Batch(PRODUCT, SECOND))
        again = dict(session.execute(query, {"id": made[0].score_id}).mappings().one())
        assert again == {name: scores[key][name] for name in again}
        add_invoices(session, firm_id, [{**invoice, "observed_on": SECOND, "known_on": SECOND, "number": "known"}])
        made, _ = score_range(session, loaded, SECOND, context, (key, key), "officer", Batch(PRODUCT, SECOND))
        assert made[0].pd != scores[key]["pd"]


def test_the_current_score_is_the_one_of_the_newest_day(database, bank):
    query = text("select c.as_of, count(*) from current_score c where c.as_of >= :first group by 1 order by 1")
    with database.session(bank.tenant_id) as session:
        before = session.execute(query, {"first": FIRST}).all()
    older = rescore(database, bank.tenant_id, PRODUCT, date(2025, 9, 30), "nightly")
    assert older.scored > 300
    with database.session(bank.tenant_id) as session:
        assert session.execute(query, {"first": FIRST}).all() == before
        assert sum(count for _, count in before) >= bank.runs[1].scored


def test_alerts_are_the_drops_of_two_grades(database, bank, scores, officer):
    query = text("""
        select firm.key, s.stable_grade, s.pd from score s join firm on firm.id = s.firm_id where run_id = :run
    """)
    with database.session(bank.tenant_id) as session:
        before = {key: (grade, pd) for key, grade, pd in session.execute(query, {"run": bank.runs[0].run_id})}
        alerts = [alert for alert in list_alerts(session, limit=1000) if alert.run_id == bank.runs[1].run_id]
        keys = {firm_id_of(bank.tenant_id, key): key for key in scores}
    expected = {
        key
        for key, row in scores.items()
        if key in before
        and before[key][0] != DEFAULTED
        and NAMES.index(row["stable_grade"]) - NAMES.index(before[key][0]) >= 2
    }
    assert {keys[alert.firm_id] for alert in alerts} == expected
    assert len(alerts) == len(expected) == bank.runs[1].alerts > 0
    for key, row in scores.items():
        if key in before and row["grade"] != DEFAULTED:
            assert row["stable_grade"] == stable_grade(before[key][0], row["pd"])
    listed = officer.get("/v1/alerts", limit=1000).json()["items"]
    assert {item["id"] for item in listed} >= {str(alert.id) for alert in alerts}


def test_a_look_at_a_firm_does_not_swallow_its_alert(database, bank):
    """An online score between two rescorings changes neither the later stable grades nor the alerts."""
    with undone(database, bank) as session:
        firm_ids = [a.firm_id for a in list_alerts(session, limit=1000) if a.run_id == bank.runs[1].run_id]
        keys = {firm_id_of(bank.tenant_id, key): key for key in list_keys(session)}
        key, between = keys[firm_ids[0]], date(2026, 6, 29)
        loaded = live_model(session, PRODUCT)
        score_range(
            session, loaded, between, context_of(session, between), (key, key), "officer", Batch(PRODUCT, between)
        )
        made, _ = score_range(
            session, loaded, SECOND, context_of(session, SECOND), (key, key), "officer", Batch(PRODUCT, SECOND)
        )
        assert made[0].previous_as_of == FIRST


def test_rescoring_again_raises_nothing_twice(database, bank):
    again = rescore(database, bank.tenant_id, PRODUCT, SECOND, "nightly")
    assert again.run_id != bank.runs[1].run_id
    assert (again.scored, again.alerts) == (bank.runs[1].scored, 0)


def test_an_alert_is_acknowledged_once(officer, app, database, bank):
    alert = officer.get("/v1/alerts", is_acknowledged=False).json()["items"][0]
    path = f"/v1/alerts/{alert['id']}/acknowledge"
    tag = {"If-Match": officer.get(f"/v1/alerts/{alert['id']}").headers["etag"]}
    seen = officer.post(path, {"note": "called the owner"}, key=None, headers=tag)
    assert seen.status_code == 200, seen.text
    assert seen.json()["acknowledged_by"] == "test loan_officer"
    assert officer.post(path, {"note": "me too"}, key=None, headers=tag).status_code == 412
    again = officer.post(path, {"note": "me too"}, key=None, headers={"If-Match": seen.headers["etag"]})
    assert again.json() == seen.json()
    assert alert["id"] not in {item["id"] for item in officer.get("/v1/alerts", is_acknowledged=False).json()["items"]}
    of_firm = officer.get("/v1/alerts", firm_id=alert["firm_id"]).json()["items"]
    assert alert["id"] in {item["id"] for item in of_firm}
    nowhere = "/v1/alerts/00000000-0000-0000-0000-000000000000/acknowledge"
    assert officer.post(nowhere, {}, headers=tag).status_code == 404
    reader = make_client(app, database, bank.name, Role.MODEL_VALIDATOR)
    assert reader.post(path, {}).status_code == 403


def test_a_run_that_broke_off_is_finished_with_one_score_a_firm(database, bank, monkeypatch):
    day = date(2026, 7, 31)
    calls = []

    class KilledError(Exception):
        pass

    def die_in_the_second_chunk(session, scored, run_id):
        calls.append(run_id)
        if len(calls) == 2:
            raise KilledError
        return note_findings(session, scored, run_id)

    with monkeypatch.context() as patch:
        patch.setattr(work, "note_findings", die_in_the_second_chunk)
        with pytest.raises(KilledError):
            rescore(database, bank.tenant_id, PRODUCT, day, "nightly", chunk_firms=100)
    count = text("select count(*), count(distinct firm_id) from score where run_id = :run")
    with database.session(bank.tenant_id) as session:
        partial = session.execute(count, {"run": calls[0]}).one()
        assert 0 < partial[0] < 100
    summary = rescore(database, bank.tenant_id, PRODUCT, day, "nightly", chunk_firms=100)
    assert summary.is_resumed
    assert summary.run_id == calls[0]
    with database.session(bank.tenant_id) as session:
        assert session.execute(count, {"run": summary.run_id}).one() == (summary.scored, summary.scored)


def test_the_demo_cluster_is_spread_over_the_scale(scores):
    grades = Counter(row["grade"] for row in scores.values())
    assert len(grades) >= 5
    assert max(grades.values()) < 0.5 * len(scores)
    assert all(math.isfinite(row["pd"]) for row in scores.values())


def test_the_first_model_is_live_and_later_ones_wait(database, bank):
    with undone(database, bank) as session:
        assert (bank.version.state, bank.version.number, bank.version.live_by) == ("live", 1, "trainer")
        second = train(session, PRODUCT, FIRST, actor="trainer", seed=2)
        assert (second.state, second.number, second.live_by) == ("candidate", 2, None)
        assert live_model(session, PRODUCT).version.number == 1
        promoted = promote(session, PRODUCT, 2, "validator")
        assert (promoted.state, promoted.live_by) == ("live", "validator")
        assert live_model(session, PRODUCT).version.number == 2
        states = session.execute(text("select state, count(*) from model_version group by state")).all()
        assert dict(states) == {"live": 1, "retired": 1}


def test_a_branch_officer_gets_the_same_score_as_the_batch(app, database, bank, scores):
    """Also where the officer, who sees one firm, is the first to need the context of the day."""
    key = sorted(scores)[11]
    day = date(2026, 3, 31)
    with undone(database, bank) as session:
        branch = create_branch(session, "路桥支行")
        firm_id = firm_id_of(bank.tenant_id, key)
        session.execute(text("update firm set branch_id = :b where id = :f"), {"b": branch.id, "f": firm_id})
        session.info["reach"] = Reach(branch_id=branch.id)
        assert list_keys(session) == [key]
        alone = score_firm(session, firm_id, PRODUCT, day, "officer").score
        built = context_of(session, day)
        del session.info["reach"]
        assert context_of(session, day, refresh=True)[0] == built[0]
        made, _ = score_range(
            session, live_model(session, PRODUCT), day, built, (key, key), "nightly", Batch(PRODUCT, day)
        )
        assert get_score(session, made[0].score_id).score.pd == alone.pd


def test_a_validator_reads_models_and_their_reports(app, database, bank, officer):
    validator = make_client(app, database, bank.name, Role.MODEL_VALIDATOR)
    first = validator.get("/v1/models", limit=1).json()
    assert first["items"][0]["name"] == bank.version.name
    assert "report" not in first["items"][0]
    model = validator.get(f"/v1/models/{first['items'][0]['id']}").json()
    assert model["report"]["pd_basis"] == "observed"
    assert len(model["artifact_sha256"]) == 64
    assert officer.get("/v1/models").status_code == 403
    assert validator.get(f"/v1/models/{bank.tenant_id}").status_code == 404
