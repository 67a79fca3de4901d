"""Signing in by an identity provider, a real one on 127.0.0.1, and what an attacker may try in between."""

import time
import uuid
from datetime import timedelta
from http.cookies import SimpleCookie
from ipaddress import IPv6Address
from urllib.parse import parse_qs, urlsplit

import pytest
from http_client import HOME, UNLIMITED, Browser, make_client
from joserfc.jwk import RSAKey
from pydantic import ValidationError

from service.app import create_app
from service.identity import oidc
from service.identity.access import Role
from service.identity.browser import COOKIE
from service.identity.session_router import FLOW_COOKIE
from service.kit import clock
from service.kit.rate_limit import Limiter
from service.settings import Settings
from tests.service.identity.issuer import CLIENT_ID, CLIENT_SECRET, Issuer, running_issuer
from tests.service.identity.people import add_person

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
LOGIN = "/v1/oidc/login"


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one"})


@pytest.fixture
def issuer(key):
    with running_issuer() as issuer:
        issuer.key = key
        yield issuer


@pytest.fixture
def oidc_app(database, tenant, issuer):
    return make_app(database, tenant, issuer)


def make_app(database, tenant, issuer, **more):
    settings = {
        "oidc_issuer": issuer.url,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_organisation": tenant,
    }
    return create_app(Settings(**{**UNLIMITED, **settings, **more}), database)


@pytest.fixture
def person(database, tenant):
    return add_person(database, tenant, "li.na", has_password=False, oidc_subject="248289761001")


def come_back(browser: Browser, issuer: Issuer):
    """Go to the issuer and come back."""
    return browser.get(issuer.authorize(browser.get(LOGIN).headers["location"]))


def sent(callback: str, name: str) -> str:
    return parse_qs(urlsplit(callback).query)[name][0]


def refused(browser: Browser, answer) -> None:
    assert answer.status_code == 401, answer.text
    assert answer.json()["type"] == "urn:clustercredit:sign-in-failed"
    assert COOKIE not in browser.cookies
    assert FLOW_COOKIE not in browser.cookies, "a sign-in is tried once"


def test_the_issuers_word_begins_a_session(oidc_app, issuer, person):
    browser = Browser(oidc_app)
    begun = browser.get(LOGIN)
    assert begun.status_code == 302
    asked = {name: values[0] for name, values in parse_qs(urlsplit(begun.headers["location"]).query).items()}
    assert asked["redirect_uri"] == f"{HOME}/v1/oidc/callback"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    morsel = SimpleCookie(begun.headers["set-cookie"])[FLOW_COOKIE]
    assert (morsel["samesite"], morsel["path"], morsel["max-age"]) == ("lax", "/", "600")
    assert morsel["secure"]
    assert morsel["httponly"]
    assert asked["state"] not in morsel.value
    answer = browser.get(issuer.authorize(begun.headers["location"]))
    assert (answer.status_code, answer.headers["location"]) == (303, "/docs")
    assert FLOW_COOKIE not in browser.cookies
    me = browser.get("/v1/me").json()
    assert (me["id"], me["role"]) == (str(person.id), "loan_officer")
    assert browser.send("DELETE", "/v1/sessions/current").status_code == 204


def test_behind_a_proxy_the_issuer_sends_people_back_to_the_first_allowed_origin(database, tenant, issuer, person):
    app = make_app(database, tenant, issuer, allowed_origins=f"{HOME},https://other.test")
    inside = Browser(app, home="http://10.0.0.7:8000")
    asked = parse_qs(urlsplit(inside.get(LOGIN).headers["location"]).query)
    assert asked["redirect_uri"] == [f"{HOME}/v1/oidc/callback"]


def test_another_claim_may_name_the_person(database, tenant, issuer):
    add_person(database, tenant, "chen.jing", has_password=False, oidc_subject="E1047")
    app = make_app(database, tenant, issuer, oidc_claim="employee_number")
    browser = Browser(app)
    refused(browser, come_back(browser, issuer))
    issuer.claims = {"employee_number": "E1047"}
    assert come_back(browser, issuer).status_code == 303
    assert browser.get("/v1/me").json()["name"] == "person chen.jing"


def test_a_key_that_was_changed_yesterday_is_taken(oidc_app, issuer, person):
    assert come_back(Browser(oidc_app), issuer).status_code == 303
    issuer.key = RSAKey.generate_key(2048, {"kid": "one"})
    assert come_back(Browser(oidc_app), issuer).status_code == 303


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": [CLIENT_ID, "another"]},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
        {"iss": "https://another.test"},
        {"iss": None},
        {"exp": timedelta(seconds=-120)},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": timedelta(seconds=3600)},
        {"nbf": timedelta(seconds=3600)},
        {"sub": None},
        {"sub": 248289761001},
        {"sub": ""},
        {"sub": "nobody"},
        {"at_hash": "another"},
    ],
    ids=str,
)
def test_a_token_that_does_not_say_what_it_must_opens_nothing(oidc_app, issuer, person, claims):
    now = int(time.time())
    issuer.claims = {
        name: now + int(value.total_seconds()) if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }
    browser = Browser(oidc_app)
    refused(browser, come_back(browser, issuer))


