"""Labels of training: candidates, draw, window, what is dropped; and the stack of matrices."""

import hashlib
from datetime import date, timedelta

import numpy as np
import pytest

from features.build import build_matrix
from features.context import build_context
from features.outcomes import build_outcomes, stack_training
from features.sufficiency import REQUIREMENTS, insufficient
from tests.features.rows import DAY, buy, firm, inputs, loan, sale, status

AS_OF = date(2024, 12, 31)
START = date(2022, 1, 5)


def month_ends(first=START, last=AS_OF):
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [day for day in days if (day + timedelta(days=1)).day == 1]


def paid_monthly(firm_id="F", until=AS_OF, first=START, days=lambda _: 0):
    return [
        firm(firm_id),
        loan(first, firm_id),
        *[status(on, days(on), firm_id) for on in month_ends(first, until)],
    ]


def outcomes(*rows, as_of=AS_OF, seed=1):
    return build_outcomes(inputs(*rows), as_of, seed)


def test_one_snapshot_a_firm_year_labelled_by_the_next_twelve_months():
    bad_from = date(2023, 8, 1)
    result = outcomes(*paid_monthly("G"), *paid_monthly("B", days=lambda on: 120 if on >= bad_from else 0), seed=7)
    rows = result.frame.rows(named=True)
    assert [(r["firm_id"], r["snapshot_on"].year) for r in rows] == [("B", 2022), ("B", 2023), ("G", 2022), ("G", 2023)]
    assert all(r["snapshot_on"] in month_ends() and not r["is_undated"] for r in rows)
    assert rows[1]["snapshot_on"] < bad_from
    assert [r["is_default"] for r in rows] == [rows[0]["snapshot_on"] >= date(2022, 8, 31), True, False, False]
    assert result.dropped == {"no_loan": 0, "already_in_default": 0, "indeterminate": 0, "censored": 0}


def test_the_draw_does_not_look_at_what_comes():
    """A draw among the months before a default alone would prefer them."""
    bad_from = date(2023, 4, 1)
    for seed in range(20):
        good = outcomes(*paid_monthly("B"), seed=seed).frame["snapshot_on"].to_list()
        bad = outcomes(*paid_monthly("B", days=lambda on: 120 if on >= bad_from else 0), seed=seed)
        assert bad.frame["snapshot_on"].to_list() == [on for on in good if on < bad_from]
        assert bad.dropped["already_in_default"] == len(good) - bad.frame.height


def test_the_draw_depends_on_seed_and_firm_alone():
    mine = paid_monthly("G")
    others = [row for n in range(30) for row in paid_monthly(f"X{n:02}")]
    alone = outcomes(*mine).frame
    among = outcomes(*reversed(mine + others)).frame
    assert among.filter(firm_id="G").equals(alone)
    draws = {tuple(outcomes(*mine, seed=seed).frame["snapshot_on"]) for seed in range(20)}
    assert len(draws) > 10
    assert among["snapshot_on"].n_unique() > 15


def test_the_draw_is_pinned():
    """Training is reproduced years later: the hash may not change with libraries."""

    def mixed(firm_id, on, seed):
        word = (1 << 64) - 1
        z = int.from_bytes(hashlib.sha256(f"{seed}:{firm_id}".encode()).digest()[:8], "big")
        z = (z + (on - date(1970, 1, 1)).days * 0x9E3779B97F4A7C15) & word
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & word
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & word
        return z ^ (z >> 31)

    in_2022 = [day for day in month_ends() if day.year == 2022]
    expected = min(in_2022, key=lambda day: mixed("G", day, 7))
    assert outcomes(*paid_monthly("G"), seed=7).frame["snapshot_on"][0] == expected


def test_no_later_status_is_censored_but_repaid_is_good():
    until = date(2023, 6, 30)
    silent = outcomes(*paid_monthly(until=until), as_of=date(2024, 6, 30))
    assert date(2023, 1, 31) not in silent.frame["snapshot_on"].to_list()
    assert silent.frame.height + silent.dropped["censored"] == 2
    assert silent.dropped["censored"] >= 1
    repaid = outcomes(*paid_monthly(until=until), status(until, closed=True), as_of=date(2024, 6, 30), seed=7)
    assert repaid.frame["is_default"].to_list() == [False, False]
    assert repaid.dropped["censored"] == 0


def test_maturity_without_a_closing_status_is_censored():
    rows = [firm(), loan(START, matures=date(2022, 9, 1)), status(date(2022, 3, 1))]
    assert outcomes(*rows).dropped["censored"] == 1


def test_arrears_short_of_default_are_indeterminate():
    result = outcomes(*paid_monthly(days=lambda on: 45 if on == date(2023, 1, 31) else 0), as_of=date(2023, 12, 31))
    assert result.dropped["indeterminate"] == 1
    assert result.frame.is_empty()


