"""The command line, as typed, on the tests' database."""

import hashlib
import json
import re
import subprocess
import sys
import time
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_client import Browser, make_client
from sqlalchemy import text
from typer.testing import CliRunner

from service.app import create_app
from service.audit import use_cases as audit
from service.audit.sequencer import number_all
from service.cli import app as app_of_commands
from service.identity.use_cases import tenant_id_of
from service.kit import migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgresError
from service.rescoring import use_cases
from service.settings import Settings
from tests.service.rescoring.house import FIRST, PRODUCT, make_bank


@pytest.fixture
def run(database, tenant, monkeypatch, tmp_path):
    monkeypatch.setenv("CLUSTERCREDIT_DATABASE_URL", database.url.replace("+psycopg", ""))
    monkeypatch.setenv("CLUSTERCREDIT_TENANT", tenant)
    monkeypatch.setenv("CLUSTERCREDIT_LOCAL_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("service.cli.runtime.Database", lambda *_: database)

    def call(*arguments, code=0, typed=None):
        result = CliRunner().invoke(app_of_commands, list(arguments), input=typed)
        assert result.exit_code == code, (result.output, result.exception)
        return result.output

    return call


def test_help_shows_examples(run):
    assert "Example: clustercredit import cumcm2020c" in run("import", "--help")
    for command in (
        "serve",
        "migrate",
        "train",
        "rescore",
        "runs",
        "grades",
        "card",
        "promote",
        "features",
        "demo",
        "db",
        "key",
        "user",
        "person",
        "document",
        "audit",
    ):
        assert command in run("--help")
        assert run(command, "--help")


def test_a_document_is_stored_and_named_by_its_hash(run, tmp_path):
    firms, path = tmp_path / "firms.csv", tmp_path / "order.PDF"
    firms.write_text("firm_id,observed_on,name\nE1,2024-01-01,甲\n")
    run("import", "firm", str(firms))
    path.write_bytes(b"%PDF-1.7 order")
    options = ("--type", "contract", "--observed-on", "2024-05-31")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert run("document", "add", "E1", str(path), *options).strip() == digest
    assert run("document", "add", "E1", str(path), *options, "--title", "Order").strip() == digest
    assert len(list((tmp_path / "keyring" / "documents").glob("*/*/*.key"))) == 1
    assert "0 keys" in run("document", "sweep")
    path.write_bytes(b"PK no PDF")
    words = str(_failure("document", "add", "E1", str(path), *options))
    assert "the file is no pdf file; give the file itself" in words.lower()
    assert "命令行用文件名后缀" in words
    assert "body" not in words
    for kind, is_told in (("document", True), ("firm", False)):
        output = run("export", kind, str(tmp_path / f"{kind}-out.csv"))
        assert ("not in here: GET /v1/documents/{sha256}/content" in output) is is_told
        assert ("文件本身不在导出之列" in output) is is_told
    assert "--type is one of" in run("document", "add", "E1", str(path), "--type", "poem", code=2)
    assert "name ends in" in run("document", "add", "E1", str(tmp_path), "--type", "photo", code=2)
    run("document", "add", "E2", str(path), *options, code=1)


def test_import_names_what_it_did(run, tmp_path):
    path = tmp_path / "firms.csv"
    path.write_text("firm_id,observed_on,name\nE1,2024-01-01,甲\nE2,2024-13-01,乙\n")
    output = run("import", "firm", str(path))
    assert "rejected: firms.csv, line 3, observed_on '2024-13-01': there is no such day" in output
    rejects = next((tmp_path / "rejects").glob("firm-*.csv")).read_text(encoding="utf-8-sig")
    assert rejects.splitlines()[1].startswith("firms.csv,3,observed_on,2024-13-01,")
    assert "cumcm2020c" in run("import", "--list")


def test_an_import_is_an_entry_by_its_files_content(run, tmp_path, database, tenant):
    path = tmp_path / "E-110105491231002.csv"
    path.write_text("firm_id,observed_on,name\nE1,2024-01-01,甲\nE2,2024-13-01,乙\n")
    for _ in range(2):
        run("import", "firm", str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    number_all(database)
    with database.session(tenant_id_of(tenant)) as session:
        entries = [json.loads(line)["body"] for line in audit.export(session)]
    again, first = [e for e in entries[::-1] if e["subject"] == f"import:{digest}"]
    counts = {"read": 2, "rejected": 1, "repeated": 0, "kind": "firm", "file": None}
    assert first["facts"] == {**counts, "added": 1, "already_known": 0}
    assert again["facts"] == {**counts, "added": 0, "already_known": 1}
    assert (first["after"], first["actor"][:4]) == (digest, "cli:")


def _assert_handed_over(database, tenant, key_id):
    """The log says that the key was turned, and the old key vouches for the new one."""
    number_all(database)
    with database.session(tenant_id_of(tenant)) as session:
        bodies = [json.loads(line)["body"] for line in audit.export(session)]
    (facts,) = [body["facts"] for body in bodies if body["action"] == "audit_key.rotated"]
    said = json.loads(facts["signed"])
    assert (facts["key_id"], said["key_id"], said["new_key_id"]) == (key_id, key_id, facts["new_key_id"])
    assert hashlib.sha256(bytes.fromhex(said["new_public_key"])).hexdigest() == facts["new_key_id"]
    old = Ed25519PublicKey.from_public_bytes(bytes.fromhex(said["public_key"]))
    old.verify(bytes.fromhex(facts["signature"]), facts["signed"].encode())


def test_an_audit_log_is_exported_signed_and_verified(run, tmp_path, database, tenant):
    """As an outsider would: with the files that the commands write, and the program that one of them writes."""
    export, kept, script = (str(tmp_path / name) for name in ("log.ndjson.gz", "kept.json", "verify_audit.py"))
    run("key", "create", "--name", "a clerk", "--role", "batch")
    assert "no checkpoint to verify against" in run("audit", "verify", code=2)
    assert not (tmp_path / "signing").exists()
    signed = run("audit", "checkpoint", "--out", kept, "--with-leaves")
    key_id = re.search(r"key ([0-9a-f]{64})", signed)[1]
    number_all(database)
    assert "entries in" in run("audit", "export", "--out", export)
    run("audit", "verifier", "--out", script)
    command = [sys.executable, "-I", script, export, "--checkpoint", kept, "--key-id", key_id]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "intact" in run("audit", "verify", "--checkpoint", kept)
    for overwritten in (("checkpoint", "--out", kept), ("export", "--out", export)):
        assert "is there already" in str(_failure("audit", *overwritten))
    for unusable in (export, str(tmp_path / "nothing")):
        assert "Error" in run("audit", "verify", "--checkpoint", unusable, code=2)
    assert key_id not in run("audit", "rotate-key")
    _assert_handed_over(database, tenant, key_id)
    assert "intact" in run("audit", "verify", "--checkpoint", kept)
    of_tenant = {"tenant": tenant_id_of(tenant)}
    with database.engine.begin() as connection:
        rubbish = "insert into audit_checkpoint values (:tenant, gen_random_uuid(), now(), 1, '', '', '{}', '')"
        connection.execute(text(rubbish), of_tenant)
    output = run("audit", "verify", "--checkpoint", kept, code=1)
    assert "intact: entries 0 to" in output
    assert "NOT INTACT: the database's checkpoint" in output
    with database.engine.begin() as connection:
        connection.execute(text("delete from audit_checkpoint where signed = '{}'"))
    with database.engine.begin() as connection:
        connection.execute(text("update audit_node set hash = '' where level = 1 and tenant_id = :tenant"), of_tenant)
    assert "kept hashes of the tree are wrong" in run("audit", "verify", code=1)
    with database.engine.begin() as connection:
        edit = "update audit_entry set body = replace(body, 'a', 'b') where number = 1 and tenant_id = :tenant"
        connection.execute(text(edit), of_tenant)
    assert "NOT INTACT: entry 1 was changed" in run("audit", "verify", code=1)


def test_what_cannot_be_verified_is_not_called_damaged(run, tmp_path, monkeypatch):
    kept = str(tmp_path / "kept.json")
    run("audit", "checkpoint", "--out", kept)
    away = Database("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1")

    def fail(*_):
        raise EmbeddedPostgresError("it does not start")

    for broken in (lambda _: away, fail):
        monkeypatch.setattr("service.cli.audit.open_database", broken)
        assert "Error: " in run("audit", "verify", "--checkpoint", kept, code=2)


@pytest.mark.parametrize("name", ["log.ndjson", "log.ndjson.gz"])
def test_an_export_that_breaks_off_leaves_no_file(run, tmp_path, monkeypatch, name):
    run("key", "create", "--name", "a clerk", "--role", "batch")
    out, as_it_is = tmp_path / "out" / name, audit.export
    out.parent.mkdir()

    def break_off(session):
        yield b"{}\n"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit, "export", break_off)
    assert "No space left" in str(_failure("audit", "export", "--out", str(out)))
    assert list(out.parent.iterdir()) == []

    def overtake(session):
        out.write_text("kept")
        yield from as_it_is(session)

    monkeypatch.setattr(audit, "export", overtake)
    assert "is there already" in str(_failure("audit", "export", "--out", str(out)))
    assert [path.read_text() for path in out.parent.iterdir()] == ["kept"]


def test_serving_numbers_the_audit_log(run, database, tenant, keyring, monkeypatch):
    monkeypatch.setenv("CLUSTERCREDIT_KEYRING_DIR", str(keyring.folder))
    numbered = []

    def serve(*_):
        with database.session(tenant_id_of(tenant)) as session:
            entry = audit.append(session, "test", "s")
        until = time.monotonic() + 20
        while not numbered and time.monotonic() < until:
            time.sleep(0.05)
            with database.session(tenant_id_of(tenant)) as session:
                proof = audit.prove_inclusion(session, entry, None)
            numbered.extend([] if proof is None else [proof])

    monkeypatch.setenv("CLUSTERCREDIT_LOG_LEVEL", "ERROR")
    monkeypatch.setattr("service.cli.database.check_port", lambda *_: None)
    monkeypatch.setattr("service.cli.database.server.run", serve)
    monkeypatch.setenv("CLUSTERCREDIT_SIGNING_DIR", str(keyring.folder / "signing"))  # it signs every tenant's log
    run("serve", "--port", "0")
    assert numbered


def _failure(*arguments):
    return CliRunner().invoke(app_of_commands, list(arguments)).exception


def test_features_are_written(run, tmp_path):
    path = tmp_path / "firms.csv"
    path.write_text("firm_id,observed_on,name\nE1,2024-01-01,甲\n")
    run("import", "firm", str(path))
    out = tmp_path / "matrix.csv"
    run("features", "--product", "credit-score", "--as-of", "2024-06-30", "--out", str(out))
    header, row = out.read_text().splitlines()
    assert header.startswith("firm_id,ln_sales_24m,")
    assert row.startswith("E1,")
    run("features", "--product", "credit-score", "--as-of", "2024-06-30", "--out", "matrix.xlsx", code=2)


def test_a_key_stands_alone_on_its_line(run):
    assert run("key", "create", "--name", "li.na", "--role", "model_validator").splitlines()[-1].startswith("cck_")


@pytest.mark.parametrize("create", [("key", "create"), ("user", "create", "--login", "li.na", "--password-stdin")])
def test_an_officers_reach_is_said(run, create):
    arguments = [*create, "--role", "loan_officer"]
    result = CliRunner().invoke(app_of_commands, arguments, input="seven geese over Luqiao\n")
    assert result.exit_code == 1
    assert "either" in str(result.exception)
    run(*arguments, "--all-branches", typed="seven geese over Luqiao\n")


def test_the_first_administrator_signs_in(run, app, tenant):
    create = ("user", "create", "--login", "Zhang.Wei", "--role", "administrator")
    assert "zhang.wei: " in run(*create, "--password-stdin", typed="seven geese over Luqiao\n")
    browser = Browser(app)
    assert browser.sign_in(tenant, "zhang.wei", "seven geese over Luqiao").json()["role"] == "administrator"
    typed = "a button for every coat\n"
    run(*create[:3], "second", *create[4:], typed=typed * 2)
    assert browser.sign_in(tenant, "second", typed.strip()).status_code == 201


@pytest.mark.parametrize(
    ("login", "password", "words"),
    [("李", "seven geese over Luqiao", "A login has"), ("wang", "passwordpassword", "Choose another password")],
)
def test_a_login_or_a_password_that_will_not_do_is_refused_in_words(run, login, password, words):
    arguments = ["user", "create", "--login", login, "--role", "administrator", "--password-stdin"]
    result = CliRunner().invoke(app_of_commands, arguments, input=f"{password}\n")
    assert result.exit_code == 1
    assert words in str(result.exception)


def test_tenants_are_made_once(run):
    assert run("tenant", "create", "luqiao") == run("tenant", "create", "luqiao")
    assert str(tenant_id_of("luqiao")) in run("tenant", "create", "luqiao")


def test_empty_answers_say_what_to_do(run):
    assert "clustercredit rescore" in run("grades", "--product", "credit-score", "--as-of", "2024-06-30")
    assert "version" in run("models")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("import", "frim", "x"), "there is no such kind; did you mean 'firm'? Use one of: firm,"),
        (("import", "cumcm2020c", "x.csv"), "reads a folder"),
        (("train", "nothing", "--as-of", "2024-01-01"), "There is no product 'nothing'"),
        (("train", "credit-score", "--as-of", "2024-01-01"), "default"),
        (("rescore", "--product", "credit-score", "--as-of", "2024-01-01"), "no live model"),
        (("promote", "credit-score", "7"), "has no version 7"),
        (("card", "credit-score"), "no live model"),
        (("models", "--tenant", "nobody"), "clustercredit tenant create nobody"),
    ],
)
def test_what_cannot_be_done_is_an_error_in_words(run, arguments, words):
    result = CliRunner().invoke(app_of_commands, list(arguments))
    assert result.exit_code == 1
    assert words in str(result.exception), result.exception


