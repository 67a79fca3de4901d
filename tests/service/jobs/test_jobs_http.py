"""Jobs over HTTP: started with 202, done by a worker, followed, and cancelled."""

import asyncio
import gzip
import hashlib
import json
import os
import threading
import time
import uuid

import httpx
import pytest
from http_client import Client, make_client
from sqlalchemy import text
from structlog.testing import capture_logs

from service.app import KINDS, create_app
from service.identity.access import Role
from service.identity.use_cases import tenant_id_of
from service.imports.uploads import Uploads
from service.jobs import events
from service.jobs.context import Kind
from service.jobs.rules import State
from service.jobs.runner import Runner
from service.jobs.use_cases import cancel
from service.jobs.worker import Worker
from service.kit.keyring import Keyring
from tests.service.jobs.conftest import TENANT, working
from tests.service.jobs.desk import Desk
from tests.service.kit.test_slow_clients import HOST, serving
from tests.service.people.invented_ids import national_id

pytestmark = pytest.mark.allow_hosts([HOST])
FIRMS = "firm_id,observed_on,name\nE1,2024-01-31,甲\nE2,2024-01-31,乙\n,2024-01-31,丙\nE4,2024-01-31,{number}\n"
OVER = {"succeeded", "failed", "cancelled"}


@pytest.fixture
def manager(own_app, own_database) -> Client:
    return make_client(own_app, own_database, TENANT, Role.RISK_MANAGER)


def upload(client: Client, content: bytes, kind: str = "firm", key: str = "", **headers: str) -> httpx.Response:
    headers = {"Content-Type": "text/csv", **headers}
    return client.post(f"/v1/imports?kind={kind}&name=f.csv", key=key, headers=headers, content=content)


def until_over(client: Client, location: str) -> dict:
    deadline = time.monotonic() + 30
    while (job := client.get(location).json())["state"] not in OVER:
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    return job


def test_an_import(manager, own_database, own_settings):
    number = national_id(1)
    content = FIRMS.format(number=number).encode()
    key = str(uuid.uuid4())
    started = upload(manager, content, key=key)
    assert started.status_code == 202
    job = started.json()
    assert started.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["args"]) == ("queued", {"kind": "firm", "name": "f.csv"})
    with own_database.session(tenant_id_of(TENANT)) as session:
        stored = session.execute(text("select content from upload")).scalars().all()
        assert stored
        assert not any(number.encode() in part or b"E1" in part for part in stored)
    with working(own_database, own_settings, KINDS):
        job = until_over(manager, started.headers["location"])
    assert job["counts"] == {"read": 4, "added": 2, "already_known": 0, "repeated": 0, "rejected": 2}
    assert [(reject["line"], reject["column"]) for reject in job["result"]["rejects"]] == [(4, "firm_id"), (5, "name")]
    assert number not in json.dumps(job)
    assert "E1" in {firm["key"] for firm in manager.get("/v1/firms").json()["items"]}
    assert job["progress"]["done"] == job["progress"]["total"] == len(content)
    with own_database.session(tenant_id_of(TENANT)) as session:
        assert session.execute(text("select count(*) from upload")).scalar_one() == 0
    assert not list((own_settings.keyring / "uploads").rglob("*.key"))
    again = upload(manager, content, key=key)
    assert (again.status_code, again.json()["id"], again.headers["location"]) == (
        202,
        job["id"],
        started.headers["location"],
    )


def run_now(own_database, own_settings, location: str, **kinds: Kind) -> None:
    runner = Runner(own_database, own_settings, {**KINDS, **kinds}, lambda: False)
    runner.run(tenant_id_of(TENANT), uuid.UUID(location.rpartition("/")[2]))


def bomb() -> bytes:
    """Return 300 MB of nothing in 300 kB."""
    part = gzip.compress(b"a" * (1 << 20), 9)
    return part * 300


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: b"firm_id,name\nE1,x\n", "columns are missing: 'observed_on'"),
        (lambda: gzip.compress(b"firm_id,observed_on\n")[:-5], "damaged"),
        (bomb, "unpacks to more than"),
    ],
    ids=["no column", "damaged", "bomb"],
)
def test_a_file_that_cannot_be_imported(manager, own_database, own_settings, make, says):
    started = upload(manager, make(), **{"Content-Type": "application/gzip"})
    begun = time.monotonic()
    run_now(own_database, own_settings, started.headers["location"])
    job = manager.get(started.headers["location"]).json()
    assert (job["state"], job["error"]["type"]) == ("failed", "urn:clustercredit:import-failed")
    assert says in job["error"]["detail"]
    assert time.monotonic() - begun < 10


