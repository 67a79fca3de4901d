"""As-of and bit-for-bit promises, on random observations of every kind (methods.md V25)."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.build import CATALOG, build_matrix
from features.context import build_context
from features.inputs import Inputs
from tests.features import oracle
from tests.features.rows import DAY, consent, firm, inputs, invoice, loan, nothing, person, record, sale, status

NAMES = tuple(CATALOG)
quick = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])

firm_ids = st.sampled_from(["F", "G", "企业"])
partners = st.sampled_from(["A", "B", "C", "F"])
days = st.integers(0, 900).map(lambda ago: DAY - timedelta(days=ago))


def invoices(firm_id=firm_ids):
    return st.builds(
        invoice,
        st.sampled_from(["output", "input"]),
        days,
        st.sampled_from([100.0, -100.0, 250.5, 10**9 + 0.07]) | st.integers(-99, 9_999),
        partners,
        firm_id=firm_id,
        vat=st.sampled_from([0.0, 13.0]),
        number=st.sampled_from([None, "1", "2"]),
        linked=st.sampled_from([True, True, True, False]),
        void=st.sampled_from([False, False, False, True]),
    )


others = st.one_of(
    st.builds(
        firm,
        firm_ids,
        days,
        cluster=st.sampled_from([None, "shoes", "valves"]),
        founded_on=st.none() | st.dates(date(1990, 1, 1), date(2030, 1, 1)),
    ),
    st.builds(
        person,
        st.sampled_from("ab"),
        st.none() | st.dates(date(1990, 1, 1), date(2030, 1, 1)),
        st.sampled_from(["owner", "owner", "legal_representative"]),
        firm_ids,
        days,
    ),
    st.builds(
        lambda who, scope, firm_id, on, given: consent(who, scope, firm_id, on, given=given),
        st.sampled_from(["a", "b", None]),
        st.sampled_from(["owner_data", "bureau", "automated_decision"]),
        firm_ids,
        days,
        st.booleans(),
    ),
    st.builds(
        lambda who, firm_id, on, days_past_due, kind, ended: record(
            who, days_past_due, ended and on + timedelta(days=ended), firm_id, on, kind=kind
        ),
        st.sampled_from("ab"),
        firm_ids,
        days,
        st.none() | st.integers(1, 400),
        st.sampled_from(["late_payment", "judgment"]),
        st.none() | st.integers(1, 900),
    ),
    st.builds(nothing, st.sampled_from("ab"), firm_ids, days),
    st.builds(loan, days, firm_ids, st.sampled_from("KL")),
    st.builds(status, days, st.sampled_from([0, 45, 91]), firm_ids, st.sampled_from(["K", "L", None])),
)
rows = st.builds(lambda a, b: a + b, st.lists(invoices(), max_size=30), st.lists(others, max_size=8))
PDS = pl.DataFrame({"firm_id": ["A", "C", "F"], "pd": [0.0123456789012345, 0.3, 0.1]})
BASE = [
    *[firm(firm_id) for firm_id in ("F", "G", "企业")],
    *[consent("a", scope, firm_id) for scope in ("owner_data", "bureau") for firm_id in ("F", "G")],
]


def matrix_of(some):
    data = inputs(*BASE, *some)
    return build_matrix(data, build_context(data, DAY, PDS, ["r"]), NAMES, DAY)


def same(a, b):
    return (a.firm_ids, a.values.tobytes(), a.missing.tobytes()) == (
        b.firm_ids,
        b.values.tobytes(),
        b.missing.tobytes(),
    )


def made_later(row, is_observed):
    kind, fields = row
    later = DAY + timedelta(days=1)
    return kind, fields | {"known_on": later} | ({"observed_on": later} if is_observed else {})


@quick
@given(rows, st.lists(st.tuples(st.one_of(invoices(), others), st.booleans()), min_size=1, max_size=6))
def test_later_known_rows_leave_every_byte(some, extra):
    later = [made_later(row, is_observed) for row, is_observed in extra]
    assert same(matrix_of(some), matrix_of(some + later))


@quick
@given(rows, st.randoms(use_true_random=False))
def test_order_of_rows_leaves_every_byte(some, random):
    shuffled = list(some)
    random.shuffle(shuffled)
    assert same(matrix_of(some), matrix_of(shuffled))


@quick
@given(rows)
def test_a_firm_alone_equals_its_row_among_all(some):
    data = inputs(*BASE, *some)
    context = build_context(data, DAY, PDS, ["r"])
    everyone = build_matrix(data, context, NAMES, DAY)
    for i, firm_id in enumerate(everyone.firm_ids):
        alone = build_matrix(data.of_firms([firm_id]), context, NAMES, DAY)
        assert alone.firm_ids == [firm_id]
        assert alone.values.tobytes() == everyone.values[i].tobytes()


@quick
@given(st.lists(invoices(st.just("F")), max_size=40), days)
def test_against_plain_python(some, as_of):
    data = inputs(firm("F", date(2000, 1, 1)), *some)
    context = build_context(data, as_of)
    expected = oracle.features([fields for _, fields in some], as_of)
    matrix = build_matrix(data, context, list(expected), as_of)
    for name, got in zip(matrix.names, matrix.values[0], strict=True):
        assert got == pytest.approx(expected[name], rel=1e-9, abs=1e-12, nan_ok=True), name


@quick
@given(rows)
def test_values_are_finite_or_nan(some):
    matrix = matrix_of(some)
    assert not np.isinf(matrix.values).any()
    assert matrix.values.flags.c_contiguous
    assert matrix.values.shape == matrix.missing.shape == (3, len(NAMES))


def test_a_firm_alone_equals_its_row_among_thousands():
    rng = np.random.default_rng(5)
    many = [
        sale(DAY - timedelta(days=int(ago)), float(yuan), f"P{partner}", firm_id=f"F{n:04}")
        for n, ago, yuan, partner in zip(
            rng.integers(0, 1500, 9_000),
            rng.integers(0, 900, 9_000),
            rng.lognormal(8, 2, 9_000).round(2),
            rng.integers(0, 9, 9_000),
            strict=True,
        )
    ]
    data = inputs(*[firm(f"F{n:04}") for n in range(1500)], *many)
    context = build_context(data, DAY)
    everyone = build_matrix(data, context, NAMES, DAY)
    for i in range(0, 1500, 97):
        alone = build_matrix(data.of_firms([everyone.firm_ids[i]]), context, NAMES, DAY)
        assert alone.values.tobytes() == everyone.values[i].tobytes()


def test_splitting_and_joining_inputs_changes_nothing():
    data = inputs(*BASE, sale(DAY, 5), sale(DAY, 9, firm_id="G"))
    parts = Inputs.concat(data.of_firms([firm_id]) for firm_id in ("G", "企业", "F"))
    context = build_context(data, DAY)
    assert same(build_matrix(data, context, NAMES, DAY), build_matrix(parts, context, NAMES, DAY))
