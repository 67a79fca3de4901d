"""The made-up economy: whole, repeatable, consistent between books, and right about its own truth."""

import doctest
import importlib
import pkgutil
from datetime import date

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import service.demo
from features.as_of import months_after
from features.consent import permitted, refused_automated
from features.inputs import Inputs
from features.kinds import KINDS
from features.repayment import is_default
from features.sufficiency import insufficient
from service.demo import economy as module
from service.demo.economy import Economy, cluster_sizes, concat, generate, generate_cluster
from service.demo.members import CLUSTER_EFFECT_SD, COEFFICIENTS
from service.demo.trades import TRADES, cluster_names

END = date(2025, 6, 30)
HORIZON = 12
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@pytest.fixture(scope="module")
def demo() -> Economy:
    return generate(end_on=END)


@pytest.fixture(scope="module")
def two_clusters() -> Economy:
    return generate(300, 7, end_on=END, months=24, n_clusters=2)


def frames(economy: Economy) -> dict[str, pl.DataFrame]:
    return {**economy.inputs.frames(), "truth": economy.truth, "clusters": economy.clusters}


def assert_same(left: Economy, right: Economy) -> None:
    for name, frame in frames(left).items():
        assert_frame_equal(frame, frames(right)[name])


def defaults(inputs: Inputs) -> pl.DataFrame:
    """Return ``firm_id`` and ``default_on``, the first sign of default."""
    bad = inputs.repayment_statuses.filter(is_default())
    return bad.group_by("firm_id").agg(pl.col("observed_on").min().alias("default_on"))


def labelled(economy: Economy, snapshot_on: date) -> pl.DataFrame:
    """Return the truth at a snapshot with what came of it."""
    end_on = months_after(snapshot_on, HORIZON)
    return (
        economy.truth.filter(pl.col("snapshot_on") == snapshot_on)
        .join(defaults(economy.inputs), on="firm_id", how="left")
        .with_columns(defaulted=(pl.col("default_on") <= end_on).fill_null(value=False))
    )


# --- the whole and its parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [info.name for info in pkgutil.iter_modules(service.demo.__path__)])
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(f"service.demo.{name}")).failed == 0


def test_every_kind_keeps_its_contract(demo):
    for name, frame in demo.inputs.frames().items():
        assert frame.height
        assert_frame_equal(KINDS[name].check(frame), frame)


def test_same_seed_same_economy_other_seed_another(two_clusters):
    assert_same(generate(300, 7, end_on=END, months=24, n_clusters=2), two_clusters)
    other = generate(300, 8, end_on=END, months=24, n_clusters=2)
    assert not set(other.inputs.firms["firm_id"]) & set(two_clusters.inputs.firms["firm_id"])


def test_clusters_made_alone_are_the_economy(two_clusters):
    pieces = [generate_cluster(7, number, n_firms=150, end_on=END, months=24) for number in (1, 0)]
    assert_same(concat(pieces[::-1]), two_clusters)


def test_the_number_of_invoices_does_not_change_fate(two_clusters):
    lean = generate(300, 7, end_on=END, months=24, n_clusters=2, invoices_per_firm_month=2.0)
    assert lean.inputs.invoices.height < two_clusters.inputs.invoices.height / 3
    assert_frame_equal(lean.truth, two_clusters.truth)
    assert_frame_equal(lean.inputs.repayment_statuses, two_clusters.inputs.repayment_statuses)


def test_demo_has_the_size_of_a_jiangsu_cluster_and_enough_defaults(demo):
    assert demo.inputs.firms.height == 415
    assert 150_000 <= demo.inputs.invoices.height <= 250_000
    assert 40 <= defaults(demo.inputs).height <= 70
    assert demo.clusters.row(0) == ("温州鞋业集群", "Wenzhou shoes", "浙江省温州市鹿城区", 415)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"end_on": date(2025, 6, 29)}, "ends with a month"),
        ({"end_on": END, "months": 3}, "6 months"),
        ({"end_on": END, "n_firms": 19}, "20 to 3196"),
        ({"end_on": END, "n_firms": 5000, "n_clusters": 1}, "20 to 3196"),
    ],
)
def test_impossible_economies_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        generate(**arguments)


def test_firms_are_spread_evenly_over_clusters():
    assert cluster_sizes(20_000)[0] == 417
    assert sum(cluster_sizes(20_000)) == 20_000
    assert len({cluster_names(number) for number in range(100)}) == 100


def test_docstring_states_the_planted_coefficients():
    for name, coefficient in COEFFICIENTS.items():
        rows = [line for line in module.__doc__.splitlines() if line.startswith(f"{name} ")]
        assert len(rows) == 1
        assert f" {coefficient:+.2f} " in rows[0]
    assert f"standard deviation of {CLUSTER_EFFECT_SD}" in module.__doc__


