"""People over HTTP: added, changed by ETag, shut out, and never without an administrator."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from http_client import Browser, Client, make_client
from sqlalchemy import text

from service.identity.access import Organisation, Role
from service.identity.passwords import check_new
from service.identity.use_cases import create_branch, create_tenant, tenant_id_of
from tests.service.identity.people import PASSWORD, add_person

NEW_PASSWORD = "a button for every coat in town"
PERSON = {"login": "Li.Na", "name": "李娜", "role": "risk_manager"}


@pytest.fixture
def administrator(app, database, tenant):
    return make_client(app, database, tenant, Role.ADMINISTRATOR)


def patch(client, user_id, body, version=None):
    tag = client.get(f"/v1/users/{user_id}").headers["etag"] if version is None else f'"{version}"'
    return client.send("PATCH", f"/v1/users/{user_id}", json=body, headers={"If-Match": tag})


def test_a_person_is_added_and_signs_in(app, database, tenant, administrator):
    made = administrator.post("/v1/users", {**PERSON, "password": PASSWORD})
    assert made.status_code == 201, made.text
    person = made.json()
    assert made.headers["etag"] == '"1"'
    assert (person["login"], person["has_password"], person["last_login_at"]) == ("li.na", True, None)
    assert "password_hash" not in person
    assert PASSWORD not in made.text
    browser = Browser(app)
    assert browser.sign_in(tenant, "LI.NA", PASSWORD).status_code == 201
    me = browser.get("/v1/me").json()
    assert (me["id"], me["name"], me["role"]) == (person["id"], "李娜", "risk_manager")
    shown = administrator.get(f"/v1/users/{person['id']}")
    assert shown.json()["last_login_at"]
    assert shown.headers["etag"] == '"1"'
    assert [item["id"] for item in administrator.get("/v1/users").json()["items"]] == [person["id"]]
    with database.session(tenant_id_of(tenant)) as session:
        stored = session.execute(text("select password_hash from app_user")).scalar_one()
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_people_are_listed_by_pages(database, tenant, administrator):
    made = [str(add_person(database, tenant, f"person{i}", has_password=False).id) for i in range(5)]
    seen, cursor = [], None
    while True:
        page = administrator.get("/v1/users", limit=2, **({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made


def test_only_administrators_see_people_and_only_their_own(app, database, tenant, administrator):
    person = add_person(database, tenant, "li.na", has_password=False)
    officer = make_client(app, database, tenant)
    assert officer.get("/v1/users").status_code == 403
    assert officer.post("/v1/users", PERSON).status_code == 403
    other = f"tenant-{uuid.uuid4().hex}"
    with database.session() as session:
        create_tenant(session, other)
    stranger = make_client(app, database, other, Role.ADMINISTRATOR)
    assert stranger.get(f"/v1/users/{person.id}").status_code == 404
    assert patch(stranger, person.id, {"disabled": True}, 1).status_code == 404
    assert stranger.get("/v1/users").json()["items"] == []
    assert stranger.post("/v1/users", PERSON).status_code == 201, "a login is unique within its organisation only"


def test_a_login_and_an_identity_belong_to_one_person(administrator):
    assert administrator.post("/v1/users", {**PERSON, "oidc_subject": "248"}).status_code == 201
    for more in ({"login": "li.na"}, {"login": "other", "oidc_subject": "248"}):
        answer = administrator.post("/v1/users", {**PERSON, **more})
        assert answer.status_code == 409, answer.text
    other = administrator.post("/v1/users", {**PERSON, "login": "other"}).json()
    assert patch(administrator, other["id"], {"oidc_subject": "248"}).status_code == 409
    assert patch(administrator, other["id"], {"oidc_subject": "249"}).json()["oidc_subject"] == "249"
    assert patch(administrator, other["id"], {"name": "另一个"}).json()["oidc_subject"] == "249"
    assert patch(administrator, other["id"], {"oidc_subject": None}).json()["oidc_subject"] is None


def test_twenty_at_once_make_one_person(administrator):
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: administrator.post("/v1/users", PERSON).status_code, range(20)))
    assert sorted(answers) == [201, *[409] * 19]


@pytest.mark.parametrize(
    "person",
    [
        {"login": "l"},
        {"login": "li na"},
        {"login": "李娜"},
        {"login": "x" * 65},
        {"password": "short"},
        {"password": "x" * 129},
        {"password": "aaaaaaaaaaaab"},
        {"password": "1234567890123"},
        {"password": "over li.na's head"},
        {"role": "fund_auditor"},
        {"role": "loan_officer"},
        {"role": "approver"},
        {"branch_id": "0f4d8f0a-1b0e-4a3c-9a53-5a7d0a4f6c01"},
        {"oidc_subject": ""},
        {"oidc_subject": "cn:11010519491231002X"},
        {"login": "11010519491231002x"},
        {"is_admin": True},
    ],
    ids=str,
)
def test_a_person_that_does_not_fit_is_refused(administrator, person):
    answer = administrator.post("/v1/users", {**PERSON, **person})
    assert answer.status_code == 422, answer.text
    assert person.get("password", "?") not in answer.text


def test_an_unknown_firm_or_branch_is_not_there(administrator):
    nobody = str(uuid.uuid4())
    for duty in ({"role": "firm", "firm_id": nobody}, {"role": "loan_officer", "branch_id": nobody}):
        assert administrator.post("/v1/users", {**PERSON, **duty}).status_code == 404
        assert administrator.post("/v1/keys", {"name": "key", **duty}).status_code == 404
    person = administrator.post("/v1/users", PERSON).json()
    assert patch(administrator, person["id"], {"role": "firm", "firm_id": nobody}).status_code == 404


def test_an_organisation_gives_its_own_roles_only(app, database):
    fund = f"fund-{uuid.uuid4().hex}"
    with database.session() as session:
        create_tenant(session, fund, Organisation.FUND)
    administrator = make_client(app, database, fund, Role.ADMINISTRATOR)
    assert administrator.post("/v1/users", PERSON).status_code == 422
    assert administrator.post("/v1/users", {**PERSON, "role": "fund_auditor"}).status_code == 201


def test_a_role_is_given_with_its_reach(database, tenant, administrator):
    with database.session(tenant_id_of(tenant)) as session:
        branch = str(create_branch(session, "路桥支行").id)
    person = administrator.post("/v1/users", {**PERSON, "role": "loan_officer", "branch_id": branch}).json()
    assert patch(administrator, person["id"], {"branch_id": branch}).status_code == 422
    assert patch(administrator, person["id"], {"role": "branch_head"}).status_code == 422
    limits = [{"worst_grade": 8, "amount": "5000000.00"}]
    approver = patch(administrator, person["id"], {"role": "approver", "limits": limits}).json()
    assert (approver["branch_id"], approver["limits"]) == (None, limits)
    head = patch(administrator, person["id"], {"role": "branch_head", "all_branches": True}).json()
    assert (head["role"], head["branch_id"], head["limits"], head["version"]) == ("branch_head", None, [], 3)


def test_of_many_changes_from_one_state_one_wins(administrator):
    person = administrator.post("/v1/users", PERSON).json()
    with ThreadPoolExecutor(10) as pool:
        answers = list(
            pool.map(lambda i: patch(administrator, person["id"], {"name": f"n{i}"}, 1).status_code, range(10))
        )
    assert sorted(answers) == [200, *[412] * 9]
    assert administrator.send("PATCH", f"/v1/users/{person['id']}", json={"name": "x"}).status_code == 428


@pytest.mark.parametrize(
    "change",
    [{"disabled": True}, {"role": "model_validator"}, {"password": NEW_PASSWORD}, {"oidc_subject": "1"}],
    ids=lambda change: next(iter(change)),
)
def test_whoever_is_changed_is_signed_out_everywhere(app, database, tenant, administrator, change):
    person = add_person(database, tenant, "li.na", Role.RISK_MANAGER)
    browsers = [Browser(app), Browser(app)]
    for browser in browsers:
        assert browser.sign_in(tenant, "li.na", PASSWORD).status_code == 201
    assert patch(administrator, person.id, {"name": "renamed"}).status_code == 200
    assert [browser.get("/v1/me").status_code for browser in browsers] == [200, 200]
    assert patch(administrator, person.id, change).status_code == 200
    assert [browser.get("/v1/me").status_code for browser in browsers] == [401, 401]
    may_sign_in = "disabled" not in change and "password" not in change
    assert browsers[0].sign_in(tenant, "li.na", PASSWORD).status_code == (201 if may_sign_in else 401)
    if "password" in change:
        assert browsers[0].sign_in(tenant, "li.na", NEW_PASSWORD).status_code == 201
    if "disabled" in change:
        assert patch(administrator, person.id, {"disabled": False}).json()["disabled_at"] is None
        assert browsers[0].sign_in(tenant, "li.na", PASSWORD).status_code == 201


def test_an_administrator_shuts_out_neither_itself_nor_the_last_one(app, database, tenant, administrator):
    own = add_person(database, tenant, "first", Role.ADMINISTRATOR)
    for change in ({"disabled": True}, {"role": "risk_manager"}):
        answer = patch(administrator, own.id, change)
        assert answer.status_code == 409
        assert "last administrator" in answer.json()["detail"]
    other = add_person(database, tenant, "second", Role.ADMINISTRATOR, has_password=False)
    browser = Browser(app)
    browser.sign_in(tenant, "first", PASSWORD)
    for change in ({"disabled": True}, {"role": "risk_manager"}, {"password": NEW_PASSWORD}):
        assert patch(browser, own.id, change).status_code == 409
    assert patch(browser, own.id, {"name": "myself"}).status_code == 200
    assert patch(browser, other.id, {"disabled": True}).status_code == 200
    assert patch(administrator, own.id, {"disabled": True}).status_code == 409


def test_two_administrators_cannot_demote_each_other(database, tenant, administrator):
    both = [add_person(database, tenant, login, Role.ADMINISTRATOR) for login in ("one", "two")]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda user: patch(administrator, user.id, {"disabled": True}, 1).status_code, both))
    assert sorted(answers) == [200, 409]


@pytest.mark.parametrize(
    "password",
    [
        *("password1234", "qwerty123456", "admin1234567", "woaini123456", "Passw0rd1234", "P@$$w0rd-2026"),
        *("administrator123", "changemechangeme", "iloveyouiloveyou", "letmeinletmein12", "PasswordPassword!"),
        *("1q2w3e4r5t6y7u8i", "1qaz2wsx3edc4rfv", "abcdefghijklmnop", "qwertyuiopasdfgh", "zyxwvutsrqponm"),
        *("woaini1314520520", "woaininiaiwoma12", "ｐａｓｓｗｏｒｄ１２３４", "123456password", "admin_admin_1"),
    ],
)
def test_the_best_known_passwords_are_refused(password):
    with pytest.raises(ValueError, match="best known"):
        check_new(password, "li.na")


@pytest.mark.parametrize(
    "password", ["123456789abc", "１２３４５６７８９０１２３４５６", "0987654321098765", "#$1357902468"]
)
def test_a_password_needs_letters(password):
    with pytest.raises(ValueError, match="4 letters"):
        check_new(password, "li.na")


@pytest.mark.parametrize(
    "password", [PASSWORD, NEW_PASSWORD, "鞋楦三百双，橡胶七吨，周五交货", "master of eleven ovens", "kX7#9Q!22ktz81"]
)
def test_other_passwords_are_taken(password):
    check_new(password, "li.na")


def test_the_keys_of_whoever_is_relieved_end_and_those_made_with_them(app, database, tenant, administrator):
    add_person(database, tenant, "stays", Role.ADMINISTRATOR)
    for change in ({"disabled": True}, {"role": "risk_manager"}):
        person = add_person(database, tenant, f"leaves-by-{next(iter(change))}", Role.ADMINISTRATOR)
        browser = Browser(app)
        assert browser.sign_in(tenant, person.login, PASSWORD).status_code == 201
        first = browser.post("/v1/keys", {"name": "own", "role": "administrator"}).json()
        second = Client(app, first["key"]).post("/v1/keys", {"name": "of own", "role": "batch"}).json()
        others = administrator.post("/v1/keys", {"name": "another's", "role": "batch"}).json()
        assert patch(administrator, person.id, {"name": "renamed"}).status_code == 200
        assert Client(app, second["key"]).get("/v1/me").status_code == 200
        assert patch(administrator, person.id, change).status_code == 200
        opened = [Client(app, key["key"]).get("/v1/me").status_code for key in (first, second, others)]
        assert opened == [401, 401, 200]
        assert administrator.get(f"/v1/keys/{second['id']}").json()["revoked_at"]


def test_whoever_is_being_disabled_makes_no_key_meanwhile(app, database, tenant):
    person = add_person(database, tenant, "leaves", Role.ADMINISTRATOR)
    browser = Browser(app)
    assert browser.sign_in(tenant, "leaves", PASSWORD).status_code == 201
    of_ours = "pid in (select pid from pg_stat_activity where datname = current_database())"
    waiting = text(f"select count(*) from pg_locks where not granted and {of_ours}")
    with ThreadPoolExecutor(1) as pool:
        with database.engine.begin() as connection:
            change = text("update app_user set disabled_at = now() where id = :id")
            connection.execute(change, {"id": person.id})
            answer = pool.submit(browser.post, "/v1/keys", {"name": "late", "role": "batch"})
            while not answer.done() and connection.execute(waiting).scalar_one() == 0:
                pass
        assert answer.result().status_code == 403


def test_the_last_administrator_is_one_who_can_sign_in(database, tenant, administrator):
    last = add_person(database, tenant, "last", Role.ADMINISTRATOR, has_password=False, oidc_subject="1")
    add_person(database, tenant, "no-way-in", Role.ADMINISTRATOR, has_password=False)
    for change in ({"disabled": True}, {"role": "risk_manager"}, {"oidc_subject": None}):
        answer = patch(administrator, last.id, change)
        assert answer.status_code == 409, change
        assert "last administrator" in answer.json()["detail"]
    assert patch(administrator, last.id, {"oidc_subject": "2"}).status_code == 200
    assert patch(administrator, last.id, {"oidc_subject": None, "password": NEW_PASSWORD}).status_code == 200
    add_person(database, tenant, "another", Role.ADMINISTRATOR)
    assert patch(administrator, last.id, {"disabled": True}).status_code == 200


@pytest.mark.parametrize("field", ["name", "role", "disabled", "password"])
def test_null_is_no_change(administrator, field):
    person = administrator.post("/v1/users", PERSON).json()
    answer = patch(administrator, person["id"], {field: None})
    assert answer.status_code == 422
    assert "null" in answer.text


def test_an_approver_signs_in_with_its_limits(app, tenant, administrator):
    limits = [{"worst_grade": 8, "amount": "5000000.00"}]
    approver = {"login": "wang.fang", "name": "王芳", "role": "approver", "limits": limits, "password": PASSWORD}
    assert administrator.post("/v1/users", approver).status_code == 201
    browser = Browser(app)
    assert browser.sign_in(tenant, "wang.fang", PASSWORD).json()["limits"] == limits
    assert browser.get("/v1/me").json()["limits"] == limits