def test_what_is_no_file_is_refused_at_once(manager):
    assert upload(manager, b"x", **{"Content-Type": "application/json"}).status_code == 415
    assert upload(manager, b"").status_code == 422
    assert upload(manager, b"x", kind="cumcm2020c").status_code == 422
    assert upload(manager, b"x" * ((1 << 20) + 1)).status_code == 413
    commas = upload(manager, b"," * 300_000)
    assert commas.status_code == 202
    assert manager.post(f"{commas.headers['location']}/cancel").json()["state"] == "cancelled"


def test_a_worker_without_the_key_says_so(manager, own_database, own_settings, tmp_path):
    started = upload(manager, b"firm_id,observed_on,name\n")
    elsewhere = own_settings.model_copy(update={"keyring_dir": tmp_path / "elsewhere"})
    run_now(own_database, elsewhere, started.headers["location"])
    assert "CLUSTERCREDIT_KEYRING_DIR" in manager.get(started.headers["location"]).json()["error"]["detail"]


def keys_of(settings) -> set[str]:
    return {path.stem for path in (settings.keyring / "uploads").rglob("*.key")}


def test_the_key_of_a_file_goes_at_once_when_its_job_is_cancelled(manager, own_settings):
    first, second = upload(manager, b"x"), upload(manager, b"x")
    assert keys_of(own_settings) == {first.json()["id"], second.json()["id"]}
    manager.post(f"{first.headers['location']}/cancel")
    assert keys_of(own_settings) == {second.json()["id"]}
    manager.post(f"{second.headers['location']}/cancel")
    assert keys_of(own_settings) == set()


def test_the_key_of_a_file_goes_when_its_job_is_given_up(manager, own_database, own_settings, monkeypatch):
    monkeypatch.setattr("service.jobs.rules.MOST_LOSSES", 1)
    started = upload(manager, b"x")
    with own_database.session(tenant_id_of(TENANT)) as session:
        lost = "update job set state = 'running', leased_until = now() - interval '1 s' where id = :id"
        session.execute(text(lost), {"id": started.json()["id"]})
    run_now(own_database, own_settings, started.headers["location"])
    assert manager.get(started.headers["location"]).json()["error"]["type"] == "urn:clustercredit:worker-lost"
    assert keys_of(own_settings) == set()


def test_a_worker_destroys_the_keys_that_a_kill_left(manager, own_database, own_settings):
    """Of jobs that are over at once; of those that were never committed after an hour, and no sooner."""
    tenant_id, uploads = tenant_id_of(TENANT), Uploads(Keyring(own_settings.keyring))
    waits, ended = upload(manager, b"x"), upload(manager, b"x")
    with own_database.session(tenant_id) as session:
        cancel(session, uuid.UUID(ended.json()["id"]))  # whoever did so was killed before the end
    fresh, old = uuid.uuid4(), uuid.uuid4()
    for job_id in (fresh, old):
        assert next(uploads.seal(tenant_id, job_id, b"x"))
    (path,) = (own_settings.keyring / "uploads").rglob(f"{old}.key")
    os.utime(path, (time.time() - 3700,) * 2)
    assert keys_of(own_settings) == {waits.json()["id"], ended.json()["id"], str(fresh), str(old)}
    Worker(own_database, own_settings, KINDS).tidy()
    assert keys_of(own_settings) == {waits.json()["id"], str(fresh)}
    manager.post(f"{waits.headers['location']}/cancel")


def test_an_uploaded_file_that_was_tampered_with_fails_in_words(manager, own_database, own_settings):
    started = upload(manager, b"firm_id,observed_on,name\n")
    with own_database.engine.begin() as connection:
        flip = "update upload set content = set_byte(content, 20, 255 - get_byte(content, 20)) where job_id = :id"
        connection.execute(text(flip), {"id": started.json()["id"]})
    run_now(own_database, own_settings, started.headers["location"])
    job = manager.get(started.headers["location"]).json()
    assert (job["state"], job["error"]["type"]) == ("failed", "urn:clustercredit:conflict")
    assert "Upload it again" in job["error"]["detail"]


