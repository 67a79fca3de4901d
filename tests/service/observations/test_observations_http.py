"""Observations one by one over HTTP: the same rows as in bulk, by the same rules, and read within reach."""

import io
import json
from datetime import date, timedelta

import pytest
from http_client import make_client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import text

from features.kinds import KINDS
from service.firms import use_cases as firms
from service.identity.access import ACCESS, Role
from service.identity.use_cases import create_branch, tenant_id_of
from service.imports.adapters.contract import Options
from service.imports.use_cases import import_source
from service.kit import clock
from service.observations.schemas import EXAMPLES, MODELS, facts_of
from service.observations.use_cases import ADDED, READ, WITH_ROUTES, observe
from tests.contracts import hostile

FACTS = {"name": "路桥鞋业", "industry": None, "cluster": None, "place": None, "founded_on": None, "is_lead": None}
DAY = {"observed_on": date(2024, 1, 31), "known_on": date(2024, 1, 31)}
LATER = clock.today() + timedelta(1)


def add_firm(session, key="F000123"):
    return firms.observe_firm(session, {"firm_id": key, **FACTS, **DAY})[0].id


@pytest.fixture
def firm_id(database, tenant):
    with database.session(tenant_id_of(tenant)) as session:
        return str(add_firm(session))


def body(kind, firm_id, **change):
    given = EXAMPLES[kind] | change
    return given | {"firm_id": firm_id} if "firm_id" in given else given


def rows_of(database, tenant, table):
    with database.session(tenant_id_of(tenant)) as session:
        found = session.execute(text(f"select * from {table}")).mappings().all()
    return [{name: value for name, value in row.items() if name != "ingested_at"} for row in found]


def csv_of(kind, **change):
    values = {column.name: column.example for column in KINDS[kind].columns} | change
    cells = (f'"{value}"' for value in values.values())
    return f"{','.join(values)}\n{','.join(cells)}\n"


def test_one_by_one_and_in_bulk_are_the_same_row(database, tenant, client, firm_id, tmp_path):
    for kind in ADDED:
        _same_row(database, tenant, client, firm_id, tmp_path, kind)


def _same_row(database, tenant, client, firm_id, tmp_path, kind):
    answer = client.post("/v1/observations", body(kind, firm_id))
    assert answer.status_code == 201, answer.text
    online = answer.json()
    of_firms = KINDS[kind].is_of_firms
    assert online == {
        "kind": kind,
        "firm_id": firm_id if of_firms else None,
        "content_sha256": online["content_sha256"],
        "is_new": True,
    }
    rows = rows_of(database, tenant, KINDS[kind].table)
    path = tmp_path / "file.csv"
    path.write_text(csv_of(kind))
    with database.session(tenant_id_of(tenant)) as session:
        line = import_source(session, kind, path, Options(today=clock.today())).files[0]
    assert (line.added, line.already_known, line.rejected) == (0, 1, 0)
    assert rows_of(database, tenant, KINDS[kind].table) == rows
    assert rows[0]["content_sha256"].hex() == online["content_sha256"]
    again = client.post("/v1/observations", body(kind, firm_id)).json()
    assert again == online | {"is_new": False}
    query = {"kind": kind, "firm_id": firm_id} if of_firms else {"kind": kind}
    item = client.get("/v1/observations", **query).json()["items"][0]
    assert item["content_sha256"] == online["content_sha256"]
    sent = EXAMPLES[kind]
    assert item["values"] == {name: sent[name] for name in item["values"]}
    assert (item["observed_on"], item["known_on"]) == (sent["observed_on"], sent["known_on"])


@pytest.mark.parametrize(
    ("kind", "change", "day"),
    [
        ("financial_statement", {"observed_on": "2023-12-31", "period_from": "2023-01-01"}, "2024-05-31"),
        ("soft_claim", {"outcome": "refuted", "checked_on": "2024-09-02"}, "2024-09-02"),
        ("industry_statistic", {"observed_on": str(clock.today())}, str(clock.today())),
        ("event", {"ended_on": None}, "2024-05-31"),
    ],
)
def test_a_row_without_a_known_day_was_known_by_its_kinds_lag(client, firm_id, kind, change, day):
    of_firms = KINDS[kind].is_of_firms
    answer = client.post("/v1/observations", body(kind, firm_id, known_on=None, **change))
    assert answer.status_code == 201, answer.text
    (item,) = client.get("/v1/observations", kind=kind, **({"firm_id": firm_id} if of_firms else {})).json()["items"]
    assert item["known_on"] == day


