"""What can go wrong, and how it is said: RFC 9457 ``application/problem+json`` for every 4xx and 5xx."""

import errno
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import Error as DatabaseError
from psycopg.errors import DiskFull, OperationalError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
MAX_REPORTED = 100
LONGEST_NAME = 200
"""Of a field in an error; cut before anything looks at it."""
_DIGITS = re.compile(r"\w*\d{6}\w*")
"""Of the name of a field that a client made up: it may be a person's number."""


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """Something the caller can act on.

    Parameters
    ----------
    detail
        What happened and what to do about it, in one or two sentences.
    headers
        Further headers of the answer, such as ``Retry-After``.
    extra
        Further members of the problem document, such as ``errors`` or ``missing``.
    """

    status = HTTPStatus.BAD_REQUEST
    code = "bad-request"
    title = "The request cannot be understood"
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        if headers is not None:
            self.headers = headers
        self.extra = extra


class MalformedJson(Problem):
    """The body is not JSON."""

    code = "malformed-json"
    title = "The body is not valid JSON"


class MissingIdempotencyKey(Problem):
    """A creating POST came without an Idempotency-Key."""

    code = "missing-idempotency-key"
    title = "The Idempotency-Key header is missing"


class Unauthenticated(Problem):
    """No API key and no session, or one that names nobody."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"
    title = "A valid API key or session is needed"


class SignInFailed(Unauthenticated):
    """Whoever signs in is not, or not any more, who it says; why is not said."""

    code = "sign-in-failed"
    title = "Signing in failed"


class Forbidden(Problem):
    """The asker's role may not do this."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"
    title = "Your role may not do this"


class BeyondLimits(Forbidden):
    """The asker's limits do not reach so far."""

    code = "beyond-limits"
    title = "Your limits do not reach so far"


class NotFound(Problem):
    """No such thing, or another tenant's."""

    status = HTTPStatus.NOT_FOUND
    code = "not-found"
    title = "There is no such thing"


class Conflict(Problem):
    """The request contradicts what is already there."""

    status = HTTPStatus.CONFLICT
    code = "conflict"
    title = "The request conflicts with the present state"


class Gone(Problem):
    """It was there, and has been destroyed for good."""

    status = HTTPStatus.GONE
    code = "gone"
    title = "It has been destroyed"


class PreconditionFailed(Problem):
    """The object is no longer what the request was made from."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition-failed"
    title = "The object has changed since it was read"


class PreconditionRequired(Problem):
    """A change came without If-Match."""

    status = HTTPStatus.PRECONDITION_REQUIRED
    code = "precondition-required"
    title = "The If-Match header is missing"


class TooManyRequests(Problem):
    """A limit is used up for now.

    Parameters
    ----------
    detail
        Which limit.
    seconds
        When to come back; sent as Retry-After.
    """

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "too-many-requests"
    title = "Too many requests"

    def __init__(self, detail: str, seconds: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(seconds)})


class UnsupportedMediaType(Problem):
    """The body is of another type than the route takes."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported-media-type"
    title = "The body is of a type that this route does not take"


class InvalidPayload(Problem):
    """The body or a parameter breaks its schema."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid-payload"
    title = "A field of the request is invalid"


class IdempotencyKeyReused(InvalidPayload):
    """The key was used before with another request."""

    code = "idempotency-key-reused"
    title = "The Idempotency-Key was used for another request"


class InsufficientData(InvalidPayload):
    """Too little is known for a score."""

    code = "insufficient-data"
    title = "Too little is known about the firm to score it"


class IssuerUnavailable(Problem):
    """The OpenID Connect issuer gave no answer, or none that can be used."""

    status = HTTPStatus.BAD_GATEWAY
    code = "issuer-unavailable"
    title = "The identity provider cannot be used"


class DatabaseUnavailable(Problem):
    """The database cannot be reached, or went away in between."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "database-unavailable"
    title = "The database cannot be reached at the moment"
    headers = MappingProxyType({"Retry-After": "5"})


class InsufficientStorage(Problem):
    """The disk of the database, or of the keyring, is full."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
    code = "insufficient-storage"
    title = "The disk is full"


_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
_GONE = frozenset({"53300", "57P01", "57P02", "57P03"})
"""SQL states of a server that is full of connections, shuts down, has crashed, or starts."""


def fault_of(error: BaseException) -> Problem | None:
    """Return what a failure of the disk or of the database's server is to a client; None for any other error.

    Work that failed so, and nothing of which was kept, may be done again later.
    """
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if state == DiskFull.sqlstate or (isinstance(cause, OSError) and cause.errno in _FULL_DISK):
        return InsufficientStorage(
            "Nothing was changed. When there is room again, send the request again with the same Idempotency-Key."
        )
    is_gone = state is None or state in _GONE or state.startswith("08")
    if isinstance(cause, OperationalError) and is_gone:
        return DatabaseUnavailable(
            "Whether anything was changed is not known. Send the request again with the same Idempotency-Key: nothing "
            "is done twice."
        )
    return None


class Unfinished(Problem):
    """What was asked for is committed, and what was to follow failed: said as the fault that it was, in other words.

    Parameters
    ----------
    error
        Why it failed.
    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal-error"
    title = "The service failed"

    def __init__(self, error: BaseException) -> None:
        fault = fault_of(error)
        super().__init__(
            "What was asked for is done and stays so, but what follows from it is not finished. Send the request again "
            "later, with the same Idempotency-Key or If-Match if it had one: nothing is done twice.",
            headers=None if fault is None else fault.headers,
        )
        if fault is not None:
            self.status, self.code, self.title = fault.status, fault.code, fault.title