@pytest.mark.parametrize(
    "attack", ["unsigned", "signed_with_the_public_key", "signed_with_a_shared_key", "signed_by_another"]
)
def test_a_token_that_the_issuer_did_not_sign_opens_nothing(oidc_app, issuer, person, attack):
    issuer.sign = getattr(issuer, attack)
    browser = Browser(oidc_app)
    refused(browser, come_back(browser, issuer))


def test_an_answer_to_nobodys_question_is_refused_before_the_issuer_is_asked(oidc_app, issuer, person):
    browser, victim = Browser(oidc_app), Browser(oidc_app)
    callback = issuer.authorize(browser.get(LOGIN).headers["location"])
    victim.get(LOGIN)
    asked = len(issuer.seen)
    refused(victim, victim.get(callback))
    refused(victim, victim.get(callback))
    code = sent(callback, "code")
    for query in ("", f"?code={code}", f"?code={code}&state=x", "?state=x"):
        other = Browser(oidc_app)
        other.get(LOGIN)
        asked += 1
        refused(other, other.get(f"/v1/oidc/callback{query}"))
    assert len(issuer.seen) == asked
    assert browser.get(callback).status_code == 303, "the right browser's sign-in is not spoilt"


def test_a_code_opens_once(oidc_app, issuer, person):
    browser = Browser(oidc_app)
    callback = issuer.authorize(browser.get(LOGIN).headers["location"])
    flow = browser.cookies[FLOW_COOKIE]
    assert browser.get(callback).status_code == 303
    replay = Browser(oidc_app)
    refused(replay, replay.get(callback))
    replay.cookies.set(FLOW_COOKIE, flow, domain="credit.bank.test")
    refused(replay, replay.get(callback))


def test_a_code_of_another_sign_in_fails_for_want_of_its_verifier(oidc_app, issuer, person):
    attacker, victim = Browser(oidc_app), Browser(oidc_app)
    stolen = sent(issuer.authorize(victim.get(LOGIN).headers["location"]), "code")
    own = issuer.authorize(attacker.get(LOGIN).headers["location"])
    refused(attacker, attacker.get(f"/v1/oidc/callback?code={stolen}&state={sent(own, 'state')}"))


def test_a_sign_in_lasts_ten_minutes(oidc_app, issuer, person, monkeypatch):
    browser = Browser(oidc_app)
    callback = issuer.authorize(browser.get(LOGIN).headers["location"])
    monkeypatch.setattr(oidc, "_is_same", lambda *_: True)
    provider = oidc.provider_of(oidc_app.state.settings)
    answer = oidc.Answer(code="x", state="x", iss=None, error="access_denied")
    late = int(time.time()) + oidc.FLOW_SECONDS + 1
    with pytest.raises(oidc.SignInFailed, match="not completed"):
        oidc.finish(provider, browser.cookies[FLOW_COOKIE], answer, late)
    with pytest.raises(oidc.SignInFailed, match="refused"):
        oidc.finish(provider, browser.cookies[FLOW_COOKIE], answer, late - 10)
    assert browser.get(callback).status_code == 303


def test_a_cookie_that_was_made_up_or_sealed_for_another_issuer_opens_nothing(database, tenant, oidc_app, issuer):
    browser = Browser(oidc_app)
    other = make_app(database, tenant, issuer, oidc_client_secret="another secret of ours")
    foreign = Browser(other)
    callback = issuer.authorize(foreign.get(LOGIN).headers["location"])
    for value in ("", "x", "AAAA" * 20, foreign.cookies[FLOW_COOKIE]):
        browser.cookies.set(FLOW_COOKIE, value, domain="credit.bank.test")
        refused(browser, browser.get(callback))


def test_issuers_cannot_be_mixed_up(oidc_app, issuer, person):
    browser = Browser(oidc_app)
    callback = issuer.authorize(browser.get(LOGIN).headers["location"])
    refused(browser, browser.get(f"{callback}&iss=https%3A%2F%2Fanother.test"))
    issuer.describes = {"authorization_response_iss_parameter_supported": True}
    callback = issuer.authorize(browser.get(LOGIN).headers["location"])
    refused(browser, browser.get(callback))
    callback = issuer.authorize(browser.get(LOGIN).headers["location"])
    assert browser.get(f"{callback}&iss={issuer.url}").status_code == 303


def test_a_refusal_at_the_issuer_is_said(oidc_app, issuer, person):
    browser = Browser(oidc_app)
    state = sent(issuer.authorize(browser.get(LOGIN).headers["location"]), "state")
    answer = browser.get(f"/v1/oidc/callback?error=access_denied&state={state}")
    refused(browser, answer)
    assert "identity provider refused" in answer.json()["detail"]


def test_a_disabled_person_stays_outside(oidc_app, database, tenant, issuer, person):
    administrator = make_client(oidc_app, database, tenant, Role.ADMINISTRATOR)
    headers = {"If-Match": '"1"'}
    assert administrator.send("PATCH", f"/v1/users/{person.id}", json={"disabled": True}, headers=headers).is_success
    browser = Browser(oidc_app)
    refused(browser, come_back(browser, issuer))