def test_firms_in_default_give_no_snapshot_until_cured():
    def days(on):
        return 100 if on < date(2022, 3, 1) else 0

    result = outcomes(*paid_monthly(days=days))
    assert result.frame["snapshot_on"].min() >= date(2022, 8, 28)
    stuck = outcomes(*paid_monthly(days=lambda _: 100))
    assert stuck.frame.is_empty()
    assert stuck.dropped["already_in_default"] == 2


def test_firms_without_a_loan_are_counted():
    result = outcomes(*paid_monthly("G"), firm("N"))
    assert result.dropped["no_loan"] == 2
    assert outcomes(firm("N")).frame.is_empty()
    assert outcomes(*paid_monthly("G"), as_of=date(2022, 6, 30)).frame.is_empty()


def test_a_default_not_yet_known_is_not_yet_a_label():
    late = status(date(2023, 1, 15), event="write_off", known=date(2025, 1, 15))
    rows = [*paid_monthly(), late]
    assert not outcomes(*rows).frame["is_default"].any()
    assert build_outcomes(inputs(*rows), date(2025, 1, 31), 1).frame["is_default"].any()


def test_undated_outcomes_have_one_snapshot_the_day_before():
    cut_off = date(2020, 2, 22)
    result = outcomes(
        firm("B"),
        firm("G"),
        status(cut_off, None, "B", None, event="unspecified", undated=True),
        status(cut_off, None, "G", None, undated=True),
    )
    assert result.frame.rows() == [("B", date(2020, 2, 21), True, True), ("G", date(2020, 2, 21), False, True)]


def test_stack_is_each_days_own_matrix():
    trade = [sale(on, 100 + n, firm_id=f) for f in "FGH" for n, on in enumerate(month_ends(date(2021, 1, 1)))]
    rows = [*paid_monthly("F"), *paid_monthly("G"), *paid_monthly("H", days=lambda _: 95), *trade]
    data = inputs(*rows)
    labels = build_outcomes(data, AS_OF, 3).frame
    seen = []
    names = ["ln_sales", "sales_cv", "cl_dr"]
    stack = stack_training(data, labels, names, progress=lambda done, total: seen.append((done, total)))
    assert stack.X.shape == stack.missing.shape == (labels.height, 3)
    assert stack.names == tuple(names)
    assert seen[-1] == (len(seen), len(set(stack.snapshot_on)))
    for i, (firm_id, day) in enumerate(zip(stack.groups, stack.snapshot_on, strict=True)):
        matrix = build_matrix(data, build_context(data, day), names, day)
        assert stack.X[i].tobytes() == matrix.values[matrix.firm_ids.index(firm_id)].tobytes()
    expected = {(r[0], r[1]): r[2] for r in labels.rows()}
    pairs = zip(stack.groups, stack.snapshot_on, strict=True)
    assert [expected[pair] for pair in pairs] == stack.y.astype(bool).tolist()
    assert stack.dropped == {"unknown_firm": 0, "insufficient_data": 0}


def test_stack_drops_what_could_not_have_been_scored():
    cut_off = date(2024, 6, 16)
    good = [firm("A"), *[sale(date(2023, 6, 1), 5, firm_id="A")] * 3]
    late = firm("L", date(2024, 7, 1))
    rows = [*good, firm("E"), late, *[status(cut_off, None, f, None, undated=True) for f in "AEL"]]
    data = inputs(*rows)
    labels = build_outcomes(data, AS_OF, 1).frame
    assert labels.height == 3
    stack = stack_training(data, labels, ["ln_sales"], requirements=list(REQUIREMENTS))
    assert stack.groups == ["A"]
    assert stack.is_undated.tolist() == [True]
    assert stack.y.dtype == np.int8
    assert stack.dropped == {"unknown_firm": 1, "insufficient_data": 1}


@pytest.mark.parametrize(
    ("rows", "missing"),
    [
        ([], ["invoices", "invoice_history_6m", "sales_invoices_3"]),
        ([sale(DAY, 5, void=True)], ["invoices", "invoice_history_6m", "sales_invoices_3"]),
        ([sale(date(2024, 5, 25), 5)] * 9, ["invoice_history_6m"]),
        ([sale(date(2023, 12, 16), 5)] * 3, ["invoice_history_6m"]),
        ([sale(date(2023, 12, 15), 5)] * 3, []),
        ([buy(date(2023, 12, 15), 5), sale(DAY, 5), sale(DAY, 5), sale(DAY, -5)], ["sales_invoices_3"]),
    ],
)
def test_gates(rows, missing):
    result = insufficient(inputs(firm(), *rows), DAY)
    assert result.rows() == [("F", missing)]
    assert all(REQUIREMENTS[name].en and REQUIREMENTS[name].zh for name in missing)


def test_gates_asked_for_alone():
    assert insufficient(inputs(firm()), DAY, ["invoices"]).rows() == [("F", ["invoices"])]
