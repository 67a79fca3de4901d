"""GET /v1/exports/{kind}: a file, for who may see every firm."""

import hashlib
from datetime import date
from io import BytesIO

import polars as pl
import pytest
from http_client import make_client
from sqlalchemy import text

from service.exports import router
from service.firms.use_cases import add_inputs
from service.identity.access import Role
from service.identity.use_cases import tenant_id_of
from service.kit import clock
from tests.features.rows import firm, inputs


@pytest.fixture
def manager(app, database, tenant):
    with database.session(tenant_id_of(tenant)) as session:
        add_inputs(session, inputs(firm(), firm("G", name="=甲"), firm("H", on=date(2024, 5, 1))), lambda *_: None)
    return make_client(app, database, tenant, Role.RISK_MANAGER)


def test_a_file_is_sent_and_goes_on_record(manager, database, tenant):
    answer = manager.get("/v1/exports/firm", known_by="2024-04-30")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == 'attachment; filename="firm-2024-04-30.csv"'
    assert answer.headers["content-type"].startswith("text/csv")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.content.startswith(b"\xef\xbb\xbffirm_id,observed_on,known_on,name,")
    assert pl.read_csv(BytesIO(answer.content))["name"].to_list() == ["F", "'=甲"]
    digest = hashlib.sha256(answer.content).hexdigest()
    with database.session(tenant_id_of(tenant)) as session:
        query = text("select subject from audit_pending where body like '%export.made%'")
        (subject,) = session.execute(query).scalars()
    assert subject == f"export:{digest}"


@pytest.mark.parametrize(("form", "read"), [("parquet", pl.read_parquet), ("ndjson", pl.read_ndjson)])
def test_other_forms(manager, form, read):
    answer = manager.get("/v1/exports/firm", format=form)
    assert read(BytesIO(answer.content))["firm_id"].to_list() == ["F", "G", "H"]
    assert f'firm-{clock.today()}.{form}"' in answer.headers["content-disposition"]


def test_a_workbook(manager):
    answer = manager.get("/v1/exports/firm", format="xlsx")
    assert answer.headers["content-type"].endswith("spreadsheetml.sheet")
    assert answer.content.startswith(b"PK")


def test_too_many_rows_name_the_command(manager, monkeypatch):
    monkeypatch.setattr(router, "MOST_ROWS", 2)
    answer = manager.get("/v1/exports/firm", known_by="2024-12-31", format="parquet")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:clustercredit:too-many-rows")
    assert "clustercredit export firm firm-2024-12-31.parquet" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/exports/nothing", "/v1/exports/firm?format=pdf", "/v1/exports/firm?known_by=1"])
def test_what_is_not_there_is_refused(manager, path):
    assert manager.get(path).status_code == 422


@pytest.mark.parametrize("role", [Role.LOAN_OFFICER, Role.BATCH, Role.ADMINISTRATOR, Role.MODEL_VALIDATOR])
def test_only_who_may_see_every_firm(app, database, tenant, role):
    assert make_client(app, database, tenant, role).get("/v1/exports/firm").status_code == 403