# --- firms and people ----------------------------------------------------------------------------------------------


def has_right_check_digits(code: str) -> bool:
    """Verify GB 32100-2015 and, within, GB 11714-1997."""
    total = sum(USCC_ALPHABET.index(character) * pow(3, i, 31) for i, character in enumerate(code[:17]))
    organisation = sum(int(c, 36) * w for c, w in zip(code[8:16], (3, 7, 9, 10, 5, 8, 4, 2), strict=True))
    expected = "0X987654321"[organisation % 11]
    return len(code) == 18 and code[17] == USCC_ALPHABET[-total % 31] and code[16] == expected


def test_check_digits_are_those_of_the_standard():
    assert has_right_check_digits("91350100M000100Y43")  # the example of GB 32100-2015
    assert not has_right_check_digits("91350100M000100Y34")


def test_everyone_has_a_social_credit_code_of_its_own(two_clusters):
    firms = two_clusters.inputs.firms
    codes = set(firms["firm_id"]) | set(two_clusters.inputs.invoices["counterparty"])
    assert all(has_right_check_digits(code) for code in codes)
    assert firms["firm_id"].n_unique() == firms.height
    areas = dict(zip(firms["cluster"], firms["firm_id"].str.slice(2, 6), strict=True))
    assert areas == {f"{trade.zh}集群": trade.area for trade in TRADES[:2]}


def test_firms_look_like_firms(demo):
    firms = demo.inputs.firms
    assert firms["name"].n_unique() == firms.height
    assert firms["name"].str.contains(r"^温州市.{3}(皮革|鞋材|鞋业|鞋服贸易)有限公司$").all()
    assert firms["industry"].n_unique() == 4
    assert firms["is_lead"].sum() == 3
    known = firms.filter(pl.col("founded_on").is_not_null())
    assert 0 < firms.height - known.height < 30
    assert (known["founded_on"] <= known["observed_on"]).all()


def test_some_owners_are_unknown(demo):
    persons = demo.inputs.persons
    assert 0.9 * 415 < persons.height < 415
    assert 0 < persons["trade_since"].null_count() < 40
    assert persons["person_id"].n_unique() == persons.height


def test_owners_consent_before_their_data_are_used(demo):
    on_the_day = demo.inputs.persons.join(
        demo.inputs.consents.filter("is_given", scope="owner_data"),
        on=["firm_id", "person_id", "observed_on"],
        how="semi",
    )
    assert on_the_day.height == demo.inputs.persons.height
    kept = permitted(demo.inputs, END)
    assert kept.persons.height == demo.inputs.persons.height
    assert kept.personal_records.height == demo.inputs.personal_records.height > 0
    assert 0.8 < demo.inputs.consents.filter(scope="bureau").height / kept.persons.height < 0.97


def test_the_bureau_is_asked_with_the_consent_and_has_nothing_yet(demo):
    asked = demo.inputs.consents.filter(scope="bureau").select("firm_id", "person_id", "observed_on")
    is_none = pl.col("record") == "none"
    answers = demo.inputs.personal_records
    assert_frame_equal(answers.filter(is_none).select(asked.columns), asked, check_row_order=False)
    later = answers.filter(~is_none).join(asked, on=["firm_id", "person_id"], suffix="_asked")
    assert later.height == answers.filter(~is_none).height > 0
    assert (later["observed_on"] > later["observed_on_asked"]).all()


def test_few_firms_refuse_to_be_decided_on_by_machine(demo):
    refused = refused_automated(demo.inputs, END)
    assert 0 < len(refused) < 20
    assert refused_automated(demo.inputs, demo.inputs.firms["observed_on"].min()).is_empty()


def test_some_firms_have_too_little_data_to_be_scored(demo):
    refused = insufficient(demo.inputs, END).filter(pl.col("missing").list.len() > 0)
    assert 5 <= refused.height <= 25
    live = demo.truth.filter(pl.col("snapshot_on") == END)
    assert refused.join(live, on="firm_id").height >= 1


# --- invoices ------------------------------------------------------------------------------------------------------


def test_a_sale_within_the_cluster_is_in_both_books(two_clusters):
    invoices = two_clusters.inputs.invoices
    members = two_clusters.inputs.firms["firm_id"].implode()
    inside = invoices.filter(pl.col("counterparty").is_in(members))
    facts = ["number", "observed_on", "net_fen", "vat_fen", "gross_fen", "is_void"]
    sold, bought = (
        inside.filter(pl.col("direction") == direction)
        .select(pl.col(own).alias("seller"), pl.col(other).alias("buyer"), *facts)
        .sort(pl.all())
        for direction, own, other in (("output", "firm_id", "counterparty"), ("input", "counterparty", "firm_id"))
    )
    assert sold.height > 0.2 * invoices.height / 2
    assert_frame_equal(sold, bought)
    assert not (sold["seller"] == sold["buyer"]).any()