def test_train_rescore_grades_and_card(run, database, tenant):
    from datetime import date

    from service.demo.economy import generate
    from service.firms.use_cases import add_inputs

    with database.session(tenant_id_of(tenant)) as session:
        add_inputs(session, generate(415, 1, end_on=date(2025, 12, 31), months=36).inputs, lambda *_: None)
    assert "credit-score/1: live" in run("train", "credit-score", "--as-of", "2025-12-31")
    assert "of 415 firms scored by credit-score/1" in run(
        "rescore", "--product", "credit-score", "--as-of", "2025-12-31"
    )
    run_id = re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}", run("runs", "list"))[0]
    shown = run("runs", "show", run_id)
    assert "ok counts: " in shown
    assert "published by cli:" in shown
    held = run("rescore", "--product", "credit-score", "--as-of", "2025-12-31", "--no-publish")
    held_id = re.search(r"runs show ([0-9a-f-]{36})", held)[1]
    assert "is withdrawn" in run("runs", "withdraw", held_id, "--reason", "a test")
    run("runs", "publish", held_id, code=1)
    grades = run("grades", "--product", "credit-score", "--as-of", "2025-12-31")
    assert "The five riskiest firms" in grades
    assert json.loads(run("card", "credit-score"))["product"] == "credit-score"
    assert "credit-score/2: candidate" in run("train", "credit-score", "--as-of", "2025-12-31", "--seed", "2")
    assert "is live" in run("promote", "credit-score", "2")


