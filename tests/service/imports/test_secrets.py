"""What no column may hold, by either door: numbers of persons, however written, and characters that nobody sees."""

import polars as pl
import pytest
from pydantic import ValidationError

from features.kinds import KINDS
from features.kinds.contract import SHORT
from service.imports.checks import typed
from service.observations.schemas import MODELS
from tests.service.imports.test_kinds import TODAY, example
from tests.service.observations.test_observations_http import EXAMPLES

NOTES = [
    (name, column.name) for name in MODELS for column in KINDS[name].columns if column.most_characters > SHORT
]  # fmt: skip
NUMBERS = ["110105----19491231----002X", "¹¹⁰¹⁰⁵¹⁹⁴⁹¹²³¹⁰⁰²X", "①①⓪①⓪⑤19491231002x", "1101051949123100２X"]
UNSEEN = ["110105\u200b19491231\u200b002X", "a\u00adb", "a\u2028b", "a\tb", "a\ufeffb", "a\u3164b", "a\U000e0041b"]
OURS = "5d2c7c1e-2b5a-4c0f-8f43-0d1a6f2e9b04"
OLD = ["身份证110105491231002", "owner 110105 491231 002", "110105----491231----002"]


def refused(name, **changes):
    """Return the rejects of a file; the other door must refuse the same row."""
    with pytest.raises(ValidationError) as error:
        MODELS[name].model_validate(EXAMPLES[name] | changes)
    assert not any(value in str(error.value) for value in changes.values())
    rows, rejects = typed(example(KINDS[name], **changes), KINDS[name], "file.csv", TODAY)
    assert rows.height == 0
    return rejects.select("column", "value", "reason").rows()


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize(("name", "column"), [("event", "cause"), ("inventory", "item"), ("soft_claim", "claim")])
def test_a_persons_number_is_refused_by_both_doors_and_not_repeated(name, column, text):
    ((at, value, reason),) = refused(name, **{column: f"of {text} 号"})
    assert (at, value) == (column, "***")
    assert "identity number" in reason


@pytest.mark.parametrize("text", OLD)
@pytest.mark.parametrize(("name", "column"), NOTES)
def test_an_old_number_is_refused_in_notes(name, column, text):
    ((at, value, _),) = refused(name, **{column: text})
    assert (at, value) == (column, "***")


@pytest.mark.parametrize("text", UNSEEN)
def test_what_nobody_sees_is_refused_by_both_doors(text):
    ((at, value, reason),) = refused("event", cause=text)
    assert at == "cause"
    assert reason in {"has control characters", "has invisible characters"}
    assert "1949" not in value


@pytest.mark.parametrize(
    "text", ["03300210011145935612", "330106000012345", "91350211M000100Y46", "6222021207001234567", "110105491231002"]
)
def test_numbers_of_business_are_let_be(text):
    for name, column in (("event", "reference"), ("inventory", "lot")):
        MODELS[name].model_validate(EXAMPLES[name] | {column: text})
        rows, rejects = typed(example(KINDS[name], **{column: text}), KINDS[name], "file.csv", TODAY)
        assert (rows[column].to_list(), rejects.rows()) == ([text], [])


OF_PERSONS = [
    *("张伟", "Zhang Wei", "欧阳 修远", "13800001111", "138-0000-1111", "8613800001111", "E12345678", "g12345678"),
    *("EA1234567", "DE1234567", "110105491231002", "110105194912310021", "１３８００００１１１１", "x" * 65, "a b"),
]
WITH_PERSONS = [name for name in KINDS if "person_id" in KINDS[name].schema]


def of_person(name):
    """Return what makes a kind's example one about a person."""
    other = {"ownership": "holder", "relation": "partner", "guarantee": "guarantor"}.get(name)
    return {} if other is None else {f"{other}_kind": "person", other: ""}


@pytest.mark.parametrize("text", OF_PERSONS)
@pytest.mark.parametrize("name", WITH_PERSONS)
def test_who_a_person_is_is_no_pseudonym_and_is_not_repeated(name, text):
    row = example(KINDS[name], **of_person(name), person_id=text)
    rows, rejects = typed(row, KINDS[name], "file.csv", TODAY)
    assert (rows.height, rejects.select("column", "value").rows()) == (0, [("person_id", "***")])


@pytest.mark.parametrize("text", ["P000123", "smesd-p4467", OURS, OURS.replace("-", "").upper(), "a"])
@pytest.mark.parametrize("name", WITH_PERSONS)
def test_a_pseudonym_is_taken(name, text):
    rows, rejects = typed(example(KINDS[name], **of_person(name), person_id=text), KINDS[name], "file.csv", TODAY)
    assert (rows["person_id"].to_list(), rejects.rows()) == ([text], [])


@pytest.mark.parametrize("text", [OURS.upper(), OURS.replace("c", "C"), f"urn:uuid:{OURS}"])
def test_our_own_pseudonyms_have_one_form(text):
    rows, rejects = typed(example(KINDS["person"], person_id=text), KINDS["person"], "file.csv", TODAY)
    assert (rows.height, rejects.select("column", "value").rows()) == (0, [("person_id", text)])
    assert "small letters" in rejects["remedy"].item()


def test_a_number_is_found_among_many_rows():
    texts = pl.concat([example(KINDS["event"], cause=text) for text in ["sale contract", "货款", *NUMBERS, "x" * 200]])
    rows, rejects = typed(texts.with_columns(line=pl.int_range(2, 9)), KINDS["event"], "file.csv", TODAY)
    assert (rows["line"].to_list(), rejects["line"].to_list()) == ([2, 3, 8], [4, 5, 6, 7])
