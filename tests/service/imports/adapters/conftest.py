"""A folder to write a source's files into, and what an import made of them."""

import gzip
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text

from features.kinds import KINDS
from service.imports.adapters.contract import Options
from service.imports.use_cases import import_source

TODAY = date(2024, 12, 31)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes lines as a file, gzipped by its name, and returns the folder."""

    def write(name: str, *lines: str) -> Path:
        data = "".join(f"{line}\n" for line in lines).encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return tmp_path

    return write


@pytest.fixture
def load(session):
    """Return a function that imports a source's folder."""

    def load(name: str, folder: Path, outcome_on: date | None = None):
        return import_source(session, name, folder, Options(today=TODAY, outcome_on=outcome_on))

    return load


@pytest.fixture
def ledger(session):
    """Return a function that reads a kind's rows, with the firm's key as ``firm_id``."""

    def ledger(kind: str) -> pl.DataFrame:
        columns = [name for name in KINDS[kind].schema if name != "firm_id"]
        rows = session.execute(
            text(
                f"select f.key, {', '.join(f'k.{name}' for name in columns)} from {KINDS[kind].table} k"
                " join firm f on f.tenant_id = k.tenant_id and f.id = k.firm_id"
                " order by f.key, k.observed_on, k.known_on, k.content_sha256"
            )
        )
        return pl.DataFrame([tuple(row) for row in rows], KINDS[kind].schema, orient="row")

    return ledger


@pytest.fixture
def counts():
    """Return a function from a summary to file and kind -> read, added, already known, repeated, rejected."""

    def counts(summary) -> dict[tuple[str, str], tuple[int, ...]]:
        for line in summary.files:
            assert line.read == line.added + line.already_known + line.repeated + line.rejected
        return {
            (line.file, line.kind): (line.read, line.added, line.already_known, line.repeated, line.rejected)
            for line in summary.files
        }

    return counts


@pytest.fixture
def real(shared_data):
    """Return a function that finds a real data set's folder, or skips."""

    def real(name: str) -> Path:
        folder = shared_data / name
        if not folder.is_dir():
            pytest.skip(f"the data set is not here: ../shared/data/{name}")
        return folder

    return real
