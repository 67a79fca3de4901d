"""Sessions: signing in and out, cookies, other sites' pages, ends, and how often anybody may try."""

import uuid
from http.cookies import SimpleCookie
from ipaddress import IPv6Address

import pytest
from http_client import HOME, UNLIMITED, Browser, make_client
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from service.app import create_app
from service.identity import passwords, sessions
from service.identity.access import Role
from service.identity.browser import COOKIE
from service.identity.keys import digest_of
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import clock
from service.kit.db import present
from service.kit.rate_limit import Limiter
from service.settings import Settings
from tests.service.identity.people import PASSWORD, add_person

NEW_PASSWORD = "a button for every coat in town"
FIRM = {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}


@pytest.fixture
def person(database, tenant):
    return add_person(database, tenant, "li.na")


@pytest.fixture
def browser(app, tenant, person) -> Browser:
    """Return the browser of one who has signed in."""
    browser = Browser(app)
    assert browser.sign_in(tenant, "li.na", PASSWORD).status_code == 201
    return browser


def set_session(database, tenant, assignment):
    with database.engine.begin() as connection:
        connection.execute(
            text(f"update login_session set {assignment} where tenant_id = :id"), {"id": tenant_id_of(tenant)}
        )


def test_signing_in_gives_a_cookie_that_only_this_host_gets(app, tenant, person):
    browser = Browser(app)
    answer = browser.sign_in(tenant, "li.na", PASSWORD)
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["organisation"]) == ("person li.na", tenant)
    assert answer.json()["expires_at"]
    assert answer.headers["cache-control"] == "no-store"
    (name, morsel) = next(iter(SimpleCookie(answer.headers["set-cookie"]).items()))
    assert name == "__Host-clustercredit"
    assert (morsel["path"], morsel["domain"], morsel["max-age"]) == ("/", "", "")
    assert morsel["secure"]
    assert morsel["httponly"]
    assert morsel["samesite"].lower() == "strict"
    assert morsel.value not in answer.text
    assert browser.get("/v1/me").json()["id"] == str(person.id)
    assert browser.post("/v1/firms", FIRM).status_code == 201


def test_only_the_hash_of_a_token_is_kept_and_it_opens_one_row(database, browser, tenant):
    token = browser.cookies[COOKIE]
    query = text("select * from login_session")
    with database.session(tenant_id_of(tenant)) as session:
        stored = session.execute(query).mappings().one()
    assert token not in str(dict(stored))
    assert bytes(stored["token_sha256"]) == digest_of(token)
    with database.session() as session:
        assert session.execute(query).all() == []
        present(session, digest_of("ccs_another"))
        assert session.execute(query).all() == []
        present(session, digest_of(token))
        assert len(session.execute(query).all()) == 1
        assert session.execute(text("select * from app_user")).all() == []


@pytest.mark.parametrize("change", ["user_id = user_id", "expires_at = now() + interval '1 year'"])
def test_the_service_itself_cannot_prolong_a_session(database, browser, tenant, change):
    with database.session(tenant_id_of(tenant)) as session, pytest.raises(ProgrammingError, match="permission"):
        session.execute(text(f"update login_session set {change}"))


