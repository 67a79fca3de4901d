"""A firm's credit history: complete, signed, proven, and no part of it can be changed."""

import json
import struct
import uuid
from dataclasses import replace
from datetime import date
from hashlib import sha256

import pytest
from http_client import make_client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.audit import merkle, verify_audit
from service.audit.sequencer import number_all
from service.identity.access import Role
from service.statements import router
from tests.contracts.world import FIRST, PRODUCT, SECOND, add_bank

PROVEN = {"scores", "entries", "root", "firm", "tenant", "tenant_id"}


@pytest.fixture(scope="module")
def home(database, keyring):
    owners = add_bank(database, keyring, "bank", f"bank-{uuid.uuid4().hex[:8]}")
    number_all(database)
    return owners["bank home"]


@pytest.fixture(scope="module")
def officer(app, database, home):
    return make_client(app, database, home.tenant, Role.RISK_MANAGER)


@pytest.fixture(scope="module")
def statement(officer, home):
    answer = officer.get(f"/v1/firms/{home['firm']}/statement")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def trusted(app):
    return {app.state.signing_keys.signer().public.id}


def test_it_holds_what_is_on_record_and_is_proven(database, trusted, officer, home):
    number_all(database)
    statement = officer.get(f"/v1/firms/{home['firm']}/statement").json()
    proven = verify_audit.verify_statement(json.dumps(statement).encode(), trusted)
    said = proven.said
    assert said == json.loads(statement["signed"])
    assert proven.kept is None
    listed = officer.get(f"/v1/firms/{home['firm']}/scores").json()["items"]
    assert [score["shown"]["id"] for score in said["scores"]] == [score["id"] for score in listed]
    assert {score["shown"]["as_of"] for score in said["scores"]} >= {FIRST.isoformat(), SECOND.isoformat()}
    for shown, score in zip((score["shown"] for score in said["scores"]), listed, strict=True):
        assert (shown["grade"], shown["pd"], shown["model_version"]) == (
            score["grade"],
            score["pd"],
            score["model_version"],
        )
    assert said["firm"]["key"] == "E-home"
    assert [loan["loan_id"] for loan in said["loans"]]
    assert said["repayments"]
    assert (said["more_scores"], said["unproven_scores"]) == (False, 0)
    assert {frozenset(score["texts"]) for score in said["scores"]} == {frozenset(["reasons"])}


def test_that_it_was_made_is_on_record(officer, home, database):
    statement = officer.get(f"/v1/firms/{home['firm']}/statement", product=PRODUCT).json()
    number_all(database)
    (newest, *_) = officer.get("/v1/audit/entries", subject=f"firm:{home['firm']}").json()["items"]
    assert newest["action"] == "statement.made"
    assert newest["after"] == sha256(statement["signed"].encode()).hexdigest()


def test_of_a_score_whose_entry_has_no_number_yet_it_says_to_come_back(officer, home, database):
    score = {"firm_id": home["firm"], "product": PRODUCT, "as_of": date(2024, 9, 30).isoformat()}
    assert officer.post("/v1/scores", score).status_code == 201
    answer = officer.get(f"/v1/firms/{home['firm']}/statement")
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (202, "1", {"state": "pending"})
    number_all(database)
    assert officer.get(f"/v1/firms/{home['firm']}/statement").status_code == 200


def test_what_is_signed_is_the_log_that_was_checked(app, officer, home, database, monkeypatch):
    """It grows while the statement is made: what came after the check is in no proof, and a score of then must wait."""
    number_all(database)
    check, checked = router.check_signable, []

    def check_and_grow(session, keys, tenant_id):
        checked.append(check(session, keys, tenant_id))
        officer.post("/v1/scores", {"firm_id": home["firm"], "product": PRODUCT, "as_of": f"2024-10-{len(checked):02}"})
        number_all(database)
        return checked[-1]

    monkeypatch.setattr(router, "check_signable", check_and_grow)
    path = f"/v1/firms/{home['firm']}/statement"
    assert officer.get(path).status_code == 202
    said = json.loads(officer.get(path, product="relationship").json()["signed"])
    assert (said["size"], said["root"]) == (checked[-1].head.size, checked[-1].head.root.hex())
    monkeypatch.undo()
    assert officer.get(path).status_code == 200