class FieldError(BaseModel):
    """One thing wrong with one field."""

    field: str = Field(examples=["invoices.3.gross"])
    row: int | None = Field(None, description="Index of the row in a list, from 0.", examples=[3])
    reason: str = Field(examples=["Input should be a valid decimal"])
    value: str | None = Field(None, description="Of an observation: the value at fault, without persons' numbers.")
    remedy: str | None = Field(None, description="Of an observation: what to do about it.")
    reason_zh: str | None = Field(None, description="Of an observation: the reason in Chinese.")
    remedy_zh: str | None = Field(None, description="Of an observation: the remedy in Chinese.")


class ProblemOut(BaseModel):
    """RFC 9457 problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:clustercredit:not-found"])
    title: str = Field(examples=["There is no such thing"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["No firm has this id."])
    errors: list[FieldError] | None = Field(None, examples=[None])


def problem(
    status: int, code: str, title: str, detail: str, headers: Mapping[str, str] | None = None, **extra: Any
) -> JSONResponse:
    """Write one problem document."""
    content = {
        "type": f"urn:clustercredit:{code}",
        "title": title,
        "status": int(status),
        "detail": detail,
        **extra,
    }
    challenge = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    headers = {**challenge, **(headers or {})}
    return JSONResponse(content, status_code=int(status), media_type=MEDIA_TYPE, headers=headers)


CREATING = (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT)
"""What a creating POST may answer besides its own errors: no Idempotency-Key; one in flight, or a conflict."""
CHANGING = (HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED)
"""What a change of a mutable object may answer."""


_HEADERS: Mapping[HTTPStatus, dict[str, Any]] = {
    HTTPStatus.TOO_MANY_REQUESTS: {
        "Retry-After": {
            "description": "Seconds until the limit's window ends.",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
            "example": 42,
        }
    }
}


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Declare a route's own errors for OpenAPI; what any route may answer is added by ``service.app``."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemOut"}}
    answers: dict[int | str, dict[str, Any]] = {}
    for status in sorted(statuses):
        answers[int(status)] = {"description": status.phrase, "content": {MEDIA_TYPE: schema}}
        if status in _HEADERS:
            answers[int(status)]["headers"] = _HEADERS[status]
    return answers


def install_handlers(app: FastAPI) -> None:
    """Turn every error into a problem document."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(Unfinished, _on_unfinished)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind in (DBAPIError, DatabaseError, OSError):
        app.add_exception_handler(kind, _on_fault)
    app.add_exception_handler(Exception, _on_unexpected)


def _on_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return problem(error.status, error.code, error.title, error.detail, error.headers, **error.extra)


def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        position, reason = found[0]["loc"][-1], found[0].get("ctx", {}).get("error", "not JSON")
        cause = MalformedJson(f"{reason} at character {position}.")
        return problem(cause.status, cause.code, cause.title, cause.detail)
    errors = field_errors(found)
    more = f" The first {MAX_REPORTED} are listed." if len(found) > MAX_REPORTED else ""
    detail = f"{len(found)} field(s) are invalid; first: {errors[0]['field']}: {errors[0]['reason']}.{more}"
    return problem(InvalidPayload.status, InvalidPayload.code, InvalidPayload.title, detail, errors=errors)


def field_errors(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Name the field, the row and the reason of each pydantic error; never echo the value."""
    errors = []
    for item in found[:MAX_REPORTED]:
        path = [part for part in item["loc"] if part != "body"] or ["body"]
        row = next((part for part in path if isinstance(part, int)), None)
        errors.append({"field": field_name(path), "row": row, "reason": item["msg"]})
    return errors


def field_name(path: Sequence[object]) -> str:
    """Join a field's path, which may hold anything that a client named a field.

    Examples
    --------
    >>> field_name(["invoices", 3, "net"])
    'invoices.3.net'
    """
    name = ".".join(str(part)[:LONGEST_NAME] for part in path)[:LONGEST_NAME]
    return _DIGITS.sub("***", name.encode(errors="replace").decode())


def _on_http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "-")
    response = problem(status, code, status.phrase, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def _on_fault(request: Request, error: Exception) -> JSONResponse:
    """Answer a full disk or a lost server as what it is; another error goes on as unexpected."""
    cause = fault_of(error)
    if cause is None:
        raise error
    log.error(cause.code, why=type(getattr(error, "orig", None) or error).__name__, method=request.method)
    return _on_problem(request, cause)


def _on_unfinished(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Unfinished)
    is_fault = error.code != Unfinished.code
    why = type(getattr(error.__cause__, "orig", None) or error.__cause__).__name__
    log.error("unfinished", why=why, exc_info=None if is_fault else error.__cause__, method=request.method)
    return _on_problem(request, error)


def _on_unexpected(request: Request, error: Exception) -> JSONResponse:
    request_id = getattr(request.state, "request_id", "")
    log.error("unexpected", exc_info=error, request_id=request_id, method=request.method)
    detail = "The service failed; nothing was changed. Send the request again, with the same Idempotency-Key."
    response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "The service failed", detail)
    response.headers["X-Request-Id"] = request_id
    return response
