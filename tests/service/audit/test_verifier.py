"""verify_audit.py: what it names, what it refuses, and that it runs on its own."""

import ast
import base64
import gzip
import json
import random
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.audit import verify_audit
from service.audit.sequencer import number_all
from service.audit.signing import SigningKeys
from service.audit.verify_audit import INTACT, NOT_INTACT, UNUSABLE, UnusableError
from service.identity.use_cases import create_tenant
from tests.service.audit.tampering import TAMPERINGS, bodies_of, body_of, checkpoint_of, signed, tampered, told

SIZE = 40
SCRIPT = Path(verify_audit.__file__)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> SigningKeys:
    keys = SigningKeys(tmp_path_factory.mktemp("signing"))
    keys.signer()
    return keys


@pytest.fixture(scope="module")
def bodies():
    generator = random.Random(6962)
    return [body_of(generator) for _ in range(SIZE)]


@pytest.fixture(scope="module")
def kept(bodies, keys):
    """Return checkpoints of the whole log, with leaves and without, and one of its first half."""
    half = signed(bodies[: SIZE // 2], keys, with_leaves=False)
    data = [signed(bodies, keys, with_leaves=True), signed(bodies, keys, with_leaves=False), half]
    return [checkpoint_of(one, keys) for one in data]


def _verify(lines, checkpoints):
    return verify_audit.verify((line.written() for line in lines), checkpoints)


def test_an_intact_log_is_intact_and_what_came_later_is_said_to_be_unproven(bodies, kept):
    for checkpoints in ([kept[0]], [kept[1]], [kept[2]], kept):
        verdict = _verify(told(bodies), checkpoints)
        assert (verdict.finding, verdict.entries, verdict.covered) == (None, SIZE, max(c.size for c in checkpoints))
    assert "20 later entries" in verify_audit.say(_verify(told(bodies), [kept[2]]), [kept[2]])[2]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_every_tampering_is_named_by_a_checkpoint_with_leaves(bodies, kept, seed):
    lines, done = tampered(bodies, random.Random(seed))
    finding = _verify(lines, [kept[0]]).finding
    assert (finding.kind, finding.number) == (done.kind, done.number)
    assert finding.since == finding.number
    assert all(str(done.number) in words for words in finding.words())


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_without_leaves_it_is_caught_and_the_interval_holds_it(bodies, kept, seed):
    lines, done = tampered(bodies, random.Random(seed))
    finding = _verify(lines, kept[1:]).finding
    half = SIZE // 2
    assert finding.since <= done.number
    assert finding.since == (0 if done.number < half else half)
    if finding.kind == "rewritten":
        assert finding.since <= done.number <= finding.last
    elif finding.kind != "cut off":
        assert finding.number == done.number


def test_every_kind_of_tampering_is_tried():
    assert {tamper.__name__ for tamper in TAMPERINGS} == {"edit", "delete", "insert", "swap", "truncate", "rewrite"}


def _forked(bodies, keys, wrong, size, *, with_leaves):
    """Return a log that was rewritten in one entry, and a checkpoint that was signed over it afterwards."""
    forged = list(bodies)
    forged[wrong] = body_of(random.Random(wrong))
    return told(forged), checkpoint_of(signed(forged[:size], keys, with_leaves=with_leaves), keys)


@pytest.mark.parametrize("with_leaves", [True, False])
@pytest.mark.parametrize("size", [5, 10, SIZE // 2, 30, SIZE])
@pytest.mark.parametrize("known", [0, 1, 2])
def test_a_log_that_was_forked_and_signed_anew_names_no_innocent_entry(bodies, keys, kept, known, size, with_leaves):
    lines, anew = _forked(bodies, keys, 2, size, with_leaves=with_leaves)
    for checkpoints in ([kept[known], anew], [anew, kept[known]], [*kept, anew]):
        verdict = _verify(lines, checkpoints)
        assert verdict.finding.since <= 2
        assert verdict.covered <= 2
        assert verdict.finding.number <= 2
        if verdict.finding.kind != "changed":
            assert verdict.finding.since <= 2 <= verdict.finding.last
    if size < kept[known].size or with_leaves:
        verdict = _verify(lines, [kept[known], anew])
        assert verdict.finding.kind in {"contradicting", "changed"}


def test_a_fork_is_told_whichever_log_is_shown(bodies, keys, kept):
    _, anew = _forked(bodies, keys, 25, 30, with_leaves=True)
    finding = _verify(told(bodies), [anew, *kept]).finding
    assert (finding.kind, finding.since <= 25 <= finding.last) == ("contradicting", True)
    assert "two signed histories contradict" in finding.words()[0]
    assert "相互矛盾" in finding.words()[1]


@pytest.mark.parametrize("place", [0, 17, SIZE - 1])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"\n",
        lambda _: b"[1]\n",
        lambda line: b"\xff\xfe" + line,
        lambda line: line.replace(b'"version":1', b'"version":1,"version":1'),
        lambda line: line.replace(b'{"body":{', b'{"body":{"x":' + b"[" * 100_000),
        lambda line: b'{"body":{' + b" " * verify_audit.LONGEST_LINE + b"}" + line,
        lambda line: line.replace(b"5b3e1f6e", b"00000000"),
        lambda line: line.replace(b'"number":', b'"number":99999999999999999999'),
        lambda line: line.rstrip(b"\n") + b"\r\n",
    ],
)
def test_a_line_that_is_no_entry_of_this_log_is_a_changed_one(bodies, kept, place, spoil):
    lines = [line.written() for line in told(bodies)]
    lines[place] = spoil(lines[place])
    for checkpoint in kept[:2]:
        finding = verify_audit.verify(lines, [checkpoint]).finding
        assert (finding.kind, finding.number) == ("changed", place)


@pytest.mark.parametrize("value", ["1" * 5000, "[" * 3000 + "]" * 3000])
def test_what_only_the_database_can_take_apart_breaks_no_export(database, keys, value):
    """Its check of an entry admits longer numbers and deeper nesting than Python reads: they verify by their bytes."""
    with database.session() as session:
        tenant_id, entry_id = create_tenant(session, f"deep-{uuid.uuid4().hex}"), uuid.uuid4()
    values = {"tenant": tenant_id, "id": entry_id}
    with database.session(tenant_id) as session:
        body = f'{{"id":"{entry_id}","tenant_id":"{tenant_id}","x":{value}}}'
        add = text("insert into audit_pending values (:tenant, :id, now(), 'a', 's', :body)")
        session.execute(add, {**values, "body": body})
    number_all(database)
    bodies = bodies_of(database, tenant_id)
    assert body.encode() in bodies
    checkpoint = checkpoint_of(signed(bodies, keys, with_leaves=True, tenant_id=tenant_id), keys)
    lines = [line.written() for line in told(bodies)]
    assert verify_audit.verify(lines, [checkpoint]).finding is None
    place = bodies.index(body.encode())
    for spoilt in (lines[place].replace(b'"x":', b'"y":'), lines[place].replace(b'"tenant_id"', b'"tenant_ix"')):
        finding = verify_audit.verify([*lines[:place], spoilt, *lines[place + 1 :]], [checkpoint]).finding
        assert (finding.kind, finding.number) == ("changed", place)


def test_a_checkpoint_vouches_for_nothing_by_itself(bodies, keys, tmp_path):
    """Somebody rewrites the log and signs it with a key of its own: the key's id is not the one that was noted."""
    other = SigningKeys(tmp_path / "other")
    forged = signed(bodies, other, with_leaves=True)
    with pytest.raises(UnusableError, match="not said that you trust"):
        checkpoint_of(forged, keys)
    outer = json.loads(forged)
    said = json.loads(outer["signed"])
    ours = keys.public_keys()[0]
    pretending = {
        "key": {**said, "key_id": ours.id},
        "both": {**said, "key_id": ours.id, "public_key": ours.raw.hex()},
        "size": {**json.loads(json.loads(signed(bodies, keys, with_leaves=False))["signed"]), "size": SIZE - 1},
    }
    for changed in pretending.values():
        with pytest.raises(UnusableError):
            checkpoint_of(json.dumps({**outer, "signed": json.dumps(changed)}).encode(), keys)


def test_leaf_hashes_that_are_not_the_roots_are_refused(bodies, keys):
    outer = json.loads(signed(bodies, keys, with_leaves=True))
    leaves = bytearray(base64.b64decode(outer["leaves"]))
    leaves[3] ^= 1
    for wrong in (leaves, leaves[:-1], b"", leaves + bytes(32)):
        with pytest.raises(UnusableError, match="leaf hashes"):
            checkpoint_of(json.dumps({**outer, "leaves": base64.b64encode(wrong).decode()}).encode(), keys)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"signed":1,"signature":"00"}', b'{"signed":"{}"}',
             b'{"signed":"{}","signature":"zz"}', b'{"signed":"\\ud800","signature":"00"}',
             b'{"signed":"[]","signature":"00"}', b'{"signed":"{}","signed":"{}","signature":"00"}']
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(keys, data):
    with pytest.raises(UnusableError, match="not a checkpoint"):
        checkpoint_of(data, keys)


