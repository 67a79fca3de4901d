"""Train a candidate, make a version live, and load the live model."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from features.outcomes import build_outcomes, stack_training
from models import artifact
from models.fitted import FittedModel
from models.product import CentralTendency, Product
from models.products import PRODUCTS
from models.train import TrainingData, fit
from service.errors import Conflict, NotFound
from service.firms.use_cases import read_inputs
from service.kit import clock
from service.kit.db import TenantSession, tenant_of
from service.training import repository
from service.training.tables import ModelVersion

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Version:
    """A model version without its artifact."""

    id: UUID
    product: str
    number: int
    state: str
    as_of: date
    created_at: datetime
    created_by: str
    live_by: str | None
    artifact_sha256: str
    report: dict[str, Any]

    @property
    def name(self) -> str:
        """What a score says it was made by."""
        return f"{self.product}/{self.number}"


@dataclass(frozen=True)
class LoadedModel:
    """A version and the model in it."""

    version: Version
    product: Product
    model: FittedModel


def product_of(code: str) -> Product:
    """Return a product.

    Raises
    ------
    NotFound
        If there is none of this code.
    """
    if code not in PRODUCTS:
        raise NotFound(f"There is no product '{code}'. Products: {', '.join(PRODUCTS)}.")
    return PRODUCTS[code]


def train(
    session: TenantSession,
    product_code: str,
    as_of: date,
    *,
    actor: str,
    seed: int = 1,
    estimator: str = "auto",
    central_tendency: CentralTendency | None = None,
    progress: Progress = lambda *_: None,
) -> Version:
    """Fit a product's model to the ledger as of a day, and keep it as a new version.

    It is a candidate until somebody makes it live; the first version of a product, which replaces nothing, is live
    at once, in the name of who trained it.

    Raises
    ------
    NotFound
        If there is no such product.
    models.train.TrainingError
        If the data cannot carry a model; the message says what is missing.
    """
    product = product_of(product_code)
    progress("reading the ledger", 0, 1)
    inputs = read_inputs(session, as_of)
    outcomes = build_outcomes(inputs, as_of, seed, product.horizon_months)
    stack = stack_training(
        inputs,
        outcomes.frame,
        product.features,
        requirements=product.requirements,
        progress=lambda done, total: progress("features of each snapshot", done, total),
    )
    data = TrainingData(
        X=stack.X,
        names=stack.names,
        y=stack.y,
        groups=stack.groups,
        snapshot_on=stack.snapshot_on,
        is_undated=stack.is_undated,
    )
    model = fit(product, data, seed=seed, estimator=estimator, central_tendency=central_tendency, progress=progress)
    report = {**model.report, "dropped": {**outcomes.dropped, **stack.dropped}, "as_of": as_of.isoformat()}
    return _keep(session, product_code, as_of, actor, seed, model, report)


def _keep(
    session: TenantSession,
    product: str,
    as_of: date,
    actor: str,
    seed: int,
    model: FittedModel,
    report: dict[str, Any],
) -> Version:
    data = artifact.dump(model)
    repository.lock_product(session, product)
    is_first = repository.find_live(session, product) is None
    now = clock.now()
    row = ModelVersion(
        tenant_id=tenant_of(session),
        id=clock.new_id(),
        product=product,
        number=repository.next_number(session, product),
        state="live" if is_first else "candidate",
        as_of=as_of,
        seed=seed,
        artifact=data,
        artifact_sha256=hashlib.sha256(data).digest(),
        report=report,
        created_at=now,
        created_by=actor,
        live_at=now if is_first else None,
        live_by=actor if is_first else None,
    )
    session.add(row)
    session.flush()
    return _version(row)


def promote(session: TenantSession, product_code: str, number: int, actor: str) -> Version:
    """Make a version the live one; the one before is retired in the same transaction.

    Raises
    ------
    NotFound
        If there is no such product or version.
    """
    product_of(product_code)
    repository.lock_product(session, product_code)
    row = repository.find_version(session, product_code, number)
    if row is None:
        raise NotFound(f"Product '{product_code}' has no version {number}.")
    live = repository.find_live(session, product_code)
    if live is not None and live.id != row.id:
        live.state = "retired"
        session.add(live)
        session.flush()
    if row.state != "live":
        row.state, row.live_at, row.live_by = "live", clock.now(), actor
        session.add(row)
        session.flush()
    return _version(row)


def list_versions(session: TenantSession) -> list[Version]:
    """Return every version, by product and number."""
    return [_version(row) for row in repository.list_versions(session)]


def page_versions(session: TenantSession, after: tuple[datetime, UUID] | None, limit: int) -> list[Version]:
    """Return versions of all products, the oldest first."""
    return [_version(row) for row in repository.page_versions(session, after, limit)]


def get_version(session: TenantSession, version_id: UUID) -> Version:
    """Return a version.

    Raises
    ------
    NotFound
        If the tenant has no such version.
    """
    row = repository.find_version_by_id(session, version_id)
    if row is None:
        raise NotFound("No model version has this id.")
    return _version(row)


def live_model(session: TenantSession, product_code: str) -> LoadedModel:
    """Load the live model of a product.

    Raises
    ------
    NotFound
        If there is no such product.
    Conflict
        If the product has no live model yet.
    """
    product = product_of(product_code)
    row = repository.find_live(session, product_code)
    if row is None:
        raise Conflict(
            f"Product '{product_code}' has no live model. Train one with: clustercredit train {product_code} --as-of D"
        )
    return LoadedModel(_version(row), product, _load(row.artifact, row.artifact_sha256))


def model_version(session: TenantSession, version_id: UUID) -> LoadedModel:
    """Load a version that is there, live or not."""
    row = repository.get_version(session, version_id)
    return LoadedModel(_version(row), product_of(row.product), _load(row.artifact, row.artifact_sha256))


def version_name(session: TenantSession, version_id: UUID) -> str:
    """Return the name of a version that is there."""
    return _version(repository.get_version(session, version_id)).name


@lru_cache(maxsize=8)
def _load(data: bytes, sha256: bytes) -> FittedModel:
    return artifact.load(data, sha256.hex())


def _version(row: ModelVersion) -> Version:
    return Version(
        id=row.id,
        product=row.product,
        number=row.number,
        state=row.state,
        as_of=row.as_of,
        created_at=row.created_at,
        created_by=row.created_by,
        live_by=row.live_by,
        artifact_sha256=row.artifact_sha256.hex(),
        report=row.report,
    )
