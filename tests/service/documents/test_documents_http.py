"""Documents: sealed, stored once, read within reach, and gone for good once their key is destroyed."""

import hashlib
import io
import json
import os
import uuid
import zipfile

import pytest
from http_client import make_client
from sqlalchemy import inspect, text

from features.kinds.world import DOCUMENT
from service.app import CHORES
from service.documents import use_cases
from service.documents.rules import TYPES
from service.errors import Gone
from service.identity.access import Role
from service.identity.use_cases import create_branch, tenant_id_of
from service.imports.adapters.contract import Options
from service.imports.use_cases import import_source
from service.jobs.worker import Worker
from service.kit import clock
from service.kit.keyring import KeyringError
from tests.service.observations.test_observations_http import add_firm, body

PDF = b"%PDF-1.7\n" + b"order of 40,000 fittings " * 99
DOCX, XLSX = [name for name in TYPES if "openxml" in name]


def office(member):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(member, "<x/>")
    return file.getvalue()


FILES = {
    "application/pdf": PDF,
    "image/png": b"\x89PNG\r\n\x1a\n" + bytes(9),
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(9),
    "image/tiff": b"II*\x00" + bytes(9),
    DOCX: office("word/document.xml"),
    XLSX: office("xl/workbook.xml"),
    "text/csv": "月份,销售\n2024-05,1200\n".encode("gb18030"),
    "text/plain": "走访记录".encode(),
}


@pytest.fixture
def firm_id(database, tenant):
    with database.session(tenant_id_of(tenant)) as session:
        return str(add_firm(session))


@pytest.fixture
def manager(app, database, tenant):
    return make_client(app, database, tenant, Role.RISK_MANAGER)


def upload(client, firm_id, content=PDF, media_type="application/pdf", **change):
    facts = {"document_type": "contract", "title": "2024-05 订单", "observed_on": "2024-05-31"} | change
    headers = {"Content-Type": media_type}
    return client.post(f"/v1/firms/{firm_id}/documents", content=content, params=facts, headers=headers)


@pytest.mark.parametrize("media_type", FILES)
def test_a_file_comes_back_as_it_went_in(client, firm_id, media_type):
    content = FILES[media_type]
    answer = upload(client, firm_id, content, media_type, words="四万件")
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    sha256 = hashlib.sha256(content).hexdigest()
    assert (shown["sha256"], shown["size_bytes"], shown["media_type"]) == (sha256, len(content), media_type)
    (about,) = shown["about"]
    assert (about["firm_id"], about["title"], about["words"]) == (firm_id, "2024-05 订单", "四万件")
    assert client.get(f"/v1/documents/{sha256}").json() == shown
    file = client.get(f"/v1/documents/{sha256}/content")
    assert file.content == content
    assert file.headers["content-type"] == media_type
    assert file.headers["x-content-type-options"] == "nosniff"
    suffix = TYPES[media_type].suffix
    assert file.headers["content-disposition"] == f'attachment; filename="{sha256[:16]}.{suffix}"'


@pytest.mark.parametrize("declared", FILES)
def test_a_file_of_another_type_than_it_is_said_to_be(client, firm_id, declared):
    for actual, content in FILES.items():
        if actual != declared and not {actual, declared} <= {"text/csv", "text/plain"}:
            answer = upload(client, firm_id, content, declared)
            assert answer.status_code == 422, (declared, actual)
            assert answer.json()["errors"][0]["reason_zh"] == f"文件不是 {TYPES[declared].suffix} 格式"


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"media_type": "image/svg+xml"}, 415),
        ({"media_type": "text/html"}, 415),
        ({"content": b""}, 422),
        ({"document_type": "poem"}, 422),
        ({"observed_on": "2999-01-01"}, 422),
        ({"known_on": "2024-05-30"}, 422),
        ({"title": "11010519491231002X"}, 422),
        ({"words": "x" * 2001}, 422),
    ],
)
def test_what_is_refused_leaves_nothing(client, database, tenant, firm_id, options, status):
    assert upload(client, firm_id, **options).status_code == status
    with database.session(tenant_id_of(tenant)) as session:
        assert session.execute(text("select count(*) from document_file")).scalar_one() == 0
        assert session.execute(text("select count(*) from document_observation")).scalar_one() == 0


