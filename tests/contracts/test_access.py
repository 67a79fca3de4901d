"""Promise 11: every route as every role, about its own firm, another branch's and another tenant's.

What is expected follows from the table of access and the roles' reach. Then the reads again with one of the two
fences between tenants taken away: what is left still shows no row of another tenant.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pytest
from sqlalchemy import event, text

from features.kinds import KINDS
from service.alerts import repository as alerts
from service.app import ROUTERS
from service.audit import use_cases as audit
from service.firms import repository as firms
from service.identity.access import ACCESS, PUBLIC, Role
from service.kit import db
from service.kit.db import TenantSession, scope_to_tenant
from service.rescoring import repository as rescoring
from service.scoring import repository as scoring
from service.training import repository as training
from tests.contracts.route_requests import REQUESTS, Call, Of
from tests.contracts.world import FIRST, PRODUCT, SECOND, Holder, Owner, Talker, World

pytestmark = pytest.mark.xdist_group("access")
ROUTES = {
    f"{method} {route.path}": route for router in ROUTERS for route in router.routes for method in sorted(route.methods)
}
GUARDED = sorted(route for route in ACCESS if ACCESS[route] is not PUBLIC)
READS = [route for route in GUARDED if route.startswith("GET ")]
SUCCESS = 2
NEVER = date(2099, 1, 1)
UNOWNED = [name for name, kind in KINDS.items() if not kind.is_of_firms]
ANY_VERSION = ", ".join(f'"{number}"' for number in range(1, 70))
"""If-Match of whatever state: these requests change the same objects again and again."""


def send(talker: Talker, token: str | None, route: str, call: Call):
    headers = {"Idempotency-Key": str(uuid.uuid4()), "If-Match": ANY_VERSION, "Content-Type": call.content_type}
    return talker.send(token, route.partition(" ")[0], call.path, headers=headers, content=call.content)


def test_every_route_is_listed_once(app):
    documented = {f"{m.upper()} {path}" for path, item in app.openapi()["paths"].items() for m in item}
    assert set(ROUTES) == set(ACCESS) == documented
    assert set(REQUESTS) >= set(GUARDED), "add what is missing to tests/contracts/route_requests.py"
    assert set(REQUESTS) <= set(ACCESS)


@pytest.mark.parametrize("route", GUARDED)
def test_every_role_and_owner(talker, world, route):
    wrong = [words for holder in world.holders for words in _breaches(talker, world, route, holder)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("route", GUARDED)
def test_nobody_without_a_key_that_is_good(talker, world, route):
    call = REQUESTS[route].build(world.owners["bank home"])
    ended = {why: token for why, token in world.ended.items() if why.split()[1] in ACCESS[route]}
    wrong = []
    for why, token in {"none": None, "unknown": "cck_" + "x" * 43, "empty": "", **ended}.items():
        answer = send(talker, token, route, call)
        if answer.status_code != 401 or answer.headers.get("www-authenticate") != "Bearer":
            wrong.append(f"{why}: {answer.status_code}")
    assert not wrong


def _breaches(talker: Talker, world: World, route: str, holder: Holder) -> Iterator[str]:
    """Send a route's request about each owner's things, and yield what is not as the table says."""
    entry, is_allowed = REQUESTS[route], holder.role in ACCESS[route]
    for whose, owner in {"own": holder.home, "away": holder.away, "foreign": holder.foreign}.items():
        try:
            call = entry.build(owner)
        except KeyError as missing:
            if is_allowed:
                pytest.fail(f"{holder.name} may {route}, but owns no {missing}: add it to tests/contracts/world.py")
            call = entry.build(world.owners["bank home"])
        answer = send(talker, holder.token, route, call)
        expected = _expected(entry.of, whose, holder) if is_allowed else 403
        if expected == SUCCESS and answer.status_code == entry.settled:
            continue
        status = answer.status_code // 100 if expected == SUCCESS else answer.status_code
        if status != expected:
            yield f"{holder.name}, {whose}: {answer.status_code} instead of {expected}: {answer.text[:200]}"
        asked = f"{call.path} {call.body}"
        shown = sorted(mark for mark in world.hidden_from(holder) if mark in answer.text and mark not in asked)
        if shown:
            yield f"{holder.name}, {whose}: shows {shown}"
        if whose == "own" and status == SUCCESS and entry.shows and owner[entry.shows] not in answer.text:
            yield f"{holder.name}: its own {entry.shows} is not in the answer"


def _expected(of: Of, whose: str, holder: Holder) -> int:
    if of in {Of.NOTHING, Of.LIST} or whose == "own":
        return SUCCESS
    if whose == "foreign":
        return 404
    return SUCCESS if of is Of.TENANT or holder.reaches_away else 404


@contextmanager
def _without_query_scoping() -> Iterator[None]:
    event.remove(TenantSession, "do_orm_execute", scope_to_tenant)
    try:
        yield
    finally:
        event.listen(TenantSession, "do_orm_execute", scope_to_tenant)


@contextmanager
def _without_row_level_security(database) -> Iterator[None]:
    """Let sessions act as the superuser, to whom no policy applies."""
    with database.engine.connect() as connection:
        owner = connection.execute(text("select current_user")).scalar_one()
        bypass = text("select rolsuper or rolbypassrls from pg_roles where rolname = current_user")
        assert connection.execute(bypass).scalar_one()
    role, db.RUNTIME_ROLE = db.RUNTIME_ROLE, owner
    try:
        yield
    finally:
        db.RUNTIME_ROLE = role


def _all_reads(talker: Talker, world: World) -> list[str]:
    """Read everything as one holder of each tenant and kind of reach: here tenants are looked at, not roles."""
    roles = {Role.LOAN_OFFICER, Role.ADMINISTRATOR, Role.FIRM, Role.FUND_AUDITOR}
    return [
        f"{route}: {words}"
        for route in READS
        for holder in world.holders
        if holder.role in roles
        for words in _breaches(talker, world, route, holder)
    ]


def test_row_level_security_alone_shows_nothing_foreign(talker, world):
    with _without_query_scoping():
        assert not _all_reads(talker, world)


def test_query_scoping_alone_shows_nothing_foreign(talker, world, database):
    with _without_row_level_security(database):
        assert not _all_reads(talker, world)


def test_without_both_fences_the_rival_shows(talker, world, database):
    """So the two tests above can fail."""
    with _without_query_scoping(), _without_row_level_security(database):
        shown = _all_reads(talker, world)
    for route in ("GET /v1/firms", "GET /v1/firms/{firm_id}", "GET /v1/scores/{score_id}", "GET /v1/alerts"):
        assert any(words.startswith(f"{route}: ") for words in shown), route


def _queries(session: TenantSession, home: Owner, rival: Owner) -> dict[str, object]:
    """Return what the queries of the repositories find, those in raw SQL above all."""
    own, foreign = uuid.UUID(home["firm"]), uuid.UUID(rival["firm"])
    kinds = ("firm", "person", "invoice", "loan", "repayment_status", "consent", "personal_record")
    inputs = firms.read_inputs(session, SECOND, SECOND, kinds, (None, None))
    exports = {name: firms.read_rows(session, KINDS[name], SECOND, SECOND, None) for name in UNOWNED}
    return {
        "exports": {name: sorted(map(repr, frame.rows())) for name, frame in exports.items()},
        "exported": [sorted(firms.count_rows(session, KINDS[name], SECOND, SECOND).items()) for name in KINDS],
        "inputs": {name: sorted(map(repr, frame.rows())) for name, frame in inputs.frames().items()},
        "loan_owners": firms.loan_owners(session, [home["_loan"], home["own_loan"], rival["own_loan"]]),
        "previous": scoring.read_previous(session, PRODUCT, SECOND, "A", "Z").rows(),
        "grades": [tuple(map(str, row)) for row in scoring.read_grades(session, PRODUCT, FIRST)],
        "context": str(scoring.find_context(session, FIRST).id),
        "ids": firms.read_ids(session, None, None),
        "keys": firms.read_ids(session, "E-away", "E-home"),
        "loan": str(firms.find_loan(session, home["_loan"]).firm_id),
        "foreign": [
            firms.find_firm(session, foreign),
            firms.find_loan(session, rival["own_loan"]),
            scoring.find_score(session, uuid.UUID(rival["score"])),
            alerts.find_alert(session, uuid.UUID(rival["alert"]), for_update=False),
        ],
        "observations": sorted(firms.newest_observations(session, [own, foreign])),
        "alerts": sorted(str(alert.id) for alert in alerts.page_alerts(
            session, is_acknowledged=None, firm_id=None, before=None, limit=1000)),
        "alert days": sorted(map(str, alerts.newest_of(session, [own, foreign]))),
        "model": str(training.find_live(session, PRODUCT).id),
        "run": sorted(str(run.id) for run in rescoring.page_runs(session, None, 100)),
        "progress": str(rescoring.progress_of(session, uuid.UUID(home["run"]))),
        "foreign progress": str(rescoring.progress_of(session, uuid.UUID(rival["run"]))),
        "replaced": sorted(map(str, scoring.runs_before(session, uuid.UUID(home["run"]), PRODUCT, SECOND))),
        "known": sorted(map(str, scoring.runs_known(session, NEVER))),
        "published PDs": scoring.read_pds(session, scoring.runs_known(session, NEVER), None).rows(),
        "matrix": list(map(tuple, scoring.read_matrix(session, uuid.UUID(home["run"]), []))),
        "arrivals": firms.count_arrivals(session, "invoice", SECOND, 90, 3),
        "balances": firms.count_impossible(session, SECOND),
    }  # fmt: skip


def test_each_fence_alone_changes_no_query(world, database):
    home, rival = world.owners["bank home"], world.owners["rival home"]
    assert home["_loan"] == rival["_loan"]

    def found() -> dict[str, object]:
        with database.session(home.tenant_id) as session:
            return _queries(session, home, rival)

    both = found()
    assert both["foreign"] == [None] * 4
    assert len(both["grades"]) == len(both["previous"]) == 3
    with _without_query_scoping():
        assert found() == both
    with _without_row_level_security(database):
        assert found() == both


OF_NO_TENANT = {"keyring"}
"""Tables that hold nothing of anybody's: the mark of the installation's keyring."""
UNSEEDED: frozenset[str] = frozenset()
"""Tables of which the world has no row of the rival's: none, so that the test below looks into every table."""