@pytest.mark.parametrize(
    ("path", "status"),
    [("/.well-known/openid-configuration", 500), ("/jwks", 404), ("/jwks", 0), ("/token", 503), ("/token", 0)],
)
def test_an_issuer_that_fails_is_named_and_not_waited_for(oidc_app, issuer, person, path, status):
    browser = Browser(oidc_app)
    callback = issuer.authorize(browser.get(LOGIN).headers["location"])
    issuer.fails = {path: status}
    answer = browser.get(callback)
    assert answer.status_code == 502, answer.text
    assert answer.json()["type"] == "urn:clustercredit:issuer-unavailable"
    assert "POST /v1/sessions" in answer.json()["detail"]
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize(
    "describes",
    [
        {"issuer": "https://another.test"},
        {"token_endpoint": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_an_issuer_that_describes_another_is_not_used(oidc_app, issuer, describes):
    issuer.describes = describes
    assert Browser(oidc_app).get(LOGIN).status_code == 502


def test_a_wrong_client_secret_is_the_administrators_matter(database, tenant, issuer, person):
    browser = Browser(make_app(database, tenant, issuer, oidc_client_secret="another secret of ours"))
    answer = come_back(browser, issuer)
    assert answer.status_code == 502
    assert "CLUSTERCREDIT_OIDC_CLIENT_ID" in answer.json()["detail"]


def test_an_issuer_that_is_not_there_is_a_502(database, tenant):
    with running_issuer() as gone:
        pass
    answer = Browser(make_app(database, tenant, gone)).get(LOGIN)
    assert answer.status_code == 502
    assert "ConnectError" in answer.json()["detail"]


def test_a_slow_issuer_holds_up_four_requests_only(oidc_app, issuer):
    places = [oidc.CALLS.place() for _ in range(4)]
    for place in places:
        place.__enter__()
    answer = Browser(oidc_app).get(LOGIN)
    for place in places:
        place.__exit__(None, None, None)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "5"
    assert Browser(oidc_app).get(LOGIN).status_code == 302


def test_an_issuer_that_trickles_is_left(oidc_app, issuer, monkeypatch):
    monkeypatch.setattr(oidc, "SECONDS", 0.3)
    issuer.trickles = True
    answer = Browser(oidc_app).get(LOGIN)
    assert answer.status_code == 502
    assert "ReadTimeout" in answer.json()["detail"]
    assert (oidc.SECONDS, Browser(oidc_app).get(LOGIN).status_code) == (0.3, 502)


def test_an_issuer_that_says_too_much_is_left(oidc_app, issuer):
    issuer.describes = {"padding": "x" * (oidc.BYTES - 2000)}
    assert Browser(oidc_app).get(LOGIN).status_code == 302
    issuer.describes = {"padding": "x" * oidc.BYTES}
    assert Browser(oidc_app).get(LOGIN).status_code == 502


def test_nothing_packed_is_unpacked(oidc_app, issuer):
    issuer.packs = True
    answer = Browser(oidc_app).get(LOGIN)
    assert answer.status_code == 502
    assert "DecodingError" in answer.json()["detail"]


@pytest.mark.parametrize(("verified", "status"), [(True, 303), (False, 401), ("true", 401), (None, 401)])
def test_an_address_opens_if_the_issuer_has_verified_it(database, tenant, issuer, verified, status):
    add_person(database, tenant, "chen.jing", has_password=False, oidc_subject="chen.jing@bank.test")
    issuer.claims = {"email": "chen.jing@bank.test", "email_verified": verified}
    browser = Browser(make_app(database, tenant, issuer, oidc_claim="email"))
    assert come_back(browser, issuer).status_code == status


def test_a_sign_in_is_one_attempt_of_the_address(database, tenant, issuer, person):
    app = make_app(database, tenant, issuer, login_attempts_per_address=2)
    now = clock.now()
    app.state.limiter = Limiter(database, now=lambda: now)
    address = str(IPv6Address(uuid.uuid4().int))
    browsers = [Browser(app, address=address) for _ in range(2)]
    assert [come_back(browser, issuer).status_code for browser in browsers] == [303, 303]
    assert Browser(app, address=address).get(LOGIN).status_code == 429
    assert browsers[0].get("/v1/oidc/callback").status_code == 429


def test_without_an_issuer_there_is_nothing(app):
    for path in (LOGIN, "/v1/oidc/callback"):
        answer = Browser(app).get(path)
        assert answer.status_code == 404
        assert "POST /v1/sessions" in answer.json()["detail"]


@pytest.mark.parametrize(
    "settings",
    [
        {"oidc_issuer": "https://id.bank.test"},
        {"oidc_client_id": "clustercredit"},
        {
            "oidc_issuer": "http://id.bank.test",
            "oidc_client_id": "x",
            "oidc_client_secret": "x" * 8,
            "oidc_organisation": "x",
        },
    ],
)
def test_settings_are_whole_and_the_issuer_is_reached_safely(settings):
    with pytest.raises(ValidationError):
        Settings(**settings)
