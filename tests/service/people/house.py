"""An embedded server of one's own with a keyring beside it, so that every file of both can be looked through."""

import hashlib
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from http_client import Client, make_client

from models import artifact
from service.app import create_app
from service.identity.access import Role
from service.identity.use_cases import create_tenant, tenant_id_of
from service.kit import clock, migrations
from service.kit.db import Database
from service.kit.embedded_postgres import EmbeddedPostgres, _identity, programs
from service.kit.keyring import Keyring
from service.kit.logs import configure_logging
from service.settings import Settings
from service.training.tables import ModelVersion
from tests.models import handmade

BANK = "bank of people"
PRODUCT = "credit-score"


@dataclass
class House:
    """A server, its keyring, its log lines, and clients of one bank."""

    server: EmbeddedPostgres
    url: str
    database: Database
    keyring: Keyring
    log: Path
    exports: Path
    officer: Client
    manager: Client

    @property
    def tenant_id(self) -> uuid.UUID:
        return tenant_id_of(BANK)

    @property
    def disk(self) -> tuple[Path, ...]:
        """Every folder that the service writes to."""
        return (self.server.home, self.keyring.folder, self.log.parent, self.exports)

    def dump(self, path: Path) -> Path:
        """Back the database up, in plain SQL, so that what is in it can be looked for."""
        command = [str(programs() / "pg_dump"), "--format=plain", self.url]
        with path.open("wb") as file:
            subprocess.run(command, stdout=file, check=True, **_identity())
        return path

    def restore(self, path: Path, name: str) -> Database:
        """Restore a backup as another database."""
        self.server.psql(f"create database {name}", "postgres")
        with path.open("rb") as file:
            url = self.server.url(name).replace("+psycopg", "")
            command = [str(programs() / "psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={url}"]
            subprocess.run(command, stdin=file, stdout=subprocess.DEVNULL, check=True, **_identity())
        return Database(self.server.url(name))

    def client_of(self, database: Database, role: Role = Role.RISK_MANAGER) -> Client:
        """Return a client of an application on another database with this keyring."""
        return make_client(create_app(Settings(keyring_dir=self.keyring.folder), database), database, BANK, role)

    def add_firm(self, key: str) -> str:
        """Add a firm with invoices enough for a score."""
        firm = {"key": key, "name": f"{key} 鞋业", "cluster": "shoes", "observed_on": "2023-01-31"}
        firm_id = self.officer.post("/v1/firms", firm).json()["id"]
        invoices = [
            {"direction": "output", "counterparty": f"B{n % 4}", "number": str(n), "net": "1000", "vat": "130",
             "issued_on": str(date(2023 + n // 12, n % 12 + 1, 15))}
            for n in range(17)
        ]  # fmt: skip
        assert self.officer.post(f"/v1/firms/{firm_id}/invoices", {"invoices": invoices}).is_success
        return firm_id

    def add_person(self, firm_id: str, number: str, **options: Any) -> dict[str, Any]:
        """Enter a consenting owner."""
        person = {"id_kind": "national_id", "number": number, "name": "张伟", "role": "owner"}
        person |= {"trade_since": "2001-01-01", "observed_on": "2024-01-31"}
        made = self.officer.post(f"/v1/firms/{firm_id}/people", person, **options)
        assert made.is_success, made.text
        consent = {"firm_id": firm_id, "scope": "owner_data", "is_given": True, "observed_on": "2024-02-01"}
        assert self.officer.post(f"/v1/people/{made.json()['id']}/consents", consent).is_success
        return made.json()

    def erase(self, person_id: str) -> None:
        """Erase a person over HTTP."""
        assert self.manager.send("DELETE", f"/v1/people/{person_id}", headers={"If-Match": '"1"'}).is_success


@contextmanager
def logging_to(folder: Path) -> Iterator[None]:
    """Write everything that the service logs to a file."""
    (folder / "logs").mkdir()
    with (folder / "logs" / "service.log").open("w") as file:
        configure_logging("DEBUG", file)
        yield
    configure_logging("ERROR")


def built(server: EmbeddedPostgres, database: Database, folder: Path) -> House:
    migrations.upgrade(database.engine)
    (folder / "exports").mkdir()
    settings = Settings(keyring_dir=folder / "keyring", requests_per_minute=0, tenant_requests_per_minute=0)
    app = create_app(settings, database)
    with database.session() as session:
        create_tenant(session, BANK)
        _add_model(session)
    clients = (make_client(app, database, BANK, role) for role in (Role.LOAN_OFFICER, Role.RISK_MANAGER))
    log, url = folder / "logs" / "service.log", database.url.replace("+psycopg", "")
    return House(server, url, database, Keyring(settings.keyring), log, folder / "exports", *clients)


def _add_model(session) -> None:
    data = artifact.dump(handmade.model())
    session.add(
        ModelVersion(
            tenant_id=session.info["tenant_id"], id=uuid.uuid4(), product=PRODUCT, number=1, state="live",
            as_of=date(2024, 1, 31), seed=7, artifact=data, artifact_sha256=hashlib.sha256(data).digest(),
            report=handmade.REPORT, created_at=clock.now(), created_by="trainer", live_at=clock.now(),
            live_by="trainer",
        )
    )  # fmt: skip
