"""Imports over HTTP: previewed, mapped, and reported on, as JSON and as a page."""

import base64
import json
import uuid

import pytest
from http_client import Client, make_client
from sqlalchemy import text

from service.app import KINDS
from service.identity.access import Role
from service.identity.use_cases import create_tenant, tenant_id_of
from service.imports.report import Report
from service.jobs.runner import Runner
from service.settings import Settings
from tests.service.people.invented_ids import national_id

MAPPING = """\
{kind: firm, version: 1, columns: {firm_id: 企业代号, observed_on: 日期, name: 名称}, dates: {observed_on: "%Y%m%d"}}
"""
FIRMS = "企业代号,日期,名称\nE1,20240131,甲\nE2,20240131,乙\nE3,2024/01/31,丙\nE4,20240131,\n"


@pytest.fixture
def manager(app, database, tenant) -> Client:
    return make_client(app, database, tenant, Role.RISK_MANAGER)


def encoded(mapping: str) -> str:
    return base64.urlsafe_b64encode(mapping.encode()).decode().rstrip("=")


def upload(client: Client, content: str, **query: str):
    path = "/v1/imports?" + "&".join(f"{name}={value}" for name, value in {"kind": "firm", **query}.items())
    return client.post(path, headers={"Content-Type": "text/csv"}, content=content.encode())


@pytest.fixture
def run(database, tenant, keyring, manager):
    def run_now(content: str, **query: str) -> dict:
        started = upload(manager, content, **query)
        assert started.status_code == 202, started.text
        runner = Runner(database, Settings(keyring_dir=keyring.folder), KINDS, lambda: False)
        runner.run(tenant_id_of(tenant), uuid.UUID(started.json()["id"]))
        return manager.get(started.headers["location"]).json()

    return run_now


def count_firms(database, tenant) -> int:
    with database.session(tenant_id_of(tenant)) as session:
        return session.execute(text("select count(*) from firm")).scalar_one()


def test_a_preview_and_then_the_load(run, manager, database, tenant):
    before = count_firms(database, tenant)
    preview = run(FIRMS, preview="true", mapping=encoded(MAPPING))
    assert preview["args"]["preview"] is True
    assert count_firms(database, tenant) == before
    done = run(FIRMS, mapping=encoded(MAPPING))
    assert preview["counts"] == done["counts"] == {**done["counts"], "read": 4, "added": 2, "rejected": 2}
    assert preview["result"] == done["result"]
    assert count_firms(database, tenant) == before + 2
    assert [(r["line"], r["column"], r["value"]) for r in done["result"]["rejects"]] == [
        (4, "日期", "2024/01/31"),
        (5, "名称", ""),
    ]
    assert done["result"]["quality"] == {"value": {"rejected": 2}}
    assert "report" not in json.dumps(manager.get("/v1/jobs").json()["items"][0]["result"])
    assert run(FIRMS, mapping=encoded(MAPPING))["counts"]["already_known"] == 2


def test_the_report_is_json_or_a_page(run, manager):
    job = run(FIRMS, preview="true", mapping=encoded(MAPPING), name="%3Cb%3E.csv")
    path = f"/v1/imports/{job['id']}/report"
    answer = manager.get(path)
    report = Report.model_validate(answer.json())
    assert (report.is_preview, report.sections[0].rejected, report.sections[0].file) == (True, 2, "<b>.csv")
    page = manager.send("GET", path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "&lt;b&gt;.csv" in page.text
    for accept in ("application/json,text/html;q=0.5", "*/*", "text/html;q=0", "text/html;q=x"):
        assert manager.send("GET", path, headers={"Accept": accept}).json() == answer.json()


def test_whose_report_it_is(run, manager, app, database, tenant):
    job = run(FIRMS, preview="true", mapping=encoded(MAPPING))
    elsewhere = f"elsewhere {uuid.uuid4()}"
    with database.session() as session:
        create_tenant(session, elsewhere)
    path = f"/v1/imports/{job['id']}/report"
    assert make_client(app, database, elsewhere, Role.RISK_MANAGER).get(path).status_code == 404
    assert make_client(app, database, tenant, Role.ADMINISTRATOR).get(path).status_code == 403
    assert manager.get(f"/v1/imports/{uuid.uuid4()}/report").status_code == 404
    waiting = upload(manager, FIRMS).json()["id"]
    assert manager.get(f"/v1/imports/{waiting}/report").status_code == 409
    assert manager.post(f"/v1/jobs/{waiting}/cancel").status_code == 200
    assert manager.get(f"/v1/imports/{waiting}/report").status_code == 404


@pytest.mark.parametrize(
    ("mapping", "field", "words"),
    [
        (MAPPING.replace("名称", "''"), "query.mapping.columns.name", "one text"),
        (MAPPING.replace("version: 1", "version: 9"), "query.mapping.version", "write 1"),
        (MAPPING + f"# {national_id(1)}", "query.mapping.the file", "identity number"),
        (MAPPING.replace("kind: firm", "kind: *a"), "query.mapping.line 1", "aliases"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused_at_once(manager, mapping, field, words):
    answer = upload(manager, FIRMS, mapping=encoded(mapping))
    assert answer.status_code == 422
    (error,) = [error for error in answer.json()["errors"] if error["field"] == field]
    assert words in error["reason"]
    assert national_id(1) not in answer.text


def test_the_job_says_of_a_mapping_what_the_request_says(run, manager, monkeypatch):
    """As after an upgrade that changed the layout while the job waited."""
    old = MAPPING.replace("version: 1", "version: 9").replace("名称", "''")
    told = upload(manager, FIRMS, mapping=encoded(old)).json()["detail"]
    monkeypatch.setattr("service.imports.router._checked", lambda *_: old)
    job = run(FIRMS, mapping=encoded(old))
    assert (job["state"], job["error"]["detail"]) == ("failed", told)


def test_what_is_no_mapping_is_refused_at_once(manager):
    assert "base64url" in upload(manager, FIRMS, mapping="a").json()["detail"]
    assert upload(manager, FIRMS, mapping="a" * 8193).status_code == 422
    assert upload(manager, FIRMS, mapping="%C3%A9").status_code == 422
    other = upload(manager, FIRMS, kind="loan", mapping=encoded(MAPPING))
    assert "for kind 'firm', not 'loan'" in other.json()["detail"]


def test_a_value_that_json_cannot_keep_is_shown_otherwise(run, manager):
    job = run("firm_id,observed_on,name\nE1,2024-01-31,a\x00b\nE2,20\x0024,c\n")
    assert job["state"] == "succeeded"
    assert [reject["value"] for reject in job["result"]["rejects"]] == ["a␀b", "20␀24"]
    assert manager.get(f"/v1/imports/{job['id']}/report").status_code == 200


def test_a_kind_that_there_is_not_may_be_meant_as_another_one(manager):
    imported, exported = upload(manager, FIRMS, kind="frim"), manager.get("/v1/exports/frim")
    for answer in (imported, exported):
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["reason"].endswith("; did you mean 'firm'? / 是否应为 'firm'？")
