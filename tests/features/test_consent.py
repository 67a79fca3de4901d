"""Nobody's data are used without consent, and no negative record is held against a person for ever."""

from datetime import date, timedelta
from math import isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import build_matrix
from features.consent import permitted, refused_automated
from features.context import CONTEXT_KINDS, build_context
from features.policy import PERSONAL_RECORD_YEARS
from tests.features import oracle
from tests.features.rows import DAY, consent, firm, inputs, nothing, person, record, value
from tests.features.test_feature_bits import BASE, made_later, matrix_of, others, same

NAN = float("nan")
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)
OWNER = person("a", date(2016, 6, 15))
GIVEN, BUREAU = consent("a"), consent("a", "bureau")

rows = st.lists(others, max_size=20)


@pytest.mark.parametrize(
    ("consents", "years"),
    [
        ([], NAN),
        ([GIVEN], 2922 / 365.25),
        ([consent("a", on=DAY)], 2922 / 365.25),
        ([consent("a", on=DAY, known=AFTER)], NAN),
        ([consent("a", on=AFTER)], NAN),
        ([consent("b")], NAN),
        ([consent(None)], NAN),
        ([consent("a", firm_id="G")], NAN),
        ([consent("a", "bureau"), consent("a", "automated_decision")], NAN),
        ([GIVEN, consent("a", on=BEFORE, given=False)], NAN),
        ([GIVEN, consent("a", on=AFTER, given=False)], 2922 / 365.25),
        ([GIVEN, consent("a", "bureau", on=BEFORE, given=False)], 2922 / 365.25),
        ([GIVEN, consent("a", on=BEFORE, given=False), consent("a", on=DAY)], 2922 / 365.25),
        ([consent("a", on=DAY), consent("a", on=DAY, given=False)], NAN),
        ([consent("a", on=BEFORE, known=DAY), consent("a", on=BEFORE, given=False)], NAN),
    ],
)
def test_owner_data_need_a_consent_in_force(consents, years):
    assert value("owner_yrs", OWNER, *consents) == pytest.approx(years, nan_ok=True)
    assert value("owner_yrs", OWNER, *reversed(consents)) == pytest.approx(years, nan_ok=True)


@pytest.mark.parametrize(
    ("consents", "days"),
    [
        ([GIVEN, BUREAU], 45.0),
        ([GIVEN], NAN),
        ([BUREAU], NAN),
        ([GIVEN, consent("b", "bureau")], NAN),
        ([GIVEN, BUREAU, consent("a", "bureau", on=DAY, given=False)], NAN),
        ([GIVEN, BUREAU, consent("a", on=DAY, given=False)], NAN),
    ],
)
def test_bureau_records_need_a_consent_of_their_own(consents, days):
    assert value("owner_dpd", OWNER, record("a", 45), *consents) == pytest.approx(days, nan_ok=True)


def test_of_several_owners_none_may_hide_behind_the_others():
    owners = [OWNER, person("b", None), GIVEN, consent("b")]
    for of_a in (record("a", 45), nothing("a")):
        everyone = [*owners, of_a, record("b", 60)]
        assert isnan(value("owner_dpd", *everyone, BUREAU))
        assert isnan(value("owner_dpd", *everyone, consent("b", "bureau")))
        assert value("owner_dpd", *everyone, BUREAU, consent("b", "bureau")) == 60
    assert isnan(value("owner_dpd", *owners, nothing("a"), BUREAU, consent("b", "bureau")))


def test_a_consent_alone_is_no_clean_record():
    assert isnan(value("owner_dpd", OWNER, GIVEN, BUREAU))
    assert value("owner_dpd", OWNER, GIVEN, BUREAU, nothing("a", on=DAY)) == 0
    assert isnan(value("owner_dpd", OWNER, GIVEN, BUREAU, nothing("a", on=AFTER)))
    assert value("owner_dpd", OWNER, GIVEN, BUREAU, record("a", 45, date(2019, 1, 1), known=DAY)) == 0


def test_nothing_on_file_ends_no_record():
    assert value("owner_dpd", OWNER, GIVEN, BUREAU, record("a", 45), nothing("a", on=DAY)) == 45


def test_an_owner_may_be_legal_representative_too():
    both = [OWNER, person("a", None, "legal_representative", on=date(2021, 1, 1)), GIVEN, BUREAU, record("a", 120)]
    assert value("owner_yrs", *both) == 2922 / 365.25
    assert value("owner_dpd", *both) == 120


def test_two_records_that_began_on_one_day_leave_the_worse():
    began = date(2022, 1, 1)
    two = [OWNER, GIVEN, BUREAU, record("a", 300, on=began), record("a", 5, on=began, known=date(2022, 2, 1))]
    assert value("owner_dpd", *two) == 300
    assert value("owner_dpd", *two, as_of=date(2022, 1, 31)) == 300
    ended = record("a", 5, date(2022, 3, 1), on=began)
    assert value("owner_dpd", *two, ended, as_of=date(2027, 2, 28)) == 300
    assert value("owner_dpd", *two, ended, as_of=date(2027, 3, 1)) == 0


