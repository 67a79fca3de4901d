"""Clients that are slow in three ways, and a healthy one among them, over real sockets."""

import asyncio
import itertools
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic

import httpx

HOST = "127.0.0.1"
OPENED_PER_SECOND = 200
"""Slow clients."""
LARGE_ANSWER = "/static-offline-docs/swagger-ui-bundle.js"
OPENINGS = {
    "slow headers": b"GET /v1/firms HTTP/1.1\r\nHost: test\r\nX-Slow: ",
    "slow body": b"POST /v1/scores HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
    b"Content-Length: 5000\r\n\r\n{",
    "never reading": b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % LARGE_ANSWER.encode(),
}


@dataclass
class Outcome:
    """Seconds until each slow client was cut, by kind; method, status and seconds of each healthy request."""

    cut_after: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in OPENINGS})
    answers: list[tuple[str, int, float]] = field(default_factory=list)

    def slowest_cut(self) -> float:
        return max(itertools.chain.from_iterable(self.cut_after.values()))

    def statuses(self) -> set[int]:
        return {status for _, status, _ in self.answers}

    def quantile(self, share: float, *methods: str) -> float:
        """Return the seconds within which a share of the healthy requests (with these methods) were answered."""
        seconds = sorted(seconds for method, _, seconds in self.answers if not methods or method in methods)
        return seconds[math.ceil(share * len(seconds)) - 1]


async def opened(port: int, opening: bytes) -> socket.socket:
    """Connect, with the smallest buffer for answers, and send the first bytes."""
    loop, client = asyncio.get_running_loop(), socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await loop.sock_connect(client, (HOST, port))
    await loop.sock_sendall(client, opening)
    return client


async def trickled(port: int, opening: bytes, every: float) -> float:
    """Send a byte at a time and read nothing, until cut; return after how many seconds that was."""
    began = monotonic()
    client = await opened(port, opening)
    try:
        while True:
            await asyncio.sleep(every)
            await asyncio.get_running_loop().sock_sendall(client, b"x")
    except (BrokenPipeError, ConnectionResetError):
        return monotonic() - began
    finally:
        client.close()


async def paced(send: Callable[[], Awaitable[httpx.Response]], per_second: float, until: asyncio.Task) -> AsyncIterator:
    """Send at a steady pace, whether or not earlier requests are answered; yield what came of each."""
    began, under_way = monotonic(), []
    for number in itertools.count():
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - monotonic()))
        if until.done():
            break
        under_way.append(asyncio.create_task(_timed(send, due)))
    for answer in under_way:
        yield await answer


async def _timed(send: Callable[[], Awaitable[httpx.Response]], due: float) -> tuple[str, int, float]:
    answer = await send()
    return answer.request.method, answer.status_code, monotonic() - due


async def attack(
    port: int, count: int, every: float, send: Callable[[], Awaitable[httpx.Response]], per_second: float
) -> Outcome:
    """Set so many slow clients on the server, evenly of each kind; send healthy requests until all are cut, or 5 s."""
    outcome = Outcome()

    async def slow(number: int, kind: str) -> None:
        await asyncio.sleep(number / OPENED_PER_SECOND)
        outcome.cut_after[kind].append(await trickled(port, OPENINGS[kind], every))

    kinds = itertools.islice(itertools.cycle(OPENINGS), count)
    end = asyncio.gather(asyncio.sleep(5), *itertools.starmap(slow, enumerate(kinds)))
    outcome.answers = [answer async for answer in paced(send, per_second, end)]
    await end
    return outcome
