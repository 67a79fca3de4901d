from datetime import date

import pytest

from service.alerts.rules.grade_drop import check
from service.alerts.snapshot import GradeSnapshot


def snapshot(before, after):
    return GradeSnapshot(
        product="credit-score",
        as_of=date(2024, 6, 30),
        pd=0.1,
        stable_grade=after,
        previous_grade=before,
        previous_as_of=None if before is None else date(2024, 3, 31),
        previous_pd=None if before is None else 0.05,
    )


@pytest.mark.parametrize(
    ("before", "after", "notches"),
    [
        (None, "15", None),
        ("9", "9", None),
        ("9", "10", None),
        ("9", "11", 2),
        ("9", "8", None),
        ("1", "15", 14),
        ("15", "D", 1),
        ("9", "D", 7),
        ("D", "D", None),
        ("D", "15", None),
    ],
)
def test_two_grades_or_into_default(before, after, notches):
    found = check(snapshot(before, after))
    assert [finding.evidence["notches"] for finding in found] == ([] if notches is None else [notches])
    assert all(finding.severity == "H" and after in finding.text["zh-CN"] for finding in found)
