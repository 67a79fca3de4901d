"""The two questionnaires: whole, in both languages, as their kinds hold the answers; and the rule of the stages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.instruments import DIGITAL_1, HALF_LIVES, INSTRUMENTS, SOFT_1, STAGES, stage_of
from features.kinds import KINDS

ANSWERS = st.fixed_dictionaries({q.name: st.none() | st.integers(0, 4) for q in DIGITAL_1.questions})


@pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=INSTRUMENTS)
def test_an_instrument_asks_what_its_kind_holds(instrument):
    columns = {column.name: column for column in KINDS[instrument.kind].columns}
    assert columns["instrument"].choices == (instrument.name,)
    assert len(instrument.questions) == 12
    for question in instrument.questions:
        assert (columns[question.name].low, columns[question.name].high) == (instrument.low, instrument.high)
        assert [min(question.anchors), max(question.anchors)] == [instrument.low, instrument.high]
        assert len(question.anchors) == 3
    asked = {question.name for question in instrument.questions}
    assert {name for name in columns if name[1:].isdigit()} == asked


@pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=INSTRUMENTS)
def test_all_words_are_in_both_languages_and_said_once(instrument):
    words = [instrument.words]
    for question in instrument.questions:
        words += [question.topic, question.words, *question.anchors.values()]
    for said in words:
        assert said.en.isascii()
        assert not said.zh.isascii()
    assert len({said.en for said in words}) == len({said.zh for said in words}) == len(words)


def test_soft_answers_age_by_topic_and_digital_ones_belong_to_stages():
    ages = {question.topic.en: question.half_life for question in SOFT_1.questions}
    assert {topic for topic, age in ages.items() if age == "orders"} == {"order book", "stock"}
    assert {topic for topic, age in ages.items() if age == "character"} == {"keeping one's word", "conduct in trouble"}
    assert set(ages.values()) == set(HALF_LIVES)
    assert [question.stage for question in DIGITAL_1.questions] == [1] * 4 + [2] * 4 + [3] * 4
    assert all(question.stage in STAGES for question in DIGITAL_1.questions)


def _answers(*blocks):
    return {
        q.name: answer for q, answer in zip(DIGITAL_1.questions, [a for block in blocks for a in block], strict=True)
    }


@pytest.mark.parametrize(
    ("blocks", "stage"),
    [
        (([2] * 4, [2] * 4, [2] * 4), 3),
        (([4] * 4, [4] * 4, [1] * 4), 2),
        (([4] * 4, [1] * 4, [4] * 4), 1),
        (([1, 2, 2, 2], [4] * 4, [4] * 4), 1),
        (([0] * 4, [None] * 4, [None] * 4), 1),
        (([4] * 4, [1, 1, 1, None], [None] * 4), 1),
        (([4] * 4, [4, 4, None, None], [4] * 4), None),
        (([4] * 4, [2] * 4, [None] * 4), None),
        (([None, None, 4, 4], [4] * 4, [4] * 4), None),
        (([3, 3, None, 0], [3, 3, None, 0], [3, 3, None, 0]), 3),
    ],
)
def test_the_stage_of_answers(blocks, stage):
    assert stage_of(_answers(*blocks)) == stage


@given(ANSWERS)
def test_a_better_answer_never_lowers_the_stage(answers):
    for name, answer in answers.items():
        if answer is None:
            continue
        stages = [stage_of(answers | {name: better}) for better in range(answer, 5)]
        known = [stage for stage in stages if stage is not None]
        assert known == sorted(known)
