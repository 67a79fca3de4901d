"""Work on no more requests at a time than there are database connections.

A request holds its connection across several turns of the thread pool. Were more admitted, those that wait for a
connection would fill the threads that the holders need to go on.
"""

import asyncio
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Admission:
    """ASGI middleware: the requests above the limit wait their turn before they touch anything.

    A turn ends when the answer begins: by then the transaction is committed, and how long the client takes to read is
    its own affair.

    Parameters
    ----------
    app
        What is guarded.
    limit
        Requests at a time; at most the threads of the pool (40).
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when its turn has come."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        turns = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self.limit))
        await turns.acquire()
        has_turn = True

        async def answer(message: Message) -> None:
            nonlocal has_turn
            if has_turn:
                has_turn = False
                turns.release()
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            if has_turn:
                turns.release()
