"""Invented numbers of identity cards."""

from service.kit.personal_id import _check_character


def national_id(serial: int, born: str = "19800101") -> str:
    """Return a number with a right check character."""
    number = f"330106{born}{serial:03}"
    return number + _check_character(number)
