"""Readings that the whole service rests on: ids, and what puts a firm in grade D."""

from datetime import date
from uuid import UUID

import polars as pl
import pytest

from features.build import BUREAU_FEATURES
from features.inputs import Inputs
from features.kinds.credit import REPAYMENT_STATUS
from features.kinds.parties import FIRM
from service.firms.use_cases import firm_id_of
from service.identity.use_cases import tenant_id_of
from service.scoring.rows import families_of
from service.scoring.use_cases import _in_default


def test_ids_are_functions_of_names_for_ever():
    tenant = tenant_id_of("default")
    assert tenant == UUID("11131ffa-6a38-5c03-a583-5558fca0e3c0")
    assert firm_id_of(tenant, "E1") == UUID("10b2f754-2439-5fc7-9bfc-be6b0b7e1a97")


@pytest.mark.parametrize(("is_undated", "grade_d"), [(True, []), (False, ["E1"])])
def test_only_a_dated_default_puts_a_firm_in_default(is_undated, grade_d):
    day = date(2024, 5, 31)
    absent = dict.fromkeys(FIRM.schema) | {"firm_id": "E1", "observed_on": day, "known_on": day, "name": "甲"}
    status = dict.fromkeys(REPAYMENT_STATUS.schema) | {
        "firm_id": "E1",
        "observed_on": day,
        "known_on": day,
        "default_event": "unspecified",
        "is_closed": False,
        "is_undated": is_undated,
    }
    inputs = Inputs.of_frames(
        {
            "firm": pl.DataFrame([absent], schema=FIRM.schema),
            "repayment_status": pl.DataFrame([status], schema=REPAYMENT_STATUS.schema),
        }
    )
    assert _in_default(inputs, ["E1"], date(2024, 6, 30)).to_list() == grade_d


def test_families_of_reasons_are_silent_about_the_bureau():
    assert {"owner_dpd"} == BUREAU_FEATURES
    told = [["owner_dpd"], ["owner_dpd", "firm_age"], ["sales_cv"], ["sales_cv", "ln_sales"]]
    assert families_of(told) == "{stability,sales}" == families_of(told[2:])
    assert families_of([*told, ["owner_yrs"]]) == "{stability,sales,owner}"
