"""The PD of a firm's customers: published PDs weighed by sales, the cluster's median where there is none."""

import math
from datetime import date

import polars as pl
import pytest

from features.build import build_matrix
from features.context import Context, build_context
from tests.features.rows import DAY, buy, firm, inputs, sale

MAY = date(2024, 5, 1)


def cust_pd(rows, pds):
    """Return value and flag of each firm, by name."""
    data = inputs(*rows)
    frame = pl.DataFrame(list(pds.items()), schema={"firm_id": pl.String, "pd": pl.Float64}, orient="row")
    context = build_context(data, DAY, frame, ["run"])
    matrix = build_matrix(data, context, ["cust_pd"], DAY)
    return dict(zip(matrix.firm_ids, zip(matrix.values[:, 0], matrix.missing[:, 0], strict=True), strict=True))


def test_sales_weigh_the_pds_of_the_customers_that_have_one():
    rows = [firm(), sale(MAY, 300, "A"), sale(MAY, 100, "B"), sale(MAY, 5000, "a stranger"), buy(MAY, 900, "C")]
    value, is_missing = cust_pd(rows, {"A": 0.02, "B": 0.1, "C": 0.9, "F": 0.5})["F"]
    assert value == pytest.approx((300 * 0.02 + 100 * 0.1) / 400, rel=1e-12)
    assert not is_missing


@pytest.mark.parametrize(
    "trade",
    [
        [],
        [sale(MAY, 100, "a stranger")],
        [sale(MAY, 100, "F")],
        [sale(date(2023, 6, 15), 100, "A")],
        [sale(MAY, 100, "A"), sale(MAY, -100, "A")],
        [buy(MAY, 100, "A")],
    ],
)
def test_the_clusters_median_stands_for_what_nobody_knows(trade):
    members = [firm(f"M{n}", cluster="shoes") for n in range(4)]
    pds = {"M0": 0.01, "M1": 0.02, "M2": 0.03, "M3": 0.2, "A": 0.9, "B": 0.8, "C": 0.7}
    found = cust_pd([firm(cluster="shoes"), firm("G", cluster="valves"), firm("H"), *members, *trade], pds)
    assert found["F"] == (0.02, True)
    assert found["G"] == found["H"] == (0.2, True)


def test_unknown_where_nothing_was_published():
    value, is_missing = cust_pd([firm(cluster="shoes"), sale(MAY, 100, "A")], {})["F"]
    assert math.isnan(value)
    assert is_missing


def test_a_context_keeps_the_runs_and_medians_and_asks_for_the_pds():
    data = inputs(firm("A", cluster="shoes"), firm(), sale(MAY, 100, "A"))
    pds = pl.DataFrame({"firm_id": ["A"], "pd": [0.04]})
    context = build_context(data, DAY, pds, ["newest", "older"])
    again = Context.from_json(context.to_json())
    assert again.published.runs == ("newest", "older")
    assert again.to_json() == context.to_json()
    with pytest.raises(ValueError, match="read these first"):
        build_matrix(data, again, ["cust_pd"], DAY)
    whole, some = (build_matrix(data, c, ["cust_pd"], DAY) for c in (context, again.with_pds(pds)))
    assert whole.values.tobytes() == some.values.tobytes()
