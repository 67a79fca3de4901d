"""Slow, huge and many clients against a real server: each is cut, and a healthy one is answered throughout."""

import asyncio
import json
import socket
import threading
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from time import sleep

import httpx
import pytest
import uvicorn
from pydantic import ValidationError
from slow_clients import HOST, OPENINGS, attack
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from service.app import create_app
from service.errors import _on_unexpected
from service.kit import server
from service.kit.logs import RequestLog, configure_logging
from service.kit.server import ServerConfig
from service.settings import Settings

pytestmark = pytest.mark.allow_hosts([HOST])

PROMISED_SECONDS = 30
GIVEN_SECONDS = 1
MAX_BODY = 10_000


@contextmanager
def serving(app, settings):
    """Serve in a thread; give the port."""
    running = uvicorn.Server(ServerConfig(app, settings, HOST, 0))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        while not running.started:
            sleep(0.01)
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def port(database):
    settings = Settings(pool_size=2, receive_seconds=GIVEN_SECONDS, max_body_bytes=MAX_BODY)
    with serving(create_app(settings, database), settings) as port:
        yield port


def test_an_error_is_logged_once_in_json(capfd):
    async def broken(_request):
        raise RuntimeError("one of ours")

    settings = Settings()
    app = Starlette(routes=[Route("/", broken)], middleware=[Middleware(RequestLog)])
    app.add_exception_handler(Exception, _on_unexpected)
    configure_logging("ERROR")
    with serving(app, settings) as port:
        answer = httpx.get(f"http://{HOST}:{port}/")
    configure_logging("ERROR")
    lines = capfd.readouterr().err.splitlines()
    assert answer.status_code == 500
    assert [json.loads(line)["request_id"] for line in lines] == [answer.headers["x-request-id"]]
    assert "one of ours" in lines[0]


def received(client):
    """Return what comes until the server closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_slow_clients_are_cut_while_a_healthy_one_is_answered(port, client):
    async def main():
        headers = {"Authorization": f"Bearer {client.token}"}
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=PROMISED_SECONDS) as healthy:
            return await attack(port, 60, 0.1, lambda: healthy.get("/v1/firms", headers=headers), per_second=10)

    outcome = asyncio.run(main())
    assert {kind: len(seconds) for kind, seconds in outcome.cut_after.items()} == dict.fromkeys(OPENINGS, 20)
    assert outcome.slowest_cut() <= PROMISED_SECONDS
    assert outcome.statuses() == {200}


@pytest.mark.parametrize("opening", [b"", b"GET / HTTP/1.1\r\nHost: t", OPENINGS["slow body"]])
def test_a_request_that_stays_incomplete_is_a_408(port, opening):
    with socket.create_connection((HOST, port), timeout=PROMISED_SECONDS) as client:
        client.sendall(opening)
        head, _, body = received(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout")
    assert b"connection: close" in head.lower()
    if opening == OPENINGS["slow body"]:
        assert json.loads(body)["type"] == "urn:clustercredit:request-timeout"


def test_a_client_that_stops_after_some_requests_is_cut_too(port):
    """The time of a later request begins with its first byte."""
    with closing(HTTPConnection(HOST, port, timeout=PROMISED_SECONDS)) as client:
        for _ in range(3):
            client.request("GET", "/v1/firms")
            answer = client.getresponse()
            assert (answer.status, answer.read()[:1]) == (401, b"{")
            sleep(GIVEN_SECONDS / 2)
        client.sock.sendall(b"GET /v1/firms HTTP/1.1\r\nHost: t\r\n")
        assert received(client.sock).startswith(b"HTTP/1.1 408")


def test_pipelined_requests_are_answered_and_their_rest_is_cut(port):
    with socket.create_connection((HOST, port), timeout=PROMISED_SECONDS) as client:
        client.sendall(b"GET /v1/firms HTTP/1.1\r\nHost: t\r\n\r\n" * 3 + b"GET /v1")
        assert received(client).count(b"HTTP/1.1 401") == 3


@pytest.mark.parametrize("is_declared", [True, False])
def test_an_oversized_body_is_a_413_and_the_connection_goes_on(port, is_declared):
    body = b"x" * 1_000_000

    def parts():
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    with httpx.Client(base_url=f"http://{HOST}:{port}") as client:
        answer = client.post("/v1/scores", content=body if is_declared else parts())
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/v1/firms").status_code == 401


def test_an_oversized_body_that_never_ends_is_cut(port):
    with socket.create_connection((HOST, port), timeout=PROMISED_SECONDS) as client:
        client.sendall(b"POST /v1/scores HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413")
        with pytest.raises(OSError, match=r"Broken pipe|reset"):  # noqa: PT012 - until it happens
            while True:
                client.sendall(b"x" * 1000)
                sleep(0.01)


async def tell(scope, receive, send):
    """Answer with the client's address."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["client"][0].encode()})


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [(None, HOST), ("10.0.0.0/8", HOST), (HOST, "192.0.2.7"), ("10.0.0.0/8, 127.0.0.0/8", "192.0.2.7")],
)
def test_forwarded_addresses_are_believed_of_trusted_proxies_alone(trusted, seen):
    settings = Settings(trusted_proxies=trusted)
    with serving(tell, settings) as port:
        answer = httpx.get(f"http://{HOST}:{port}", headers={"X-Forwarded-For": "192.0.2.7"})
    assert answer.text == seen
    assert "server" not in answer.headers


def test_a_mistyped_proxy_is_an_error():
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(trusted_proxies="127.0.0.1,10.0.0")


def test_connections_beyond_the_bound_are_refused_until_one_closes():
    with serving(tell, Settings(max_connections=3)) as port:
        held = [socket.create_connection((HOST, port), timeout=PROMISED_SECONDS) for _ in range(3)]
        sleep(0.1)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://{HOST}:{port}")
        held.pop().close()
        with httpx.Client(transport=httpx.HTTPTransport(retries=0)) as client:
            assert client.get(f"http://{HOST}:{port}").text == HOST
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed"),
    [
        (256, -1, 2000, 2000),
        (1024, 4096, 2000, 2000),
        (1024, 1500, 2000, 1500),
        (5000, 5000, 2000, 5000),
        (-1, -1, 2000, 2000),
    ],
)
def test_open_files_are_raised_as_far_as_allowed(monkeypatch, soft, hard, wanted, allowed):
    limits = [(soft, hard)]
    monkeypatch.setattr(server.resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(server.resource, "setrlimit", lambda _, new: limits.append(new))
    assert server.allow_open_files(wanted) == allowed
    if soft != -1:
        assert limits[-1] == (allowed, hard)
