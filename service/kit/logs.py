"""Log lines: one JSON object each, on standard error, with the request's id."""

import logging
import re
import sys
from typing import TextIO
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

_PLAIN = re.compile(r"[a-z_.-]*|v[0-9]|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def loggable_path(path: str) -> str:
    """Hide every segment of a path but words and UUIDs: whoever puts a person's number there does not log it.

    Examples
    --------
    >>> loggable_path("/v1/loans/L-2024-000123/status"), loggable_path("/v1/people/E12345678")
    ('/v1/loans/*/status', '/v1/people/*')
    >>> loggable_path("/v1/firms/0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11")
    '/v1/firms/0b7f5c3e-8a39-5c36-9a55-3d9f2f6b2c11'
    """
    return "/".join(part if _PLAIN.fullmatch(part) else "*" for part in path.split("/"))


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Write log lines from a level on, to a stream; to what standard error is at that moment if none is given."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: structlog.PrintLogger(stream or sys.stderr),
    )


class RequestLog:
    """ASGI middleware: give each request an id, in its answer and its log lines, and log one line when it is answered.

    Parameters
    ----------
    app
        What is logged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {})["request_id"] = uuid4().hex

        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.info("request", method=scope["method"], path=loggable_path(scope["path"]), status=message["status"])
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self.app(scope, receive, logged)