AMOUNTS = st.integers(0, 10**15 - 1)
NAMES = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Nd", "Pd", "Zs"]), min_size=1, max_size=60)
INVENTORY = st.fixed_dictionaries(
    {
        "item": NAMES,
        "lot": st.none() | NAMES,
        "quantity": st.integers(0, 10**15).map(float) | st.decimals(0, 10**9, places=6).map(float),
        "value_fen": AMOUNTS,
        "observed_on": st.dates(date(1949, 10, 1), date(2026, 1, 1)).map(str),
        "known_on": st.none() | st.just("2026-01-02"),
    }
)


@given(INVENTORY)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_row_has_the_same_hash_online_and_in_bulk(session, tmp_path, values):
    """What the body takes gets the hash that the same text gets in a file; what it refuses never gets in."""
    add_firm(session)
    row = body("inventory", "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11", **values)
    try:
        kind, _, facts = facts_of(MODELS["inventory"].model_validate(row))
    except ValidationError:
        return
    firm_id = firms.firm_id_of(session.info["tenant_id"], "F000123")
    digest = observe(session, kind, firm_id, facts).content_sha256
    path, out = tmp_path / "file.csv", io.StringIO()
    texts = {name: "" if value is None else str(value) for name, value in row.items() if name != "kind"}
    texts["firm_id"] = "F000123"
    out.write(",".join(texts) + "\n" + ",".join(f'"{value}"' for value in texts.values()) + "\n")
    path.write_text(out.getvalue())
    line = import_source(session, "inventory", path, Options(today=clock.today())).files[0]
    assert (line.added, line.already_known, line.rejected) == (0, 1, 0), (texts, digest)


@pytest.mark.parametrize(
    ("kind", "change", "field", "reason", "reason_zh"),
    [
        (
            "utility_bill",
            {"period_from": "2024-06-01"},
            "period_from",
            "ends before it begins",
            "期间起始日晚于发生日期",
        ),
        ("utility_bill", {"known_on": "2024-05-30"}, "known_on", "known before it was true", "可知日期早于发生日期"),
        ("utility_bill", {"known_on": str(LATER)}, "known_on", "lies in the future", "晚于今天"),
        ("utility_bill", {"observed_on": "1949-09-30"}, "observed_on", "not between 1949-10-01", "不在 1949-10-01"),
        ("financial_statement", {"assets_fen": 999_000_000}, "assets_fen", "not equal to assets", "不等于资产总计"),
        ("ownership", {"holder_kind": "person", "holder": None}, "person_id", "required", "必填"),
        ("receivable", {"paid_on": "2024-06-16"}, "paid_on", "after known_on", "晚于可知日期"),
        ("event", {"event": "subsidy_awarded"}, "event", "not an event of this source", "没有此类事件"),
    ],
)
def test_a_broken_rule_is_told_with_value_reason_and_remedy(client, firm_id, kind, change, field, reason, reason_zh):
    answer = client.post("/v1/observations", body(kind, firm_id, **change))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == field
    assert reason in error["reason"]
    assert reason_zh in error["reason_zh"]
    assert error["value"] == str(change.get(field, "") or "")
    assert error["remedy"].isascii()
    assert not error["remedy_zh"].isascii()
    assert reason in answer.json()["detail"]
    assert reason_zh in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount_fen": 1.5}, "amount_fen"),
        ({"amount_fen": 10**15}, "amount_fen"),
        ({"amount_fen": "100"}, "amount_fen"),
        ({"quantity": -1}, "quantity"),
        ({"paid_on": "2024-02-30"}, "paid_on"),
        ({"utility": "steam"}, "utility"),
        ({"meter": "x" * 201}, "meter"),
        ({"meter": ""}, "meter"),
        ({"meter": "11010519491231002X"}, "meter"),
        ({"amount_yuan": 1}, "amount_yuan"),
    ],
)
def test_a_value_of_another_form_is_named(client, firm_id, change, field):
    answer = client.post("/v1/observations", body("utility_bill", firm_id, **change))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [f"utility_bill.{field}"]
    assert "11010519491231002X" not in answer.text


