"""The adapter smesd: one clock, firms told from people, mirrored relations once, equal lawsuits apart."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.kinds.parties import RELATION
from service.imports.adapters import smesd
from service.imports.chunks import ImportFailedError

FIRMS = "firm_id,registered_capital,paid_in_capital,age_months,industry,area,bankrupt"
RELATIONS = "source_id,target_id,relation,weight"
LAWSUITS = "firm_id,cause,court,result,months_before_observation,time_label"
FACTS_ON, ENDS_ON = date(2021, 11, 30), date(2021, 12, 31)


@pytest.fixture
def folder(write):
    """Return a folder of three firms, without relations or lawsuits."""
    write("train_firms.csv", FIRMS, "7,500.0,0.07,24.0,零售业,甲市,1", "8,12.345678,1.0,1.0,-,,0")
    write("validate_firms.csv", FIRMS, "9,1.0,1.0,847.0,批发业,乙市,0")
    for part in ("train", "validate"):
        write(f"{part}_relations.csv.gz", RELATIONS)
        write(f"{part}_lawsuits.csv.gz", LAWSUITS)
    return write("unread.txt", "")


def test_a_firm_has_capital_in_fen_a_foundation_and_an_undated_label(folder, load, ledger):
    assert load("smesd", folder).added == 9
    capital = ledger("capital")
    assert capital["registered_fen"].to_list() == [500_000_000, 12_345_678, 1_000_000]
    assert capital["paid_in_fen"].to_list() == [70_000, 1_000_000, 1_000_000]
    firms = ledger("firm").select("firm_id", "industry", "cluster", "place", "founded_on").rows()
    assert firms == [
        ("smesd-7", "零售业", "甲市 零售业", "甲市", date(2019, 12, 31)),
        ("smesd-8", None, None, None, date(2021, 11, 30)),
        ("smesd-9", "批发业", "乙市 批发业", "乙市", date(1951, 5, 31)),
    ]
    labels = ledger("repayment_status")
    assert labels["default_event"].to_list() == ["bankruptcy", None, None]
    assert labels["is_undated"].all()
    assert set(labels["known_on"]) == {ENDS_ON}
    assert set(capital["known_on"]) == {FACTS_ON}


def test_a_firm_that_is_younger_than_its_facts_has_no_foundation_in_them(folder, write, load, ledger):
    write("validate_firms.csv", FIRMS, "9,1.0,1.0,0.0,批发业,乙市,0")
    load("smesd", folder)
    assert ledger("firm")["founded_on"].to_list() == [date(2019, 12, 31), FACTS_ON, None]


def test_every_clock_ends_on_the_day_that_is_given(folder, write, load, ledger):
    write("train_lawsuits.csv.gz", LAWSUITS, "7,tort,higher,plaintiff_won,13,0")
    load("smesd", folder, date(2019, 3, 31))
    assert set(ledger("repayment_status")["observed_on"]) == {date(2019, 3, 31)}
    assert set(ledger("capital")["observed_on"]) == {date(2019, 2, 28)}
    assert ledger("firm")["founded_on"][0] == date(2017, 3, 31)
    assert ledger("event")["observed_on"].to_list() == [date(2018, 2, 28)]


def test_a_persons_relation_is_one_row_whichever_end_tells_it(folder, write, load, ledger, counts):
    pairs = [(f"4000,7,{back},2.5", f"7,4000,{there},2.5") for back, there in smesd.MIRRORS.items()]
    write("train_relations.csv.gz", RELATIONS, *(line for pair in pairs for line in pair))
    assert counts(load("smesd", folder))["train_relations.csv.gz", "relation"] == (8, 4, 0, 4, 0)
    rows = ledger("relation")
    assert set(rows.select("firm_id", "partner_kind", "partner", "person_id").rows()) == {
        ("smesd-7", "person", None, "smesd-p4000")
    }
    assert dict(rows.select("label", "relation").iter_rows()) == smesd.OF_PEOPLE
    assert dict(rows.filter(pl.col("amount_fen").is_not_null()).select("label", "amount_fen").iter_rows()) == {
        "invested_CP": 2_500_000
    }


def test_a_firm_has_a_row_of_each_relation_told_from_its_end(folder, write, load, ledger):
    write("validate_relations.csv.gz", RELATIONS, *(f"7,8,{word},1.0" for word in smesd.OF_FIRMS))
    load("smesd", folder)
    rows = ledger("relation")
    assert set(rows.select("firm_id", "partner_kind", "partner", "person_id").rows()) == {
        ("smesd-7", "firm", "smesd-8", None)
    }
    assert dict(rows.select("label", "relation").iter_rows()) == smesd.OF_FIRMS
    invested = rows.filter(pl.col("amount_fen").is_not_null())
    assert sorted(invested.select("label", "amount_fen").rows()) == [
        ("invest_CC", 1_000_000),
        ("invested_CC", 1_000_000),
    ]


def test_every_relation_is_one_that_the_kind_knows():
    choices = next(column.choices for column in RELATION.columns if column.name == "relation")
    assert {*smesd.OF_PEOPLE.values(), *smesd.OF_FIRMS.values()} <= set(choices)


def test_a_firm_that_only_relations_name_is_registered_and_no_more(folder, write, load, ledger, counts):
    write("train_relations.csv.gz", RELATIONS, "7,8,loan,1.0", "100,7,loan,1.0", "7,100,loaned,1.0")
    write("validate_relations.csv.gz", RELATIONS, "9,100,deal,1.0", "9,101,deal,1.0")
    found = counts(load("smesd", folder))
    assert found["train_relations.csv.gz", "firm"] == (1, 1, 0, 0, 0)
    assert found["validate_relations.csv.gz", "firm"] == (1, 1, 0, 0, 0)
    assert found["train_relations.csv.gz", "relation"] == (3, 3, 0, 0, 0)
    named_only = ledger("firm").filter(pl.col("founded_on").is_null())
    assert named_only["name"].to_list() == ["SMEsD 100", "SMEsD 101"]
    assert ledger("capital").height == ledger("repayment_status").height == 3


def test_equal_lawsuits_are_kept_apart_and_are_the_same_in_the_other_file(folder, write, load, ledger, counts):
    lines = ["7,tort,higher,defendant_lost,5,0"] * 3
    write("train_lawsuits.csv.gz", LAWSUITS, *lines[:2], "7,tort,higher,plaintiff_lost,0,0")
    write("validate_lawsuits.csv.gz", LAWSUITS, *lines)
    found = counts(load("smesd", folder))
    assert found["train_lawsuits.csv.gz", "event"] == (3, 3, 0, 0, 0)
    assert found["validate_lawsuits.csv.gz", "event"] == (3, 1, 2, 0, 0)
    events = ledger("event")
    assert sorted(events["reference"]) == [
        "higher:defendant_lost:1", "higher:defendant_lost:2", "higher:defendant_lost:3", "higher:plaintiff_lost:1",
    ]  # fmt: skip
    assert set(events.select("source", "event", "cause").rows()) == {("court", "judgment_lost", "tort")}
    assert sorted(events["observed_on"].unique()) == [date(2021, 7, 31), ENDS_ON]


def test_a_row_that_cannot_be_is_rejected_once_and_named(folder, write, load):
    bad = {
        ("validate_firms.csv", FIRMS): {
            "1,-1,1.0,24.0,零售业,甲市,1": "registered_capital",
            "4000,1.0,1.0,24.0,零售业,甲市,1": "firm_id",
            "1,1.0,1.0,24.5,零售业,甲市,1": "age_months",
            "1,1.0,1.0,24.0,零售业,甲市,yes": "bankrupt",
            "1,1.0,,24.0,零售业,甲市,1": "paid_in_capital",
        },
        ("train_relations.csv.gz", RELATIONS): {
            "8,7,befriend,1.0": "relation",
            "8,7,executed,1.0": "target_id",
            "8,7,execute,1.0": "source_id",
            "8,4000,invest_CC,1.0": "target_id",
            "8,7,invest_CC,much": "weight",
        },
        ("train_lawsuits.csv.gz", LAWSUITS): {
            "8,tort,higher,settled,5,0": "result",
            "8,tort,higher,plaintiff_won,soon,0": "months_before_observation",
            "8,tort,higher,plaintiff_won,2000,0": "observed_on",
            "12,tort,higher,plaintiff_won,5,0": "firm_id",
        },
    }
    for (file, header), lines in bad.items():
        write(file, header, *lines)
    rejects = load("smesd", folder).rejects
    for (file, _), lines in bad.items():
        expected = [(line, column) for line, column in enumerate(lines.values(), start=2)]
        assert sorted(rejects.filter(file=file).select("line", "column").rows()) == expected


def test_a_file_that_is_absent_is_a_failure(folder, load):
    (folder / "validate_lawsuits.csv.gz").unlink()
    with pytest.raises(ImportFailedError, match="validate_lawsuits"):
        load("smesd", folder)


@given(fen=st.integers(0, 10**12))
def test_capital_is_exact_however_a_float_printed_it(fen):
    text = repr(fen / smesd.FEN_IN_UNIT)
    if "e" not in text:
        assert pl.select(pl.lit(text).alias("x")).select(smesd._fen("x")).item() == fen


def test_the_real_files_reconcile_to_the_row(real, load, counts, ledger):
    folder = real("smesd")
    assert counts(load("smesd", folder)) == {
        ("train_firms.csv", "firm"): (2_816, 2_816, 0, 0, 0),
        ("train_firms.csv", "capital"): (2_816, 2_816, 0, 0, 0),
        ("train_firms.csv", "repayment_status"): (2_816, 2_816, 0, 0, 0),
        ("validate_firms.csv", "firm"): (721, 686, 35, 0, 0),
        ("validate_firms.csv", "capital"): (721, 686, 35, 0, 0),
        ("validate_firms.csv", "repayment_status"): (721, 686, 35, 0, 0),
        ("train_relations.csv.gz", "firm"): (16, 16, 0, 0, 0),
        ("validate_relations.csv.gz", "firm"): (1, 1, 0, 0, 0),
        ("train_relations.csv.gz", "relation"): (18_576, 10_306, 0, 8_270, 0),
        ("validate_relations.csv.gz", "relation"): (4_554, 2_314, 213, 2_027, 0),
        ("train_lawsuits.csv.gz", "event"): (10_868, 10_868, 0, 0, 0),
        ("validate_lawsuits.csv.gz", "event"): (2_903, 2_539, 364, 0, 0),
    }
    assert ledger("repayment_status")["default_event"].drop_nulls().len() == 1_955
    assert load("smesd", folder).added == 0
