import pytest

from service.imports.ahead import ahead


def test_items_come_in_their_order_and_an_error_in_its_place():
    def items():
        yield from range(3)
        raise KeyError("no more")

    found = []
    with pytest.raises(KeyError, match="no more"):
        found.extend(ahead(items()))
    assert list(ahead(iter([None, 0, ""]))) == [None, 0, ""]
    assert list(ahead(iter(()))) == []


def test_no_more_than_one_item_is_made_ahead():
    made = []

    def items():
        for number in range(5):
            made.append(number)
            yield number

    taken = ahead(items())
    for number in range(3):
        assert next(taken) == number
    taken.close()
    assert made == [0, 1, 2, 3]