def _run(*arguments):
    command = [sys.executable, "-I", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def outsider(bodies, keys, tmp_path):
    """Return the files of somebody who has nothing else of ours: the program, an export, a checkpoint."""
    files = [tmp_path / name for name in ("verify_audit.py", "log.ndjson.gz", "earlier.json")]
    files[0].write_bytes(SCRIPT.read_bytes())
    files[1].write_bytes(gzip.compress(b"".join(line.written() for line in told(bodies))))
    files[2].write_bytes(signed(bodies, keys, with_leaves=False))
    return files


def test_an_outsider_runs_the_one_file(outsider, keys):
    script, export, checkpoint = outsider
    done = _run(script, export, "--checkpoint", checkpoint, "--key-id", keys.public_keys()[0].id)
    assert (done.returncode, done.stderr) == (INTACT, "")
    assert "intact: entries 0 to 39" in done.stdout
    assert "完好" in done.stdout


def test_exit_status_and_words(outsider, keys, bodies, tmp_path, capsys):
    _, export, checkpoint = outsider
    good = [export, "--checkpoint", checkpoint, "--key-id", keys.public_keys()[0].id]

    def run(*arguments):
        status = verify_audit.main([str(argument) for argument in arguments])
        return (status, *capsys.readouterr())

    listed = tmp_path / "keys.json"
    listed.write_text(json.dumps({"items": [{"public_key": key.raw.hex()} for key in keys.public_keys()]}))
    assert run(*good[:3], "--keys", listed)[0] == INTACT
    status, _, unpinned = run(*good[:3])
    assert status == UNUSABLE
    assert f"--key-id {good[4]}" in unpinned
    packed = export.read_bytes()
    export.write_bytes(packed[:-40])
    assert "cut off" in run(*good)[1]
    export.write_bytes(b"".join(line.written() for line in told(bodies[:-1])))
    status, said, _ = run(*good)
    assert status == NOT_INTACT
    assert said.startswith("NOT INTACT: the log was cut off: entry 39 is missing")
    assert "不完好：日志被截断：自第 39 条记录起全部缺失" in said
    for missing in (tmp_path / "nothing", tmp_path):
        assert run(missing, *good[1:])[0] == UNUSABLE
        assert run(*good[:2], missing, *good[3:])[0] == UNUSABLE
    with pytest.raises(SystemExit) as usage:
        run(export)
    assert usage.value.code == UNUSABLE


def test_it_needs_nothing_but_the_standard_library_and_cryptography():
    code = f"import sys; sys.argv = ['x']; import runpy; runpy.run_path({str(SCRIPT)!r}); print(*sys.modules)"
    modules = {name.partition(".")[0] for name in _run("-c", code).stdout.split()}
    ours = {"service", "rfc8785", "sqlalchemy", "pydantic", "structlog"}
    assert "cryptography" in modules
    assert modules & ours == set()


def test_it_is_written_in_python_3_9():
    assert ast.parse(SCRIPT.read_text(), feature_version=(3, 9))


def test_keys_come_as_pem_or_as_the_routes_json(keys):
    (key,) = keys.public_keys()
    pem = Ed25519PublicKey.from_public_bytes(key.raw).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert verify_audit.read_keys(pem) == {key.id}
    for wrong in (b"", b"{}", b'{"items":[{"public_key":"00"}]}', b"-----BEGIN PUBLIC KEY-----", b'{"items":[]}'):
        with pytest.raises(UnusableError):
            verify_audit.read_keys(wrong)


def test_whatever_cannot_be_used_is_status_2(outsider, keys, tmp_path, monkeypatch, capsys):
    _, export, checkpoint = outsider
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    der = curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    unknown = base64.encodebytes(
        der.replace(bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f"))
    )
    file = tmp_path / "keys"
    file.write_bytes(b"-----BEGIN PUBLIC KEY-----\n" + unknown + b"-----END PUBLIC KEY-----\n")
    good = [str(export), "--checkpoint", str(checkpoint), "--key-id", keys.public_keys()[0].id]
    assert verify_audit.main([*good, "--keys", str(file)]) == UNUSABLE
    file.write_bytes(b"{" + b" " * verify_audit.LARGEST_FILE)
    assert verify_audit.main([*good, "--keys", str(file)]) == UNUSABLE
    capsys.readouterr()

    def fail(*_):
        raise ZeroDivisionError("\x1b[2J")

    monkeypatch.setattr(verify_audit, "verify", fail)
    assert verify_audit.main(good) == UNUSABLE
    said = capsys.readouterr().err
    assert "cannot be used" in said
    assert "\x1b" not in said


def test_nothing_that_is_read_steers_the_terminal():
    assert verify_audit.plain("\x1b[2J企业\x07\u202e a\n") == "\\x1b[2J企业\\x07\\u202e a\n"