def test_row_level_security_alone_on_every_table(world, database, server):
    home, rival = world.owners["bank home"], world.owners["rival home"]
    with database.session(rival.tenant_id) as session:
        audit.append(session, "test.seeded", "not numbered yet")
    name = database.engine.url.database
    tables = server.psql("select tablename from pg_tables where schemaname = 'public' order by 1", name).split()
    tables.remove("alembic_version")
    of_nobody = "select table_name from information_schema.columns where column_name = 'tenant_id'"
    assert set(tables) - set(server.psql(of_nobody, name).split()) == OF_NO_TENANT | {"tenant"}
    fenced = (
        "select relname from pg_class where relrowsecurity and relforcerowsecurity and relkind in ('r', 'p') order by 1"
    )
    assert server.psql(fenced, name).split() == tables
    empty = set()
    for table in sorted(set(tables) - OF_NO_TENANT):
        column = "id" if table == "tenant" else "tenant_id"
        of_rival = f"select count(*) from {table} where {column} = '{rival.tenant_id}'"
        if server.psql(of_rival, name).strip() == "0":
            empty.add(table)
        with database.session(home.tenant_id) as session:
            owners = set(session.execute(text(f"select distinct {column} from {table}")).scalars())
        assert owners <= {home.tenant_id}, table
    assert empty == UNSEEDED, "let the world own a row of these: tests/contracts/world.py"
