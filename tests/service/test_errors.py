"""Whatever is sent, the answer is a problem document that says what to do, and never a 500."""

import asyncio
import json

import httpx
import pytest
from http_client import Client

FIRM = {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed-json"),
        (b"\xff\xfe", 400, None),
        (b"[" * 200_000, 400, None),
        (b"", 422, "invalid-payload"),
        (b"null", 422, "invalid-payload"),
        (b"[]", 422, "invalid-payload"),
        (b"NaN", 422, "invalid-payload"),
        (b'{"key": NaN, "name": Infinity}', 422, "invalid-payload"),
        (b'{"key": 1e999, "name": -1e999}', 422, "invalid-payload"),
        (b'{"key": "E1", "name": "\\ud800"}', 422, "invalid-payload"),
        (b'{"key": "E1", "name": "a", "\\ud800": 1}', 422, "invalid-payload"),
        (b'{"key": ' + b"9" * 5000 + b', "name": "a"}', 400, None),
        (json.dumps({**FIRM, "name": "x" * (2 << 20)}).encode(), 413, None),
    ],
)
def test_a_body_that_is_wrong(client, body, status, code):
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/firms", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    if code:
        assert problem["type"] == f"urn:clustercredit:{code}"


@pytest.mark.parametrize(
    "net", ["NaN", "Infinity", "1e999", "1e5", True, None, [], "0x10", "１２", "9" * 20, 0.1 + 0.2]
)
def test_an_amount_that_is_wrong(client, net):
    firm = client.post("/v1/firms", FIRM).json()
    invoice = {"direction": "output", "counterparty": "B1", "issued_on": "2024-01-15", "net": net, "vat": 13}
    answer = client.post(f"/v1/firms/{firm['id']}/invoices", {"invoices": [invoice]})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "invoices.0.net"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/firms/nobody",
        "/v1/firms?limit=0",
        "/v1/firms?cursor=%00",
        "/v1/firms?cursor=WyJcdTAwMDAiXQ",
        "/v1/firms?cursor=WyJcdWQ4MDAiXQ",
        "/v1/alerts?cursor=e30",
    ],
)
def test_a_parameter_that_is_wrong(client, path):
    answer = client.get(path)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]


def test_unknown_places_and_methods(client):
    unknown = "00000000-0000-0000-0000-000000000000"
    for path in ("/v1/nothing", f"/v1/firms/{unknown}", f"/v1/scores/{unknown}", f"/v1/firms/{unknown}/scores"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.send("DELETE", "/v1/firms").status_code == 405


def test_an_unexpected_failure_is_said_and_rolled_back(app, client, monkeypatch):
    def fail(*_):
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("service.firms.use_cases.get_firm", fail)
    answer = client.post("/v1/firms", FIRM)
    monkeypatch.undo()
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:clustercredit:internal-error"
    assert "secret" not in answer.text
    assert client.get("/v1/firms").json()["items"] == []


def test_a_long_body_without_a_length_is_cut_off(client):
    async def trickle():
        for _ in range(3000):
            yield b" " * 1024

    answer = client.post("/v1/firms", content=trickle(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_burst_is_worked_off_in_turns(app, client):
    """More requests at once than connections and threads: all are answered, none waits for a timeout."""

    async def burst():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            headers = {"Authorization": f"Bearer {client.token}"}
            return await asyncio.gather(*(http.get("/v1/firms", headers=headers) for _ in range(130)))

    assert {answer.status_code for answer in asyncio.run(burst())} == {200}


@pytest.mark.parametrize("name", ["a" * 500_000, "11111a" * 80_000, "\u4e2d" * 200_000])
def test_a_long_name_of_a_field_is_cut_before_it_is_looked_at(client, name):
    """Were it not, a pattern would walk over half a megabyte for hours; the test's time limit would end it."""
    answer = client.post("/v1/firms", {**FIRM, name: 1})
    assert answer.status_code == 422
    assert len(answer.json()["errors"][0]["field"]) <= 200


def test_a_body_of_too_many_values_is_not_parsed(client):
    dense = b"[" + b"[]," * 250_000 + b"[]]"
    answer = client.post("/v1/firms", content=dense, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert "values" in answer.json()["detail"]


def test_who_shows_no_secret_sends_little(app):
    longest = b'{"key": "' + b"x" * (64 << 10) + b'"}'
    answer = Client(app, None).post("/v1/firms", content=longest, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert Client(app, None).post("/v1/firms", {"key": "x"}).status_code == 401