def test_kinds_with_routes_of_their_own_are_not_added_here_and_their_route_is_named(app, client, firm_id):
    assert set(KINDS) - set(ADDED) == set(WITH_ROUTES)
    assert WITH_ROUTES.keys() <= KINDS.keys()
    assert set(WITH_ROUTES.values()) <= set(ACCESS)
    for kind, route in WITH_ROUTES.items():
        answer = client.post("/v1/observations", {"kind": kind, "firm_id": firm_id})
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["field"]) == (422, "kind")
        assert f"goes to {route} / {kind} 类数据请提交至 {route}" in error["reason"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"kind": "evnt"}, "did you mean 'event'? / 是否应为 'event'？"),
        ({"kind": "laon"}, "a row of kind 'loan' goes to POST /v1/loans"),
        ({"kind": "11010519491231002X"}, "must be one of capital, ownership"),
        ({"kind": 7}, "must be one of capital, ownership"),
        ({"kind": None}, "must be one of capital, ownership"),
        ({"firm_id": "F000123"}, "must be one of capital, ownership"),
    ],
)
def test_a_kind_that_there_is_not_is_told_with_the_near_one(client, sent, words):
    answer = client.post("/v1/observations", sent)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (422, "kind")
    assert words in error["reason"]
    assert words in answer.json()["detail"]
    assert "11010519491231002X" not in answer.text


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("amount_yuan", "there is no such column; did you mean 'amount_fen'? / 没有该列；是否应为 'amount_fen'？"),
        ("电表", "GET /v1/kinds/utility_bill lists them / 没有该列；各列见 GET /v1/kinds/utility_bill"),
    ],
)
def test_a_column_that_there_is_not_is_told_with_the_near_one_beside_all_else(client, firm_id, column, words):
    sent = body("utility_bill", firm_id, **{column: 1, "quantity": -1})
    errors = {error["field"]: error["reason"] for error in client.post("/v1/observations", sent).json()["errors"]}
    assert set(errors) == {f"utility_bill.{column}", "utility_bill.quantity"}
    assert words in errors[f"utility_bill.{column}"]
    assert "greater than or equal to 0" in errors["utility_bill.quantity"]


def test_what_is_said_of_a_codes_length_is_what_is_taken(client, firm_id):
    longest = {
        column["name"]: column["most_characters"]
        for column in client.get("/v1/kinds/ownership").json()["columns"]
        if column["is_code"]
    }
    assert set(longest.values()) == {64}
    for length, status in ((64, 201), (65, 422)):
        assert client.post("/v1/observations", body("guarantee", firm_id, loan_id="L" * length)).status_code == status


def test_nobody_is_added_about_an_erased_person(app, database, tenant, client, firm_id):
    person = {"id_kind": "passport", "number": "E12345678", "name": "张伟", "role": "owner"}
    entered = client.post(f"/v1/firms/{firm_id}/people", person).json()
    share = body("ownership", firm_id, holder_kind="person", holder=None, person_id=entered["id"])
    assert client.post("/v1/observations", share).status_code == 201
    manager = make_client(app, database, tenant, Role.RISK_MANAGER)
    assert manager.send("DELETE", f"/v1/people/{entered['id']}", headers={"If-Match": '"1"'}).status_code == 200
    answer = client.post("/v1/observations", share | {"share_bp": 5000})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["reason_zh"] == "该人员信息已删除"
    for written in (entered["id"].upper(), f"urn:uuid:{entered['id']}"):
        answer = client.post("/v1/observations", share | {"share_bp": 5000, "person_id": written})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "person_id")


@pytest.mark.parametrize("number", ["110105194912310021", "13800001111", "E12345678", "Zhang Wei", "张伟"])
def test_a_number_or_name_for_a_pseudonym_is_refused_and_not_repeated(client, firm_id, number):
    """The first number's check character is wrong, and it looks like one all the same."""
    person = {"holder_kind": "person", "holder": None, "person_id": number}
    answer = client.post("/v1/observations", body("ownership", firm_id, **person))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"].rpartition(".")[2], error.get("value", "***")) == ("person_id", "***")
    assert number not in answer.text


def test_a_persons_name_is_refused_and_not_repeated(client, firm_id):
    person = {"partner_kind": "person", "partner": "张三", "person_id": "P000123"}
    answer = client.post("/v1/observations", body("relation", firm_id, **person))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["value"]) == ("partner", "***")
    assert "never kept" in error["reason"]
    assert "张三" not in answer.text


