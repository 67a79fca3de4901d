"""Promise 14 in full: 1,000 tamperings against an earlier checkpoint, and a log of a million entries in a minute."""

import random
import subprocess
import sys
from collections import Counter
from time import perf_counter

import pytest

from service.audit import merkle, verify_audit
from service.audit.signing import SigningKeys
from tests.service.audit.tampering import Line, bodies_of, body_of, caught, signed, signed_log, tampered

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
TAMPERINGS, ENTRIES, SECONDS = 1_000, 1_000_000, 60


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> SigningKeys:
    return SigningKeys(tmp_path_factory.mktemp("signing"))


def test_a_thousand_tamperings_of_the_database_are_caught_and_named(database, keys):
    kept = signed_log(database, keys)
    bodies = bodies_of(database, kept.tenant_id)
    said = [caught(database, kept, bodies, seed) for seed in range(TAMPERINGS)]
    assert all(said)
    print(Counter(words.rsplit(" ", 1)[0] for words in said))


def test_a_thousand_tamperings_of_an_export_are_caught_and_named(database, keys):
    kept = signed_log(database, keys)
    bodies = bodies_of(database, kept.tenant_id)
    for seed in range(TAMPERINGS):
        lines, done = tampered(bodies, random.Random(-1 - seed))
        written = [line.written() for line in lines]
        exact, rough = (verify_audit.verify(written, checkpoints).finding for checkpoints in kept.both)
        assert (exact.kind, exact.number) == (done.kind, done.number)
        assert rough.since <= done.number


def test_a_million_entries_are_verified_in_a_minute(keys, tmp_path):
    generator = random.Random(14)
    bodies = [body_of(generator) for _ in range(ENTRIES)]
    export, checkpoint = tmp_path / "log.ndjson", tmp_path / "kept.json"
    with export.open("wb") as file:
        for number, body in enumerate(bodies):
            file.write(Line(number, merkle.leaf_hash(body), body).written())
    for with_leaves in (False, True):
        checkpoint.write_bytes(signed(bodies, keys, with_leaves=with_leaves))
        command = [sys.executable, "-I", verify_audit.__file__, str(export), "--checkpoint", str(checkpoint)]
        begun = perf_counter()
        done = subprocess.run([*command, "--key-id", keys.signer().public.id], capture_output=True, check=False)
        taken = perf_counter() - begun
        print(f"{ENTRIES:,} entries, leaves {with_leaves}: {taken:.1f} s")
        assert (done.returncode, done.stderr) == (0, b"")
        assert taken <= SECONDS
