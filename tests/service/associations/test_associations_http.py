"""Acts of associations and peer reports over HTTP."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from http_client import make_client
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from service.identity.access import Organisation, Role
from service.identity.use_cases import create_tenant, tenant_id_of

ACT = {"firm_key": "E1", "kind": "warning", "severity": 2, "words": "以次充好", "observed_on": "2024-05-20"}
REPORT = {
    "firm_key": "E1", "reporter": "anonymous", "kind": "late_payment", "words": "Pays 60 days late.",
    "observed_on": "2024-06-01",
}  # fmt: skip
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def as_role(app, database, tenant):
    return lambda role, **reach: make_client(app, database, tenant, role, **reach)


@pytest.fixture
def clerk(as_role):
    return as_role(Role.ASSOCIATION_CLERK)


@pytest.fixture
def manager(as_role):
    return as_role(Role.RISK_MANAGER)


def entered(clerk, body=REPORT, path="/v1/peer-reports", **changes):
    answer = clerk.post(path, {**body, **changes})
    assert answer.status_code == 201, answer.text
    return answer.json()


def verify(client, report, etag='"1"'):
    return client.post(f"/v1/peer-reports/{report['id']}/verify", key=None, headers={"If-Match": etag} if etag else {})


def test_an_act_is_entered_about_a_firm_that_was_not_known(clerk, client):
    act = entered(clerk, ACT, "/v1/association-acts", ended_on="2024-11-20")
    assert act["known_on"] == act["observed_on"] == "2024-05-20"
    assert (act["ended_on"], act["actor"]) == ("2024-11-20", "test association_clerk")
    assert clerk.get(f"/v1/association-acts/{act['id']}").json() == act
    assert clerk.get("/v1/association-acts").json() == {"items": [act], "next": None}
    assert client.get("/v1/association-acts").json()["items"] == [act]
    assert [firm["key"] for firm in client.get("/v1/firms").json()["items"]] == ["E1"]


def test_a_clerk_sees_keys_of_firms_and_nothing_else(clerk, client):
    firm = client.post("/v1/firms", {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}).json()
    for path, body in (("/v1/association-acts", ACT), ("/v1/peer-reports", REPORT)):
        entered(clerk, body, path)
        listed = clerk.get(path)
        assert "远航鞋业" not in listed.text
        assert "firm_id" not in listed.json()["items"][0]
    for path in ("/v1/firms", f"/v1/firms/{firm['id']}", f"/v1/firms/{firm['id']}/scores", "/v1/alerts", "/v1/reviews"):
        assert clerk.get(path).status_code == 403, path
    assert clerk.get(f"/v1/firms/{firm['id']}/plan", product="credit-score").status_code == 403


def test_a_report_is_verified_by_somebody_else_once(as_role, clerk, manager):
    report = entered(clerk)
    assert (report["is_verified"], report["verified_by"], report["version"]) == (False, None, 1)
    assert verify(clerk, report).status_code == 403
    assert verify(manager, report, None).status_code == 428
    assert verify(manager, report, '"9"').status_code == 412
    answer = verify(manager, report)
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    done = answer.json()
    assert (done["is_verified"], done["verified_by"], done["actor"]) == (
        True,
        "test risk_manager",
        "test association_clerk",
    )
    assert done["verified_at"] is not None
    assert verify(manager, report).status_code == 412
    assert verify(as_role(Role.ASSOCIATION_CLERK), report, '"2"').status_code == 409
    assert manager.get(f"/v1/peer-reports/{report['id']}").json() == done
    assert verify(as_role(Role.ASSOCIATION_CLERK), entered(clerk)).status_code == 200


def test_of_many_verifications_at_once_one_counts(clerk, manager):
    report, start = entered(clerk), threading.Barrier(8)

    def one(_):
        start.wait()
        return verify(manager, report).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(8))) == [200] + 7 * [412]


@pytest.mark.parametrize(
    ("path", "body", "changes"),
    [
        *[
            ("/v1/association-acts", ACT, changes)
            for changes in (
                {"severity": 0},
                {"severity": 4},
                {"severity": True},
                {"kind": "praise"},
                {"words": " "},
                {"observed_on": "2190-01-01"},
                {"observed_on": None},
                {"ended_on": "2024-05-19"},
                {"known_on": "2024-05-19"},
                {"firm_key": "91350211M000100Y44"},
                {"firm_id": NOBODY},
            )
        ],
        *[
            ("/v1/peer-reports", REPORT, changes)
            for changes in (
                {"reporter": "E1"},
                {"reporter": "91350211M000100Y44"},
                {"reporter": "匿名"},
                {"firm_key": "anonymous", "reporter": "E2"},
                {"kind": "sanction"},
                {"is_verified": True},
                {"observed_on": "2190-01-01"},
                {"known_on": "2024-05-31"},
            )
        ],
    ],
)
def test_what_cannot_be_is_invalid_and_nothing_is_entered(clerk, client, path, body, changes):
    assert clerk.post(path, {**body, **changes}).status_code == 422
    assert clerk.get(path).json()["items"] == []
    assert client.get("/v1/firms").json()["items"] == []


@pytest.mark.parametrize(("path", "body"), [("/v1/association-acts", ACT), ("/v1/peer-reports", REPORT)])
def test_a_retry_enters_nothing_more_and_pages_are_whole(clerk, path, body):
    first, second = (clerk.post(path, body, key="once") for _ in range(2))
    assert first.json() == second.json()
    assert clerk.post(path, body, key=None).status_code == 400
    ids = [first.json()["id"], *(entered(clerk, body, path, firm_key=f"F{number}")["id"] for number in range(4))]
    seen, cursor = [], None
    while True:
        page = clerk.get(path, limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ids[::-1]
    assert [item["id"] for item in clerk.get(path, firm_key="F2").json()["items"]] == [ids[3]]
    assert clerk.get(path, firm_key="nobody").json()["items"] == []
    assert clerk.get(f"{path}/{NOBODY}").status_code == 404


def test_acts_stay_as_they_were_entered_and_of_reports_only_the_verification_changes(database, tenant, clerk):
    entered(clerk, ACT, "/v1/association-acts")
    entered(clerk)
    for change in (
        "update association_act set severity = 1",
        "delete from association_act",
        "update peer_report set words = ''",
        "delete from peer_report",
    ):
        with database.session(tenant_id_of(tenant)) as session:
            point = session.begin_nested()
            with pytest.raises(ProgrammingError, match="permission denied"):
                session.execute(text(change))
            point.rollback()


def test_an_associations_own_tenant_and_a_banks_do_not_see_each_other(app, database, clerk):
    name = f"association-{uuid.uuid4().hex[:8]}"
    with database.session() as session:
        create_tenant(session, name, Organisation.ASSOCIATION)
    own = make_client(app, database, name, Role.ASSOCIATION_CLERK)
    report = entered(own)
    assert clerk.get("/v1/peer-reports").json()["items"] == []
    assert clerk.get(f"/v1/peer-reports/{report['id']}").status_code == 404
    assert verify(clerk, report).status_code == 404


def test_officers_see_what_concerns_their_branchs_firms(as_role, clerk, client):
    branch = as_role(Role.ADMINISTRATOR).post("/v1/branches", {"name": "Luqiao"}).json()["id"]
    officer = as_role(Role.LOAN_OFFICER, branch_id=uuid.UUID(branch))
    officer.post("/v1/firms", {"key": "E2", "name": "乙", "observed_on": "2024-01-31"})
    foreign, own = entered(clerk), entered(clerk, firm_key="E2")
    assert officer.get("/v1/peer-reports").json()["items"] == [own]
    assert officer.get(f"/v1/peer-reports/{foreign['id']}").status_code == 404
    assert len(client.get("/v1/peer-reports").json()["items"]) == 2


@pytest.mark.parametrize(
    "role",
    [Role.LOAN_OFFICER, Role.BRANCH_HEAD, Role.RISK_MANAGER, Role.CO_INVESTIGATOR, Role.MODEL_VALIDATOR, Role.BATCH],
)
def test_roles(as_role, clerk, role):
    asker, reads = as_role(role), role in {Role.LOAN_OFFICER, Role.BRANCH_HEAD, Role.RISK_MANAGER}
    report = entered(clerk)
    for path, body in (("/v1/association-acts", ACT), ("/v1/peer-reports", REPORT)):
        assert asker.post(path, body).status_code == 403
        assert asker.get(path).status_code == (200 if reads else 403)
    assert verify(asker, report).status_code == (200 if role is Role.RISK_MANAGER else 403)


@pytest.mark.parametrize("name", ["firm_key", "reporter"])
@pytest.mark.parametrize("key", ["F-11010519491231002X", "F.110105.19491231.002X", "11010519491231002X.1"])
def test_a_key_does_not_hold_a_persons_number(clerk, name, key):
    answer = clerk.post("/v1/peer-reports", {**REPORT, name: key})
    assert answer.status_code == 422
    assert "identity number" in answer.text
    assert key not in answer.text
