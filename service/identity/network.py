"""A network for calls to another's server: all together end in time, and bring so many bytes at most."""

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore


class _Allowance:
    """What is left of the time and of the bytes."""

    def __init__(self, seconds: float, size: int) -> None:
        self._until = time.monotonic() + seconds
        self._left = size

    def seconds(self, timeout: float | None) -> float:
        """Return how long the next step may take."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the calls took too long")
        return left if timeout is None else min(left, timeout)

    def take(self, part: bytes) -> bytes:
        """Count what was received."""
        self._left -= len(part)
        if self._left < 0:
            raise httpcore.ReadError("the answers are too long")
        return part


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, allowance: _Allowance) -> None:
        self._stream, self._allowance = stream, allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._allowance.take(self._stream.read(max_bytes, self._allowance.seconds(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._allowance.seconds(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secure = self._stream.start_tls(ssl_context, server_hostname, self._allowance.seconds(timeout))
        return _Stream(secure, self._allowance)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class BoundedNetwork(httpcore.SyncBackend):
    """Opens connections that share a deadline and a number of bytes.

    A timeout of a read is put off by every byte; this deadline by nothing.

    Parameters
    ----------
    seconds
        From now on, for everything.
    size
        Bytes that may be received, headers included, TLS's own handshake not.
    """

    def __init__(self, seconds: float, size: int) -> None:
        self._allowance = _Allowance(seconds, size)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Open a connection."""
        options = list(socket_options or ()) or [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        stream = super().connect_tcp(host, port, self._allowance.seconds(timeout), local_address, options)
        return _Stream(stream, self._allowance)
