"""The adapter sba: one firm a loan, cents for fen, charge-offs on their day, payments in full without one."""

from datetime import date

import pytest

COLUMNS = (
    "loan_id,state,bank,naics,approval_date,chg_off_date,disbursement_date,disbursement_gross,mis_status,"
    "chg_off_prin_gr,gr_appv,sba_appv,weight"
)
FILE = "loans_to_2005.csv.gz"


def line(**change):
    row = {
        "loan_id": "1000000001", "state": "OH", "bank": "A BANK", "naics": "332710", "approval_date": "1999-02-01",
        "chg_off_date": "", "disbursement_date": "1999-03-31", "disbursement_gross": "50000.0", "mis_status": "PIF",
        "chg_off_prin_gr": "0.0", "gr_appv": "60000.0", "sba_appv": "40000.5", "weight": "1",
    } | change  # fmt: skip
    return ",".join(row[name] for name in COLUMNS.split(","))


def test_a_loan_has_a_borrower_a_guarantee_and_an_undated_end(write, load, ledger):
    assert load("sba", write(FILE, COLUMNS, line())).added == 4
    firm, loan, guarantee, status = (
        ledger(kind).row(0, named=True) for kind in ("firm", "loan", "guarantee", "repayment_status")
    )
    assert (firm["firm_id"], firm["industry"], firm["place"], firm["cluster"]) == (
        "sba-1000000001", "332710", "OH", "33 OH",
    )  # fmt: skip
    assert firm["known_on"] == guarantee["known_on"] == date(1999, 2, 1)
    assert (loan["loan_id"], loan["observed_on"], loan["principal_fen"]) == (
        "sba-1000000001", date(1999, 3, 31), 5_000_000,
    )  # fmt: skip
    assert (guarantee["guarantor_kind"], guarantee["guarantor"]) == ("fund", "SBA")
    assert (guarantee["coverage_bp"], guarantee["cap_fen"]) == (6_667, 4_000_050)
    assert (status["is_closed"], status["is_undated"], status["default_event"]) == (True, True, None)
    assert status["known_on"] == date(1999, 4, 1)


def test_a_charge_off_is_known_on_its_day_with_what_was_written_off(write, load, ledger):
    change = {"mis_status": "CHGOFF", "chg_off_date": "2004-05-06", "chg_off_prin_gr": "123.45"}
    load("sba", write(FILE, COLUMNS, line(**change)))
    row = ledger("repayment_status").row(0, named=True)
    assert (row["observed_on"], row["known_on"], row["is_undated"]) == (date(2004, 5, 6), date(2004, 5, 6), False)
    assert (row["default_event"], row["balance_fen"], row["is_closed"]) == ("write_off", 12_345, False)


@pytest.mark.parametrize(("given", "day"), [(None, date(1999, 4, 1)), (date(2015, 1, 1), date(2015, 1, 1))])
def test_a_charge_off_without_a_day_belongs_to_the_books_end_or_the_day_given(write, load, ledger, given, day):
    load("sba", write(FILE, COLUMNS, line(mis_status="CHGOFF")), given)
    row = ledger("repayment_status").row(0, named=True)
    assert (row["observed_on"], row["is_undated"], row["balance_fen"]) == (day, True, None)


def test_a_loan_paid_after_a_charge_off_has_both_rows(write, load, ledger):
    load("sba", write(FILE, COLUMNS, line(chg_off_date="2004-05-06", chg_off_prin_gr="9")))
    rows = ledger("repayment_status").select("observed_on", "default_event", "is_closed").rows()
    assert rows == [(date(2004, 5, 6), "write_off", False), (date(2004, 5, 7), None, True)]


def test_a_loan_is_not_known_before_it_is_approved(write, load, ledger):
    load("sba", write(FILE, COLUMNS, line(disbursement_date="1999-01-15")))
    assert ledger("loan").select("observed_on", "known_on").row(0) == (date(1999, 1, 15), date(1999, 2, 1))


def test_a_borrower_without_a_trade_has_no_cluster(write, load, ledger):
    load("sba", write(FILE, COLUMNS, line(naics="0")))
    assert ledger("firm").select("industry", "cluster", "place").row(0) == (None, None, "OH")


def test_a_row_that_cannot_be_is_rejected_once_and_loads_nothing(write, load, ledger, counts):
    bad = [
        ("loan_id", "12"),
        ("disbursement_date", ""),
        ("approval_date", "01-Feb-99"),
        ("chg_off_date", "2004-13-01"),
        ("disbursement_gross", "$50000"),
        ("disbursement_gross", "0"),
        ("sba_appv", "60000.01"),
        ("mis_status", "CURRENT"),
        ("naics", "x"),
        ("state", ""),
    ]
    lines = (line(**{"loan_id": "1000000002", column: value}) for column, value in bad)
    summary = load("sba", write(FILE, COLUMNS, line(), *lines))
    expected = [(number, column, value) for number, (column, value) in enumerate(bad, start=3)]
    assert summary.rejects.select("line", "column", "value").rows() == expected
    assert counts(summary)[FILE, "firm"] == (11, 1, 0, 0, 10)
    assert all(ledger(kind).height == 1 for kind in ("firm", "loan", "guarantee", "repayment_status"))


def test_a_day_in_the_future_rejects_the_row_in_all_its_kinds(write, load, ledger):
    summary = load("sba", write(FILE, COLUMNS, line(mis_status="CHGOFF", chg_off_date="2031-01-01")), date(2015, 1, 1))
    assert summary.rejects.select("line", "column").rows() == [(2, "observed_on")]
    assert ledger("loan").height == 0


def test_the_real_file_reconciles_to_the_row(real, load, counts, ledger):
    folder = real("sba")
    summary = load("sba", folder)
    assert counts(summary) == {
        (FILE, "firm"): (18_906, 18_864, 0, 0, 42),
        (FILE, "loan"): (18_864, 18_864, 0, 0, 0),
        (FILE, "guarantee"): (18_864, 18_864, 0, 0, 0),
        (FILE, "repayment_status"): (18_920, 18_920, 0, 0, 0),
    }
    assert set(summary.rejects["column"]) == {"disbursement_date"}
    statuses = ledger("repayment_status")
    assert statuses.filter(default_event="write_off").height == 7_254 + 56
    assert statuses.filter(is_closed=True).height == 11_610
    assert set(statuses.filter(is_undated=True)["known_on"]) == {date(2014, 8, 30)}
    assert load("sba", folder).added == 0
