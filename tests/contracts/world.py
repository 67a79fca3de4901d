"""A small world for the tests of access: two banks of two branches each, with everything that a route can show.

A domain that adds objects adds one function with `@seed`: it makes an object of an owner's and returns its id. Every
id and name of an owner is one of its marks, which no answer to somebody else may hold.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import anyio.from_thread
import httpx
from sqlalchemy import text, update
from sqlmodel import col

from models import artifact
from service.alerts.schemas import AcknowledgeIn
from service.alerts.tables import Alert, AlertCandidate
from service.associations import use_cases as associations
from service.audit import use_cases as audit
from service.audit.sequencer import number_all
from service.audit.signing import SigningKeys
from service.documents import use_cases as documents
from service.firms import use_cases as firms
from service.funds import use_cases as funds
from service.identity import sessions
from service.identity.access import BRANCH_ROLES, ROLES_OF, Organisation, Role
from service.identity.actor import Actor, ApprovalLimit, Reach
from service.identity.keys import create_key
from service.identity.use_cases import create_branch, create_tenant
from service.identity.users import Duty, create_user
from service.imports.report import Report
from service.jobs import use_cases as jobs
from service.jobs.tables import Job
from service.kit import clock
from service.kit.db import Database, TenantSession, tenant_of
from service.kit.etag import Precondition
from service.kit.idempotency import Once
from service.kit.keyring import Keyring
from service.observations import use_cases as observations
from service.observations.schemas import EXAMPLES, MODELS, facts_of
from service.people import use_cases as people
from service.people.sealing import Identity
from service.rescoring.use_cases import rescore
from service.reviews import use_cases as reviews
from service.scoring.use_cases import score_firm
from service.training.tables import ModelVersion
from service.training.use_cases import live_model
from tests.models import handmade
from tests.service.people.invented_ids import national_id

PRODUCT = "credit-score"
RUNS = ("run", "checked_run", "spare_run", "published_run")
OF_THE_TENANT = ("branch", "key", "user", "model", "bank", "grant", "spare_grant", *RUNS)
"""What a whole tenant shares, whatever the reach."""
NUMBERS = {"E-home": national_id(1), "E-sibling": national_id(2), "E-away": national_id(3)}
"""Of the person behind a firm; the same at both banks."""
FIRST, SECOND = date(2024, 6, 30), date(2024, 9, 30)


@dataclass
class Owner:
    """A firm of a branch, and all that belongs to it: ids by name, such as ``owner["score"]``.

    Another bank has the same keys, names and loan numbers: what is only looked up by them would be mixed up.
    """

    tenant: str
    tenant_id: uuid.UUID
    ids: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.ids[name]

    def marks(self, *without: str) -> set[str]:
        """Return its ids, which are unlike any other's."""
        return {value for name, value in self.ids.items() if name not in without and not name.startswith("_")}


@dataclass(frozen=True)
class Holder:
    """The holder of a key, and whose objects are its own, another branch's, another tenant's."""

    name: str
    role: Role
    token: str
    home: Owner
    away: Owner
    foreign: Owner
    reaches_away: bool

    def reaches(self, owner: Owner) -> bool:
        """Tell whether an owner of the same tenant is within reach."""
        if self.role is Role.FIRM:
            return owner is self.home
        return self.reaches_away or owner["branch"] == self.home["branch"]


@dataclass(frozen=True)
class World:
    owners: dict[str, Owner]
    holders: list[Holder]
    ended: dict[str, str]
    """Keys that open nothing, by why."""

    def hidden_from(self, holder: Holder) -> set[str]:
        """Return the ids that no answer to a holder may show unless it named them itself."""
        hidden, seen = set(), holder.home.marks() | (holder.away.marks() if holder.reaches_away else set())
        for owner in self.owners.values():
            if owner.tenant_id != holder.home.tenant_id:
                hidden |= owner.marks()
            elif not holder.reaches(owner):
                hidden |= owner.marks(*OF_THE_TENANT)
        return hidden - seen


