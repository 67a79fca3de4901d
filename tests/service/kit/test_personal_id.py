"""Numbers of identity cards are found however they are written, and other numbers are let be."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from service.firms.use_cases import check_firm_key
from service.kit.http import Reference, Text
from service.kit.personal_id import SHAPE, _check_character, holds_national_id

CARD = "11010519491231002X"
OLD = "110105491231002"
GAPS = (
    *("", " ", "-", ".", "\u2013", "\u2014", "\u2212", "\u00a0", "\u3000", "·", " - ", "_", "----", "————", "：", "*"),
    *("~", "\u200b", "\u2060", "\u034f", "\u3164", "\ufe0f\u20e3", "⁻", "        "),
)  # fmt: skip


@pytest.mark.parametrize("between", GAPS)
@pytest.mark.parametrize("sizes", [(6, 8, 4), (4, 4, 4, 4, 2), (17, 1), (1,) * 18, (3, 3, 3, 3, 3, 3)])
@pytest.mark.parametrize("around", ["{}", "called 13800001111 {} at 9:30", "王{}的店", "2024-01-31 {} 12"])
def test_a_number_is_found_in_any_groups(between, sizes, around):
    ends = [sum(sizes[: count + 1]) for count in range(len(sizes))]
    written = between.join(CARD[end - size : end] for end, size in zip(ends, sizes, strict=True))
    forms = ("０１２３４５６７８９", "⁰¹²³⁴⁵⁶⁷⁸⁹", "⓪①②③④⑤⑥⑦⑧⑨", "٠١٢٣٤٥٦٧٨٩")
    for text in (written, written.lower(), *(written.translate(str.maketrans("0123456789", form)) for form in forms)):
        assert holds_national_id(around.format(text)), text


@pytest.mark.parametrize("written", [OLD, "110105 491231 002", "1101 0549 1231 002", "110105\u2013491231\u2013002"])
def test_the_old_form_is_refused_in_words_and_let_be_in_references(written):
    with pytest.raises(ValidationError, match="15 digits") as refused:
        TypeAdapter(Text).validate_python(f"owner {written}, at noon")
    assert "1101" not in str(refused.value.errors(include_input=False))
    assert TypeAdapter(Reference).validate_python(written) == written


@pytest.mark.parametrize(
    "text",
    [
        "110105194912310021",
        "110105 19491231 0021",
        "03300210011145935612",
        "110105991331002",
        "990105491231002",
        "A110105491231002",
        "call 13800001111 or 0576-82512345 before 2024-01-31 17:30",
        "1,101,054.91 yuan on 2024-12-31",
        "5d2c7c1e-2b5a-4c0f-8f43-0d1a6f2e9b04",
        "6222021207001234567",
        "6222 0212 0700 1234 567",
        "registered 330106000012345, paid 110105 19491231 yuan",
        "110105, 19491231, 002X",
    ],
)
def test_other_numbers_are_let_be(text):
    assert not holds_national_id(text, or_old=True)
    assert TypeAdapter(Text).validate_python(text) == text


@pytest.mark.parametrize("key", ["91350211M000100Y46", "330106000012345", "E1", "F-2024-01-31-0001"])
def test_firms_keys_are_taken(key):
    assert check_firm_key(key) == key


_SIGNS = st.text("0123456789X -._/AZ,", max_size=12)


@given(
    area=st.integers(100000, 999999),
    born=st.dates(date(1900, 1, 1)),
    serial=st.integers(0, 999),
    gaps=st.lists(st.text(" -._/:*~|#+=\\'<>\"^\t\x00", max_size=8), min_size=17, max_size=17),
    around=st.tuples(_SIGNS, _SIGNS),
    is_small=st.booleans(),
)
@settings(max_examples=300)
def test_whatever_holds_a_number_has_its_shape(area, born, serial, gaps, around, is_small):
    """The bulk search passes over no number that the search by one text finds."""
    front = f"{area}{born:%Y%m%d}{serial:03}".rjust(17, "0")
    number = front + _check_character(front)
    written = "".join(digit + gap for digit, gap in zip(number, [*gaps, ""], strict=True))
    text = around[0] + (written.lower() if is_small else written) + around[1]
    if holds_national_id(text):
        assert pl.Series([text]).str.contains(SHAPE).item()


@pytest.mark.parametrize("text", ["1" * 99_999, "9 " * 99_999, "110105--------1949----" * 5_000, "1" + "-" * 99_999])
def test_a_search_takes_no_longer_than_its_text_is_long(text):
    assert not holds_national_id(text, or_old=True)
