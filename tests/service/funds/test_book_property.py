"""For any grants, guarantees and days, a fund sees exactly what plain arithmetic says, on every way in."""

import uuid
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.errors import Conflict
from service.firms.use_cases import add_loan
from service.funds.use_cases import list_book, summarise_book
from service.identity.actor import Reach
from service.identity.use_cases import tenant_id_of
from service.kit.db import FUND_ROLE, TenantSession, in_role
from tests.service.funds.book_world import (
    Bank,
    Firm,
    Guarantee,
    Loan,
    Score,
    expected_loan,
    firm_id,
    guaranteed_fen,
    score_of,
    scores_seen,
    seen,
    write,
)

PRODUCTS = ("credit-score", "order-loan")
FUNDS = ("fund-a", "fund-b")
OFFSETS = st.sampled_from([-400, -1, 0, 1, 30])


@st.composite
def firms(draw, number):
    scores = []
    for product in draw(st.sets(st.sampled_from(PRODUCTS))):
        pds = draw(st.lists(st.floats(0.0005, 1), min_size=1, max_size=3))
        scores += [Score(product, pd, is_current=place == 0) for place, pd in enumerate(pds)]
    return Firm(f"F{number}", draw(st.sampled_from([None, "远航鞋业", "Yuanhang"])), scores)


@st.composite
def guarantees(draw, loan, fund):
    starts, ends = draw(OFFSETS), draw(st.none() | OFFSETS)
    if ends is not None and ends < starts - 1:
        starts, ends = ends, starts
    coverage = Decimal(draw(st.integers(1, 10_000))).scaleb(-4)
    product = draw(st.sampled_from([loan.former_product, loan.product]))
    return Guarantee(loan, fund, starts, ends, coverage, draw(st.none() | st.integers(1, 10**9)), product)


@st.composite
def successive(draw, loan, fund):
    """Draw guarantees of a loan, no two of them in force on one day."""
    kept = []
    for one in draw(st.lists(guarantees(loan, fund), max_size=3)):
        if not any(one.covers(day) and other.covers(day) for other in kept for day in range(-400, 32)):
            kept.append(one)
    return kept


@st.composite
def banks(draw, name):
    bank = Bank(name, [draw(firms(number)) for number in range(draw(st.integers(0, 3)))])
    for firm in bank.firms:
        for number in draw(st.sets(st.integers(0, 3), max_size=2)):
            former, product = draw(st.sampled_from(PRODUCTS)), draw(st.sampled_from(PRODUCTS))
            loan = Loan(f"L-{number}", firm, product, draw(st.integers(1, 10**12)), former)
            is_taken = loan.loan_id in {other.loan_id for other in bank.loans}
            (bank.refused if is_taken else bank.loans).append(loan)
    for fund in FUNDS:
        bank.grants += [(fund, False)] * draw(st.integers(0, 1)) + [(fund, True)] * draw(st.integers(0, 1))
        bank.guarantees += [one for loan in bank.loans for one in draw(successive(loan, fund))]
    return bank


@pytest.fixture
def owner(database):
    with database.engine.connect() as connection:
        yield connection


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(banks("bank-a"), banks("bank-b")))
def test_a_fund_sees_exactly_its_own_book(owner, drawn):
    named = uuid.uuid4().hex
    funds = [f"{fund}-{named}" for fund in FUNDS]
    for bank in drawn:
        bank.name = f"{bank.name}-{named}"
        bank.grants = [(f"{fund}-{named}", is_live) for fund, is_live in bank.grants]
        for one in bank.guarantees:
            one.fund = f"{one.fund}-{named}"
    try:
        write(owner, list(drawn), funds)
        for bank in drawn:
            check_refused(owner, bank)
        for fund in funds:
            check(owner, list(drawn), fund)
    finally:
        owner.rollback()


def check_refused(connection, bank):
    """A number that another firm's loan has is refused, also to somebody who cannot see that firm."""
    for loan in bank.refused:
        reach = Reach(firm_id=firm_id(bank, loan.firm))
        row = {
            "loan_id": loan.loan_id, "product": loan.product, "principal_fen": loan.principal_fen,
            "observed_on": date(2025, 1, 1), "known_on": date(2025, 1, 1), "matures_on": None,
        }  # fmt: skip
        asker = {"tenant_id": tenant_id_of(bank.name), "reach": reach}
        with TenantSession(connection, info=asker) as session, pytest.raises(Conflict, match="is taken"):
            add_loan(session, reach.firm_id, row)


def check(connection, everything, fund):
    visible = seen(everything, fund)
    with TenantSession(connection, info={"tenant_id": tenant_id_of(fund)}) as session:
        rows = walk(session, None)
        assert sorted(map(str, rows)) == sorted(str(expected_loan(bank, one, visible)) for bank, one in visible)
        for bank in everything:
            of_bank = [row for row in rows if row["bank"] == bank.name]
            assert walk(session, tenant_id_of(bank.name)) == of_bank
        check_sums(session, everything, fund, visible)
        with in_role(session, FUND_ROLE):
            check_rows(session, visible)


def walk(session, bank_id):
    """Return the whole book, read in pages of two."""
    rows, after = [], None
    while page := list_book(session, bank_id, after, 2):
        rows += [vars(loan) for loan in page]
        after = (page[-1].bank_id, page[-1].loan_id, page[-1].guarantee_id)
    return rows


def check_sums(session, everything, fund, visible):
    sums = {row.bank: row for row in summarise_book(session)}
    assert sums.keys() == {bank.name for bank in everything if (fund, True) in bank.grants}
    for name, row in sums.items():
        loans = [one for bank, one in visible if bank.name == name]
        found = [(score_of(one.loan, visible), guaranteed_fen(one)) for one in loans]
        scored = [(Fraction(score.pd), fen) for score, fen in found if score]
        weight = sum(fen for _, fen in scored)
        assert (row.loans, row.scored) == (len(loans), len(scored))
        assert row.guaranteed_fen == sum(map(guaranteed_fen, loans))
        if weight == 0:
            assert row.pd is None
        else:
            assert row.pd == pytest.approx(float(sum(pd * fen for pd, fen in scored) / weight), rel=1e-12)


def check_rows(session, visible):
    """The tables themselves, without any condition of ours."""
    scores = {score.id for score in scores_seen(visible).values()}
    expected = {
        "select id from fund_guarantee": {one.id for _, one in visible},
        "select loan_id || tenant_id from loan": {
            f"{one.loan.loan_id}{tenant_id_of(bank.name)}" for bank, one in visible
        },
        "select id from firm": {firm_id(bank, one.loan.firm) for bank, one in visible},
        "select firm_id from firm_observation": {
            firm_id(bank, one.loan.firm) for bank, one in visible if one.loan.firm.name
        },
        "select score_id from current_score": scores,
        "select id from score": scores,
    }
    for query, rows in expected.items():
        assert set(session.execute(text(query)).scalars()) == rows, query