SEEDS: dict[str, Callable[[TenantSession, Owner], str | uuid.UUID]] = {}


def seed(make: Callable[[TenantSession, Owner], str | uuid.UUID]) -> Callable[..., Any]:
    """Let every firm of the world own what the function makes; its id is known by the function's name."""
    SEEDS[make.__name__] = make
    return make


@seed
def key(session: TenantSession, owner: Owner) -> uuid.UUID:
    return create_key(session, "to be revoked", Role.BATCH)[0].id


@seed
def kept_key(session: TenantSession, owner: Owner) -> uuid.UUID:
    return create_key(session, "to be prolonged", Role.BATCH)[0].id


@seed
def audit_entry(session: TenantSession, owner: Owner) -> uuid.UUID:
    return audit.append(session, "test.seeded", f"firm:{owner['firm']}")


@seed
def checkpoint(session: TenantSession, owner: Owner) -> uuid.UUID:
    return audit.make_checkpoint(session, SigningKeys(session.info["keyring"].folder / "signing"), owner.tenant).id


@seed
def job(session: TenantSession, owner: Owner) -> uuid.UUID:
    """A job that is over, so that its events end at once."""
    actor = _somebody(session, Role.BATCH)
    return jobs.cancel(session, jobs.start(session, actor, "import", {"kind": "firm", "name": "f.csv"}).id).id


@seed
def import_job(session: TenantSession, owner: Owner) -> uuid.UUID:
    """An import that is over, with its report."""
    job = jobs.start(session, _somebody(session, Role.BATCH), "import", {"kind": "firm", "name": "f.csv"})
    session.flush()
    report = Report(is_preview=False, made_on=FIRST, sections=[]).model_dump(mode="json")
    done = {"state": "succeeded", "result": {"report": report}, "finished_at": clock.now()}
    session.execute(update(Job).where(col(Job.id) == job.id).values(**done))
    return job.id


@seed
def waiting_job(session: TenantSession, owner: Owner) -> uuid.UUID:
    """A job with a part of a file, which waits for a worker that never comes."""
    return jobs.start(session, _somebody(session, Role.BATCH), "import", {}, lambda _: [b"sealed"]).id


@seed
def model(session: TenantSession, owner: Owner) -> uuid.UUID:
    return live_model(session, PRODUCT).version.id


@seed
def _status(session: TenantSession, owner: Owner) -> str:
    row = {"observed_on": FIRST, "known_on": FIRST, "days_past_due": 0, "default_event": None, "is_closed": False}
    firms.add_repayment_status(session, owner["_loan"], {**row, "balance_fen": 100_00, "is_undated": False})
    return owner["_loan"]


@seed
def own_loan(session: TenantSession, owner: Owner) -> str:
    day = {"observed_on": date(2024, 1, 31), "known_on": date(2024, 1, 31)}
    row = {"loan_id": uuid.uuid4().hex, "product": PRODUCT, "principal_fen": 100, "matures_on": None, **day}
    firms.add_loan(session, uuid.UUID(owner["firm"]), row)
    return str(row["loan_id"])


@seed
def user(session: TenantSession, owner: Owner) -> uuid.UUID:
    subject = uuid.uuid4().hex
    person = create_user(session, subject, "李娜", Duty(Role.RISK_MANAGER, None, None, ()), oidc_subject=subject)
    sessions._begin(session, person, "oidc")
    return person.id


@seed
def bank(session: TenantSession, owner: Owner) -> uuid.UUID:
    return owner.tenant_id


@seed
def grant(session: TenantSession, owner: Owner) -> uuid.UUID:
    return _grant(session, owner["_fund"])


@seed
def spare_grant(session: TenantSession, owner: Owner) -> uuid.UUID:
    return _grant(session, owner["_spare_fund"])


