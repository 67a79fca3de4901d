"""Refuse a request body that is longer than the limit, as a problem document.

FastAPI's own ``max_body_size`` answers in plain text, before any handler of ours sees the request.
"""

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import problem


class BodyLimit:
    """ASGI middleware: 413 at once where Content-Length is too long, and as soon as too many bytes have come.

    Parameters
    ----------
    app
        What is guarded.
    limit
        Longest body in bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit
        self.detail = f"A request's body may have {limit:,} bytes. Send fewer rows a call, or import a file."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what is read of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > self.limit:
            too_long = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            await problem(too_long, "content-too-large", "The body is too long", self.detail)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.limit:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, self.detail)
            return message

        await self.app(scope, counted, send)