def test_a_document_may_be_longer_than_other_bodies_and_not_too_long(app, client, firm_id):
    at_most = app.state.settings.max_document_bytes
    whole = PDF + b"," * (at_most - len(PDF))
    assert at_most > app.state.settings.max_body_bytes
    assert upload(client, firm_id, whole).status_code == 201
    assert upload(client, firm_id, whole + b",").status_code == 413


def test_the_same_file_is_stored_once_for_whichever_firm(database, tenant, client, app, firm_id):
    with database.session(tenant_id_of(tenant)) as session:
        second = str(add_firm(session, "F000456"))
    before = len(_keys(app, tenant))
    for firm in (firm_id, firm_id, second):
        assert upload(client, firm).status_code == 201
    assert {about["firm_id"] for about in upload(client, firm_id).json()["about"]} == {firm_id, second}
    with database.session(tenant_id_of(tenant)) as session:
        assert session.execute(text("select count(*) from document_file")).scalar_one() == 1
        assert session.execute(text("select count(*) from document_observation")).scalar_one() == 2
    assert len(_keys(app, tenant)) == before + 1


def _keys(app, tenant):
    return list((app.state.keyring.folder / "documents" / str(tenant_id_of(tenant))).glob("*/*.key"))


def test_the_same_bytes_are_of_one_type(client, firm_id):
    content = FILES["text/csv"]
    assert upload(client, firm_id, content, "text/csv").status_code == 201
    answer = upload(client, firm_id, content, "text/plain")
    assert answer.status_code == 409
    assert "kept as text/csv" in answer.json()["detail"]


def test_the_database_holds_nothing_that_can_be_read(database, tenant, client, firm_id):
    upload(client, firm_id)
    with database.session(tenant_id_of(tenant)) as session:
        (parts,) = session.execute(text("select parts from document_file")).one()
    assert b"fittings" not in b"".join(parts)


def test_reach_is_that_of_the_firms_it_is_about(app, database, tenant, client, firm_id):
    sha256 = upload(client, firm_id).json()["sha256"]
    with database.session(tenant_id_of(tenant)) as session:
        branch_id = create_branch(session, "here").id
    officer = make_client(app, database, tenant, branch_id=branch_id)
    assert officer.get(f"/v1/documents/{sha256}").status_code == 404
    assert officer.get(f"/v1/documents/{sha256}/content").status_code == 404
    assert upload(officer, firm_id).status_code == 404
    named = {"kind": "document", "firm_id": firm_id}
    assert officer.post("/v1/observations", named).status_code == 422
    own = officer.post("/v1/firms", {"key": "F-own", "name": "新厂", "observed_on": "2024-01-31"}).json()["id"]
    event = body("event", own, document_sha256=sha256)
    assert officer.post("/v1/observations", event).status_code == 201
    assert officer.get(f"/v1/documents/{sha256}/content").status_code == 404


def test_destroyed_is_gone_and_said_once(app, database, tenant, client, manager, firm_id):
    sha256 = upload(client, firm_id).json()["sha256"]
    path = f"/v1/documents/{sha256}/content"
    assert client.send("DELETE", path).status_code == 403
    administrator = make_client(app, database, tenant, Role.ADMINISTRATOR)
    for who in (manager, administrator):
        answer = who.send("DELETE", path)
        assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"/v1/documents/{sha256}").json()["destroyed_at"]
    answer = client.get(path)
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:clustercredit:gone")
    assert client.get(f"/v1/documents/{sha256}").json()["about"]
    assert _keys(app, tenant) == []
    with database.session(tenant_id_of(tenant)) as session:
        assert session.execute(text("select parts from document_file")).scalar_one() == []
        actions = session.execute(text("select body::json ->> 'action' from audit_pending")).scalars().all()
    assert actions.count("document.stored") == actions.count("document.destroyed") == 1
    assert upload(client, firm_id).status_code == 201
    assert client.get(path).content == PDF


