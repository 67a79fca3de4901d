"""What a run's checks ask the ledger: how much came in when, and which balances cannot be."""

from datetime import date, timedelta

from features.inputs import INPUT_KINDS
from service.firms.use_cases import add_inputs, arrivals, impossible_balances
from tests.features.rows import firm, inputs, loan, sale, status

DAY = date(2024, 6, 30)


def add(session, *rows):
    add_inputs(session, inputs(*rows), lambda *_: None)


def test_rows_are_counted_by_the_period_in_which_they_became_known(session):
    known_on = [DAY, DAY - timedelta(29), DAY - timedelta(30), DAY - timedelta(89), DAY - timedelta(90)]
    add(
        session,
        firm(),
        *[sale(day, 100 + number, "A") for number, day in enumerate(known_on)],
        sale(DAY + timedelta(1), 9),
    )
    found = arrivals(session, DAY, 30, 3)
    assert found["invoice"] == [2, 1, 1]
    assert found["loan"] == [0, 0, 0]
    assert set(found) == set(INPUT_KINDS)


def test_balances_that_cannot_be(session):
    start, later = date(2024, 1, 31), date(2024, 3, 31)
    principal = loan(start, "F", "L")[1]["principal_fen"]

    def of(number, **changes):
        kind, row = status(later, 0, "F", number)
        return kind, row | changes

    add(
        session,
        firm(),
        *[loan(start, "F", number) for number in ("right", "above", "mended", "owes after the end")],
        of("right", balance_fen=principal),
        of("above", balance_fen=principal + 1),
        of("mended", balance_fen=principal + 1, observed_on=start, known_on=start),
        of("mended", balance_fen=0, is_closed=True),
        of("owes after the end", balance_fen=1, is_closed=True),
        of("of nobody", balance_fen=1),
        of("not known yet", balance_fen=1, known_on=DAY + timedelta(1)),
    )
    assert impossible_balances(session, DAY) == (
        5,
        {"above_principal": 1, "owed_after_end": 1, "of_no_loan": 1},
    )
