"""Hostile values, and every place of the API that takes a value: found by walking the OpenAPI document."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import jsonschema_rs

Path = tuple[str | int, ...]

SQL = (
    "' or '1'='1",
    "'; drop table firm; --",
    '" or ""="',
    "1 union select sha256 from api_key --",
    "'||(select pg_sleep(5))||'",
    "\\'; select pg_sleep(5); --",
    "$$; reset role; $$",
    "%(tenant)s",
    ":tenant",
    "1); set role postgres; --",
    "{tenant}",
)
UNSEEN = (
    "a\x00b",
    "\x00",
    "a\u202eb",
    "a\u2066b\u2069",
    "a\u061cb",
    "a\u200bb",
    "a\u2060b",
    "\ufeffa",
    "a\x1bb[2J",
    "a\u00adb",
    "a\U000e0041b",
    "a\nb",
    "a\r\nSet-Cookie: b",
)
"""Bidirectional overrides, invisible and control characters, NUL."""
LOOKALIKE = (
    "９１３５０２１１Ｍ０００１００Ｙ４６",
    "Е1",
    "0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c１１",
    "２０２４-０１-３１",
    "१२",
    "１２",
    "𝟏𝟐",
    "٣",
    "true\u200d",
)
"""Full-width, Cyrillic and other digits and letters for those that they look like."""
NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E400", "-0.001", "12.345", "1e-7", "9" * 400)
"""As they stand in a body; JSON itself has no NaN."""
SHAPES = ('{"$ne": null}', "[]", "[[[]]]", "{}", '"\\ud800"', '""', '"' + "x" * 100_000 + '"', "true", "null", "-1")
TOO_LONG = "x" * 5000
NEVER = {"NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1E400", '"\\ud800"', *map(json.dumps, UNSEEN)}
"""As they stand in a body: what no field takes, whatever the document says."""
ANY_CHARACTERS = set(map(json.dumps, UNSEEN))
"""Of those, what a password may hold: it is neither shown nor kept."""
AT_LEAST = ("NaN", "1e999", '"\\ud800"', json.dumps("a\x00b"), json.dumps(SQL[1]), json.dumps(LOOKALIKE[0]))
"""Those of which the fast form sends one a field over HTTP."""


@dataclass(frozen=True)
class Slot:
    """A place in a request's body, and what the document takes there."""

    path: Path
    schema: dict[str, Any]

    def takes(self, raw: str) -> bool:
        """Tell whether the document takes a hostile value here; what is unseen or no number it takes nowhere."""
        is_secret = any(choice.get("format") == "password" for choice in self.schema.get("anyOf", [self.schema]))
        if raw in NEVER - (ANY_CHARACTERS if is_secret else set()):
            return False
        value = json.loads(raw)
        return jsonschema_rs.validator_for(self.schema, validate_formats=True).is_valid(value)


class Document:
    """The OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.components = document["components"]
        self.operations = {
            f"{method.upper()} {path}": operation
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }

    def slots(self, route: str, body: Any) -> list[Slot]:
        """Return every field of a route's JSON body, the first of each list standing for the others.

        Of a body that is one of several, the fields of the one that is given.
        """
        schema = self.operations[route]["requestBody"]["content"]["application/json"]["schema"]
        if "discriminator" in schema:
            told = schema["discriminator"]
            schema = {"$ref": told["mapping"][body[told["propertyName"]]]}
        return list(self._slots(schema, ()))

    def parameters(self, where: str) -> list[tuple[str, str]]:
        """Return route and name of every parameter in the path, the query or the headers."""
        found = [(r, p) for r, op in self.operations.items() for p in op.get("parameters", []) if p["in"] == where]
        return sorted((route, parameter["name"]) for route, parameter in found)

    def parameter_takes(self, route: str, name: str, text: str) -> bool:
        """Tell whether the document takes a text for a parameter; numbers and truth values are texts there, too."""
        (schema,) = (p["schema"] for p in self.operations[route]["parameters"] if p["name"] == name)
        return jsonschema_rs.validator_for({**schema, "components": self.components}, validate_formats=True).is_valid(
            text
        )

    def _slots(self, schema: dict[str, Any], path: Path) -> Iterator[Slot]:
        if path:
            yield Slot(path, {**schema, "components": self.components})
        schema = self._resolved(schema)
        for choice in map(self._resolved, schema.get("anyOf", [schema])):
            for name, field in choice.get("properties", {}).items():
                yield from self._slots(field, (*path, name))
            if "items" in choice:
                yield from self._slots(choice["items"], (*path, 0))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        return self.components["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def with_value(body: Any, path: Path, raw: str) -> str:
    """Return a body as text, with a raw JSON value put where the path leads; the way there is made if need be."""
    body, mark = copy.deepcopy(body), "@hostile@"
    place = body
    for step, following in zip(path, (*path[1:], None), strict=True):
        if following is None:
            fresh: Any = mark
        else:
            fresh = [] if isinstance(following, int) else {}
        if isinstance(place, list):
            if not place:
                place.append(fresh)
            elif following is None:
                place[0] = mark
        elif following is None or not place.get(str(step)):
            place[str(step)] = fresh
        place = place[step]  # type: ignore[index]
    return json.dumps(body).replace(f'"{mark}"', raw)


def raw_values() -> list[str]:
    """Return every hostile value as it stands in a JSON body."""
    return [*NUMBERS, *SHAPES, *(json.dumps(text) for text in (*SQL, *UNSEEN, *LOOKALIKE, TOO_LONG, *NUMBERS))]


def texts() -> list[str]:
    """Return every hostile value of a parameter."""
    return [*SQL, *UNSEEN, *LOOKALIKE, *NUMBERS[:-1], "9" * 400, TOO_LONG, "1_0", "0x1", " 1", "null", "[]"]


def in_url(text: str) -> str:
    """Escape a parameter's value."""
    return quote(text, safe="")
