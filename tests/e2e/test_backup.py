"""Promise 22: what is dumped comes back on a fresh server, to the bit, and scores reproduce."""

import shutil

import pytest
from sqlalchemy import text

from service.audit import verify_audit
from service.audit.sequencer import number_all
from service.audit.signing import SigningKeys
from service.audit.use_cases import checkpoint_file, damaged_nodes, export, make_checkpoint
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
def earlier(database, bank, keyring):
    """Return a checkpoint of the bank's audit log, signed before the dump, and the key that an outsider trusts."""
    number_all(database)
    keys = SigningKeys(keyring.folder / "signing")
    with database.session(bank.tenant_id) as session:
        checkpoint = make_checkpoint(session, keys, "bank")
        file = checkpoint_file(session, checkpoint, with_leaves=False)
    return verify_audit.read_checkpoint(file, {keys.signer().public.id})


@pytest.fixture(scope="module")
def dumped(database, bank, earlier, tmp_path_factory):
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
        found = [view.score.model_dump(exclude={"id", "scored_at", "batch_id"}) for view in views]
        outer.rollback()
    return found


def test_a_restored_database_is_the_same_to_the_bit(database, bank, earlier, dumped, fresh):
    content, scores = content_of(database), score_again(database, bank)
    manifest = backup.restore(fresh, dumped, silent, jobs=2)
    assert manifest.rows["invoice"] > 10_000
    assert manifest.rows["score"] >= 800
    assert dumped.stat().st_mode & 0o077 == 0
    assert content_of(fresh) == content
    assert migrations.is_current(fresh.engine)
    with fresh.session(bank.tenant_id) as session:
        assert verify_audit.verify(export(session), [earlier]).finding is None
        assert earlier.size > 1
        assert damaged_nodes(session) == []
    assert len(scores) >= 4
    assert score_again(fresh, bank) == scores
    with fresh.session() as session:
        assert session.execute(text("select count(*) from invoice")).scalar_one() == 0
