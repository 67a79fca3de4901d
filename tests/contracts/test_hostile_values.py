"""Promise 13: a hostile value in any field or parameter is answered 422, and never at length."""

import json
import re
import uuid
from functools import cache
from pathlib import Path
from statistics import median
from time import thread_time
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from service.app import ROUTERS
from service.identity.access import ACCESS, PUBLIC
from service.kit.receive import UNCOUNTED_BYTES
from tests.contracts import hostile
from tests.contracts.hostile import Document, with_value
from tests.contracts.route_requests import REQUESTS

pytestmark = pytest.mark.xdist_group("access")
DOCUMENT = Document(json.loads((Path(__file__).parents[2] / "openapi.json").read_text()))
OPERATIONS = DOCUMENT.operations
WRITING = sorted(
    route for route, op in OPERATIONS.items() if "application/json" in op.get("requestBody", {"content": {}})["content"]
)
FULL = pytest.param(True, marks=[pytest.mark.chaos, pytest.mark.timeout(1800)], id="full")
TAKEN = (200, 201, 202, 401, 403, 404, 409, 412, 422, 429)


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
        call = REQUESTS[route].build(world.owners["bank home"])
        headers = {"Idempotency-Key": uuid.uuid4().hex, "If-Match": '"0"', "Content-Type": call.content_type}
        given = {name.lower(): value for name, value in options.pop("headers", {}).items()}
        headers = {name: value for name, value in headers.items() if name.lower() not in given} | given
        path = path or call.path.partition("?")[0] if query else path or call.path
        method = route.partition(" ")[0]
        return talker.send(token_of(route), method, path + query, headers=headers, **options)

    return send


def _is_refused(answer, *statuses: int) -> bool:
    return answer.status_code in statuses and answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("route", WRITING)
def test_a_hostile_field_is_refused_by_the_schema(world, route):
    """Every value in every field, in process; over HTTP below."""
    model, body, wrong = _body_models()[route], REQUESTS[route].build(world.owners["bank home"]).body, []
    for slot in DOCUMENT.slots(route, body):
        for raw in hostile.raw_values():
            try:
                model.validate_python(json.loads(with_value(body, slot.path, raw)))
            except ValidationError:
                continue
            except ValueError as error:
                wrong.append(f"{slot.path} = {raw[:60]}: {error!r}")
            if not slot.takes(raw):
                wrong.append(f"{slot.path} = {raw[:60]} is taken")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("is_full", [pytest.param(False, id="fast"), FULL])