def test_only_so_many_and_only_of_a_product(officer, home, trusted):
    path = f"/v1/firms/{home['firm']}/statement"
    two = json.loads(officer.get(path, limit=2).json()["signed"])
    assert len(two["scores"]) == 2
    assert (two["limit"], two["more_scores"]) == (2, True)
    plain = officer.get(path, with_reasons="false").json()
    assert [score["texts"] for score in json.loads(plain["signed"])["scores"]][:2] == [{}, {}]
    verify_audit.verify_statement(json.dumps(plain).encode(), trusted)
    none = officer.get(path, product="relationship").json()
    assert json.loads(none["signed"])["scores"] == []
    verify_audit.verify_statement(json.dumps(none).encode(), trusted)


def _leaves(value, path=()):
    """Yield the path of every text and number of a document."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, (*path, name))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _leaves(part, (*path, place))
    elif value is not None:
        yield path


def _changed(said, path):
    copy = json.loads(json.dumps(said))
    part = copy
    for step in path[:-1]:
        part = part[step]
    old = part[path[-1]]
    if isinstance(old, str):
        part[path[-1]] = old[:-1] + ("0" if old[-1:] != "0" else "1")
    else:
        part[path[-1]] = (not old) if isinstance(old, bool) else old + 1
    return copy


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_it_can_be_changed(statement, trusted, data):
    place = data.draw(st.integers(0, len(statement["signed"]) - 1))
    other = "x" if statement["signed"][place] != "x" else "y"
    text = statement["signed"][:place] + other + statement["signed"][place + 1 :]
    forged = json.dumps({**statement, "signed": text}).encode()
    with pytest.raises((verify_audit.ForgedError, verify_audit.UnusableError)):
        verify_audit.verify_statement(forged, trusted)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_bank_that_signs_anew_cannot_change_a_score(statement, trusted, app, data):
    """Whoever has the signing key can say what it likes of loans, but of scores only what its root holds."""
    said = json.loads(statement["signed"])
    path = data.draw(st.sampled_from([path for path in _leaves(said) if path[0] in PROVEN]))
    if path[-1] in {"model_version", "name"}:
        return
    signed = json.dumps(_changed(said, path)).encode()
    signature = app.state.signing_keys.signer().sign(signed).hex()
    with pytest.raises(verify_audit.ForgedError):
        verify_audit.verify_statement(json.dumps({"signed": signed.decode(), "signature": signature}).encode(), trusted)


@pytest.fixture(scope="module")
def kept(officer, trusted):
    """Return a checkpoint of now."""
    made = officer.post("/v1/audit/checkpoints").json()
    file = json.dumps({name: made[name] for name in ("signed", "signature")}).encode()
    return verify_audit.read_checkpoint(file, trusted)


def test_a_kept_checkpoint_binds_the_log_that_it_names(officer, home, database, app, trusted, kept):
    """A bank that writes its whole log anew, signs it, and proves a score by it, is found out."""
    number_all(database)
    path = f"/v1/firms/{home['firm']}/statement"
    statement = officer.get(path, **{"from": kept.size}).json()
    proven = verify_audit.verify_statement(json.dumps(statement).encode(), trusted, [kept])
    assert proven.kept == kept
    assert any(line.startswith("日志以您的检查点") for line in verify_audit.say_statement(proven))
    forged = _forged_log(json.loads(statement["signed"]), kept.size)
    signed = json.dumps(forged).encode()
    signature = app.state.signing_keys.signer().sign(signed).hex()
    file = json.dumps({"signed": signed.decode(), "signature": signature}).encode()
    assert verify_audit.verify_statement(file, trusted).said["scores"][0]["shown"]["pd"] == 0.0003
    with pytest.raises(verify_audit.ForgedError, match="history was rewritten"):
        verify_audit.verify_statement(file, trusted, [kept])
    other = replace(kept, size=kept.size + 10_000)
    with pytest.raises(verify_audit.UnusableError, match="from=<size>"):
        verify_audit.verify_statement(json.dumps(statement).encode(), trusted, [other])
    assert officer.get(path, **{"from": 10**6}).status_code == 422


def _forged_log(said, size):
    """Return a statement whose first score is another one, proven by a log of one entry that was made for it."""
    score, entry = said["scores"][0], said["entries"][said["scores"][0]["entry"]]
    row = bytearray.fromhex(score["row"])
    row[112:120] = struct.pack("<d", 0.0003)
    leaf = merkle.leaf_hash(bytes(row))
    body = json.loads(entry["body"])
    body["after"], body["facts"]["count"] = leaf.hex(), 1
    written = json.dumps(body)
    shown = {**score["shown"], "pd": 0.0003}
    fake = {**score, "row": row.hex(), "index": 0, "size": 1, "path": [], "entry": 0, "shown": shown}
    entries = [{"body": written, "number": 0, "path": []}]
    root = merkle.leaf_hash(written.encode()).hex()
    return {
        **said,
        "scores": [fake],
        "entries": entries,
        "size": 1,
        "root": root,
        "earlier": {"size": size, "path": []},
    }


@given(st.integers(1, 40), st.integers(1, 40))
def test_its_check_of_growth_is_that_of_the_log(one, other):
    old, new = sorted((one, other))
    leaves = [merkle.leaf_hash(bytes([n])) for n in range(new)]
    roots = merkle.root(leaves[:old]), merkle.root(leaves)
    spans = merkle.consistency_spans(old, new) if old < new else []
    path = [merkle.root(leaves[span.start : span.stop]) for span in spans]
    assert verify_audit.grew_from(old, new, *roots, path)
    assert not verify_audit.grew_from(old, new, roots[0], bytes(32), path)
    assert not verify_audit.grew_from(old, new, bytes(32), roots[1], path)
    assert not verify_audit.grew_from(old, new, *roots, [*path, bytes(32)])


@pytest.mark.parametrize("is_of_row", [True, False])
def test_a_changed_score_or_leaf_is_refused_and_not_signed(officer, home, database, is_of_row):
    path = f"/v1/firms/{home['firm']}/statement"
    score_id = officer.get(f"/v1/firms/{home['firm']}/scores").json()["items"][-1]["id"]
    with database.engine.connect() as connection:
        row = connection.execute(text("select pd, batch_id from score where id = :id"), {"id": score_id}).one()
        query = text("select leaves from score_batch where id = :batch")
        leaves = connection.scalar(query, {"batch": row.batch_id})

    def act(pd, leaves):
        with database.engine.begin() as connection:
            connection.execute(text("set local session_replication_role = replica"))
            connection.execute(text("update score set pd = :pd where id = :id"), {"pd": pd, "id": score_id})
            values = {"leaves": leaves, "batch": row.batch_id}
            connection.execute(text("update score_batch set leaves = :leaves where id = :batch"), values)

    act(0.5 if is_of_row else row.pd, leaves if is_of_row else leaves[:-1] + bytes([leaves[-1] ^ 1]))
    try:
        assert officer.get(path).status_code == 409
    finally:
        act(row.pd, leaves)
    assert officer.get(path).status_code == 200


def test_the_program_says_what_it_finds(statement, trusted, tmp_path, capsys):
    path = tmp_path / "statement.json"
    path.write_text(json.dumps(statement), encoding="utf-8")
    (key,) = trusted
    assert verify_audit.main(["--statement", str(path), "--key-id", key]) == verify_audit.INTACT
    said = capsys.readouterr().out
    assert "intact: signed at" in said
    assert "完好" in said
    assert "grade 等级" in said
    path.write_text(json.dumps({**statement, "signature": "00" * 64}), encoding="utf-8")
    assert verify_audit.main(["--statement", str(path), "--key-id", key]) == verify_audit.NOT_INTACT
    assert "NOT INTACT: the signature is wrong" in capsys.readouterr().out
    assert verify_audit.main(["--statement", str(path), "--key-id", "00" * 32]) == verify_audit.UNUSABLE
    assert verify_audit.main([str(path), "--checkpoint", str(path), "--key-id", key]) == verify_audit.UNUSABLE
    path.write_text("{}", encoding="utf-8")
    assert verify_audit.main(["--statement", str(path), "--key-id", key]) == verify_audit.UNUSABLE
