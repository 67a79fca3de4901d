"""Hostile values, and every place of the API that takes a value: found by walking the OpenAPI document."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

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
NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "1E400", "-0.001", "12.345", "9" * 400)
"""As they stand in a body; JSON itself has no NaN."""
SHAPES = ('{"$ne": null}', "[]", "[[[]]]", "{}", '"\\ud800"', '""', '"' + "x" * 100_000 + '"', "true", "null", "-1")
TOO_LONG = "x" * 5000


@dataclass(frozen=True)
class Slot:
    """A place in a request's body.

    Attributes
    ----------
    is_text
        Free text, in which a quotation mark is nothing special.
    is_optional
        Null is as good as nothing.
    """

    path: Path
    schema: dict[str, Any]
    is_text: bool
    is_optional: bool


class Document:
    """The OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.paths = document["paths"]
        self.components = document["components"]["schemas"]
        self.printable = self.components["BranchIn"]["properties"]["name"]["pattern"]

    def operations(self) -> dict[str, dict[str, Any]]:
        """Return every operation by its route."""
        return {f"{m.upper()} {path}": op for path, item in self.paths.items() for m, op in item.items()}

    def slots(self, operation: dict[str, Any]) -> list[Slot]:
        """Return every field of an operation's body, the first of each list standing for the others."""
        if "requestBody" not in operation:
            return []
        return list(self._slots(operation["requestBody"]["content"]["application/json"]["schema"], ()))

    def _slots(self, schema: dict[str, Any], path: Path) -> Iterator[Slot]:
        schema = self._resolved(schema)
        choices = [self._resolved(choice) for choice in schema.get("anyOf", [schema])]
        if path:
            is_text = any(choice.get("pattern") == self.printable for choice in choices)
            yield Slot(path, schema, is_text, {"type": "null"} in choices)
        for choice in choices:
            for name, field in choice.get("properties", {}).items():
                yield from self._slots(field, (*path, name))
            if "items" in choice:
                yield from self._slots(choice["items"], (*path, 0))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        return self.components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def accepts(slot: Slot, raw: str) -> bool:
    """Tell whether a hostile value may be taken at this place, being no more than odd there."""
    value = json.loads(raw)
    types = {choice.get("type") for choice in slot.schema.get("anyOf", [slot.schema])}
    if value is None:
        return slot.is_optional
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, list):
        return "array" in types
    return slot.is_text and isinstance(value, str) and 0 < len(value) <= 200 and value not in UNSEEN


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
    return [*SQL, *UNSEEN, *LOOKALIKE, *NUMBERS[:-1], "9" * 400, TOO_LONG, "-1", "1_0", "0x1", " 1", "null", "[]"]


def in_url(text: str) -> str:
    """Escape a parameter's value."""
    return quote(text, safe="")