def test_a_job_is_done_though_its_key_cannot_be_destroyed_now(manager, own_database, own_settings, monkeypatch):
    """The end stands, the log names what went wrong, and the next sweep makes it good."""
    started = upload(manager, b"firm_id,observed_on,name\n")
    with monkeypatch.context() as patch, capture_logs() as said:
        patch.setattr(Uploads, "forget", lambda *_: 1 / 0)
        run_now(own_database, own_settings, started.headers["location"])
    assert manager.get(started.headers["location"]).json()["state"] == "succeeded"
    assert [line["event"] for line in said if line["log_level"] == "error"] == ["job not wound up"]
    assert keys_of(own_settings)
    Worker(own_database, own_settings, KINDS).tidy()
    assert keys_of(own_settings) == set()


def test_an_import_is_in_the_audit_log_by_the_hash_of_its_file(manager, own_database, own_settings):
    content = gzip.compress(b"firm_id,observed_on,name\nAUDITED,2024-01-31,x\n")
    started = upload(manager, content, **{"Content-Type": "application/gzip"})
    run_now(own_database, own_settings, started.headers["location"])
    query = text("select body from audit_entry where tenant_id = :tenant union all"
                 " select body from audit_pending where tenant_id = :tenant")  # fmt: skip
    with own_database.engine.connect() as connection:
        entries = map(json.loads, connection.scalars(query, {"tenant": tenant_id_of(TENANT)}))
        (entry,) = (entry for entry in entries if entry["subject"] == f"import:{hashlib.sha256(content).hexdigest()}")
    assert (entry["action"], entry["request_id"]) == ("import.loaded", started.json()["id"])
    assert entry["after"] == hashlib.sha256(content).hexdigest()
    assert (entry["facts"]["kind"], entry["facts"]["added"], entry["facts"]["read"]) == ("firm", 1, 1)


def test_a_training_without_data_says_what_is_missing(manager, own_database, own_settings):
    started = manager.post("/v1/models", {"product": "credit-score", "as_of": "2024-06-30"})
    assert started.status_code == 202
    run_now(own_database, own_settings, started.headers["location"])
    job = manager.get(started.headers["location"]).json()
    assert (job["state"], job["error"]["type"]) == ("failed", "urn:clustercredit:training-failed")
    assert manager.get("/v1/models").json()["items"] == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/models", {"product": "none", "as_of": "2024-06-30"}, 404),
        ("/v1/models", {"product": "credit-score", "as_of": "2199-06-30"}, 422),
        ("/v1/models", {"product": "credit-score", "as_of": "2024-06-30", "estimator": "oracle"}, 422),
        ("/v1/rescorings", {"product": "none", "as_of": "2024-06-30"}, 404),
        ("/v1/rescorings", {"product": "credit-score", "as_of": "2024-06-30"}, 409),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(manager, path, body, status):
    before = len(manager.get("/v1/jobs").json()["items"])
    assert manager.post(path, body).status_code == status
    assert len(manager.get("/v1/jobs").json()["items"]) == before


def test_the_list_of_jobs(manager, own_app, own_database):
    desk = Desk(own_database, TENANT)
    ids = [str(desk.start(number=number)) for number in range(3)]
    manager.post(f"/v1/jobs/{ids[1]}/cancel")

    def listed(**params):
        return [job["id"] for job in manager.get("/v1/jobs", **params).json()["items"] if job["id"] in ids]

    assert listed() == ids[::-1]
    assert listed(state="cancelled") == [ids[1]]
    assert listed(kind="import") == []
    page = manager.get("/v1/jobs", limit=2).json()
    assert [job["id"] for job in page["items"]] == ids[:0:-1]
    assert manager.get("/v1/jobs", limit=1, cursor=page["next"]).json()["items"][0]["id"] == ids[0]
    for job_id in ids:
        manager.post(f"/v1/jobs/{job_id}/cancel")
    administrator = make_client(own_app, own_database, TENANT, Role.ADMINISTRATOR)
    assert administrator.get(f"/v1/jobs/{ids[0]}").json()["result"] is None