def test_rescoring_succeeds_only_if_the_run_is_published(run, database, monkeypatch):
    """Somebody withdraws it before it is concluded; or rolls it back before the command has heard of its end."""
    bank = make_bank(database, 5)
    with database.session(bank) as session:
        name = session.execute(text("select name from tenant")).scalar_one()
    arguments = ("rescore", "--product", PRODUCT, "--as-of", str(FIRST), "--tenant", name)
    conclude = use_cases.conclude

    def after_withdrawal(session, run_id, *args, **options):
        use_cases.withdraw(session, run_id, "manager", "a broken feed")
        return conclude(session, run_id, *args, **options)

    def twice(session, run_id, *args, **options):
        conclude(session, run_id, *args, **options)
        use_cases.roll_back(session, run_id, "manager", "a broken feed")
        return conclude(session, run_id, *args, **options)

    monkeypatch.setattr(use_cases, "conclude", after_withdrawal)
    assert "a broken feed" in str(_failure(*arguments))
    monkeypatch.setattr(use_cases, "conclude", twice)
    run(*arguments, code=2)
    monkeypatch.setattr(use_cases, "conclude", conclude)
    run(*arguments, "--no-publish")
    run(*arguments)


@pytest.fixture
def run_on_its_own(empty_database, run, monkeypatch):
    """A database of its own, since a database's persons belong to one keyring."""
    monkeypatch.setattr("service.cli.runtime.Database", lambda *_: empty_database)
    migrations.upgrade(empty_database.engine)
    return run


