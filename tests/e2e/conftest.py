"""A bank with the demo's cluster: loaded, trained and rescored once for all tests of this folder."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

import pytest

from service.demo.economy import generate
from service.firms.use_cases import add_inputs
from service.identity.use_cases import create_tenant, tenant_id_of
from service.rescoring.use_cases import RunSummary, rescore
from service.training.use_cases import Version, train

PRODUCT = "credit-score"
FIRST, SECOND = date(2025, 12, 31), date(2026, 6, 30)


@dataclass(frozen=True)
class Bank:
    name: str
    tenant_id: UUID
    version: Version
    runs: tuple[RunSummary, RunSummary]


@pytest.fixture(scope="session")
def bank(database) -> Bank:
    name = "bank of the demo"
    with database.session() as session:
        create_tenant(session, name)
        add_inputs(session, generate(415, 1, end_on=SECOND, months=48).inputs, lambda *_: None)
    with database.session(tenant_id_of(name)) as session:
        version = train(session, PRODUCT, FIRST, actor="trainer", seed=1)
    runs = tuple(
        rescore(database, tenant_id_of(name), PRODUCT, day, "nightly", chunk_firms=150) for day in (FIRST, SECOND)
    )
    return Bank(name, tenant_id_of(name), version, runs)