def test_numbers_are_unique_and_consecutive_for_each_seller(demo):
    sales = demo.inputs.invoices.filter(pl.col("direction") == "output")
    numbers = sales.group_by("firm_id").agg(
        n=pl.len(),
        distinct=pl.col("number").n_unique(),
        span=pl.col("number").cast(pl.Int64).max() - pl.col("number").cast(pl.Int64).min() + 1,
    )
    assert (numbers["n"] == numbers["distinct"]).all()
    assert (numbers["n"] == numbers["span"]).all()
    assert (sales["number"].str.len_chars() == 8).all()


def test_amounts_carry_vat_of_13_percent(demo):
    invoices = demo.inputs.invoices
    assert (invoices["net_fen"] + invoices["vat_fen"] == invoices["gross_fen"]).all()
    assert ((invoices["net_fen"] * 0.13 - invoices["vat_fen"]).abs() <= 1).all()
    assert (invoices["gross_fen"] % 100 == 0).all()


def test_voids_and_credit_notes_are_few(demo):
    sales = demo.inputs.invoices.filter(pl.col("direction") == "output")
    assert 0.02 < sales["is_void"].mean() < 0.08
    notes = sales.filter(pl.col("net_fen") < 0)
    assert 0.005 < notes.height / sales.height < 0.05
    assert not notes["is_void"].any()


def test_everything_is_known_when_it_happens_and_nothing_lies_ahead(demo):
    for name, frame in demo.inputs.frames().items():
        happened = pl.coalesce("ended_on", "observed_on") if name == "personal_record" else pl.col("observed_on")
        assert frame.select((pl.col("known_on") == happened).all()).item()
        assert frame["known_on"].max() <= END


def test_sales_all_but_stop_at_the_spring_festival(demo):
    sales = demo.inputs.invoices.filter(pl.col("direction") == "output")
    by_month = sales.group_by(pl.col("observed_on").dt.truncate("1mo")).agg(pl.col("net_fen").sum())
    by_month = dict(by_month.iter_rows())
    assert by_month[date(2024, 2, 1)] < 0.5 * by_month[date(2024, 1, 1)]
    assert by_month[date(2025, 1, 1)] < 0.8 * by_month[date(2024, 12, 1)]


def test_amounts_suit_small_firms(demo):
    yearly = (
        demo.inputs.invoices.filter(pl.col("observed_on") > months_after(END, -12), ~pl.col("is_void"))
        .group_by("firm_id", "direction")
        .agg(pl.col("net_fen").sum() / 100)
        .pivot("direction", index="firm_id", values="net_fen")
        .join(demo.inputs.firms, on="firm_id")
    )
    small = yearly.filter(~pl.col("is_lead"))
    assert 2e6 < small["output"].median() < 1e7
    assert yearly.filter("is_lead")["output"].min() > 5e7
    margin = 1 - small["input"].sum() / small["output"].sum()
    assert 0.1 < margin < 0.35


def test_sales_fall_before_default(large_economy):
    sales = large_economy.inputs.invoices.filter(pl.col("direction") == "output", ~pl.col("is_void"))
    dated = defaults(large_economy.inputs).filter(pl.col("default_on") >= date(2023, 6, 30))
    ago = (pl.col("default_on").dt.year() - pl.col("observed_on").dt.year()) * 12 + (
        pl.col("default_on").dt.month().cast(pl.Int32) - pl.col("observed_on").dt.month()
    )
    by_month = sales.join(dated, on="firm_id").group_by(ago.alias("ago")).agg(pl.col("net_fen").sum())
    level = dict(by_month.iter_rows())
    last_quarter = sum(level[month] for month in (1, 2, 3))
    year_before = sum(level[month] for month in (13, 14, 15))
    assert last_quarter < 0.7 * year_before


# --- loans and truth -----------------------------------------------------------------------------------------------


def test_loans_last_a_year_and_follow_each_other(demo):
    loans = demo.inputs.loans.sort("firm_id", "loan_id")
    assert loans["loan_id"].n_unique() == loans.height
    assert (loans["matures_on"] == loans["observed_on"].dt.offset_by("12mo").dt.month_end()).all()
    closed = demo.inputs.repayment_statuses.filter("is_closed").select("loan_id", pl.col("observed_on").alias("end"))
    gaps = (
        loans.join(closed, on="loan_id", how="left")
        .with_columns(next=pl.col("observed_on").shift(-1).over("firm_id"))
        .filter(pl.col("next").is_not_null())
    )
    assert (gaps["next"] == gaps["end"]).all()
    assert 0.85 * 415 < loans["firm_id"].n_unique() < 415


