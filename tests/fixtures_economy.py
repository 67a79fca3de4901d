"""The shared economy of 20,000 firms, made once for all workers and kept in the system's temporary folder.

Import the fixture in a conftest: ``from tests.fixtures_economy import large_economy``.
"""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import features.inputs
import service.demo
from features.inputs import Inputs
from service.demo.economy import Economy, generate

N_FIRMS = 20_000
SEED = 1
MONTHS = 42
END_ON = date(2025, 6, 30)
INVOICES_PER_FIRM_MONTH = 4.0
PREFIX = "clustercredit-economy-"


@pytest.fixture(scope="session")
def large_economy() -> Economy:
    """Return 20,000 firms in 48 clusters over 42 months, lean in invoices."""
    temporary = Path(tempfile.gettempdir())
    folder = temporary / f"{PREFIX}{_fingerprint()}"
    with _locked(temporary / f"{PREFIX}lock"):
        if not folder.exists():
            _remove_outdated(temporary)
            _write(_generate(), folder)
        return _read(folder)


def _generate() -> Economy:
    return generate(N_FIRMS, SEED, end_on=END_ON, months=MONTHS, invoices_per_firm_month=INVOICES_PER_FIRM_MONTH)


def _fingerprint() -> str:
    """Hash all that decides the economy and the files."""
    sources = [*sorted(Path(service.demo.__path__[0]).glob("*.py")), Path(features.inputs.__file__), Path(__file__)]
    digest = hashlib.sha256(pl.__version__.encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_outdated(temporary: Path) -> None:
    for folder in temporary.glob(f"{PREFIX}*/"):
        shutil.rmtree(folder)


def _write(economy: Economy, folder: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
    for name, frame in _frames(economy).items():
        frame.write_parquet(unfinished / f"{name}.parquet", compression="lz4")
    unfinished.rename(folder)


def _frames(economy: Economy) -> dict[str, pl.DataFrame]:
    return {**economy.inputs.frames(), "truth": economy.truth, "clusters": economy.clusters}


def _read(folder: Path) -> Economy:
    frames = {path.stem: pl.read_parquet(path) for path in folder.glob("*.parquet")}
    truth, clusters = frames.pop("truth"), frames.pop("clusters")
    return Economy(Inputs.of_frames(frames), truth, clusters)
