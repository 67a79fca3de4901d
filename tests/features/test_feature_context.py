"""The day's cluster table and the feature that reads it."""

from datetime import date
from math import isnan

import pytest

from features.build import build_matrix
from features.context import Context, build_context
from tests.features.rows import DAY, firm, inputs, loan, status

RECENT, BEFORE = date(2024, 3, 1), date(2023, 3, 1)


def population():
    """Return ten firms in shoes (two default), three in valves (none), one in no cluster."""
    rows = []
    for n in range(14):
        cluster = "shoes" if n < 10 else "valves" if n < 13 else None
        rows += [firm(f"F{n}", cluster=cluster), loan(BEFORE, f"F{n}"), status(BEFORE, 0, f"F{n}")]
        rows.append(status(RECENT, 100 if n < 2 else 0, f"F{n}"))
    return rows


def test_counts_by_cluster():
    context = build_context(inputs(*population()), DAY)
    assert context.clusters.rows() == [("shoes", 10, 2), ("valves", 3, 0)]
    assert (context.obligors, context.defaults) == (14, 2)
    assert context.default_rate == 2 / 14


def test_default_rate_of_a_cluster_is_shrunk():
    data = inputs(*population())
    matrix = build_matrix(data, build_context(data, DAY), ["cl_dr"], DAY)
    rate = dict(zip(matrix.firm_ids, matrix.values[:, 0].tolist(), strict=True))
    assert rate["F0"] == pytest.approx((2 + 50 * 2 / 14) / (10 + 50))
    assert rate["F10"] == pytest.approx((0 + 50 * 2 / 14) / (3 + 50))
    assert rate["F13"] == pytest.approx(2 / 14)
    frame = matrix.frame()
    assert frame.columns == ["firm_id", "cl_dr", "cl_dr__missing"]
    assert frame.filter("cl_dr__missing")["firm_id"].to_list() == ["F13"]


def test_cluster_without_obligors_has_the_populations_rate():
    data = inputs(*population(), firm("N", cluster="new"))
    matrix = build_matrix(data, build_context(data, DAY), ["cl_dr"], DAY)
    assert matrix.values[matrix.firm_ids.index("N"), 0] == pytest.approx(2 / 14)
    assert not matrix.missing[matrix.firm_ids.index("N"), 0]


def test_no_obligors_at_all_is_unknown():
    data = inputs(firm("F", cluster="shoes"), status(RECENT, undated=True, event="unspecified"))
    context = build_context(data, DAY)
    assert isnan(context.default_rate)
    assert isnan(build_matrix(data, context, ["cl_dr"], DAY).values[0, 0])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([loan(BEFORE)], (1, 0)),
        ([loan(BEFORE, matures=date(2023, 6, 1))], (0, 0)),
        ([loan(BEFORE), status(date(2023, 5, 1), closed=True)], (0, 0)),
        ([loan(BEFORE), status(RECENT, closed=True)], (1, 0)),
        ([loan(BEFORE), status(RECENT, event="bankruptcy")], (1, 1)),
        ([status(RECENT, 91, loan_id=None)], (1, 1)),
        ([status(RECENT, 90, loan_id=None)], (1, 0)),
        ([loan(BEFORE), status(date(2023, 4, 1), 100), status(RECENT, 200)], (0, 0)),
        ([loan(date(2021, 1, 1)), status(date(2022, 1, 1), 100), status(date(2022, 9, 1)), status(RECENT, 95)], (1, 1)),
        ([loan(BEFORE), status(RECENT, 91, known=date(2024, 6, 16))], (1, 0)),
        ([status(RECENT, 91, undated=True)], (0, 0)),
    ],
)
def test_who_counts(rows, expected):
    context = build_context(inputs(firm(), *rows), DAY)
    assert (context.obligors, context.defaults) == expected


def test_json_and_back():
    context = build_context(inputs(*population()), DAY)
    again = Context.from_json(context.to_json())
    assert again.to_json() == context.to_json()
    assert again.clusters.equals(context.clusters)
    with pytest.raises(ValueError, match="format 3"):
        Context.from_json(context.to_json().replace('"format":2', '"format":3'))


def test_a_context_of_the_first_format_knew_of_no_published_pds():
    first = build_context(inputs(*population()), DAY).to_json().replace('"format":2', '"format":1')
    again = Context.from_json(first.replace(',"published":null', ""))
    assert (again.obligors, again.published.runs, again.published.pds.height) == (14, (), 0)


def test_order_of_rows_does_not_matter():
    rows = population()
    assert build_context(inputs(*rows), DAY).to_json() == build_context(inputs(*reversed(rows)), DAY).to_json()
