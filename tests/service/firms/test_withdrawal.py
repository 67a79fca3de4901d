"""A withdrawn consent ends all later use of a person's data, whatever the day that is looked at (docs/adr/0016)."""

from datetime import date

import polars as pl
import pytest

from features.build import build_matrix
from features.context import build_context
from features.inputs import Inputs
from service.firms.use_cases import add_inputs, read_inputs
from service.kit import clock
from tests.features.rows import consent, firm, inputs, nothing, person, record

START, MIDDLE, END = date(2020, 1, 1), date(2023, 6, 30), date(2024, 6, 30)
WITHDRAWN = date(2024, 3, 1)
ROWS = [
    *[firm(key) for key in "FGH"],
    *[person(who, date(2010, 1, 1), firm_id=key) for key in "FGH" for who in "ab"],
    *[record(who, 45, firm_id=key, on=date(2021, 1, 1)) for key in "FGH" for who in "ab"],
    *[consent(who, scope, key) for key in "FGH" for who in "ab" for scope in ("owner_data", "bureau")],
]


def kept(known: Inputs) -> tuple[list[str], list[str]]:
    frames = (known.persons, known.personal_records)
    persons, records = (sorted(frame.select(pl.col("firm_id") + pl.col("person_id")).to_series()) for frame in frames)
    return persons, records


ALL = [key + who for key in "FGH" for who in "ab"]
NOT_FA = [name for name in ALL if name != "Fa"]


def add(session, *rows):
    add_inputs(session, inputs(*rows), lambda *_: None)


@pytest.mark.parametrize(
    ("later", "persons", "records"),
    [
        ([], ALL, ALL),
        ([consent("a", on=WITHDRAWN, given=False)], NOT_FA, ALL),
        ([consent("a", "bureau", on=WITHDRAWN, given=False)], ALL, NOT_FA),
        ([consent("a", on=WITHDRAWN, given=False, known=date(2024, 12, 1))], NOT_FA, ALL),
        ([consent("a", "automated_decision", on=WITHDRAWN, given=False)], ALL, ALL),
        ([consent(None, on=WITHDRAWN, given=False)], ALL, ALL),
        ([consent("a", on=WITHDRAWN, given=False), consent("a", on=date(2024, 4, 1))], ALL, ALL),
        ([consent("a", on=WITHDRAWN), consent("a", on=WITHDRAWN, given=False)], NOT_FA, ALL),
    ],
)
def test_who_withdrew_is_read_no_more(session, later, persons, records):
    add(session, *ROWS, *later)
    for as_of in (MIDDLE, END):
        assert kept(read_inputs(session, as_of)) == (persons, records)
        assert kept(read_inputs(session, as_of, "F", "F")) == (persons[: len(persons) - 4], records[: len(records) - 4])
        assert kept(read_inputs(session, as_of, "G", "H")) == (ALL[2:], ALL[2:])


def test_consents_themselves_stay(session):
    add(session, *ROWS)
    before = read_inputs(session, MIDDLE).consents.height
    add(session, consent("a", on=WITHDRAWN, given=False))
    assert read_inputs(session, MIDDLE).consents.height == before
    assert read_inputs(session, END).consents.height == before + 1


def test_features_of_an_earlier_day_change_with_a_withdrawal(session):
    add(session, *ROWS)
    names = ["owner_yrs", "owner_dpd"]

    def features():
        known = read_inputs(session, MIDDLE)
        return build_matrix(known, build_context(known, MIDDLE), names, MIDDLE)

    assert not features().missing.any()
    add(
        session, *[consent(who, scope, on=WITHDRAWN, given=False) for who in "ab" for scope in ("owner_data", "bureau")]
    )
    assert features().missing.tolist() == [[True, True], [False, False], [False, False]]


BEGAN, ENDED, LAPSED = date(2018, 1, 1), date(2019, 2, 28), date(2024, 2, 28)
OVER = record("a", 200, ENDED, on=BEGAN)


@pytest.fixture
def today(monkeypatch):
    return lambda day: monkeypatch.setattr(clock, "today", lambda: day)


def records_of(session, as_of, *keys):
    rows = read_inputs(session, as_of, *(keys or ("F", "F"))).personal_records.filter(person_id="a")
    return sorted(rows.select("record", "days_past_due", "ended_on").rows(), key=str)


@pytest.mark.parametrize("keys", [("F", "F"), (None, None)])
def test_a_record_that_lapsed_is_read_for_no_day(session, today, keys):
    """Regulation on the Credit Reporting Industry, article 16: on the day and after, also as of days before it."""
    add(session, *ROWS, record("a", 200, on=BEGAN), OVER)
    others = [("late_payment", 45, None)] * (1 if keys[0] else 3)
    held = [("late_payment", 200, None), ("late_payment", 200, ENDED)]
    today(date(2024, 2, 27))
    assert records_of(session, MIDDLE, *keys) == sorted([*held, *others], key=str)
    assert records_of(session, date(2018, 6, 30), *keys) == held[:1]
    for day in (LAPSED, date(2024, 2, 29), END):
        today(day)
        assert records_of(session, MIDDLE, *keys) == sorted([("none", None, None)] * 2 + others, key=str)
        assert records_of(session, date(2018, 6, 30), *keys) == [("none", None, None)]


@pytest.mark.parametrize(
    ("later", "is_held"),
    [
        ([], False),
        ([record("a", 200, None, on=BEGAN, known=date(2020, 1, 1))], True),
        ([record("a", 200, date(2019, 3, 31), on=BEGAN)], True),
        ([record("a", 200, date(2019, 2, 1), on=BEGAN, known=date(2020, 1, 1))], False),
        ([record("a", 60, on=BEGAN, kind="judgment")], False),
        ([record("b", 60, on=BEGAN), record("a", 60, firm_id="G", on=BEGAN)], False),
    ],
)
def test_the_newest_row_of_a_record_says_when_it_lapses(session, today, later, is_held):
    add(session, *ROWS[:3], *ROWS[9:], *later, OVER)
    today(LAPSED)
    held = [days for _, days, _ in records_of(session, END) if days == 200]
    assert bool(held) == is_held


def test_a_lapsed_record_leaves_features_of_days_before(session, today):
    clean = [nothing(who, key) for key in "FGH" for who in "ab"]
    add(session, *[row for row in ROWS if row[0] != "personal_record"], *clean, record("a", 200, on=BEGAN), OVER)

    def worst():
        known = read_inputs(session, MIDDLE)
        return build_matrix(known, build_context(known, MIDDLE), ["owner_dpd"], MIDDLE).values.ravel().tolist()

    today(date(2024, 2, 27))
    assert worst() == [200, 0, 0]
    today(LAPSED)
    assert worst() == [0, 0, 0]