def _grant(session: TenantSession, fund: str) -> uuid.UUID:
    """Return a grant of the bank's to a fund, the one that the bank has made already if there is one."""
    made = {grant.fund: grant.id for grant in funds.list_grants(session, None, 100)}
    return made.get(fund) or funds.grant_view(session, fund, "manager").id


@seed
def guarantee(session: TenantSession, owner: Owner) -> uuid.UUID:
    terms = funds.Terms(Decimal("0.8"), None, date(2024, 1, 31), None)
    return funds.add_guarantee(session, owner["own_loan"], owner["_fund"], terms, "officer").guarantee.id


@seed
def person(session: TenantSession, owner: Owner) -> uuid.UUID:
    return _enter(session, owner, NUMBERS[owner["_key"]])


@seed
def spare_person(session: TenantSession, owner: Owner) -> uuid.UUID:
    return _enter(session, owner, national_id(100 + list(NUMBERS).index(owner["_key"])))


def _enter(session: TenantSession, owner: Owner, number: str) -> uuid.UUID:
    """Enter a person behind a firm, who lets the bank ask the credit bureau."""
    day = {"observed_on": date(2024, 1, 31), "known_on": date(2024, 1, 31)}
    firm_id, row = uuid.UUID(owner["firm"]), {"role": "owner", "trade_since": None, **day}
    entered = people.enter_person(
        session, session.info["keyring"], firm_id, "national_id", Identity(number, "张伟"), row
    )
    consent = {"scope": "bureau", "purpose": "credit_assessment", "is_given": True, **day}
    people.add_consent(session, entered.id, firm_id, consent, lambda _: None)
    return entered.id


@seed
def _records(session: TenantSession, owner: Owner) -> str:
    times = {"firm_id": owner["_key"], "observed_on": date(2023, 1, 31), "known_on": date(2023, 1, 31)}
    of_person = {**times, "person_id": f"P-{owner['_key']}"}
    consent = {"scope": "owner_data", "purpose": "credit_assessment", "is_given": True}
    firms._add(session, "consent", [{**of_person, **consent}])
    record = {"record": "late_payment", "days_past_due": 45, "ended_on": None}
    firms._add(session, "personal_record", [{**of_person, **record}])
    return owner["_key"]


@seed
def _ledger(session: TenantSession, owner: Owner) -> str:
    """One row of each kind that is added one by one, of its own examples."""
    for name in observations.ADDED:
        _observe(session, owner, name)
    return owner["_key"]


@seed
def observation(session: TenantSession, owner: Owner) -> str:
    return _observe(session, owner, "event", reference=owner["firm"])


def _observe(session: TenantSession, owner: Owner, name: str, **change: object) -> str:
    body = MODELS[name].model_validate(EXAMPLES[name] | change)
    kind, _, values = facts_of(body)
    return observations.observe(
        session, kind, uuid.UUID(owner["firm"]) if kind.is_of_firms else None, values
    ).content_sha256


@seed
def document(session: TenantSession, owner: Owner) -> str:
    return _document(session, owner, "kept")


@seed
def spare_document(session: TenantSession, owner: Owner) -> str:
    return _document(session, owner, "to be destroyed")


def _document(session: TenantSession, owner: Owner, title: str) -> str:
    facts = {"document_type": "visit", "title": title, "observed_on": FIRST, "known_on": FIRST, "words": None}
    vault, content = documents.vault_of(session.info["keyring"]), f"{title}: {owner['firm']}".encode()
    firm_id = uuid.UUID(owner["firm"])
    return documents.add_document(session, vault, firm_id, content, "text/plain", facts).sha256


@seed
def _window(session: TenantSession, owner: Owner) -> str:
    window = text("""
        insert into rate_window (tenant_id, window_end, window_start, subject, used, last_lease)
        values (:tenant, now() + interval '1 minute', now(), :subject, 1, 1)
    """)
    session.execute(window, {"tenant": owner.tenant_id, "subject": owner["firm"]})
    return owner["firm"]


