"""Files of every format over HTTP: the content decides what they are, and a hostile one fails as a job."""

import gzip
import io
import json
import time

import polars as pl
import pytest
from http_client import make_client

from service.identity.access import Role
from service.kit.receive import FILES
from tests.service.imports.readers.files import packed, parts, workbook
from tests.service.jobs.conftest import TENANT
from tests.service.jobs.test_jobs_http import run_now

ROWS = [{"firm_id": f"E{n}", "observed_on": "2024-01-31", "name": "路桥鞋业"} for n in (1, 2)]
TEXT = "\n".join([",".join(ROWS[0]), *(",".join(row.values()) for row in ROWS)])


def as_parquet():
    data = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(data)
    return data.getvalue()


CSV, GZIP, NDJSON, XLSX, PARQUET = FILES
CONTENTS = {
    "csv": (CSV, TEXT.encode()),
    "gbk": (CSV, TEXT.encode("gbk")),
    "gzip": (GZIP, gzip.compress(TEXT.encode())),
    "ndjson": (NDJSON, "\n".join(map(json.dumps, ROWS)).encode()),
    "xlsx": (XLSX, workbook([list(ROWS[0]), *(list(row.values()) for row in ROWS)])),
    "parquet": (PARQUET, as_parquet()),
    "another type": (CSV, as_parquet()),
}


@pytest.fixture
def manager(own_app, own_database):
    return make_client(own_app, own_database, TENANT, Role.RISK_MANAGER)


def job_of(manager, own_database, own_settings, content, media, name="file"):
    where = f"/v1/imports?kind=firm&name={name}"
    started = manager.post(where, headers={"Content-Type": media}, content=content)
    assert started.status_code == 202
    run_now(own_database, own_settings, started.headers["location"])
    return manager.get(started.headers["location"]).json()


def test_a_file_of_each_format_is_loaded_once(manager, own_database, own_settings):
    for number, (media, content) in enumerate(CONTENTS.values()):
        job = job_of(manager, own_database, own_settings, content, media)
        assert job["state"] == "succeeded"
        assert (job["counts"]["read"], job["counts"]["added"]) == (2, 0 if number else 2)
        assert job["progress"]["done"] == job["progress"]["total"] == len(content)


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (packed(parts('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')), "file", "more than 1,000,000 cells"),
        (TEXT.encode(), "firms.xlsx", "its name says XLSX, and its content is CSV"),
        (gzip.compress(b"firm_id\n" * (1 << 22)), "file", "more than 200 times its size"),
    ],
)
def test_a_file_that_is_refused(manager, own_database, own_settings, content, name, says):
    begun = time.monotonic()
    job = job_of(manager, own_database, own_settings, content, XLSX, name)
    assert (job["state"], job["error"]["type"]) == ("failed", "urn:clustercredit:import-failed")
    assert says in job["error"]["detail"]
    assert time.monotonic() - begun < 10
