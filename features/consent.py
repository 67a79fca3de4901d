"""Whose data may be used on a day, and who refuses to be decided on by a machine alone.

A consent is one person's, of one firm, scope and purpose; its newest row says whether it is in force. Of rows of one
day a withdrawal outweighs: who said both is taken to have said no.
"""

from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from features.as_of import known
from features.inputs import Inputs

SCOPES: Final = {"person": "owner_data", "personal_record": "bureau"}
"""Kinds of observations of people, and the scope of the consent that each needs."""
PURPOSE: Final = "credit_assessment"
"""The purpose that features serve."""

_SUBJECT = ["firm_id", "person_id", "scope", "purpose"]


def permitted(inputs: Inputs, as_of: date) -> Inputs:
    """Keep what was known on a day and might be used on it.

    Rows of ``persons`` need a consent to ``owner_data`` in force, rows of ``personal_records`` one to ``bureau``, of
    that very person for that firm; a consent without ``person_id`` is the firm's own and covers nobody.

    Parameters
    ----------
    inputs
        Observations of any dates.
    as_of
        The day, included.

    Examples
    --------
    >>> permitted(Inputs.empty(), date(2024, 6, 30)).persons.height
    0
    """
    seen = known(inputs, as_of)
    return replace(
        seen,
        persons=_of_consenting(seen.persons, seen.consents, SCOPES["person"]),
        personal_records=_of_consenting(seen.personal_records, seen.consents, SCOPES["personal_record"]),
    )


def consenting(consents: pl.DataFrame, scope: str) -> pl.DataFrame:
    """Return ``firm_id``, ``person_id`` of the people whose consent to a scope is in force by the rows given.

    Examples
    --------
    >>> consenting(Inputs.empty().consents, "bureau").columns
    ['firm_id', 'person_id']
    """
    of_people = consents.filter(
        pl.col("person_id").is_not_null(), pl.col("scope") == scope, pl.col("purpose") == PURPOSE
    )
    return _newest(of_people).filter("is_given").select("firm_id", "person_id")


def _of_consenting(rows: pl.DataFrame, consents: pl.DataFrame, scope: str) -> pl.DataFrame:
    return rows.join(consenting(consents, scope), on=["firm_id", "person_id"], how="semi")


def refused_automated(inputs: Inputs, as_of: date) -> pl.Series:
    """Return the firms that may not be decided on by a machine alone, sorted.

    One refusal suffices, the firm's own or a person's behind it, for whatever purpose; it stands until the same
    subject gives the same consent again.

    Parameters
    ----------
    inputs
        Observations of any dates; only those known on the day count.
    as_of
        The day, included.

    Examples
    --------
    >>> refused_automated(Inputs.empty(), date(2024, 6, 30)).to_list()
    []
    """
    decisions = known(inputs.only("consent"), as_of).consents.filter(pl.col("scope") == "automated_decision")
    return _newest(decisions).filter(~pl.col("is_given"))["firm_id"].unique().sort()


def _newest(consents: pl.DataFrame) -> pl.DataFrame:
    """Return one row a subject, scope and purpose, and whether it is given on its newest day."""
    is_newest = pl.col("observed_on") == pl.col("observed_on").max()
    return consents.group_by(_SUBJECT).agg(pl.col("is_given").filter(is_newest).all())