@pytest.mark.parametrize(
    ("ended", "last"),
    [
        (date(2019, 6, 15), date(2024, 6, 14)),
        (date(2020, 2, 29), date(2025, 2, 27)),
        (date(2019, 2, 28), date(2024, 2, 27)),
        (date(2019, 12, 31), date(2024, 12, 30)),
    ],
)
def test_a_record_leaves_five_years_after_it_ended(ended, last):
    """Regulation on the Credit Reporting Industry, article 16: it counts the day before, not on the day nor after."""
    assert PERSONAL_RECORD_YEARS == 5
    rows = [OWNER, consent("a", on=date(2017, 1, 1)), consent("a", "bureau", on=date(2017, 1, 1))]
    rows += [record("a", 200), record("a", 200, ended)]
    day = timedelta(days=1)
    seen = [value("owner_dpd", *rows, as_of=on) for on in (last - day, last, last + day, last + 2 * day)]
    assert seen == [200, 200, 0, 0]


def test_a_running_record_always_counts():
    rows = [OWNER, GIVEN, BUREAU, record("a", 200, on=date(1995, 1, 1))]
    assert value("owner_dpd", *rows) == 200


def test_the_end_of_a_record_counts_from_when_it_was_known():
    rows = [OWNER, GIVEN, BUREAU, record("a", 200, on=date(2018, 1, 1))]
    end = record("a", 200, date(2019, 1, 1), on=date(2018, 1, 1), known=DAY)
    assert value("owner_dpd", *rows, end, as_of=BEFORE) == 200
    assert value("owner_dpd", *rows, end) == 0


def test_the_end_of_one_record_is_not_that_of_another():
    end = record("a", 200, date(2019, 1, 1), on=date(2018, 1, 1), known=BEFORE)
    for other in (
        record("a", 70, on=date(2018, 1, 2)),
        record("a", 70, on=date(2018, 1, 1), kind="judgment"),
    ):
        assert value("owner_dpd", OWNER, GIVEN, BUREAU, other, end) == 70


@pytest.mark.parametrize("kind", ["late_payment", "write_off", "judgment", "enforcement", "guarantee_called"])
def test_a_record_without_days_is_as_bad_as_a_default(kind):
    assert value("owner_dpd", OWNER, GIVEN, BUREAU, record("a", kind=kind)) == 91
    assert value("owner_dpd", OWNER, GIVEN, BUREAU, record("a", 30, kind=kind)) == 30


@pytest.mark.parametrize(
    ("consents", "refused"),
    [
        ([], []),
        ([consent(None, "automated_decision", given=False)], ["F"]),
        ([consent(None, "automated_decision")], []),
        ([consent("a", "automated_decision", given=False)], ["F"]),
        ([consent(None, "bureau", given=False), consent("a", given=False)], []),
        ([consent(None, "automated_decision", given=False), consent(None, "automated_decision", on=DAY)], []),
        ([consent(None, "automated_decision"), consent(None, "automated_decision", on=DAY, given=False)], ["F"]),
        ([consent("a", "automated_decision", given=False), consent(None, "automated_decision", on=DAY)], ["F"]),
        ([consent(None, "automated_decision", on=DAY, known=AFTER, given=False)], []),
        ([consent(None, "automated_decision", on=AFTER, given=False)], []),
        ([consent(None, "automated_decision", firm_id=f, given=False) for f in "HGF"], ["F", "G", "H"]),
    ],
)
def test_who_refuses_to_be_decided_on_by_machine(consents, refused):
    assert refused_automated(inputs(firm(), *consents), DAY).to_list() == refused


def test_only_rows_about_people_are_left_out():
    data = inputs(firm(), OWNER, record("a", 5), consent("b"), consent(None, "automated_decision", given=False))
    kept = permitted(data, DAY)
    assert (kept.persons.height, kept.personal_records.height, kept.consents.height, kept.firms.height) == (0, 0, 2, 1)


def test_contexts_hold_nothing_of_people():
    assert set(CONTEXT_KINDS).isdisjoint({"person", "personal_record"})
    alone = build_context(inputs(firm()), DAY)
    assert build_context(inputs(firm(), OWNER, GIVEN, BUREAU, record("a", 45)), DAY).to_json() == alone.to_json()


@settings(max_examples=60)
@given(rows, st.lists(st.tuples(others, st.booleans()), min_size=1, max_size=6))
def test_later_known_rows_leave_every_byte(some, extra):
    later = [made_later(row, is_observed) for row, is_observed in extra]
    assert same(matrix_of(some), matrix_of(some + later))


@settings(max_examples=60)
@given(rows)
def test_against_plain_python(some):
    data = inputs(*BASE, *some)
    matrix = build_matrix(data, build_context(data, DAY), ["owner_yrs", "owner_dpd"], DAY)
    for firm_id, values in zip(matrix.firm_ids, matrix.values.tolist(), strict=True):
        expected = oracle.owners([*BASE, *some], firm_id, DAY)
        assert dict(zip(matrix.names, values, strict=True)) == pytest.approx(expected, nan_ok=True)


@settings(max_examples=60)
@given(rows)
def test_without_consent_nothing_is_known_of_people(some):
    data = inputs(*[firm(f) for f in ("F", "G")], *[row for row in some if row[0] != "consent"])
    matrix = build_matrix(data, build_context(data, DAY), ["owner_yrs", "owner_dpd"], DAY)
    assert all(isnan(number) for number in matrix.values.ravel())
    assert matrix.missing.all()