def test_a_database_restored_from_before_shows_nothing(app, database, tenant, client, manager, firm_id):
    sha256 = upload(client, firm_id).json()["sha256"]
    vault, tenant_id = use_cases.vault_of(app.state.keyring), tenant_id_of(tenant)
    with database.session(tenant_id) as session:
        row = session.execute(text("select key_id, parts from document_file")).one()
    manager.send("DELETE", f"/v1/documents/{sha256}/content")
    with database.session(tenant_id) as session:
        restore = text("update document_file set destroyed_at = null, parts = :parts")
        session.execute(restore, {"parts": row.parts})
        with pytest.raises(Gone):
            use_cases.read_document(session, vault, sha256)


def test_a_key_that_is_lost_is_no_destruction(app, database, tenant, client, firm_id):
    sha256 = upload(client, firm_id).json()["sha256"]
    (key,) = _keys(app, tenant)
    content = key.read_bytes()
    key.unlink()
    assert client.get(f"/v1/documents/{sha256}/content").status_code == 503
    key.write_bytes(content)
    assert client.get(f"/v1/documents/{sha256}/content").content == PDF
    with database.session(tenant_id_of(tenant)) as session:
        session.execute(text("update document_file set parts = parts[1:0]"))
        with pytest.raises(KeyringError, match="damaged"):
            use_cases.read_document(session, use_cases.vault_of(app.state.keyring), sha256)


@pytest.mark.parametrize("damage", ["set_byte(parts[1], 20, 255 - get_byte(parts[1], 20))", "substr(parts[1], 1, 5)"])
def test_a_file_that_was_tampered_with_is_said_to_be_damaged(database, tenant, client, firm_id, damage):
    path = f"/v1/documents/{upload(client, firm_id).json()['sha256']}/content"
    with database.session(tenant_id_of(tenant)) as session:
        session.execute(text(f"update document_file set parts = array[{damage}]"))
    answer = client.get(path)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:clustercredit:keyring-unavailable")
    assert "damaged" in answer.json()["detail"]


def test_who_got_a_file_is_on_record_and_who_only_asked_is_not(database, tenant, client, manager, firm_id):
    sha256 = upload(client, firm_id).json()["sha256"]
    path = f"/v1/documents/{sha256}/content"
    client.get(f"/v1/documents/{sha256}")
    got = [who.get(path).headers["X-Request-Id"] for who in (client, manager)]
    manager.send("DELETE", path)
    assert client.get(path).status_code == 410
    with database.session(tenant_id_of(tenant)) as session:
        bodies = map(json.loads, session.scalars(text("select body from audit_pending order by recorded_at, id")))
        entries = [entry for entry in bodies if entry["action"] == "document.read"]
    assert [entry["request_id"] for entry in entries] == got
    assert {(entry["subject"], entry["after"]) for entry in entries} == {(f"document:{sha256}", sha256)}


def test_what_is_known_of_a_file_is_told_without_reading_it(database, tenant, client, firm_id):
    sha256 = upload(client, firm_id).json()["sha256"]
    with database.session(tenant_id_of(tenant)) as session:
        file = use_cases.get_document(session, sha256).file
        assert "parts" in inspect(file).unloaded
        assert len(file.parts) == 1


def test_type_and_size_are_the_files_own_whatever_a_row_says(database, tenant, client, firm_id, tmp_path):
    sha256 = upload(client, firm_id).json()["sha256"]
    change = {"media_type": "text/plain", "size_bytes": "1", "observed_on": "2024-06-30", "known_on": "2024-06-30"}
    _import_row(database, tenant, tmp_path, sha256=sha256, **change)
    shown = client.get(f"/v1/documents/{sha256}").json()
    assert [row["observed_on"] for row in shown["about"]] == ["2024-06-30", "2024-05-31"]
    assert (shown["media_type"], shown["size_bytes"]) == ("application/pdf", len(PDF))


