"""What is generated from the code is up to date, and every route says what it does."""

import json

import pytest

from service.cli import app
from service.cli.reference import ROOT, generated

FILES = generated(app)
OPENAPI = json.loads(FILES[ROOT / "openapi.json"])
OPERATIONS = [(path, method, op) for path, item in OPENAPI["paths"].items() for method, op in item.items()]


def _bodies(operation):
    """Return the bodies that an operation takes, and the names of the schemas of those in JSON."""
    content = operation.get("requestBody", {"content": {}})["content"]
    return [(body["schema"].get("$ref", "").rpartition("/")[2], body) for body in content.values()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path):
    assert path.read_text() == FILES[path], f"{path.name} is stale. Run: make docs"


@pytest.mark.parametrize(
    ("path", "method", "operation"), OPERATIONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_route_is_documented(path, method, operation):
    assert operation["summary"]
    assert operation["description"]
    assert "422" in operation["responses"]
    if operation["x-roles"]:
        assert "401" in operation["responses"]
        assert operation["security"] == [{"HTTPBearer": []}, {"APIKeyCookie": []}]
    else:
        assert operation["security"] == []
    for code, response in operation["responses"].items():
        if int(code) >= 400:
            assert list(response["content"]) == ["application/problem+json"], code
    if "requestBody" in operation:
        assert any(name or body.get("examples") for name, body in _bodies(operation))
        assert all(OPENAPI["components"]["schemas"][name]["examples"] for name, _ in _bodies(operation) if name)
        assert {"403", "413"} <= operation["responses"].keys()
    for parameter in operation.get("parameters", []):
        assert parameter.get("description"), parameter["name"]


def test_bodies_admit_no_unknown_field():
    names = [name for _, _, operation in OPERATIONS for name, _ in _bodies(operation) if name]
    assert len(names) > 20
    for name in names:
        assert OPENAPI["components"]["schemas"][name]["additionalProperties"] is False