@seed
def score(session: TenantSession, owner: Owner) -> uuid.UUID:
    return score_firm(session, uuid.UUID(owner["firm"]), PRODUCT, SECOND, "officer").score.id


@seed
def alert(session: TenantSession, owner: Owner) -> uuid.UUID:
    return add_alert(session, uuid.UUID(owner["firm"]))


@seed
def _candidate(session: TenantSession, owner: Owner) -> str:
    row = AlertCandidate(
        tenant_id=tenant_of(session), run_id=uuid.UUID(owner["spare_run"]), fingerprint=uuid.uuid4().hex,
        firm_id=uuid.UUID(owner["firm"]), rule="grade_drop", product=PRODUCT, severity="H", as_of=FIRST,
        text={"zh-CN": "评级下降", "en": "grade fell"}, evidence={},
    )  # fmt: skip
    session.add(row)
    session.flush()
    return owner["firm"]


def _somebody(session: TenantSession, role: Role) -> Actor:
    """Return an actor who did something once and holds no key."""
    return Actor(tenant_of(session), Organisation.BANK, uuid.uuid4(), "somebody", role, Reach(), ())


@seed
def closed_review(session: TenantSession, owner: Owner) -> uuid.UUID:
    """A review that is over: only who opened one that is not may end it, whatever the role."""
    opener, request = _somebody(session, Role.RISK_MANAGER), reviews.Request(PRODUCT, "other")
    opened = reviews.open_review(session, opener, uuid.UUID(owner["firm"]), request)
    return reviews.withdraw(session, opener, opened.id, Precondition('"1"')).id


@seed
def review(session: TenantSession, owner: Owner) -> uuid.UUID:
    request = reviews.Request(PRODUCT, "other")
    return reviews.open_review(session, _somebody(session, Role.FIRM), uuid.UUID(owner["firm"]), request).id


@seed
def act(session: TenantSession, owner: Owner) -> uuid.UUID:
    row = {"kind": "warning", "severity": 2, "words": "w", "observed_on": FIRST, "known_on": FIRST, "ended_on": None}
    clerk = _somebody(session, Role.ASSOCIATION_CLERK)
    return associations.enter_act(session, clerk, owner["_key"], row).row.id


@seed
def report(session: TenantSession, owner: Owner) -> uuid.UUID:
    row = {"reporter": "anonymous", "kind": "other", "words": "w", "observed_on": FIRST, "known_on": FIRST}
    clerk = _somebody(session, Role.ASSOCIATION_CLERK)
    return associations.enter_report(session, clerk, owner["_key"], row).row.id