def test_who_reaches_a_branch_reaches_no_other_firm_and_not_the_world(app, database, tenant, firm_id):
    with database.session(tenant_id_of(tenant)) as session:
        branch_id = create_branch(session, "here").id
    officer = make_client(app, database, tenant, branch_id=branch_id)
    assert officer.post("/v1/observations", body("event", firm_id)).status_code == 404
    assert officer.get("/v1/observations", kind="event", firm_id=firm_id).status_code == 404
    assert officer.post("/v1/observations", body("place_statistic", firm_id)).status_code == 403
    assert officer.get("/v1/observations", kind="place_statistic").json() == {"items": [], "next": None}


def test_once_only(database, tenant, client, firm_id):
    sent = body("event", firm_id)
    first = client.post("/v1/observations", sent, key="k")
    assert client.post("/v1/observations", sent, key="k").content == first.content
    assert client.post("/v1/observations", sent | {"cause": "another"}, key="k").status_code == 422
    assert client.post("/v1/observations", sent, key=None).status_code == 400
    assert len(rows_of(database, tenant, "event")) == 1


def test_pages_are_newest_first_and_end_at_what_was_known(client, firm_id):
    for month in range(1, 6):
        for cause in "ab":
            days = {"observed_on": f"2024-{month:02}-10", "known_on": f"2024-{month:02}-20"}
            client.post("/v1/observations", body("event", firm_id, cause=cause, ended_on=None, **days))
    seen, cursor = [], {}
    while True:
        page = client.get("/v1/observations", kind="event", firm_id=firm_id, limit=3, **cursor).json()
        seen += [(item["observed_on"], item["content_sha256"]) for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert len(seen) == len(set(seen)) == 10
    assert seen == sorted(seen, reverse=True)
    known = client.get("/v1/observations", kind="event", firm_id=firm_id, known_by="2024-02-20").json()["items"]
    assert [item["observed_on"] for item in known] == ["2024-02-10"] * 2 + ["2024-01-10"] * 2
    assert client.get("/v1/observations", kind="event", firm_id=firm_id, cursor="W10").status_code == 422


@pytest.mark.parametrize("kind", ["consent", "personal_record", "person"])
def test_what_consents_decide_on_is_not_read_here(client, firm_id, kind):
    assert kind not in READ
    assert client.get("/v1/observations", kind=kind, firm_id=firm_id).status_code == 422


def test_kinds_of_firms_are_listed_by_firm_and_others_without(client, firm_id):
    assert client.get("/v1/observations", kind="event").status_code == 422
    assert client.get("/v1/observations", kind="place_statistic", firm_id=firm_id).status_code == 422


def test_kinds_and_questionnaires_are_shown_in_both_languages(client):
    kinds = client.get("/v1/kinds").json()["items"]
    assert [kind["name"] for kind in kinds] == list(KINDS)
    event = client.get("/v1/kinds/event").json()
    assert event in kinds
    assert event["words"]["zh-CN"] == "事件"
    amount = next(column for column in event["columns"] if column["name"] == "amount_fen")
    assert (amount["type"], amount["unit"], amount["low"], amount["is_required"]) == ("whole", "fen", 0, False)
    assert event["rules"][0]["reason"] == {"zh-CN": "早于 observed_on", "en": "before observed_on"}
    assert client.get("/v1/kinds/nothing").status_code == 404
    shown = client.get("/v1/instruments").json()["items"]
    assert [instrument["name"] for instrument in shown] == ["soft-1", "digital-1"]
    assert client.get("/v1/instruments/soft-1").json() == shown[0]
    assert shown[0]["questions"][4]["half_life_months"] == 3
    assert client.get("/v1/instruments/soft-0").status_code == 404


@pytest.mark.parametrize("kind", ADDED)
def test_no_field_of_any_kind_takes_what_nobody_may_send(kind):
    """The contract's tests send one kind over HTTP; this is every field of every kind."""
    model, row, taken = MODELS[kind], EXAMPLES[kind], []
    for name in row:
        for raw in (*hostile.NEVER, "[]", "{}", json.dumps(hostile.TOO_LONG)):
            try:
                model.model_validate(json.loads(hostile.with_value(row, (name,), raw)))
                taken.append((name, raw))
            except ValidationError:
                continue
    assert not taken
