"""Small worlds of banks and funds, written past the service, and what each fund may see by plain arithmetic."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal

from sqlalchemy import text

from service.identity.use_cases import tenant_id_of
from service.kit import clock

FIELDS = ("pd", "pd_basis", "grade", "as_of", "reason_families")


@dataclass
class Score:
    product: str
    pd: float
    as_of: date = date(2026, 1, 31)
    grade: str = "7"
    is_current: bool = True
    id: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass
class Firm:
    key: str
    name: str | None = None
    scores: list[Score] = field(default_factory=list)


@dataclass
class Loan:
    loan_id: str
    firm: Firm
    product: str
    principal_fen: int
    former_product: str | None = None

    def __post_init__(self) -> None:
        self.former_product = self.former_product or self.product


@dataclass
class Guarantee:
    """A fund's guarantee; ``product`` is that of the loan when it was noted, which may have been corrected since."""

    loan: Loan
    fund: str
    starts: int
    ends: int | None
    coverage: Decimal = Decimal("0.8")
    cap_fen: int | None = None
    product: str | None = None
    id: uuid.UUID = field(default_factory=uuid.uuid4)

    def __post_init__(self) -> None:
        self.product = self.product or self.loan.product

    def is_in_force(self) -> bool:
        return self.covers(0)

    def covers(self, offset: int) -> bool:
        return self.starts <= offset and (self.ends is None or self.ends >= offset)


@dataclass
class Bank:
    name: str
    firms: list[Firm] = field(default_factory=list)
    loans: list[Loan] = field(default_factory=list)
    grants: list[tuple[str, bool]] = field(default_factory=list)
    guarantees: list[Guarantee] = field(default_factory=list)
    refused: list[Loan] = field(default_factory=list)
    """Whose number another firm's loan has."""


def day(offset: int | None) -> date | None:
    return None if offset is None else clock.today() + timedelta(days=offset)


def write(connection, banks: list[Bank], funds: list[str]) -> None:
    """Write a world as the owner, whom the tests' server lets past row-level security."""
    for name, kind in [*((bank.name, "bank") for bank in banks), *((fund, "fund") for fund in funds)]:
        _insert(connection, "tenant", id=tenant_id_of(name), name=name, kind=kind, created_at=clock.now())
    for bank in banks:
        _write_bank(connection, bank, tenant_id_of(bank.name))


def _write_bank(connection, bank: Bank, tenant_id: uuid.UUID) -> None:
    made = {"tenant_id": tenant_id, "version": 1}
    model, context = uuid.uuid4(), uuid.uuid4()
    _insert(
        connection, "model_version", tenant_id=tenant_id, id=model, product="credit-score", number=1, state="live",
        as_of=clock.today(), seed=1, artifact=b"", artifact_sha256=b"", report="{}", created_at=clock.now(),
        created_by="test",
    )  # fmt: skip
    _insert(
        connection, "day_context", tenant_id=tenant_id, id=context, as_of=clock.today(), body="", built_at=clock.now()
    )
    for fund, is_live in bank.grants:
        ended = {} if is_live else {"ended_at": clock.now(), "ended_by": "test"}
        _insert(
            connection, "guarantee_grant", **made, id=uuid.uuid4(), fund_id=tenant_id_of(fund), fund=fund,
            granted_at=clock.now(), granted_by="test", **ended,
        )  # fmt: skip
    for firm in bank.firms:
        _write_firm(connection, firm, tenant_id, model, context)
    for loan in bank.loans:
        _observe(
            connection, "loan", tenant_id, loan.firm, loan_id=loan.loan_id, product=loan.former_product,
            principal_fen=loan.principal_fen + 1, observed_on=date(2020, 1, 1),
        )  # fmt: skip
        _observe(
            connection, "loan", tenant_id, loan.firm, loan_id=loan.loan_id, product=loan.product,
            principal_fen=loan.principal_fen,
        )  # fmt: skip
    for one in bank.guarantees:
        _insert(
            connection, "fund_guarantee", **made, id=one.id, firm_id=firm_id(bank, one.loan.firm),
            loan_id=one.loan.loan_id, product=one.product, fund_id=tenant_id_of(one.fund),
            coverage=one.coverage, cap_fen=one.cap_fen, starts_on=day(one.starts), ends_on=day(one.ends),
            created_at=clock.now(), created_by="test",
        )  # fmt: skip


