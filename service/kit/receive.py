"""Have a request whole before anybody works on it: bounded in bytes, in time, and in memory.

FastAPI's own ``max_body_size`` answers in plain text, before any handler of ours sees the request; a body has no
deadline anywhere else.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

import anyio
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Problem, problem

RECEIVE_BY = "receive_by"
"""Key of the scope's ``state`` under which the server says by when, on the loop's clock, the request must be whole."""

UNCOUNTED_BYTES = 64 * 1024
"""What every body has outside the memory for bodies, so that a score's request is read whoever fills that memory."""


FILES = (
    "text/csv",
    "application/gzip",
    "application/x-ndjson",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.apache.parquet",
)
"""Types of bodies that are files: nobody makes a Python object of each of their values."""

MOST_VALUES = 200_000
"""Twice what the fullest list of invoices has. Brackets and commas cost one byte each, and many as Python objects."""


_NONE: Mapping[str, int] = MappingProxyType({})


class Refused(Problem):
    """A request that is not read to its end."""


class ContentTooLarge(Refused):
    """The body is longer than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "content-too-large"
    title = "The body is too long"


class RequestTimeout(Refused):
    """The body was not whole in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "request-timeout"
    title = "The request did not arrive in time"
    headers = MappingProxyType({"Connection": "close"})


class RequestIncomplete(Refused):
    """The client left before it had sent the whole body: the answer is for the log."""

    code = "request-incomplete"
    title = "The request broke off"


class NoMemory(Refused):
    """The bodies being read and worked on fill their memory."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "overloaded"
    title = "Too many large requests at a time"
    headers = MappingProxyType({"Retry-After": "5"})


class WholeRequest:
    """ASGI middleware: read the whole body, then hand it on as one message.

    Parameters
    ----------
    app
        What is guarded.
    seconds
        Time for the whole request, from its first byte where the server says when that was.
    max_body
        Longest body in bytes, 64 KiB of who brings neither key nor session: 413 at once where Content-Length is
        longer, else as soon as too many bytes have come.
    max_buffered
        Bytes of all the bodies that are being read or worked on at a time.
    max_files
        Longest body of the routes that take a file of any type, by the last word of their path.
    """

    def __init__(
        self, app: ASGIApp, seconds: float, max_body: int, max_buffered: int, max_files: Mapping[str, int] = _NONE
    ) -> None:
        self.app, self.seconds, self.max_body, self.max_buffered = app, seconds, max_body, max_buffered
        self.max_files, self.buffered = max_files, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when it is whole, or say why it is not read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        share = _Share(self)
        try:
            body = await self._read_in_time(scope, receive, share)
        except Refused as refused:
            share.release()
            await _answer(refused)(scope, receive, send)
            return
        try:
            await self.app(scope, _handed_on(body, receive), send)
        finally:
            share.release()

    async def _read_in_time(self, scope: Scope, receive: Receive, share: "_Share") -> bytes:
        headers, of_file = dict(scope["headers"]), self.max_files.get(scope["path"].rpartition("/")[2])
        longest = self.max_body if of_file is None else of_file
        if not {b"authorization", b"cookie"} & headers.keys():
            longest = min(longest, UNCOUNTED_BYTES)
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > longest:
            raise _too_large(longest)
        deadline = scope.get("state", {}).get(RECEIVE_BY, anyio.current_time() + self.seconds)
        with anyio.CancelScope(deadline=deadline):
            body = await self._read(receive, share, longest)
            return body if of_file is not None or _is_file(headers) else _sparse(body)
        raise RequestTimeout(f"A request, headers and body, has {self.seconds} seconds to arrive. Send it again.")

    async def _read(self, receive: Receive, share: "_Share", longest: int) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestIncomplete("The client left before the request was whole.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > longest:
                raise _too_large(longest)
            share.grow(max(0, size - UNCOUNTED_BYTES))
            if not message.get("more_body", False):
                return b"".join(parts)


def _is_file(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1") in FILES


def _sparse(body: bytes) -> bytes:
    if sum(body.count(mark) for mark in (b"[", b"{", b",")) > MOST_VALUES:
        raise ContentTooLarge(f"A request's body may hold {MOST_VALUES:,} values. Send fewer rows a call.")
    return body


def _too_large(longest: int) -> ContentTooLarge:
    return ContentTooLarge(
        f"A request's body may have {longest:,} bytes. Send it in parts, gzipped (a file to import), or use"
        " `clustercredit import` on the server."
    )


class _Share:
    """What one body takes of the memory for bodies."""

    def __init__(self, memory: WholeRequest) -> None:
        self.memory, self.size = memory, 0

    def grow(self, size: int) -> None:
        """Take as many bytes in all, or raise NoMemory."""
        if self.memory.buffered + size - self.size > self.memory.max_buffered:
            raise NoMemory("The service is reading as many large requests as it can hold. Send it again later.")
        self.memory.buffered += size - self.size
        self.size = size

    def release(self) -> None:
        """Give them back."""
        self.memory.buffered -= self.size
        self.size = 0


def _handed_on(body: bytes, receive: Receive) -> Receive:
    is_handed_on = False

    async def whole() -> Message:
        nonlocal is_handed_on
        if is_handed_on:
            return await receive()
        is_handed_on = True
        return {"type": "http.request", "body": body, "more_body": False}

    return whole


def _answer(refused: Refused) -> Response:
    return problem(refused.status, refused.code, refused.title, refused.detail, refused.headers)