def test_a_person_is_erased_and_the_rest_swept(run_on_its_own, empty_database, tenant):
    run, database = run_on_its_own, empty_database
    run("tenant", "create", tenant)
    client = make_client(create_app(Settings(), database), database, tenant)
    firm = client.post("/v1/firms", {"key": "E1", "name": "甲", "observed_on": "2024-01-01"}).json()["id"]
    body = {"id_kind": "passport", "number": "E12345678", "name": "张伟", "role": "owner", "observed_on": "2024-01-01"}
    person = client.post(f"/v1/firms/{firm}/people", body).json()["id"]
    assert "its key is destroyed" in run("person", "erase", person)
    assert client.get(f"/v1/people/{person}").json()["number"] is None
    run("person", "erase", str(uuid.uuid4()), code=1)
    assert "0 keys destroyed, 0 persons erased again, 0 keys of nobody's destroyed." in run(
        "person", "sweep", "--purge"
    )


@pytest.mark.parametrize("name", ["", "11010519491231002X", "a\u202eb"])
def test_a_name_is_checked_as_over_http(run, name):
    run("key", "create", "--name", name, "--role", "batch", code=1)
    run("tenant", "create", name, code=1)
    create = ("user", "create", "--login", "li.na", "--name", name or " ", "--role", "administrator")
    run(*create, "--password-stdin", code=1, typed="seven geese over Luqiao\n")
