"""Promise 13: a hostile value in any field or parameter is answered 422, and never at length."""

import json
import re
import uuid
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from service.app import ROUTERS
from service.identity.access import ACCESS, PUBLIC
from tests.contracts import hostile
from tests.contracts.hostile import Document, with_value
from tests.contracts.route_requests import REQUESTS

pytestmark = pytest.mark.xdist_group("access")
DOCUMENT = Document(json.loads((Path(__file__).parents[2] / "openapi.json").read_text()))
OPERATIONS = DOCUMENT.operations()
WRITING = sorted(route for route, operation in OPERATIONS.items() if "requestBody" in operation)
LISTS = sorted(
    route for route, operation in OPERATIONS.items() if any(p["in"] == "query" for p in operation.get("parameters", []))
)
NAMED = sorted(route for route in OPERATIONS if "{" in route)


@pytest.fixture(scope="module")
def token_of(world):
    """Return, for a route, a key that may use it on everything of the bank's."""

    def find(route: str) -> str | None:
        holders = [h for h in world.holders if h.role in ACCESS[route] and h.reaches_away and h.home.ids]
        return None if ACCESS[route] is PUBLIC else (holders or world.holders)[0].token

    return find


@pytest.fixture
def send(talker, world, token_of):
    def send(route: str, path: str | None = None, query: str = "", **options: Any):
        headers = {"Idempotency-Key": uuid.uuid4().hex, "If-Match": '"0"', "Content-Type": "application/json"}
        headers |= options.pop("headers", {})
        path = path or REQUESTS[route].build(world.owners["bank home"]).path
        method = route.partition(" ")[0]
        return talker.send(token_of(route), method, path + query, headers=headers, **options)

    return send


def _is_refused(answer, *statuses: int) -> bool:
    return answer.status_code in statuses and answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("route", WRITING)
def test_a_hostile_field(send, world, route):
    body = REQUESTS[route].build(world.owners["bank home"]).body
    wrong = []
    for slot in DOCUMENT.slots(OPERATIONS[route]):
        for raw in hostile.raw_values():
            answer = send(route, content=with_value(body, slot.path, raw))
            may = (200, 201, 404, 409, 412, 422) if _may_be_taken(slot, raw) else (400, 422)
            is_problem = answer.status_code < 400 or _is_refused(answer, answer.status_code)
            if answer.status_code not in may or not is_problem or answer.elapsed.total_seconds() > 10:
                wrong.append(f"{slot.path} = {raw[:60]}: {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


def _may_be_taken(slot: hostile.Slot, raw: str) -> bool:
    try:
        return hostile.accepts(slot, raw)
    except ValueError:
        return False


@pytest.mark.parametrize("route", WRITING)
def test_a_body_that_is_no_object(send, route):
    nested = "[" * 100_000 + "]" * 100_000
    for content in (
        "",
        "null",
        "[]",
        '"text"',
        "1",
        "NaN",
        "{",
        "{'a': 1}",
        nested,
        '{"a":' * 50_000,
        b"\xff\xfe",
        "\ufeff{}",
    ):
        answer = send(route, content=content)
        assert _is_refused(answer, 400, 422), (content[:20], answer.status_code, answer.text[:200])


@pytest.mark.parametrize("route", LISTS)
def test_a_hostile_query(send, route):
    wrong = []
    for parameter in OPERATIONS[route]["parameters"]:
        if parameter["in"] == "query":
            for text in hostile.texts():
                answer = send(route, query=f"?{parameter['name']}={hostile.in_url(text)}")
                if not _is_refused(answer, 422):
                    wrong.append(f"{parameter['name']} = {text[:60]!r}: {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("route", NAMED)
def test_a_hostile_path(send, world, route):
    body = REQUESTS[route].build(world.owners["bank home"]).body
    template, wrong = route.partition(" ")[2], []
    for text in hostile.texts():
        path = re.sub(r"\{\w+\}", lambda _, text=text: hostile.in_url(text), template)
        answer = send(route, path, content=json.dumps(body) if body is not None else None)
        if not _is_refused(answer, 404, 405, 422):
            wrong.append(f"{text[:60]!r}: {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("route", sorted(route for route in OPERATIONS if not route.startswith("GET ")))
def test_a_hostile_header(send, world, route):
    body = REQUESTS[route].build(world.owners["bank home"]).body
    wrong = []
    for name in ("Idempotency-Key", "If-Match"):
        names = {p["name"].lower() for p in OPERATIONS[route].get("parameters", []) if p["in"] == "header"}
        for text in hostile.texts():
            value = text.encode("utf-8").replace(b"\r", b"").replace(b"\n", b"")
            headers = [("Content-Type", "application/json"), (name, value)]
            if name.lower() in names:
                answer = send(route, headers=dict(headers), content=json.dumps(body) if body is not None else None)
                is_plain_key = name == "Idempotency-Key" and re.fullmatch(r"[!-~]{1,200}", text)
                if not is_plain_key and not _is_refused(answer, 400, 412, 422, 428):
                    wrong.append(f"{name} = {text[:60]!r}: {answer.status_code} {answer.text[:160]}")
                if answer.status_code >= 500:
                    wrong.append(f"{name} = {text[:60]!r}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


LONG = 1_000_000
REFUSED_WITHIN = 0.05
MARGIN = 10
"""Of the fast form: other tests run beside it."""


def _attacks() -> dict[str, str]:
    units = (
        "a",
        "1",
        "0",
        " ",
        "-",
        ".",
        "+",
        "A.",
        "1.",
        "\u3000",
        "91350211M000100Y46",
        "é",
        "\u202e",
        "2024-01-31",
        '"',
    )
    return {f"{unit!r} x n{end!r}": unit * (LONG // len(unit)) + end for unit in units for end in ("", "!")}


def _body_models() -> dict[str, type[BaseModel]]:
    models = {}
    for router in ROUTERS:
        for route in router.routes:
            for parameter in route.dependant.body_params:
                models[f"{min(route.methods)} {route.path}"] = parameter.field_info.annotation
    return models


@pytest.mark.parametrize("route", WRITING)
@pytest.mark.parametrize("margin", [MARGIN, pytest.param(1, marks=pytest.mark.chaos)])
def test_a_long_string_is_refused_at_once(world, route, margin, capsys):
    """In every field, a million characters that the patterns have to look at, of the kinds that make them go back."""
    model, slowest = _body_models()[route], (0.0, "")
    body = REQUESTS[route].build(world.owners["bank home"]).body
    for slot in DOCUMENT.slots(OPERATIONS[route]):
        for name, attack in _attacks().items():
            hostile_body = json.loads(with_value(body, slot.path, json.dumps(attack)))
            times = []
            for _ in range(3):
                begun = perf_counter()
                with pytest.raises(ValidationError):
                    model.model_validate(hostile_body)
                times.append(perf_counter() - begun)
                if times[-1] <= REFUSED_WITHIN:
                    break
            taken = min(times) if margin > 1 else median(times)
            slowest = max(slowest, (taken, f"{slot.path} = {name}"))
    if margin == 1:
        with capsys.disabled():
            print(f"\npromise 13: {route}: slowest {slowest[0] * 1000:.1f} ms: {slowest[1]}")  # noqa: T201
    assert slowest[0] <= REFUSED_WITHIN * margin, slowest
