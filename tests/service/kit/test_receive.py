"""A request is whole before its turn: bounded in bytes, time and memory; at the level of ASGI."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import pytest

from service.kit.admission import Admission
from service.kit.receive import RECEIVE_BY, UNCOUNTED_BYTES, WholeRequest

LONG = 30
"""Seconds that none of these tests should take."""


@dataclass
class Call:
    """One request, whose messages are given one by one."""

    app: object
    headers: list = field(default_factory=list)
    state: dict = field(default_factory=dict)
    path: str = "/"

    def __post_init__(self):
        self.messages, self.sent = asyncio.Queue(), []
        self.begun = asyncio.Event()
        self.is_read = asyncio.Event()
        self.is_read.set()

    def gives(self, body, *, more=False):
        self.messages.put_nowait({"type": "http.request", "body": body, "more_body": more})
        return self

    def leaves(self):
        self.messages.put_nowait({"type": "http.disconnect"})
        return self

    async def send(self, message):
        self.begun.set()
        await self.is_read.wait()
        self.sent.append(message)

    async def __call__(self):
        headers = [(b"authorization", b"Bearer of a test"), *self.headers]
        scope = {"type": "http", "path": self.path, "headers": headers, "state": self.state}
        async with asyncio.timeout(LONG):
            await self.app(scope, self.messages.get, self.send)
        return self

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def answer_headers(self):
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self):
        return self.sent[1]["body"]

    @property
    def code(self):
        assert self.answer_headers["content-type"] == "application/problem+json"
        return json.loads(self.body)["type"].removeprefix("urn:clustercredit:")


async def echo(scope, receive, send):
    message = await receive()
    assert message["more_body"] is False
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def guarded(app=echo, *, seconds=LONG, max_body=1000, max_buffered=1 << 30, **options):
    return WholeRequest(app, seconds, max_body, max_buffered, **options)


def test_a_body_in_parts_is_handed_on_whole():
    async def main():
        return await Call(guarded()).gives(b"ab", more=True).gives(b"", more=True).gives(b"c")()

    call = asyncio.run(main())
    assert (call.status, call.body) == (200, b"abc")


def test_the_app_still_learns_that_the_client_left():
    async def waits(scope, receive, send):
        await receive()
        assert await receive() == {"type": "http.disconnect"}
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def main():
        return await Call(guarded(waits)).gives(b"x").leaves()()

    assert asyncio.run(main()).status == 204


@pytest.mark.parametrize(("length", "status"), [(b"1000", 200), (b"1001", 413), (b"9" * 5000, 413), (b"x", 200)])
def test_a_declared_length_is_refused_before_the_body_is_read(length, status):
    async def main():
        call = Call(guarded(), headers=[(b"content-length", length)])
        return await (call.gives(b"x") if status == 200 else call)()

    call = asyncio.run(main())
    assert call.status == status
    if status == 413:
        assert call.code == "content-too-large"


@pytest.mark.parametrize(("last", "status"), [(b"xx", 200), (b"xxx", 413)])
def test_an_undeclared_length_is_refused_when_it_is_exceeded(last, status):
    async def main():
        return await Call(guarded()).gives(b"x" * 998, more=True).gives(last, more=status == 413)()

    assert asyncio.run(main()).status == status


@pytest.mark.parametrize(("path", "status"), [("/v1/firms/1/documents", 200), ("/v1/documents/1", 413)])
def test_a_route_of_files_takes_longer_bodies_of_as_many_values(path, status):
    async def main():
        call = Call(guarded(max_files={"documents": 300_000}), path=path)
        return await call.gives(b"," * 300_000)()

    assert asyncio.run(main()).status == status


def test_a_late_body_is_a_408_that_closes_the_connection():
    async def main():
        return await Call(guarded(seconds=0.05)).gives(b"x", more=True)()

    call = asyncio.run(main())
    assert (call.status, call.code) == (408, "request-timeout")
    assert call.answer_headers["connection"] == "close"


def test_the_servers_clock_counts():
    """The headers took all the time there was."""

    async def main():
        state = {RECEIVE_BY: asyncio.get_running_loop().time()}
        return await Call(guarded(seconds=10_000), state=state).gives(b"x", more=True)()

    assert asyncio.run(main()).status == 408


def test_a_client_that_leaves_does_not_reach_the_app():
    async def main():
        return await Call(guarded(pytest.fail)).gives(b"x", more=True).leaves()()

    assert asyncio.run(main()).code == "request-incomplete"


def test_bodies_share_a_memory_that_is_given_back():
    async def main():
        memory = guarded(max_body=1 << 20, max_buffered=100)
        first = Call(memory).gives(b"x" * (UNCOUNTED_BYTES + 60), more=True)
        under_way = asyncio.create_task(first())
        await asyncio.sleep(0)
        assert memory.buffered == 60
        second = await Call(memory).gives(b"x" * (UNCOUNTED_BYTES + 41), more=True)()
        assert (second.status, second.code) == (503, "overloaded")
        assert int(second.answer_headers["retry-after"]) > 0
        small = await Call(memory).gives(b"x" * UNCOUNTED_BYTES)()
        fits = await Call(memory).gives(b"x" * (UNCOUNTED_BYTES + 40))()
        first.gives(b"")
        await under_way
        assert {small.status, fits.status, first.status} == {200}
        assert memory.buffered == 0
        await Call(guarded(max_buffered=100, max_body=100)).gives(b"x" * 101, more=True)()
        assert memory.buffered == 0

    asyncio.run(main())


@pytest.mark.parametrize("how", ["fails", "late", "left", "too long"])
def test_memory_is_given_back_however_a_request_ends(how):
    async def fails(scope, receive, send):
        raise ZeroDivisionError

    async def main():
        memory = guarded(fails, max_body=1 << 20, max_buffered=1 << 20, seconds=0.05 if how == "late" else LONG)
        call = Call(memory).gives(b"x" * (UNCOUNTED_BYTES + 60), more=True)
        if how == "fails":
            call.gives(b"")
        elif how == "left":
            call.leaves()
        elif how == "too long":
            call.gives(b"x" * (1 << 20))
        with contextlib.suppress(ZeroDivisionError):
            await call()
        assert memory.buffered == 0

    asyncio.run(main())


def test_slow_bodies_hold_no_turns():
    """As many slow bodies as there are turns, and a healthy request is answered."""

    async def main():
        app = guarded(Admission(echo, limit=3))
        slow = [Call(app).gives(b"x", more=True) for _ in range(3)]
        under_way = [asyncio.create_task(call()) for call in slow]
        await asyncio.sleep(0)
        assert (await Call(app).gives(b"healthy")()).status == 200
        for call in slow:
            call.gives(b"y")
        await asyncio.gather(*under_way)
        assert {call.body for call in slow} == {b"xy"}

    asyncio.run(main())


def test_answers_that_are_not_read_hold_no_turns():
    async def main():
        app = guarded(Admission(echo, limit=3))
        slow = [Call(app).gives(b"x") for _ in range(3)]
        for call in slow:
            call.is_read.clear()
        under_way = [asyncio.create_task(call()) for call in slow]
        for call in slow:
            await call.begun.wait()
        assert (await Call(app).gives(b"healthy")()).status == 200
        for call in slow:
            call.is_read.set()
        await asyncio.gather(*under_way)

    asyncio.run(main())


def test_turns_are_as_many_as_the_limit_and_come_back_from_failures():
    at_work, most = 0, 0

    async def works(scope, receive, send):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        raise ZeroDivisionError

    async def main():
        app = guarded(Admission(works, limit=3))
        results = await asyncio.gather(*(Call(app).gives(b"")() for _ in range(20)), return_exceptions=True)
        assert {type(result) for result in results} == {ZeroDivisionError}

    asyncio.run(main())
    assert most == 3