def test_whoever_fails_learns_nothing_and_makes_the_same_work(app, database, tenant, person, monkeypatch):
    add_person(database, tenant, "gone")
    add_person(database, tenant, "outside", has_password=False)
    with database.engine.begin() as connection:
        connection.execute(text("update app_user set disabled_at = now() where login = 'gone'"))
    compared = []
    verify = Argon2Hasher.verify
    monkeypatch.setattr(Argon2Hasher, "verify", lambda self, *a: compared.append(a[1]) or verify(self, *a))
    answers = [
        Browser(app).sign_in(organisation, login, password)
        for organisation, login, password in (
            ("nowhere", "li.na", PASSWORD),
            (tenant, "nobody", PASSWORD),
            (tenant, "li.na", "another password"),
            (tenant, "gone", PASSWORD),
            (tenant, "outside", PASSWORD),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert not any("set-cookie" in answer.headers for answer in answers)
    assert len(compared) == 5
    parameters = {stored.rsplit("$", 2)[0] for stored in compared}
    assert parameters == {"$argon2id$v=19$m=65536,t=3,p=4"}, "the work is that of one hash"


def test_full_width_letters_are_the_same_password(app, tenant, person):
    wide = PASSWORD.translate({ord(c): ord(c) + 0xFEE0 for c in "sevngoruiqaL"})
    assert wide != PASSWORD
    assert Browser(app).sign_in(tenant, "li.na", wide).status_code == 201


def test_a_hash_of_other_parameters_is_renewed(app, database, tenant, person):
    weak = Argon2Hasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    read = text("select password_hash from app_user where id = :id")
    with database.session(tenant_id_of(tenant)) as session:
        change = text("update app_user set password_hash = :hash where id = :id")
        session.execute(change, {"hash": weak, "id": person.id})
    assert Browser(app).sign_in(tenant, "li.na", PASSWORD).status_code == 201
    with database.session(tenant_id_of(tenant)) as session:
        kept = session.execute(read, {"id": person.id}).scalar_one()
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert Browser(app).sign_in(tenant, "li.na", PASSWORD).status_code == 201


def test_a_password_replaced_while_it_is_compared_opens_nothing(app, database, tenant, person, monkeypatch):
    verify = passwords.verify

    def slowly(password, stored):
        found = verify(password, stored)
        with database.session(tenant_id_of(tenant)) as session:
            session.execute(text("update app_user set password_hash = 'another' where login = 'li.na'"))
        return found

    monkeypatch.setattr(sessions.passwords, "verify", slowly)
    assert Browser(app).sign_in(tenant, "li.na", PASSWORD).status_code == 401
    with database.session(tenant_id_of(tenant)) as session:
        assert session.execute(text("select count(*) from login_session")).scalar_one() == 0


def test_signing_out_ends_the_session_and_takes_the_cookie_back(app, browser, tenant):
    token = browser.cookies[COOKIE]
    other = Browser(app)
    other.sign_in(tenant, "li.na", PASSWORD)
    answer = browser.send("DELETE", "/v1/sessions/current")
    assert answer.status_code == 204
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, token, domain="credit.bank.test")
    answer = browser.get("/v1/me")
    assert answer.status_code == 401
    assert "has ended" in answer.json()["detail"]
    assert COOKIE not in browser.cookies, "an ended session's cookie is taken back"
    assert other.get("/v1/me").status_code == 200


@pytest.mark.parametrize(
    "assignment",
    ["expires_at = now() - interval '1 second'", "last_seen_at = now() - interval '30 minutes'", "ended_at = now()"],
)
def test_a_session_ends(database, tenant, browser, assignment):
    set_session(database, tenant, assignment)
    assert browser.get("/v1/me").status_code == 401
    assert COOKIE not in browser.cookies


def test_a_request_prolongs_the_rest_and_is_noted_once_a_minute(database, tenant, browser):
    read = text("select last_seen_at, expires_at - created_at from login_session")

    def last_seen():
        with database.session(tenant_id_of(tenant)) as session:
            return session.execute(read).one()

    first, whole = last_seen()
    assert whole == sessions.LONGEST
    browser.get("/v1/me")
    assert last_seen()[0] == first
    set_session(database, tenant, "last_seen_at = now() - interval '29 minutes'")
    assert browser.get("/v1/me").status_code == 200
    assert last_seen()[0] > first


def test_an_unknown_cookie_opens_nothing(app, database, tenant):
    browser = Browser(app)
    browser.cookies.set(COOKIE, "ccs_made-up", domain="credit.bank.test")
    answer = browser.get("/v1/me")
    assert answer.status_code == 401
    assert "POST /v1/sessions" in answer.json()["detail"]
    assert "POST /v1/sessions" in Browser(app).get("/v1/me").json()["detail"]


def test_neither_secret_passes_for_the_other(app, database, tenant, browser):
    key = make_client(app, database, tenant)
    stranger = Browser(app)
    stranger.cookies.set(COOKIE, key.token, domain="credit.bank.test")
    assert stranger.get("/v1/me").status_code == 401
    key.token = browser.cookies[COOKIE]
    assert key.get("/v1/me").status_code == 401


def test_a_key_wins_over_a_cookie(app, database, tenant, browser):
    key = make_client(app, database, tenant, Role.ADMINISTRATOR)
    headers = {"Authorization": f"Bearer {key.token}"}
    assert browser.get("/v1/me", headers=headers).json()["role"] == "administrator"
    assert browser.get("/v1/me", headers={"Authorization": "Bearer cck_no"}).status_code == 401
    answer = browser.send("DELETE", "/v1/sessions/current", headers=headers)
    assert answer.status_code == 409
    assert key.post("/v1/me/password", {"current": PASSWORD, "new": NEW_PASSWORD}).status_code == 409
    assert key.post("/v1/firms", FIRM, headers={"Origin": "https://evil.test"}).status_code == 403, "its role"


@pytest.mark.parametrize(
    ("origin", "more"),
    [
        (None, {}),
        ("null", {}),
        ("https://evil.test", {}),
        ("http://credit.bank.test", {}),
        ("https://credit.bank.test:8443", {}),
        ("https://credit.bank.test.evil.test", {}),
        (HOME, {"Sec-Fetch-Site": "cross-site"}),
    ],
)
def test_another_sites_page_cannot_use_the_session(browser, origin, more):
    answer = browser.post("/v1/firms", FIRM, origin=origin, headers=more)
    assert answer.status_code == 403, answer.text
    assert ("another site" if origin else "browsers send") in answer.json()["detail"]
    assert browser.send("DELETE", "/v1/sessions/current", origin=origin, headers=more).status_code == 403
    assert browser.get("/v1/firms").json()["items"] == []


def test_one_may_allow_further_origins(database, tenant, person):
    app = create_app(Settings(allowed_origins="https://desk.bank.test, https://other.test", **UNLIMITED), database)
    browser = Browser(app)
    assert browser.sign_in(tenant, "li.na", PASSWORD).status_code == 403, "the request's own address counts no more"
    assert browser.sign_in(tenant, "li.na", PASSWORD, origin="https://desk.bank.test").status_code == 201
    assert browser.post("/v1/firms", FIRM, origin="https://desk.bank.test").status_code == 201
    for origin in ("https://evil.test", HOME):
        assert browser.post("/v1/firms", FIRM, origin=origin).status_code == 403


@pytest.mark.parametrize(
    "origins",
    [
        *("desk.bank.test", "https://desk.bank.test/", "https://desk.bank.test/app", "ftp://desk.bank.test"),
        *("https://desk.bank.test:443", "http://desk.bank.test:80", "https://me@desk.bank.test", "https://"),
        *("https://desk.bank.test,", "https://a.test https://b.test", "null", "*", "https://*.bank.test"),
    ],
)
def test_an_origin_is_what_a_browser_sends(origins):
    with pytest.raises(ValidationError, match="scheme://host"):
        Settings(allowed_origins=origins)
    origins = "https://Desk.bank.test, http://[::1]:8000"
    assert Settings(allowed_origins=origins).origins == ("https://desk.bank.test", "http://[::1]:8000")


def test_a_new_sign_in_ends_the_session_whose_cookie_came_along(app, database, tenant, browser):
    add_person(database, tenant, "chen.jing")
    old, other = browser.cookies[COOKIE], Browser(app)
    assert other.sign_in(tenant, "li.na", PASSWORD).status_code == 201
    assert browser.sign_in(tenant, "chen.jing", "another password").status_code == 401
    assert browser.get("/v1/me").status_code == 200, "a failed sign-in ends nothing"
    assert browser.sign_in(tenant, "chen.jing", PASSWORD).status_code == 201
    assert browser.get("/v1/me").json()["name"] == "person chen.jing"
    assert other.get("/v1/me").status_code == 200
    stolen = Browser(app)
    stolen.cookies.set(COOKIE, old, domain="credit.bank.test")
    assert stolen.get("/v1/me").status_code == 401


def test_sessions_that_ended_a_month_ago_are_deleted_at_sign_in(app, database, tenant, browser):
    read = text("select count(*) from login_session where tenant_id = :id")
    for ago, left in (("29 days", 2), ("31 days", 1)):
        set_session(database, tenant, f"expires_at = now() - interval '{ago}'")
        assert Browser(app).sign_in(tenant, "li.na", PASSWORD).status_code == 201
        with database.engine.connect() as connection:
            assert connection.execute(read, {"id": tenant_id_of(tenant)}).scalar_one() == left


@pytest.mark.parametrize("limit", ["login_attempts", "login_attempts_per_address"])
def test_a_limit_of_attempts_fits_its_column(limit):
    with pytest.raises(ValidationError):
        Settings(**{limit: 1 << 31})


def test_another_sites_page_cannot_sign_anybody_in(app, tenant, person):
    assert Browser(app).sign_in(tenant, "li.na", PASSWORD, origin="https://evil.test").status_code == 403
    assert Browser(app).sign_in(tenant, "li.na", PASSWORD, origin=None).status_code == 201, "no browser"


def test_ones_own_password_is_changed_with_the_present_one(app, browser, tenant):
    other = Browser(app)
    other.sign_in(tenant, "li.na", PASSWORD)
    change = {"current": PASSWORD, "new": NEW_PASSWORD}
    assert browser.post("/v1/me/password", {**change, "current": "another one"}).status_code == 422
    assert browser.post("/v1/me/password", {**change, "new": "passwordpassword"}).status_code == 422
    assert other.get("/v1/me").status_code == 200
    answer = browser.post("/v1/me/password", change)
    assert answer.status_code == 204, answer.text
    assert browser.get("/v1/me").status_code == 200
    assert other.get("/v1/me").status_code == 401
    assert other.sign_in(tenant, "li.na", PASSWORD).status_code == 401
    assert other.sign_in(tenant, "li.na", NEW_PASSWORD).status_code == 201


def test_an_administrator_reaches_nobody_of_another_organisation(app, database, tenant, person):
    other = f"tenant-{uuid.uuid4().hex}"
    with database.session() as session:
        create_tenant(session, other)
    assert Browser(app).sign_in(other, "li.na", PASSWORD).status_code == 401


@pytest.fixture
def limited(database):
    """Return how to make an application that counts; its clock stands still, so that no window ends in a test."""
    now, limiters = clock.now(), []

    def make(**limits):
        app = create_app(Settings(**{**UNLIMITED, **limits}), database)
        app.state.limiter = Limiter(database, now=lambda: now)
        limiters.append(app.state.limiter)
        return app

    yield make
    for limiter in limiters:
        limiter._database.dispose()


def address() -> str:
    """Return an address that no other test has."""
    return str(IPv6Address(uuid.uuid4().int))


def test_a_login_is_tried_ten_times_and_then_no_more(limited, tenant, person):
    app = limited(login_attempts=3)
    tries = [Browser(app).sign_in(tenant, "li.na", "another password") for _ in range(4)]
    assert [answer.status_code for answer in tries] == [401, 401, 401, 429]
    assert 1 <= int(tries[-1].headers["retry-after"]) <= 900
    assert Browser(app).sign_in(tenant, "Li.Na", PASSWORD).status_code == 429, "the right one is not looked at either"
    unknown = [Browser(app).sign_in(tenant, "nobody", PASSWORD).status_code for _ in range(4)]
    assert unknown == [401, 401, 401, 429], "a login that is not there is counted alike"
    assert Settings().login_attempts == 10


def test_an_address_tries_a_hundred_times_whatever_it_says_of_itself(limited, tenant, person):
    app = limited(login_attempts_per_address=4)
    browser = Browser(app, address=address())
    answers = [
        browser.sign_in(tenant, f"person{i}", PASSWORD, headers={"X-Forwarded-For": f"192.0.2.{i}"}).status_code
        for i in range(5)
    ]
    assert answers == [401, 401, 401, 401, 429]
    assert Browser(app, address=address()).sign_in(tenant, "li.na", PASSWORD).status_code == 201
    assert Settings().login_attempts_per_address == 100


def test_nobodys_login_is_stored_with_the_counts(limited, database, tenant):
    app = limited(login_attempts=10)
    Browser(app, address=address()).sign_in(tenant, "secret-typed-as-login", PASSWORD)
    with database.engine.connect() as connection:
        subjects = str(connection.execute(text("select subject from rate_window")).all())
    assert "login:" in subjects
    assert "secret-typed-as-login" not in subjects


def test_hashing_is_capped_and_who_waits_in_vain_is_told_so(app, tenant, person):
    with passwords.PLACES.turn(), passwords.PLACES.turn():
        waiting = [passwords.PLACES.place() for _ in range(8)]
        for place in waiting:
            place.__enter__()
        answer = Browser(app).sign_in(tenant, "li.na", PASSWORD)
        for place in waiting:
            place.__exit__(None, None, None)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "5"
    assert Browser(app).sign_in(tenant, "li.na", PASSWORD).status_code == 201, "the places are given back"
