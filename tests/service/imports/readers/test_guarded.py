"""Texts that a spreadsheet may take for a formula: guarded on the way out, and read as they were."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from service.kit.formulas import STARTS, guarded
from tests.service.imports.readers.files import read_all, workbook

TEXTS = ["=1+1", "'=1+1", "-5", "＠x", "'a'", "甲", "''-", "'", "''", "O'Neill"]


def safe(texts):
    return pl.select(guarded(pl.lit(pl.Series(texts, dtype=pl.String)))).to_series().to_list()


@settings(max_examples=50)
@given(st.lists(st.text(st.sampled_from([*STARTS.translate({9: None, 10: None, 13: None}), "a", "甲"]), min_size=1)))
def test_a_guarded_text_comes_back_as_it_was(texts):
    whole = [*TEXTS, *texts]
    expected = [(line, text) for line, text in enumerate(whole, 2)]
    assert read_all("\n".join(["id", *safe(whole)]).encode(), "id")[0] == expected
    data = workbook([["id"]], write=lambda _, page: [page.write_string(n, 0, t) for n, t in enumerate(safe(whole), 1)])
    assert read_all(data, "id")[0] == expected


def test_ndjson_is_read_as_it_stands():
    ndjson = "\n".join(f'{{"id": "{text}"}}' for text in TEXTS).encode()
    assert read_all(ndjson, "id")[0] == list(enumerate(TEXTS, 1))
