"""The world of the tests of access, made once a worker, and a way to talk to the application in it."""

from collections.abc import Iterator

import pytest

from tests.contracts.world import Talker, World, build, talking_to


@pytest.fixture(scope="session")
def world(database, keyring) -> World:
    return build(database, keyring)


@pytest.fixture(scope="session")
def talker(app) -> Iterator[Talker]:
    with talking_to(app) as talker:
        yield talker
