"""A small cluster with rows of every kind, loaded once for all tests of this folder."""

from datetime import date

import pytest

from service.demo.economy import generate
from service.demo.records import generate_records
from service.firms.use_cases import add_rows
from service.identity.use_cases import create_tenant

WINDOW = {"end_on": date(2026, 6, 30), "months": 18}


@pytest.fixture(scope="session")
def cluster(database) -> str:
    """Return the name of a tenant that has it."""
    economy = generate(24, 2, invoices_per_firm_month=2.0, **WINDOW)
    frames = economy.inputs.frames() | generate_records(economy, 2, **WINDOW)
    assert all(frame.height for frame in frames.values())
    with database.session() as session:
        create_tenant(session, "cluster of the exports")
        add_rows(session, frames, lambda *_: None)
    return "cluster of the exports"
