"""The audit log over HTTP: entries, proofs, checkpoints and keys of one's own organisation."""

import json
import uuid

import pytest
from http_client import make_client

from service.audit import merkle, use_cases, verify_audit
from service.audit.sequencer import number_all
from service.identity.access import Role
from service.identity.use_cases import create_tenant, tenant_id_of
from tests.service.audit.tampering import told


@pytest.fixture
def auditor(app, database, tenant):
    return make_client(app, database, tenant, Role.ADMINISTRATOR)


@pytest.fixture
def entries(auditor, database):
    """Return the log's entries after some changes, all numbered, the newest first."""
    for n in range(5):
        assert auditor.post("/v1/branches", {"name": f"branch {n}"}).is_success
    number_all(database)
    return auditor.get("/v1/audit/entries").json()["items"]


def test_who_did_what_to_what_and_when(auditor, database):
    answer = auditor.post("/v1/branches", {"name": "here"})
    branch = answer.json()["id"]
    number_all(database)
    (entry,) = auditor.get("/v1/audit/entries", subject=f"branch:{branch}").json()["items"]
    me = auditor.get("/v1/me").json()
    assert (entry["action"], entry["actor"]) == ("branch.inserted", me["name"])
    assert entry["request_id"] == answer.headers["X-Request-Id"]
    assert (entry["before"], len(entry["after"]), entry["facts"]) == (None, 64, {})
    assert entry["leaf"] == merkle.leaf_hash(entry["body"].encode()).hex()
    assert json.loads(entry["body"])["at"][:19] == entry["recorded_at"][:19]
    assert auditor.get(f"/v1/audit/entries/{entry['id']}").json() == entry
    assert "here" not in entry["body"]


def test_pages_and_filters(auditor, entries):
    assert [entry["number"] for entry in entries] == list(range(len(entries)))[::-1]
    page, seen = auditor.get("/v1/audit/entries", limit=2).json(), []
    while page["next"]:
        seen += page["items"]
        page = auditor.get("/v1/audit/entries", limit=2, cursor=page["next"]).json()
    assert seen + page["items"] == entries
    actor = entries[0]["actor"]
    assert [e["actor"] for e in auditor.get("/v1/audit/entries", actor=actor).json()["items"]] == [actor] * 5
    at = entries[2]["recorded_at"]
    later = auditor.get("/v1/audit/entries", **{"from": at}).json()["items"]
    earlier = auditor.get("/v1/audit/entries", to=at).json()["items"]
    assert later + earlier == entries
    assert later == entries[:3]
    for wrong in ({"from": "2026-11-27"}, {"to": "1764201600"}, {"from": "2026-11-27T00:00:00"}, {"cursor": "W10"}):
        assert auditor.get("/v1/audit/entries", **wrong).status_code == 422, wrong


def test_an_entry_without_a_number_is_there_and_its_proof_is_202(auditor, database, tenant):
    with database.session(tenant_id_of(tenant)) as session:
        entry_id = use_cases.append(session, "test", "s")
    shown = auditor.get(f"/v1/audit/entries/{entry_id}").json()
    assert (shown["number"], shown["leaf"], shown["action"]) == (None, None, "test")
    answer = auditor.get(f"/v1/audit/entries/{entry_id}/proof")
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
    assert answer.json() == {"id": str(entry_id), "state": "pending"}
    number_all(database)
    answer = auditor.get(f"/v1/audit/entries/{entry_id}/proof")
    assert answer.status_code == 200
    assert answer.json()["number"] == answer.json()["size"] - 1
    assert auditor.get(f"/v1/audit/entries/{uuid.uuid4()}/proof").status_code == 404


def test_proofs_lead_to_the_signed_root(auditor, entries):
    checkpoint = auditor.post("/v1/audit/checkpoints").json()
    size, root = checkpoint["size"], bytes.fromhex(checkpoint["root"])
    assert size == len(entries)
    leaves = [bytes.fromhex(entry["leaf"]) for entry in reversed(entries)]
    for entry in entries:
        proof = auditor.get(f"/v1/audit/entries/{entry['id']}/proof", size=size).json()
        path = [bytes.fromhex(part) for part in proof["path"]]
        assert proof["root"] == checkpoint["root"]
        assert merkle.verify_inclusion(bytes.fromhex(entry["leaf"]), proof["number"], size, path, root)
    for old in range(1, size + 1):
        proof = auditor.get("/v1/audit/consistency", **{"from": old, "to": size}).json()
        path = [bytes.fromhex(part) for part in proof["path"]]
        assert proof["from_root"] == merkle.root(leaves[:old]).hex()
        assert merkle.verify_consistency(old, size, merkle.root(leaves[:old]), root, path)
    first = entries[-1]["id"]
    assert auditor.get(f"/v1/audit/entries/{first}/proof", size=10**6).status_code == 422
    assert auditor.get(f"/v1/audit/entries/{entries[0]['id']}/proof", size=1).status_code == 422
    assert auditor.get("/v1/audit/consistency", **{"from": 10**6}).status_code == 422
    assert auditor.get("/v1/audit/consistency", **{"from": 2, "to": 1}).status_code == 422


def test_what_a_route_gives_an_outsider_can_verify(auditor, entries, database, tenant):
    checkpoint = auditor.post("/v1/audit/checkpoints", key="once").json()
    assert auditor.post("/v1/audit/checkpoints", key="once").json() == checkpoint
    assert auditor.get("/v1/audit/checkpoints").json()["items"][0] == checkpoint
    keys = auditor.get("/v1/audit/keys").content
    kept = verify_audit.read_checkpoint(json.dumps(checkpoint).encode(), verify_audit.read_keys(keys))
    lines = [line.written() for line in told([entry["body"].encode() for entry in reversed(entries)])]
    assert verify_audit.verify(lines, [kept]).finding is None
    number_all(database)
    with database.session(tenant_id_of(tenant)) as session:
        exported = list(use_cases.export(session))
    assert exported[: len(lines)] == lines
    asked = json.loads(exported[-1])["body"]
    assert (asked["action"], asked["facts"]) == ("audit_checkpoint.signed", {"size": len(lines)})
    verdict = verify_audit.verify(exported, [kept])
    assert (verdict.finding, verdict.covered, verdict.entries) == (None, len(lines), len(exported))


def test_an_organisation_sees_its_own_log_only(app, database, auditor, entries):
    other = f"other-{uuid.uuid4().hex}"
    with database.session() as session:
        create_tenant(session, other)
    stranger = make_client(app, database, other, Role.RISK_MANAGER)
    number_all(database)
    for entry in entries:
        assert stranger.get(f"/v1/audit/entries/{entry['id']}").status_code == 404
        assert stranger.get(f"/v1/audit/entries/{entry['id']}/proof").status_code == 404
    theirs = stranger.get("/v1/audit/entries").json()["items"]
    assert {entry["id"] for entry in theirs} & {entry["id"] for entry in entries} == set()
    assert theirs[-1]["action"] == "tenant.inserted"
