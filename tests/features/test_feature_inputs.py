"""Contracts of the raw tables, and what a date lets through."""

from datetime import date, timedelta

import polars as pl
import pytest

from features.as_of import known, latest, months_after, months_ago
from features.inputs import Inputs
from features.kinds import KINDS
from features.kinds.parties import FIRM
from features.kinds.trade import INVOICE
from tests.features import oracle
from tests.features.rows import DAY, consent, firm, inputs, loan, person, record, sale, status


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_columns_are_described(kind):
    assert [column.name for column in kind.columns[1:3]] == ["observed_on", "known_on"]
    assert kind.empty().schema == pl.Schema(kind.schema)
    for column in kind.columns:
        assert column.en
        assert column.zh
        assert column.example or not column.is_required
        assert not column.choices or column.example in column.choices


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_remedy_can_be_followed(kind):
    """None asks to leave a column empty that must have a value, and of two days either may be the wrong one."""
    required = {column.name for column in kind.columns if column.is_required}
    for rule in kind.rules:
        remedy = rule.fault.remedy
        asks_for_nothing = "empty" in remedy.en or "留空" in remedy.zh
        assert not (asks_for_nothing and rule.column in required), rule.column
        assert rule.group != "balance" or not asks_for_nothing
        if rule.group == "time":
            assert remedy.en.startswith("correct one of the two days")
            assert remedy.zh.startswith(("请更正两个日期之一", "请更正其中一个日期"))


def test_check_names_the_column():
    frame = inputs(sale(DAY, 5)).invoices
    with pytest.raises(ValueError, match=r"invoice\.net_fen: column is missing"):
        INVOICE.check(frame.drop("net_fen"))
    with pytest.raises(ValueError, match=r"invoice\.net_fen: type Float64 where Int64"):
        INVOICE.check(frame.with_columns(pl.col("net_fen").cast(pl.Float64)))
    with pytest.raises(ValueError, match=r"invoice\.counterparty: null in 1 rows"):
        INVOICE.check(frame.with_columns(counterparty=pl.lit(None, pl.String)))
    with pytest.raises(ValueError, match=r"invoice\.direction: 'sideways' is not one of output, input"):
        INVOICE.check(frame.with_columns(direction=pl.lit("sideways")))


def test_check_orders_columns_and_leaves_strangers_out():
    frame = inputs(firm()).firms.with_columns(extra=pl.lit(1)).select("extra", *reversed(FIRM.schema))
    assert FIRM.check(frame).columns == list(FIRM.schema)


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="unknown kinds: weather"):
        Inputs.of_frames({"weather": pl.DataFrame()})


def test_frames_and_back():
    data = inputs(
        *[firm(), person("a", None), sale(DAY, 5), loan(DAY), status(DAY, event="write_off")],
        *[consent("a", on=DAY), record("a", 45)],
    )
    assert all(frame.height == 1 for frame in data.frames().values())
    again = Inputs.of_frames(data.frames())
    assert all(frame.equals(again.frames()[name]) for name, frame in data.frames().items())


def test_known_needs_both_dates():
    data = inputs(
        sale(DAY, 1),
        sale(DAY, 2, known=date(2024, 6, 16)),
        sale(date(2024, 6, 16), 3, known=DAY),
    )
    assert known(data, DAY).invoices["net_fen"].to_list() == [100]


def test_latest_does_not_depend_on_order():
    frame = inputs(
        firm("F", date(2021, 1, 1), name="old", known=date(2023, 1, 1)),
        firm("F", date(2022, 1, 1), name="tie a"),
        firm("F", date(2022, 1, 1), name="tie b"),
        firm("F", date(2022, 1, 1), name="tie b", cluster="shoes"),
        firm("G", date(2020, 1, 1)),
    ).firms
    newest = latest(frame, ["firm_id"])
    assert newest.equals(latest(frame.reverse(), ["firm_id"]))
    assert newest.select("firm_id", "name", "cluster").rows() == [("F", "tie b", "shoes"), ("G", "G", None)]


@pytest.mark.parametrize("as_of", [date(2024, 2, 29), date(2024, 3, 31), date(2024, 6, 15), date(2025, 2, 28)])
def test_months_ago_counts_back_from_the_day(as_of):
    days = [as_of - timedelta(days=n) for n in range(800)]
    got = pl.DataFrame({"on": days}).select(ago=months_ago("on", as_of))["ago"].to_list()
    assert got == [oracle.month_of(on, as_of) for on in days]
    for on, ago in zip(days[::31], got[::31], strict=True):
        assert months_after(as_of, -ago - 1) < on <= months_after(as_of, -ago)
