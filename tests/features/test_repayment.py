"""Corrections and cures: methods.md section 1, default of an obligor."""

from datetime import date

import polars as pl

from features.inputs import Inputs
from features.kinds.credit import REPAYMENT_STATUS
from features.repayment import dated_statuses, in_default, live_spans
from tests.features.rows import inputs, loan
from tests.features.rows import status as status_row


def status(on, days=0, *, loan="L1", known=None, event=None):
    return dict.fromkeys(REPAYMENT_STATUS.schema) | {
        "firm_id": "F1",
        "observed_on": on,
        "known_on": known or on,
        "loan_id": loan,
        "days_past_due": days,
        "default_event": event,
        "is_closed": False,
        "is_undated": False,
    }


def is_in_default(on, *rows):
    frame = pl.DataFrame(rows, schema=REPAYMENT_STATUS.schema)
    candidates = pl.DataFrame({"firm_id": ["F1"], "on": [on]})
    return in_default(candidates, dated_statuses(Inputs.of_frames({"repayment_status": frame}))).height == 1


MAY, JUNE, DECEMBER = date(2024, 5, 31), date(2024, 6, 30), date(2024, 12, 31)


def test_a_correction_takes_the_place_of_what_it_corrects():
    wrong, right = status(MAY, 95), status(MAY, 0, known=date(2024, 6, 5))
    assert is_in_default(JUNE, wrong)
    assert not is_in_default(JUNE, wrong, right)
    assert is_in_default(JUNE, wrong, status(MAY, 0, loan="L2", known=date(2024, 6, 5)))


def test_an_event_and_a_status_of_one_day_both_count():
    assert is_in_default(JUNE, status(MAY, 10), status(MAY, 0, event="bankruptcy"))


def test_six_clean_months_of_the_same_loan_cure():
    assert is_in_default(DECEMBER, status(MAY, 95), status(date(2024, 10, 31), 0))
    assert not is_in_default(DECEMBER, status(MAY, 95), status(date(2024, 11, 30), 0))
    assert is_in_default(DECEMBER, status(MAY, 95), status(date(2024, 11, 30), 0, loan="L2"))
    assert is_in_default(DECEMBER, status(MAY, None, event="write_off"), status(DECEMBER, 0, loan=None))


def test_of_a_loans_rows_the_earliest_start_and_the_latest_maturity_count():
    """As docs/import-door.md says of corrections: only a closing status ends a loan earlier."""
    first, later = loan(MAY, matures=DECEMBER), loan(JUNE, matures=date(2024, 9, 30))
    for rows in ((first, later), (later, first)):
        (span,) = live_spans(inputs(*rows)).rows(named=True)
        assert (span["start_on"], span["end_on"], span["is_closed"]) == (MAY, DECEMBER, False)
    closing = status_row(date(2024, 9, 30), closed=True)
    (span,) = live_spans(inputs(first, later, closing)).rows(named=True)
    assert (span["end_on"], span["is_closed"]) == (date(2024, 9, 30), True)
