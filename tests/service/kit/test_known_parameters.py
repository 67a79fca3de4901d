"""A query parameter that a route does not have is refused and named."""

import pytest


@pytest.mark.parametrize(
    ("path", "name", "reason"),
    [
        ("/v1/firms?limt=5", "query.limt", "no such"),
        ("/v1/firms?Limit=5", "query.Limit", "no such"),
        ("/v1/me?x", "query.x", "no such"),
        ("/v1/alerts?limit=1&limit=2", "query.limit", "once"),
        ("/v1/firms?%ED%A0%80=1&limit=1", "query.\ufffd\ufffd\ufffd", "no such"),
    ],
)
def test_it_is_named(client, path, name, reason):
    answer = client.get(path)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:clustercredit:invalid-payload"
    (error,) = answer.json()["errors"]
    assert error["field"] == name
    assert reason in error["reason"]


def test_a_writing_route_does_nothing_either(client):
    firm = {"key": "E1", "name": "远航鞋业", "observed_on": "2024-01-31"}
    assert client.post("/v1/firms?dry_run=true", firm).status_code == 422
    assert client.get("/v1/firms").json()["items"] == []


def test_the_role_is_asked_first(app, database, tenant):
    from http_client import Client, make_client

    from service.identity.access import Role

    assert Client(app, None).get("/v1/firms?limt=5").status_code == 401
    assert make_client(app, database, tenant, Role.ADMINISTRATOR).get("/v1/firms?limt=5").status_code == 403