@pytest.mark.parametrize("route", WRITING)
def test_a_hostile_field(send, world, route, is_full):
    body = REQUESTS[route].build(world.owners["bank home"]).body
    wrong = []
    for number, slot in enumerate(DOCUMENT.slots(route, body)):
        few = hostile.AT_LEAST[number % 6 : number % 6 + 1] + hostile.AT_LEAST[:1]
        for raw in hostile.raw_values() if is_full else few:
            answer = send(route, content=with_value(body, slot.path, raw))
            may = TAKEN if slot.takes(raw) else (400, 422)
            if ACCESS[route] is PUBLIC and len(raw) > UNCOUNTED_BYTES:
                may = (413,)
            is_problem = answer.status_code < 400 or _is_refused(answer, answer.status_code)
            if answer.status_code not in may or not is_problem:
                wrong.append(f"{slot.path} = {raw[:60]}: {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("route", WRITING)
def test_a_body_that_is_no_object(send, route):
    nested = "[" * 100_000 + "]" * 100_000
    for content in ("", "null", "[]", '"text"', "1", "NaN", "{", "{'a': 1}", nested, '{"a":' * 50_000, b"\xff\xfe"):
        answer = send(route, content=content)
        assert _is_refused(answer, 400, 413, 422), (content[:20], answer.status_code, answer.text[:200])


@pytest.mark.parametrize("is_full", [pytest.param(False, id="fast"), FULL])
@pytest.mark.parametrize(("route", "name"), DOCUMENT.parameters("query"))
def test_a_hostile_query(send, route, name, is_full):
    wrong = []
    for text in hostile.texts()[:: 1 if is_full else 4]:
        answer = send(route, query=f"?{name}={hostile.in_url(text)}")
        may = TAKEN if DOCUMENT.parameter_takes(route, name, text) else (422,)
        if answer.status_code not in may:
            wrong.append(f"{text[:60]!r}: {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("is_full", [pytest.param(False, id="fast"), FULL])
@pytest.mark.parametrize(("route", "name"), DOCUMENT.parameters("path"))
def test_a_hostile_path(send, world, route, name, is_full):
    call, wrong = REQUESTS[route].build(world.owners["bank home"]), []
    for text in hostile.texts()[:: 1 if is_full else 4]:
        path = re.sub(r"\{\w+\}", lambda _, text=text: hostile.in_url(text), route.partition(" ")[2])
        answer = send(route, path, content=call.content)
        may = TAKEN if DOCUMENT.parameter_takes(route, name, text) else (404, 405, 422)
        if answer.status_code not in may:
            wrong.append(f"{text[:60]!r}: {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("is_full", [pytest.param(False, id="fast"), FULL])
@pytest.mark.parametrize(("route", "name"), DOCUMENT.parameters("header"))
def test_a_hostile_header(send, world, route, name, is_full):
    call, wrong = REQUESTS[route].build(world.owners["bank home"]), []
    for text in hostile.texts()[:: 1 if is_full else 4]:
        value = text.encode().replace(b"\r", b"").replace(b"\n", b" ")
        answer = send(route, headers={name: value}, content=call.content)
        is_key = name.lower() == "idempotency-key" and re.fullmatch(rb"[!-~]{1,200}", value)
        is_over = route.startswith("DELETE ") and answer.is_success
        if not _is_refused(answer, *TAKEN, 400, 428) and not is_over and not (is_key and answer.status_code in TAKEN):
            wrong.append(f"{text[:60]!r}: {answer.status_code} {answer.text[:160]}")
    assert not wrong, "\n".join(wrong)


LONG = 1_000_000
REFUSED_WITHIN = 0.05
MARGIN, STEP = 10, 7
"""Of the fast form: other tests run beside it; a seventh of the strings a field."""


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


@cache
def _body_models() -> dict[str, TypeAdapter]:
    models = {}
    for router in ROUTERS:
        for route in router.routes:
            for parameter in route.dependant.body_params:
                field = parameter.field_info
                models[f"{min(route.methods)} {route.path}"] = TypeAdapter(Annotated[field.annotation, field])
    return models


@pytest.mark.parametrize("route", WRITING)
@pytest.mark.parametrize(
    "margin", [pytest.param(MARGIN, id="fast"), pytest.param(1, marks=pytest.mark.chaos, id="full")]
)
def test_a_long_string_is_refused_at_once(world, route, margin, capsys):
    """In every field, a million characters that make patterns go back; the time is the thread's own."""
    model, slowest = _body_models()[route], (0.0, "")
    body = REQUESTS[route].build(world.owners["bank home"]).body
    for number, slot in enumerate(DOCUMENT.slots(route, body)):
        for name, attack in list(_attacks().items())[number % STEP if margin > 1 else 0 :: STEP if margin > 1 else 1]:
            hostile_body = json.loads(with_value(body, slot.path, json.dumps(attack)))
            times = []
            for _ in range(3):
                begun = thread_time()
                with pytest.raises(ValidationError):
                    model.validate_python(hostile_body)
                times.append(thread_time() - begun)
                if times[-1] <= REFUSED_WITHIN:
                    break
            taken = min(times) if margin > 1 else median(times)
            slowest = max(slowest, (taken, f"{slot.path} = {name}"))
    if margin == 1:
        with capsys.disabled():
            print(f"\npromise 13: {route}: slowest {slowest[0] * 1000:.1f} ms: {slowest[1]}")  # noqa: T201
    assert slowest[0] <= REFUSED_WITHIN * margin, slowest
