"""Texts that a spreadsheet may take for a formula: guarded on the way out, as they were on the way in."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from service.imports.chunks import guarded, unguarded
from tests.service.imports.readers.files import read_all, workbook

STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
TEXTS = st.lists(st.text(st.sampled_from(["'", *STARTS, "a", "甲", "\n", '"', ","]), max_size=5), max_size=20)


def changed(expression, texts):
    return pl.select(expression(pl.lit(pl.Series(texts, dtype=pl.String)))).to_series().to_list()


@given(TEXTS)
def test_unguarded_is_the_inverse_of_guarded(texts):
    safe = changed(guarded, texts)
    assert changed(unguarded, safe) == texts
    assert not any(text.startswith(STARTS) for text in safe)


@given(TEXTS)
def test_a_text_that_needs_no_guard_stays_as_it_is(texts):
    plain = [text for text in texts if not text.lstrip("'").startswith(STARTS)]
    assert changed(guarded, plain) == plain == changed(unguarded, plain)


def test_a_guarded_file_comes_back_as_it_was():
    texts = ["=1+1", "'=1+1", "-5", "＠x", "'a'", "甲", "''-"]
    safe = changed(guarded, texts)
    expected = [(line, text) for line, text in enumerate(texts, 2)]
    assert read_all("\n".join(["id", *safe]).encode(), "id")[0] == expected
    assert read_all(workbook([["id"]], write=lambda _, page: page.write_column(1, 0, safe)), "id")[0] == expected
    ndjson = "\n".join(f'{{"id": "{text}"}}' for text in texts).encode()
    assert read_all(ndjson, "id")[0] == [(line - 1, text) for line, text in expected]
