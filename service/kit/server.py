"""Serve HTTP, and cut the clients that are slow on purpose or by accident.

uvicorn's only deadline is on idle connections, and one byte puts it off: a client that trickles its headers or its
body, or does not read its answer, holds its socket for ever.
"""

import asyncio
import logging
import resource
import socket
import struct
from contextlib import suppress
from typing import Any

import h11
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from service.kit.receive import RECEIVE_BY
from service.settings import Settings

log = structlog.get_logger()

GRACE_SECONDS = 1.0
"""Between the end of a request's time and the cut, for the application to say 408."""

STOPPING = "stopping"
"""Key of the scope's ``state`` under which the server has an event that it sets when it is to stop."""

BACKLOG = 1024
"""Connections that the kernel keeps until they are accepted, and that are accepted at a time."""

SEND_BUFFER_BYTES = 128 * 1024
"""What the kernel takes of an answer beyond what the client has taken; by itself it would be megabytes a client."""

_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing drops what the client has not taken, instead of keeping it in the kernel."""

_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def run(app: ASGIApp, settings: Settings, host: str, port: int) -> None:
    """Serve until interrupted."""
    with suppress(KeyboardInterrupt):
        uvicorn.Server(ServerConfig(app, settings, host, port)).run()


def _is_not_logged_yet(record: logging.LogRecord) -> bool:
    """Drop uvicorn's plain lines of errors that the application has logged and answered as 500."""
    error = record.exc_info[1] if record.exc_info else None
    return not (record.msg.startswith("Exception in ASGI application") and isinstance(error, Exception))


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration with our limits.

    Parameters
    ----------
    app
        What is served.
    settings
        ``receive_seconds``, ``max_connections``, ``trusted_proxies``.
    host, port
        Where.
    """

    def __init__(self, app: ASGIApp, settings: Settings, host: str, port: int) -> None:
        files = allow_open_files(2 * settings.max_connections)
        self.receive_seconds = settings.receive_seconds
        self.max_connections = min(settings.max_connections, files // 2)
        super().__init__(
            app,
            host=host,
            port=port,
            loop="asyncio",
            http=DeadlineProtocol,
            ws="none",
            backlog=min(BACKLOG, files // 4),
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or "",
        )
        logging.getLogger("uvicorn.error").addFilter(_is_not_logged_yet)


def allow_open_files(wanted: int) -> int:
    """Raise the process's limit of open files as far as wanted and allowed; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


class DeadlineProtocol(H11Protocol):
    """HTTP/1.1 with a time for each whole request, and one for the client to take what is sent.

    Both are ``receive_seconds``. A request's time begins with its first byte, a connection's first one with the
    connection. Bytes that trickle put nothing off. Between requests uvicorn's own limit holds.
    """

    config: ServerConfig

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, dict(app_state), _loop)
        self._request_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._stopping = self.app_state[STOPPING] = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the first request's time, or refuse the connection."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if len(self.connections) > self.config.max_connections:
            self._cut("too many connections")
        else:
            self._start_request_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both timers."""
        self._stop_request_timer()
        self._stop_answer_timer()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Let an answer that lasts end: uvicorn waits for it."""
        self._stopping.set()
        super().shutdown()

    def handle_events(self) -> None:
        """Parse what has come; the timer runs from a request's first byte until it is whole."""
        before = self.conn.their_state
        if before is h11.IDLE and self._request_timer is None and self.conn.trailing_data[0]:
            self._start_request_timer()
        super().handle_events()
        after = self.conn.their_state
        if after not in {h11.IDLE, h11.SEND_BODY}:
            self._stop_request_timer()
        elif before is h11.SEND_BODY and after is h11.IDLE:  # a body that was answered early, at its end
            self._start_request_timer()

    def pause_writing(self) -> None:
        """Start the client's time to take what is sent: the kernel's buffer is full."""
        super().pause_writing()
        self._stop_answer_timer()
        self._answer_timer = self.loop.call_later(self.config.receive_seconds, self._cut, "answer not taken")

    def resume_writing(self) -> None:
        """Stop it: all is taken."""
        super().resume_writing()
        self._stop_answer_timer()

    def _start_request_timer(self) -> None:
        self._stop_request_timer()
        receive_by = self.app_state[RECEIVE_BY] = self.loop.time() + self.config.receive_seconds
        self._request_timer = self.loop.call_at(receive_by, self._on_late_request)

    def _on_late_request(self) -> None:
        """Say 408 where no application does, and cut whatever is still there a moment later."""
        self._request_timer = self.loop.call_later(GRACE_SECONDS, self._cut, "request not whole")
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            log.info("late", why="headers not whole", client=self.client)
            self.transport.write(_TOO_LATE)
            self.transport.close()

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _stop_answer_timer(self) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _cut(self, why: str) -> None:
        log.info("cut", why=why, client=self.client)
        with suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