def _import_row(database, tenant, folder, **change):
    path = folder / "documents.csv"
    values = {column.name: column.example for column in DOCUMENT.columns} | change
    path.write_text(f"{','.join(values)}\n{','.join(chr(34) + value + chr(34) for value in values.values())}\n")
    with database.session(tenant_id_of(tenant)) as session:
        assert import_source(session, "document", path, Options(today=clock.today())).added == 1


def test_a_hash_without_a_file(database, tenant, client, manager, firm_id, tmp_path):
    sha256 = "0" * 64
    _import_row(database, tenant, tmp_path, sha256=sha256)
    shown = client.get(f"/v1/documents/{sha256}").json()
    assert (shown["stored_at"], shown["about"][0]["firm_id"]) == (None, firm_id)
    assert client.get(f"/v1/documents/{sha256}/content").status_code == 404
    assert manager.send("DELETE", f"/v1/documents/{sha256}/content").status_code == 404


def test_sweeping_destroys_what_no_living_file_goes_with(app, database, tenant, client, manager, firm_id, monkeypatch):
    vault, tenant_id = use_cases.vault_of(app.state.keyring), tenant_id_of(tenant)
    kept = upload(client, firm_id).json()["sha256"]
    broken_off = upload(client, firm_id, FILES["image/png"], "image/png").json()["sha256"]
    with monkeypatch.context() as patch:
        patch.setattr(use_cases, "_forget", lambda *_: None)
        assert manager.send("DELETE", f"/v1/documents/{broken_off}/content").status_code == 204
    vault.keys.create(tenant_id, uuid.uuid4())
    assert len(_keys(app, tenant)) == 3
    old = (clock.now() - 2 * use_cases.ABANDONED).timestamp()
    for key in _keys(app, tenant):
        os.utime(key, (old, old))
    assert use_cases.sweep(database, vault) >= 2
    assert len(_keys(app, tenant)) == 1
    assert client.get(f"/v1/documents/{kept}/content").content == PDF
    with database.session(tenant_id) as session:
        states = session.execute(text("select sha256, destroyed_at is null from document_file")).all()
    assert {sha256.hex(): is_kept for sha256, is_kept in states} == {kept: True, broken_off: False}


def test_a_worker_finishes_a_destruction_and_leaves_keys_of_files_it_does_not_know(
    app, database, tenant, client, manager, firm_id, monkeypatch
):
    kept = upload(client, firm_id).json()["sha256"]
    broken_off = upload(client, firm_id, FILES["image/png"], "image/png").json()["sha256"]
    with monkeypatch.context() as patch:
        patch.setattr(use_cases, "_forget", lambda *_: None)
        assert manager.send("DELETE", f"/v1/documents/{broken_off}/content").status_code == 204
    vault, tenant_id = use_cases.vault_of(app.state.keyring), tenant_id_of(tenant)
    vault.keys.create(tenant_id, unknown := uuid.uuid4())
    old = (clock.now() - 2 * use_cases.ABANDONED).timestamp()
    for key in _keys(app, tenant):
        os.utime(key, (old, old))
    Worker(database, app.state.settings, {}, chores=CHORES).tidy()
    assert client.get(f"/v1/documents/{kept}/content").content == PDF
    assert len(_keys(app, tenant)) == 2
    assert vault.keys.has(tenant_id, unknown)
    assert len(list(vault.keys.destroyed(tenant_id))) == 1


def test_sending_a_file_again_finishes_its_destruction_first(app, tenant, client, manager, firm_id, monkeypatch):
    sha256 = upload(client, firm_id).json()["sha256"]
    (first,) = _keys(app, tenant)
    with monkeypatch.context() as patch:
        patch.setattr(use_cases, "_forget", lambda *_: None)
        assert manager.send("DELETE", f"/v1/documents/{sha256}/content").status_code == 204
    assert upload(client, firm_id).status_code == 201
    (second,) = _keys(app, tenant)
    assert second != first
    assert client.get(f"/v1/documents/{sha256}/content").content == PDF
