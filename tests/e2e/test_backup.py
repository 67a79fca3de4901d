"""Promise 22: what is dumped comes back on a fresh server, to the bit, and scores reproduce."""

import shutil

import pytest
from sqlalchemy import text

from service.firms.use_cases import list_firms
from service.kit import backup, migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgres
from service.scoring.use_cases import score_firm
from tests.content import content_of
from tests.e2e.conftest import PRODUCT, SECOND

pytestmark = pytest.mark.xdist_group("bank")


def silent(*_):
    """Report nothing."""


@pytest.fixture(scope="module")
def dumped(database, bank, tmp_path_factory):
    """Return a dump of the database with the demo's bank."""
    file = tmp_path_factory.mktemp("dumps") / "bank.dump"
    backup.dump(database, file, silent)
    return file


@pytest.fixture
def fresh(tmp_path):
    """Return the database of a server of its own."""
    server = EmbeddedPostgres(tmp_path / "local")
    database = Database(server.start())
    yield database
    database.dispose()
    server.stop()
    shutil.rmtree(server.home, ignore_errors=True)


def score_again(database, bank):
    """Score some firms again, in a transaction that is rolled back, and return all that must be equal."""
    with database.session(bank.tenant_id) as session:
        outer = session.begin_nested()
        firms = list_firms(session, None, 400)[::100]
        views = [score_firm(session, firm.id, PRODUCT, SECOND, "again") for firm in firms]
        found = [view.score.model_dump(exclude={"id", "scored_at"}) for view in views]
        outer.rollback()
    return found


def test_a_restored_database_is_the_same_to_the_bit(database, bank, dumped, fresh):
    content, scores = content_of(database), score_again(database, bank)
    manifest = backup.restore(fresh, dumped, silent, jobs=2)
    assert manifest.rows["invoice"] > 10_000
    assert manifest.rows["score"] >= 800
    assert dumped.stat().st_mode & 0o077 == 0
    assert content_of(fresh) == content
    assert migrations.is_current(fresh.engine)
    assert len(scores) >= 4
    assert score_again(fresh, bank) == scores
    with fresh.session() as session:
        assert session.execute(text("select count(*) from invoice")).scalar_one() == 0
