"""Take the next item of an iterator while the one before is worked on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items, and let a thread make the next one meanwhile; one, so that no more than two are in memory.

    An error is raised where its item would have come. Whoever ends early waits for the item that is being made.

    Examples
    --------
    >>> list(ahead(iter("ab")))
    ['a', 'b']
    """
    over = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        following = thread.submit(next, items, over)
        while (item := following.result()) is not over:
            following = thread.submit(next, items, over)
            yield item  # type: ignore[misc]