def _write_firm(connection, firm: Firm, tenant_id: uuid.UUID, model: uuid.UUID, context: uuid.UUID) -> None:
    owner = {"tenant_id": tenant_id, "firm_id": uuid.uuid5(tenant_id, firm.key)}
    _insert(
        connection, "firm", tenant_id=tenant_id, id=owner["firm_id"], key=firm.key, created_at=clock.now(), version=1
    )
    if firm.name is not None:
        _observe(connection, "firm_observation", tenant_id, firm, name="a former name", observed_on=date(2020, 1, 1))
        _observe(connection, "firm_observation", tenant_id, firm, name=firm.name)
    at = clock.now()
    for score in firm.scores:
        _insert(
            connection, "score", **owner, id=score.id, product=score.product, as_of=score.as_of,
            scored_at=at, actor="test", model_version_id=model, context_id=context, pd=score.pd,
            pd_basis="observed", interval_low=score.pd, interval_high=score.pd, interval_kind="bootstrap",
            grade=score.grade, stable_grade=score.grade, points=500, reasons="[]", missing="[]",
            features=json.dumps({"secret": 1}), reason_families=["sales"],
            decision="automated",
        )  # fmt: skip
        if score.is_current:
            pointer = {"product": score.product, "score_id": score.id, "as_of": score.as_of, "scored_at": at}
            _insert(connection, "current_score", **owner, **pointer)


def _observe(connection, table: str, tenant_id: uuid.UUID, firm: Firm, **facts) -> None:
    row = {
        "tenant_id": tenant_id, "firm_id": uuid.uuid5(tenant_id, firm.key), "content_sha256": uuid.uuid4().bytes,
        "observed_on": date(2025, 1, 1), "known_on": date(2025, 1, 1), "ingested_at": clock.now(),
    }  # fmt: skip
    _insert(connection, table, **(row | facts))


def _insert(connection, table: str, **row) -> None:
    columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(text(f"insert into {table} ({columns}) values ({places})"), row)


def firm_id(bank: Bank, firm: Firm) -> uuid.UUID:
    return uuid.uuid5(tenant_id_of(bank.name), firm.key)


def seen(banks: list[Bank], fund: str) -> list[tuple[Bank, Guarantee]]:
    """Return the guarantees that a fund may see: its own, in force today, at banks whose grant to it lives."""
    return [
        (bank, one)
        for bank in banks
        if (fund, True) in bank.grants
        for one in bank.guarantees
        if one.fund == fund and one.is_in_force()
    ]


def scores_seen(visible: list[tuple[Bank, Guarantee]]) -> dict[tuple[int, str], Score]:
    """Return the current scores that a fund may see, by firm and product: of the products that it guarantees."""
    return {
        (id(one.loan.firm), score.product): score
        for _, one in visible
        for score in one.loan.firm.scores
        if score.is_current and score.product == one.product
    }


def score_of(loan: Loan, visible: list[tuple[Bank, Guarantee]]) -> Score | None:
    return scores_seen(visible).get((id(loan.firm), loan.product))


def guaranteed_fen(one: Guarantee) -> int:
    whole = int((one.loan.principal_fen * one.coverage).to_integral_value(ROUND_FLOOR))
    return whole if one.cap_fen is None else min(whole, one.cap_fen)


def expected_loan(bank: Bank, one: Guarantee, visible: list[tuple[Bank, Guarantee]]) -> dict:
    """Return a row of the fund's book."""
    score = score_of(one.loan, visible)
    shown = (score.pd, "observed", score.grade, score.as_of, ["sales"]) if score else (None,) * 5
    return {
        "bank_id": tenant_id_of(bank.name), "bank": bank.name, "guarantee_id": one.id, "loan_id": one.loan.loan_id,
        "product": one.loan.product, "firm_key": one.loan.firm.key, "firm_name": one.loan.firm.name,
        "principal_fen": one.loan.principal_fen, "coverage": one.coverage, "guaranteed_fen": guaranteed_fen(one),
        "starts_on": day(one.starts), "ends_on": day(one.ends), **dict(zip(FIELDS, shown, strict=True)),
    }  # fmt: skip
