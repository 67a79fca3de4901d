"""Every kind's layout: its examples are a row that can be loaded, and what may not be is named, told or kept quiet."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.kinds import KINDS
from features.kinds.books import FINANCIAL_STATEMENT
from service.imports.checks import groups_of, typed

TODAY = date(2026, 1, 31)
PLANNED = {"matures_on", "due_on", "ends_on"}
OTHERS = [("ownership", "holder"), ("relation", "partner"), ("guarantee", "guarantor")]
CURRENT = (
    "cash", "short_investments", "notes_receivable", "accounts_receivable", "prepayments", "dividends_receivable",
    "interest_receivable", "other_receivables", "inventories", "other_current_assets",
)  # fmt: skip
EQUITY = ("paid_in_capital", "capital_reserve", "surplus_reserve", "retained_profit")


def example(kind, **changes):
    row = {column.name: column.example for column in kind.columns} | changes
    return pl.DataFrame({"line": 2} | row, schema={"line": pl.Int64, **dict.fromkeys(row, pl.String)})


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kinds_examples_can_be_loaded(kind):
    rows, rejects = typed(example(kind), kind, "file.csv", TODAY)
    assert rejects.rows() == []
    assert kind.check(rows).height == 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_value_left_out_is_named(kind):
    for column in kind.columns:
        if column.is_required and column.name != "known_on":
            rows, rejects = typed(example(kind, **{column.name: None}), kind, "f", TODAY)
            assert (rows.height, rejects["column"].to_list()) == (0, [column.name])


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("0000-05-31", "there is no such day"),
        ("2023-02-29", "there is no such day"),
        ("20240531", "not a date YYYY-MM-DD"),
        ("45443", "a number by which a spreadsheet counts days, not a date"),
        ("1799-12-31", "not between 1800-01-01 and 2200-12-31"),
        ("9999-12-31", "not between 1800-01-01 and 2200-12-31"),
        ("1800-01-01", None),
    ],
)
def test_a_day_that_cannot_be_rejects_its_row_alone(day, reason):
    frame = pl.concat([example(KINDS["firm"], founded_on=day), example(KINDS["firm"])])
    rows, rejects = typed(frame, KINDS["firm"], "file.csv", TODAY)
    assert rejects.select("column", "value", "reason").rows() == (
        [] if reason is None else [("founded_on", day, reason)]
    )
    assert len(rows) == (2 if reason is None else 1)
    assert rows["founded_on"].min() is not None
    assert groups_of(KINDS["firm"]).get(reason) == ("time" if reason and "between" in reason else None)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_words_are_in_both_languages(kind):
    for words in (kind.words, *(w for rule in kind.rules for w in (rule.fault.reason, rule.fault.remedy))):
        assert words.en.isascii()
        assert not words.zh.isascii()
    for column in kind.columns:
        assert column.zh == "SHA-256" or not column.zh.isascii()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_no_row_knows_its_own_future(kind):
    for column in kind.columns[3:]:
        if column.dtype == pl.Date and column.name not in PLANNED:
            rows, rejects = typed(example(kind, **{column.name: "2024-06-16"}), kind, "f", TODAY)
            assert (rows.height, rejects.height) == (0, 1), column.name
            assert groups_of(kind)[rejects["reason"][0]] == "time"
            known, rejects = typed(example(kind, **{column.name: "2024-05-31"}), kind, "f", TODAY)
            assert (known.height, rejects.rows()) == (1, [])


@pytest.mark.parametrize("word", ["张三", "张\t三", "张三" * 101])
@pytest.mark.parametrize(("name", "other"), OTHERS)
def test_a_persons_name_is_refused_and_not_repeated(name, other, word):
    kind, of_person = KINDS[name], {f"{other}_kind": "person", "person_id": "P000123"}
    rows, rejects = typed(example(kind, **of_person, **{other: word}), kind, "f", TODAY)
    assert (rows.height, rejects.select("column", "value").rows()) == (0, [(other, "***")])
    rows, rejects = typed(example(kind, **of_person, **{other: None}), kind, "f", TODAY)
    assert (rows.height, rejects.rows()) == (1, [])


@pytest.mark.parametrize("word", ["张三", "ZhangSan"])
def test_a_holder_of_whom_nobody_knows_what_it_is_has_no_name(word):
    """It may be a person's, and what names a person must be erasable."""
    kind, unknown = KINDS["ownership"], {"holder_kind": "unknown", "is_controller": "false"}
    rows, rejects = typed(example(kind, **unknown, holder=word), kind, "f", TODAY)
    assert (rows.height, rejects.select("column", "value").rows()) == (0, [("holder", "***")])
    assert word not in rejects.write_csv()
    rows, rejects = typed(example(kind, **unknown, holder=None), kind, "f", TODAY)
    assert (rows.height, rejects.rows()) == (1, [])


@pytest.mark.parametrize(("name", "other"), OTHERS)
def test_only_a_person_has_a_pseudonym(name, other):
    kind = KINDS[name]
    for of_others in set(next(c.choices for c in kind.columns if c.name == f"{other}_kind")) - {"person"}:
        sent = example(kind, **{f"{other}_kind": of_others, "person_id": "张三"})
        rows, rejects = typed(sent, kind, "f", TODAY)
        assert (rows.height, rejects.select("column", "value").rows()) == (0, [("person_id", "***")])


def yuan(fen):
    return (fen + 50) // 100 * 100


def statement(lines):
    """Return whether a statement of these lines adds up; lines that are not given are empty."""
    given = {f"{name}_fen": [amount] for name, amount in lines.items()}
    frame = pl.DataFrame(given, schema=dict.fromkeys(given, pl.Int64))
    rules = [rule for rule in FINANCIAL_STATEMENT.rules if rule.group == "balance"]
    mine = [rule.is_bad for rule in rules if set(rule.is_bad.meta.root_names()) <= set(given)]
    assert mine
    return not frame.select(pl.any_horizontal(mine)).item()


@given(st.lists(st.integers(-(10**12), 10**12), min_size=20, max_size=20))
def test_a_statement_that_adds_up_does_so_in_whole_yuan(amounts):
    drawn = iter(amounts)
    lines = {name: next(drawn) for name in (*CURRENT, *EQUITY, "noncurrent_assets", "noncurrent_liabilities")}
    lines["current_assets"] = sum(lines[name] for name in CURRENT)
    lines["assets"] = lines["current_assets"] + lines["noncurrent_assets"]
    lines["equity"] = sum(lines[name] for name in EQUITY)
    lines["liabilities"] = lines["assets"] - lines["equity"]
    lines["current_liabilities"] = lines["liabilities"] - lines["noncurrent_liabilities"]
    lines |= {name: next(drawn) for name in ("operating_profit", "other_income", "other_expenses", "income_tax")}
    lines["profit_before_tax"] = lines["operating_profit"] + lines["other_income"] - lines["other_expenses"]
    lines["net_profit"] = lines["profit_before_tax"] - lines["income_tax"]
    assert statement(lines)
    assert statement({name: yuan(amount) for name, amount in lines.items()})


@pytest.mark.parametrize(("total", "parts", "most"), [("current_assets", CURRENT, 550), ("equity", EQUITY, 250)])
def test_more_than_rounding_can_do_is_refused(total, parts, most):
    lines = dict.fromkeys(parts, 0)
    assert statement(lines | {total: most})
    assert not statement(lines | {total: most + 1})
