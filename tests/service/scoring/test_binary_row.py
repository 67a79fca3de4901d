"""The binary form of a score: its offsets are documented, every column is in it, and nothing else moves it."""

import re
import struct
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.build import Matrix
from service.audit import merkle
from service.scoring.binary_row import COLUMNS, ROW, encode, leaves
from service.scoring.rows import _families, _missing_json, families_of, features_json
from tests.models.handmade import NAMES, SCORE

DOCUMENT = Path(__file__).parents[3] / "docs" / "score-row.md"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IDS = ("tenant_id", "id", "firm_id", "model_version_id", "context_id", "run_id")
TEXTS = ("reasons", "features", "missing", "reason_families", "actor")
few = settings(max_examples=40)

identity = st.uuids().map(lambda value: value.hex)
number = st.floats(allow_nan=False, allow_infinity=False)
code = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=4)
words = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)
made = st.fixed_dictionaries(
    {
        "as_of": st.dates(date(1990, 1, 1), date(2199, 12, 31)),
        "scored_at": st.integers(0, 2**52),
        **dict.fromkeys(IDS[:-1], identity),
        "run_id": st.none() | identity,
        **dict.fromkeys(("pd", "interval_low", "interval_high"), number),
        "points": st.none() | number,
        **dict.fromkeys(("product", "grade", "stable_grade", "interval_kind", "pd_basis", "decision"), code),
        **dict.fromkeys(TEXTS, words),
    }
)


def frame_of(*rows):
    return pl.DataFrame(list(rows), schema=COLUMNS)


def by_hand(row):
    """Return the row as docs/score-row.md says, one field after the other."""
    moments = struct.pack("<Iiq", 1, (row["as_of"] - EPOCH.date()).days, row["scored_at"])
    ids = b"".join(bytes.fromhex(row[name] or "0" * 32) for name in IDS)
    points = bytes.fromhex("000000000000f87f") if row["points"] is None else struct.pack("<d", row["points"])
    numbers = struct.pack("<3d", row["pd"], row["interval_low"], row["interval_high"]) + points
    sizes = {"product": 64, "grade": 4, "stable_grade": 4, "interval_kind": 16, "pd_basis": 16, "decision": 16}
    codes = b"".join(row[name].encode().ljust(size, b"\0") for name, size in sizes.items())
    return moments + ids + numbers + codes + b"".join(sha256(row[name].encode()).digest() for name in TEXTS)


@few
@given(st.lists(made, min_size=1, max_size=5))
def test_rows_are_what_the_document_says_whatever_stands_beside_them(rows):
    encoded = encode(frame_of(*rows))
    assert [row.tobytes() for row in encoded] == [by_hand(row) for row in rows]
    assert leaves(encoded) == [merkle.leaf_hash(by_hand(row)) for row in rows]


@few
@given(made, made)
def test_a_change_of_any_column_is_another_leaf(row, other):
    before = leaves(encode(frame_of(row)))
    for name in COLUMNS:
        changed = encode(frame_of(row | {name: other[name]}))
        assert (leaves(changed) == before) == (by_hand(row | {name: other[name]}) == by_hand(row))
        if name != "points" and isinstance(row[name], str) and row[name] != other[name]:
            assert leaves(changed) != before


def test_a_code_that_does_not_fit_is_refused_and_not_cut():
    row = dict.fromkeys(COLUMNS, "") | dict.fromkeys(IDS, "0" * 32) | {"as_of": date(2026, 6, 30), "scored_at": 0}
    row |= dict.fromkeys(("pd", "interval_low", "interval_high", "points"), 0.5)
    assert len(encode(frame_of(row | {"grade": "1234"}))) == 1
    for wrong in ("12345", "é"):
        with pytest.raises(ValueError, match="grade: "):
            encode(frame_of(row | {"grade": wrong}))


def test_the_documented_offsets_and_the_worked_example_hold():
    text = DOCUMENT.read_text()
    table = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert [(int(at), int(size), name) for at, size, name in table] == [
        (ROW.fields[name][1], ROW[name].itemsize, name) for name in ROW.names
    ]
    assert ROW.itemsize == sum(int(size) for _, size, _ in table)
    shown = re.search(r"```text\n(.*?)```", text, re.DOTALL)[1]
    example = {
        "as_of": date(2026, 6, 30),
        "scored_at": (datetime(2026, 7, 1, 0, 12, 3, 250_000, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1),
        "tenant_id": "11131ffa6a385c03a5835558fca0e3c0",
        "id": "3b0e9a3e2f0d4a578a630f7f2a9b7c01",
        "firm_id": "10b2f75424395fc79bfcbe6b0b7e1a97",
        "model_version_id": "5d1c7b0e8d6f4f6e9b1a2c3d4e5f6071",
        "context_id": "c7b1f6aa6f0e4c5393e170c7c5a0d111",
        "run_id": None,
        "pd": 1.0,
        "interval_low": 1.0,
        "interval_high": 1.0,
        "points": None,
        "product": "credit-score",
        "grade": "D",
        "stable_grade": "D",
        "interval_kind": "observed",
        "pd_basis": "default",
        "decision": "automated",
        "reasons": "[]",
        "features": '{"sales_cv":1.4,"owner_yrs":null}',
        "missing": '[{"name":"owner_yrs","rule":"B"}]',
        "reason_families": "{default}",
        "actor": "officer",
    }
    row = encode(frame_of(example))[0].tobytes()
    assert "".join(re.findall(r"^\d{3}  ([0-9a-f ]+)$", shown, re.MULTILINE)).replace(" ", "") == row.hex()
    assert merkle.leaf_hash(row).hex() in text


values = st.lists(st.lists(st.floats(allow_infinity=False, width=64), min_size=3, max_size=3), min_size=1, max_size=4)


@few
@given(values)
def test_features_come_back_to_the_bit_and_alone_as_among_others(rows):
    X = np.array(rows)
    names = ("sales_cv", "owner_yrs", "cust_hhi")
    texts = features_json(Matrix([f"E{row}" for row in range(len(X))], names, X, np.isnan(X))).to_list()
    for row, text in zip(X, texts, strict=True):
        assert [text] == features_json(Matrix(["E"], names, row[None], np.isnan(row[None]))).to_list()
        found = re.fullmatch(r'\{"sales_cv":(.*),"owner_yrs":(.*),"cust_hhi":(.*)\}', text).groups()
        again = np.array([np.nan if number == "null" else float(number) for number in found])
        known = ~np.isnan(row)
        assert (np.isnan(again) == ~known).all()
        assert again[known].tobytes() == row[known].tobytes()


@few
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), max_size=6))
def test_missing_features_are_told_row_by_row(rows):
    missing = np.array(rows, dtype=bool).reshape(len(rows), 5)
    matrix = Matrix([str(row) for row in range(len(rows))], NAMES, np.zeros(missing.shape), missing)
    used = set(NAMES) - {"cust_hhi"}
    expected = [
        [name for name, is_missing in zip(NAMES, row, strict=True) if is_missing and name in used] for row in rows
    ]
    texts = _missing_json(matrix, used)
    assert [re.findall(r'"name":"(\w+)"', text) for text in texts] == expected


def test_families_of_many_rows_are_those_of_each():
    generator = np.random.default_rng(0)
    chosen = generator.integers(-1, len(SCORE.units), (200, 4))
    told = [[SCORE.units[unit].features for unit in row if unit >= 0] for row in chosen.tolist()]
    assert _families(chosen, SCORE.units) == [families_of(features) for features in told]