def test_a_loan_has_a_status_at_every_month_end_of_its_life(demo):
    statuses = demo.inputs.repayment_statuses
    assert (statuses["observed_on"] == statuses["observed_on"].dt.month_end()).all()
    lives = statuses.group_by("loan_id").agg(
        n=pl.len(), first=pl.col("observed_on").min(), last=pl.col("observed_on").max()
    )
    months = (pl.col("last").dt.year() - pl.col("first").dt.year()) * 12 + (
        pl.col("last").dt.month().cast(pl.Int32) - pl.col("first").dt.month()
    )
    assert lives.filter(pl.col("n") != months + 1).is_empty()
    assert (statuses.filter(~pl.col("is_closed"))["balance_fen"] >= 5_000_000).all()


def test_arrears_climb_past_90_days_into_default(demo):
    statuses = demo.inputs.repayment_statuses.join(defaults(demo.inputs), on="firm_id")
    at_default = statuses.filter(pl.col("observed_on") == pl.col("default_on"))
    assert (at_default["days_past_due"] > 90).all()
    month_before = statuses.filter(pl.col("observed_on") == pl.col("default_on").dt.offset_by("-1mo").dt.month_end())
    assert month_before["days_past_due"].is_between(61, 90).all()
    after = statuses.filter(pl.col("observed_on") > pl.col("default_on"))
    assert (after["days_past_due"] > 90).all()
    assert set(after.filter("is_closed")["default_event"]) == {"write_off"}


def test_truth_covers_live_loans_not_in_default(demo):
    open_on = demo.inputs.repayment_statuses.filter(~pl.col("is_closed")).select(
        "firm_id", pl.col("observed_on").alias("snapshot_on")
    )
    expected = (
        open_on.join(defaults(demo.inputs), on="firm_id", how="left")
        .filter(pl.col("default_on").is_null() | (pl.col("snapshot_on") < pl.col("default_on")))
        .select("firm_id", "snapshot_on")
        .sort(pl.all())
    )
    assert_frame_equal(demo.truth.select("firm_id", "snapshot_on").sort(pl.all()), expected)
    assert demo.truth["true_pd"].is_between(0, 1).all()


def test_a_loan_about_to_be_repaid_for_good_has_less_to_fear(large_economy):
    truth = large_economy.truth.filter(pl.col("snapshot_on") == date(2024, 3, 31))
    last = large_economy.truth.group_by("firm_id").agg(pl.col("snapshot_on").max().alias("last_on"))
    joined = truth.join(last, on="firm_id").join(defaults(large_economy.inputs), on="firm_id", how="anti")
    leaving = joined.filter(pl.col("last_on") < date(2024, 6, 30))
    staying = joined.filter(pl.col("last_on") == END)
    assert leaving.height > 50
    assert leaving["true_pd"].median() < 0.2 * staying["true_pd"].median()


SNAPSHOTS = (date(2022, 6, 30), date(2023, 6, 30), date(2024, 6, 30))


def test_default_rate_is_that_of_small_firms(large_economy):
    rows = pl.concat([labelled(large_economy, day) for day in SNAPSHOTS])
    assert 0.04 < rows["defaulted"].mean() < 0.055
    assert rows["defaulted"].sum() > 1200


def test_defaults_come_as_often_as_the_truth_says(large_economy):
    """Over clusters, whose firms share shocks and anchors, and by tenths of the true PD.

    Within a tenth the count is compared with its binomial expectation at four standard deviations, which leaves room
    for what clusters share.
    """
    rows = pl.concat([labelled(large_economy, day) for day in SNAPSHOTS])
    rows = rows.join(large_economy.inputs.firms.select("firm_id", "cluster"), on="firm_id")
    residual = rows.group_by("cluster").agg((pl.col("defaulted") - pl.col("true_pd")).sum().alias("residual"))
    residuals = residual["residual"].to_numpy()
    assert abs(residuals.mean()) < 2.5 * residuals.std(ddof=1) / np.sqrt(len(residuals))
    rows = rows.sort("true_pd")
    for tenth in np.array_split(np.arange(rows.height), 10):
        pd, defaulted = rows["true_pd"].gather(tenth).to_numpy(), rows["defaulted"].gather(tenth).sum()
        assert abs(defaulted - pd.sum()) < 4 * np.sqrt((pd * (1 - pd)).sum())