def add_alert(session: TenantSession, firm_id: uuid.UUID) -> uuid.UUID:
    """Raise an alert about a firm."""
    row = Alert(
        tenant_id=tenant_of(session), id=uuid.uuid4(), rule="grade_drop", firm_id=firm_id, product=PRODUCT,
        severity="H", fingerprint=uuid.uuid4().hex, as_of=SECOND, raised_at=clock.now(), run_id=None,
        text={"zh-CN": "评级下降", "en": "grade fell"}, evidence={},
        acknowledged_at=None, acknowledged_by=None, note=None,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row.id


def add_model(session: TenantSession) -> None:
    """Make a model written by hand the live one."""
    data = artifact.dump(handmade.model())
    session.add(
        ModelVersion(
            tenant_id=tenant_of(session), id=uuid.uuid4(), product=PRODUCT, number=1, state="live", as_of=FIRST, seed=7,
            artifact=data, artifact_sha256=hashlib.sha256(data).digest(), report=handmade.REPORT,
            created_at=clock.now(), created_by="trainer", live_at=clock.now(), live_by="trainer",
        )
    )  # fmt: skip
    session.flush()


def add_firm(session: TenantSession, tenant: str, branch_id: uuid.UUID, key: str) -> Owner:
    """Add a firm to a branch, with invoices enough for a score, a person behind it and a loan."""
    session.info["reach"] = Reach(branch_id)
    observed = {"observed_on": date(2023, 1, 31), "known_on": date(2023, 1, 31)}
    facts = {"name": f"{key} 鞋业", "industry": None, "cluster": "shoes", "place": None, "founded_on": None}
    view, _ = firms.observe_firm(session, {"firm_id": key, **facts, "is_lead": None, **observed})
    invoices = [
        {"direction": "output", "counterparty": f"B{month}", "has_linked_codes": False, "number": f"{key}-{month}",
         "observed_on": date(2024, month, 15), "known_on": date(2024, month, 15), "net_fen": 100_000_00,
         "vat_fen": 13_000_00, "gross_fen": 113_000_00, "is_void": False}
        for month in range(1, 10)
    ]  # fmt: skip
    firms.add_invoices(session, view.id, [{**row, "observed_on": date(2023, 11, 1)} for row in invoices] + invoices)
    loan_id = f"L-{key}"
    loan = {"loan_id": loan_id, "product": PRODUCT, "principal_fen": 500_000_00, "matures_on": None, **observed}
    firms.add_loan(session, view.id, loan)
    person = {"firm_id": key, "person_id": f"P-{key}", "role": "owner", "trade_since": None, **observed}
    firms._add(session, "person", [person])
    session.info.pop("reach")
    ids = {"branch": str(branch_id), "firm": str(view.id), "_key": key, "_loan": loan_id}
    return Owner(tenant, tenant_of(session), ids)


def build(database: Database, keyring: Keyring) -> World:
    """Make the world."""
    owners = {}
    suffix = uuid.uuid4().hex[:8]
    for bank in ("bank", "rival"):
        owners |= add_bank(database, keyring, bank, f"{bank}-{suffix}")
    holders = list(_bank_holders(database, owners))
    others = ((Organisation.FUND, Role.FUND_AUDITOR), (Organisation.ASSOCIATION, Role.ASSOCIATION_CLERK))
    for kind, role in others:
        name = f"{kind} of bank-{suffix}"
        with database.session() as session:
            tenant_id = create_tenant(session, name, kind)
            own = Owner(name, tenant_id, {})
            own.ids |= {"audit_entry": str(audit.append(session, "test.seeded", f"tenant:{tenant_id}"))}
            if kind is Organisation.FUND:
                own.ids |= _in_the_book(owners)
            if kind is Organisation.ASSOCIATION:
                own.ids |= {"_key": "E-home"}
                own.ids |= {make.__name__: str(make(session, own)) for make in (act, report)}
            _, token = create_key(session, str(role), role)
            holder = f"{role} of {kind}"
            holders.append(Holder(holder, role, token, own, own, owners["rival home"], reaches_away=True))
    number_all(database)
    return World(owners, holders, _ended_keys(database, owners["bank home"]))


def _in_the_book(owners: dict[str, Owner]) -> dict[str, str]:
    """Return what a fund may see of the bank that lets it look: no ids but these cross."""
    banks = {name: owner for name, owner in owners.items() if name.startswith("bank ")}
    crossing = {f"{what} of {name}": owner[what] for name, owner in banks.items() for what in ("own_loan", "guarantee")}
    home = owners["bank home"]
    return {"bank": home["bank"], "own_loan": home["own_loan"], "_key": home["_key"], **crossing}


@seed
def _answered(session: TenantSession, owner: Owner) -> str:
    session.info["asker_id"] = uuid.uuid4()
    once = Once(uuid.uuid4().hex, b"a request", "a secret")
    once.answer(session, lambda: AcknowledgeIn(note="an answer"))
    return once.key


def add_bank(database: Database, keyring: Keyring, bank: str, tenant: str) -> dict[str, Owner]:
    """Make a bank of two branches, with a live model, two rescorings, three firms and all that they own."""
    around = {f"_{name}": f"{name} of {tenant}" for name in ("fund", "spare_fund", "new_fund")}
    for fund in around.values():
        with database.session() as session:
            create_tenant(session, fund, Organisation.FUND)
    with database.session() as session:
        tenant_id = create_tenant(session, tenant)
        add_model(session)
        here, there = (create_branch(session, f"{bank} {name}").id for name in ("here", "there"))
        owners = {
            f"{bank} home": add_firm(session, tenant, here, "E-home"),
            f"{bank} sibling": add_firm(session, tenant, here, "E-sibling"),
            f"{bank} away": add_firm(session, tenant, there, "E-away"),
        }
    for day in (FIRST, SECOND):
        run = rescore(database, tenant_id, PRODUCT, day, "nightly")
        assert (run.scored, run.state) == (len(owners), "published")
    states = {"run": True, "published_run": True, "checked_run": False, "spare_run": False}
    runs = {
        name: str(rescore(database, tenant_id, PRODUCT, FIRST, "nightly", is_published=is_published).run_id)
        for name, is_published in states.items()
    }
    with database.session(tenant_id) as session:
        session.info["keyring"] = keyring
        for owner in owners.values():
            owner.ids |= around | runs
        for name, make in SEEDS.items():
            for owner in owners.values():
                owner.ids[name] = str(make(session, owner))
    return owners


def _bank_holders(database: Database, owners: dict[str, Owner]) -> Iterator[Holder]:
    home, away, foreign = owners["bank home"], owners["bank away"], owners["rival home"]
    with database.session(home.tenant_id) as session:
        for role in sorted(ROLES_OF[Organisation.BANK]):
            for is_bound in (True, False) if role in BRANCH_ROLES else (False,):
                reach: dict[str, Any] = {"branch_id": uuid.UUID(home["branch"])} if is_bound else _everywhere(role)
                if role is Role.FIRM:
                    reach["firm_id"] = uuid.UUID(home["firm"])
                if role is Role.APPROVER:
                    reach["limits"] = (ApprovalLimit(worst_grade=15, amount="5000000"),)
                name = f"{role} of a branch" if is_bound else str(role)
                _, token = create_key(session, name, role, **reach)
                beside = owners["bank sibling"] if role is Role.FIRM else away
                reaches = not is_bound and role is not Role.FIRM
                yield Holder(name, role, token, home, beside, foreign, reaches_away=reaches)


def _everywhere(role: Role) -> dict[str, Any]:
    return {"all_branches": True} if role in BRANCH_ROLES else {}


def _ended_keys(database: Database, home: Owner) -> dict[str, str]:
    """Return keys that opened things until now."""
    ended = {}
    with database.session(home.tenant_id) as session:
        for role in sorted(ROLES_OF[Organisation.BANK]):
            reach: dict[str, Any] = {"firm_id": uuid.UUID(home["firm"])} if role is Role.FIRM else _everywhere(role)
            if role is Role.APPROVER:
                reach["limits"] = (ApprovalLimit(worst_grade=15, amount="1"),)
            for why, column in (("revoked", "revoked_at"), ("expired", "expires_at")):
                row, token = create_key(session, why, role, **reach)
                session.execute(text(f"update api_key set {column} = now() where id = :id"), {"id": row.id})
                ended[f"{why} {role}"] = token
    return ended


class Talker:
    """Sends requests to the application in process, all on one event loop."""

    def __init__(self, portal: Any, client: httpx.AsyncClient) -> None:
        self._portal, self._client = portal, client

    def send(self, token: str | None, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= options.pop("headers", {})

        async def call() -> httpx.Response:
            return await self._client.request(method, path, headers=headers, **options)

        return self._portal.call(call)


@contextmanager
def talking_to(app: Any) -> Iterator[Talker]:
    """Open a talker to an application."""
    with anyio.from_thread.start_blocking_portal() as portal:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        yield Talker(portal, httpx.AsyncClient(transport=transport, base_url="http://test"))
