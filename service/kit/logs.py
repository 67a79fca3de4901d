"""Log lines: one JSON object each, on standard error, with the request's id."""

import logging
import re
import sys

import structlog

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


def configure_logging(level: str) -> None:
    """Write log lines from a level on."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