def parse(lines) -> list[tuple[str, str, dict]]:
    """Return the events of a stream: id, name, data."""
    found, event = [], {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in {"id", "event", "data"}:
            event[name] = value
        if not line and "data" in event:
            found.append((event["id"], event["event"], json.loads(event["data"])))
            event = {}
    return found


@pytest.fixture
def port(own_database, own_settings):
    settings = own_settings.model_copy(update={"pool_size": 2})
    with serving(create_app(settings, own_database), settings) as port:
        yield port


def test_a_job_is_followed(port, manager, own_database, monkeypatch):
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.1)
    followed = threading.Event()

    def run(context):
        for number in range(4):
            context.progress("steps", number, 4)
            time.sleep(0.6)
        desk.work(context)

    desk = Desk(own_database, TENANT, run)
    job_id = desk.start()
    url, headers = f"http://{HOST}:{port}/v1/jobs/{job_id}/events", {"Authorization": f"Bearer {manager.token}"}
    thread = threading.Thread(target=lambda: followed.wait(20) and desk.run(job_id))
    thread.start()
    lines = []
    with httpx.stream("GET", url, headers=headers, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            lines.append(line)
            if line.startswith("data"):
                followed.set()
    thread.join()
    told = parse(lines)
    states = [data["state"] for _, _, data in told]
    done = [data["progress"]["done"] for _, _, data in told]
    numbers = [int(number) for number, _, _ in told]
    assert (states[0], states[-1]) == ("queued", "succeeded")
    assert [name for _, name, _ in told] == ["progress"] * (len(told) - 1) + ["end"]
    assert done == sorted(done)
    assert len(set(done)) >= 3
    assert numbers == sorted(set(numbers))
    with httpx.stream("GET", url, headers={**headers, "Last-Event-ID": str(numbers[-2])}) as answer:
        assert parse(answer.iter_lines()) == told[-1:]
    assert httpx.get(url, headers={**headers, "Last-Event-ID": str(numbers[-1])}).status_code == 204


def test_streams_starve_nobody_and_end_with_the_server(own_database, own_settings, manager):
    """Twelve streams at a server of two connections: it answers, refuses those too many, and stops at once."""
    desk = Desk(own_database, TENANT)
    job_id = desk.start()
    settings = own_settings.model_copy(update={"pool_size": 2})
    headers = {"Authorization": f"Bearer {manager.token}"}
    with (
        httpx.Client(headers=headers, timeout=30) as client,
        serving(create_app(settings, own_database), settings) as port,
    ):
        url = f"http://{HOST}:{port}/v1/jobs/{job_id}"
        streams = [client.stream("GET", f"{url}/events") for _ in range(events.MOST_STREAMS_EACH)]
        answers = [stream.__enter__() for stream in streams]
        assert {answer.status_code for answer in answers} == {200}
        lines = [answer.iter_lines() for answer in answers]
        assert all(next(of_one).startswith("retry") for of_one in lines)
        refused = client.get(f"{url}/events")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, str(events.RETRY_SECONDS))
        for _ in range(10):
            assert client.get(url).status_code == 200
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert manager.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == State.CANCELLED


def test_a_stream_ends_by_itself_and_frees_its_place(own_database, own_settings, manager):
    desk = Desk(own_database, TENANT)
    job_id = desk.start()
    app = create_app(own_settings.model_copy(update={"event_stream_seconds": 1}), own_database)
    client = Client(app, manager.token)
    for _ in range(2):
        lines = client.get(f"/v1/jobs/{job_id}/events").text.splitlines()
        assert lines[0] == "retry: 3000"
    assert app.state.job_streams._open.total() == 0
    assert client.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelled"


def test_a_burst_opens_no_more_streams_than_may_be_open(own_database, monkeypatch):
    """All were answered before the first began: those too many say when to come back, and end."""
    monkeypatch.setattr(events, "MOST_STREAMS_EACH", 2)
    desk, streams = Desk(own_database, TENANT), events.Streams(own_database, 60)
    job_id = desk.start()

    async def begin() -> list[bool]:
        bodies = [streams.answer(desk.actor, job_id, 0, None).body_iterator for _ in range(5)]
        assert {await anext(body) for body in bodies} == {"retry: 3000\n\n"}
        told = [await anext(body, None) is not None for body in bodies]
        for body in bodies:
            await body.aclose()
        return told

    assert asyncio.run(begin()) == [True, True, False, False, False]
    assert not dict(streams._open)
    desk.run(job_id)
