"""Make the OpenAPI document as tight as the service is: what FastAPI cannot know of headers and nulls."""

from typing import Any

_TEXT = {"type": "string"}
_REQUEST_ID = {"description": "Names this answer in the service's log.", "schema": _TEXT, "required": True}
_ETAG = {
    "description": "The object's state; a change sends it back in If-Match.",
    "schema": {**_TEXT, "pattern": '^"[0-9]+"$'},
    "required": True,
}
_SECONDS = {"type": "integer", "minimum": 1}
_RETRY_AFTER = {"description": "Seconds to wait before sending it again.", "schema": _SECONDS}
_CHALLENGE = {"description": "How to show who is asking.", "schema": _TEXT, "required": True}
_NEEDED = {"idempotency-key", "if-match"}
_ALWAYS = {"401": {"WWW-Authenticate": _CHALLENGE}}
_SOMETIMES = {"409": {"Retry-After": _RETRY_AFTER}, "503": {"Retry-After": _RETRY_AFTER}}


def tighten(operation: dict[str, Any], components: dict[str, Any]) -> None:
    """State of one operation which parameters are needed, and which headers its answers carry.

    A parameter that need not be given has no value null, and the two headers that are asked for with statuses of
    their own (400, 428) are required all the same.
    """
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
        if parameter["name"].lower() in _NEEDED:
            parameter["required"] = True
    for status, answer in operation["responses"].items():
        headers = {"X-Request-Id": _REQUEST_ID, **_ALWAYS.get(status, {}), **_SOMETIMES.get(status, {})}
        if status.startswith("2") and _has_version(answer, components):
            headers["ETag"] = _ETAG
        answer["headers"] = {**headers, **answer.get("headers", {})}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without its alternative null.

    Examples
    --------
    >>> _without_null({"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Cursor"})
    {'type': 'string', 'title': 'Cursor'}
    """
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    if not choices:
        return schema
    return {**choices[0], **rest} if len(choices) == 1 else {"anyOf": choices, **rest}


def _has_version(answer: dict[str, Any], components: dict[str, Any]) -> bool:
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    named = components.get(schema.get("$ref", "").rpartition("/")[2], {})
    return "version" in named.get("properties", {})
