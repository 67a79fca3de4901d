"""The adapter ratings: shares of 2,415 days become days, and a day's events keep their order."""

from datetime import date, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from service.imports.adapters import ratings

HEADER = "ID,Time,State"
FILE = ratings.FILE
BEGINS_ON = date(1999, 5, 21)


def test_events_are_dated_graded_and_of_registered_firms(write, load, ledger, counts):
    lines = ["3,0.0,6", f"3,{375 / 2415},7", "3,1.0,8", "4,0.0,0"]
    summary = load("ratings", write(FILE, HEADER, *lines))
    assert counts(summary) == {(FILE, "firm"): (2, 2, 0, 0, 0), (FILE, "external_rating"): (4, 4, 0, 0, 0)}
    rows = ledger("external_rating")
    assert rows["observed_on"].to_list() == [BEGINS_ON, date(2000, 5, 30), date(2005, 12, 30), BEGINS_ON]
    assert rows.select("firm_id", "grade", "is_default", "is_withdrawn").rows() == [
        ("ratings-3", "6", False, False),
        ("ratings-3", "7", True, False),
        ("ratings-3", "8", False, True),
        ("ratings-4", "0", False, False),
    ]
    assert set(rows["agency"]) == {"open-risk"}


def test_several_events_of_a_day_keep_their_order_by_the_day_they_are_known(write, load, ledger, counts):
    lines = ["3,0.5,4", "3,0.5,4", "3,0.5,2", "3,0.5,3", "4,0.5,1"]
    summary = load("ratings", write(FILE, HEADER, *lines))
    assert counts(summary)[FILE, "external_rating"] == (5, 4, 0, 1, 0)
    rows = ledger("external_rating").filter(firm_id="ratings-3")
    day = BEGINS_ON + timedelta(days=1208)
    assert set(rows["observed_on"]) == {day}
    assert rows["grade"].to_list() == ["4", "2", "3"]
    assert [(known - day).days for known in rows["known_on"]] == [0, 2, 3]


def test_a_row_that_cannot_be_is_rejected_and_registers_no_firm(write, load, counts):
    bad = {"x,0,1": "ID", "3,1.5,1": "Time", "3,soon,1": "Time", "3,0.5,9": "State", "3,,1": "Time"}
    summary = load("ratings", write(FILE, HEADER, *bad, "5,0.0,1"))
    assert summary.rejects.select("line", "column").rows() == list(enumerate(bad.values(), start=2))
    assert counts(summary) == {(FILE, "firm"): (1, 1, 0, 0, 0), (FILE, "external_rating"): (6, 1, 0, 0, 5)}


@given(days=st.integers(0, ratings.DAYS))
def test_every_day_of_the_span_comes_back_from_its_share(days):
    share = pl.DataFrame({"Time": [repr(days / ratings.DAYS)]})
    assert share.select((ratings._time() * ratings.DAYS).round().cast(pl.Int64)).item() == days


def test_the_real_file_reconciles_to_the_row(real, load, counts, ledger):
    folder = real("ratings")
    assert counts(load("ratings", folder)) == {
        (FILE, "firm"): (1_635, 1_635, 0, 0, 0),
        (FILE, "external_rating"): (5_219, 5_196, 0, 23, 0),
    }
    rows = ledger("external_rating")
    assert (rows["is_default"].sum(), rows["is_withdrawn"].sum()) == (16, 307)
    assert (rows["observed_on"].min(), rows["observed_on"].max()) == (BEGINS_ON, date(2005, 12, 30))
    assert load("ratings", folder).added == 0


def test_the_real_times_are_whole_days_of_the_span(real):
    times = pl.read_csv(real("ratings") / FILE)["Time"] * ratings.DAYS
    assert (times - times.round()).abs().max() < 1e-9
