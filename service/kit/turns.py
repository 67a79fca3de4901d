"""Costly work, a few at a time: a few more wait their turn, and the rest are told to come back.

What a turn costs - memory, a thread, somebody else's patience - is then bounded by the number of turns, however many
ask at once. Turns are a process's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore

from service.errors import TooManyRequests


class Turns:
    """A number of turns, and of places to wait for one.

    Parameters
    ----------
    what
        What is done in a turn, for the words of a refusal.
    running
        Turns at a time.
    waiting
        Places beyond them.
    seconds
        Longest wait for a turn; also when to come back after a refusal.
    """

    def __init__(self, what: str, *, running: int, waiting: int, seconds: int) -> None:
        self._what, self._seconds = what, seconds
        self._places = Semaphore(running + waiting)
        self._turns = Semaphore(running)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place, without which nobody should ask for a turn.

        Raises
        ------
        TooManyRequests
            At once, if every place is taken.
        """
        if not self._places.acquire(blocking=False):
            raise self._refusal()
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and hold it.

        Raises
        ------
        TooManyRequests
            If none came in time.
        """
        if not self._turns.acquire(timeout=self._seconds):
            raise self._refusal()
        try:
            yield
        finally:
            self._turns.release()

    def _refusal(self) -> TooManyRequests:
        return TooManyRequests(
            f"Too many are {self._what} at this moment. Come back in {self._seconds} seconds.", self._seconds
        )
