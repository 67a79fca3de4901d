"""No text of ours is a formula, and every text comes back."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from service.kit.formulas import STARTS, guarded, unguarded

texts = st.one_of(
    st.text(max_size=20), st.builds(lambda start, rest: start + rest, st.sampled_from([*STARTS, "'", "''"]), st.text())
)


def apply(expression, values):
    return (
        pl.DataFrame({"text": pl.Series(values, dtype=pl.String)}).select(expression(pl.col("text")))["text"].to_list()
    )


@given(st.lists(st.none() | texts, min_size=1))
def test_every_text_comes_back_and_none_begins_like_a_formula(values):
    out = apply(guarded, values)
    assert apply(unguarded, out) == values
    assert not any(text and text[0] in STARTS.replace("'", "") for text in out)
    assert [text for text in values if text is None] == [text for text in out if text is None]
