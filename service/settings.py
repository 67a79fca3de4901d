"""The only reader of the environment.

Every setting is an environment variable ``CLUSTERCREDIT_<NAME>``; ``docs/reference/settings.md`` is generated
from this class.
"""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from features.policy import INVOICE_YEARS, SCORE_YEARS

_ORIGIN = re.compile(
    r"(?P<scheme>https?)://([a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:(?P<port>[1-9][0-9]{0,4}))?", re.IGNORECASE
)
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}


class Settings(BaseSettings):
    """What may differ from one installation to the next, frozen at start and passed down.

    Examples
    --------
    >>> Settings(port=9000).port
    9000
    """

    model_config = SettingsConfigDict(env_prefix="CLUSTERCREDIT_", frozen=True)

    database_url: SecretStr | None = Field(
        None,
        description="A PostgreSQL 15+ URL (`postgresql://...`). Empty: an embedded server under `local_dir`.",
    )
    local_dir: Path = Field(
        Path(".local"), description="Folder for the embedded server's data and for files of rejected rows."
    )
    keyring_dir: Path | None = Field(
        None,
        description="Folder for the keys of natural persons, apart from the database and its backups. Empty: `keyring` "
        "under `local_dir`.",
    )
    signing_dir: Path | None = Field(
        None,
        description="Folder of the Ed25519 keys that sign checkpoints of the audit log, apart from the database. "
        "Empty: `signing` under `local_dir`.",
    )
    tenant: str = Field("default", description="Tenant that the command line works for unless `--tenant` is given.")
    host: str = Field("127.0.0.1", description="Address that `clustercredit serve` listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that `clustercredit serve` listens on.")
    max_body_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="Largest request body in bytes; a longer one is answered 413."
    )
    max_document_bytes: int = Field(
        10 * 1024 * 1024, ge=1024, le=1 << 28, description="Largest document in bytes; a larger one is answered 413."
    )
    receive_seconds: int = Field(
        20,
        ge=1,
        le=29,
        description="Seconds for a whole request to arrive, headers and body, and for an answer to be taken.",
    )
    max_buffered_bytes: int = Field(
        256 * 1024 * 1024,
        ge=0,
        description="Bytes of all request bodies in memory at a time, beyond the first 64 KiB of each; more: 503.",
    )
    max_connections: int = Field(
        1000, ge=1, description="Open connections of one process (at most half its open files); more are refused."
    )
    trusted_proxies: str | None = Field(
        None,
        description="Addresses or networks, comma-separated, whose `X-Forwarded-For` is believed. Empty: nobody's.",
    )
    pool_size: int = Field(
        20, ge=1, le=40, description="Database connections of one process, and requests it works on at a time."
    )
    requests_per_minute: int = Field(
        600,
        ge=0,
        le=1_000_000_000,
        description="Requests a minute of one API key or person; above it they get 429. 0: no limit.",
    )
    tenant_requests_per_minute: int = Field(
        6000, ge=0, le=1_000_000_000, description="Requests a minute of all keys and people of one tenant. 0: no limit."
    )
    failed_requests_per_minute: int = Field(
        60,
        ge=0,
        le=1_000_000_000,
        description="Requests a minute with an invalid key or session from one address. 0: no limit.",
    )
    login_attempts: int = Field(
        10,
        ge=0,
        le=1_000_000_000,
        description="Attempts to sign in by one login in 15 minutes; above it they get 429. 0: no limit.",
    )
    login_attempts_per_address: int = Field(
        100, ge=0, le=1_000_000_000, description="Attempts to sign in from one address in 15 minutes. 0: no limit."
    )
    allowed_origins: str | None = Field(
        None,
        description="Origins, comma-separated (`https://credit.bank.example`), that are the service's own, no others;"
        " an identity provider sends people back to the first. Empty: the address that a request names.",
    )
    oidc_issuer: str | None = Field(
        None,
        description="OpenID Connect issuer that people may sign in by (`https://...`). Empty: by password only.",
    )
    oidc_client_id: str | None = Field(None, description="This service's client id at the issuer.")
    oidc_client_secret: SecretStr | None = Field(
        None, min_length=8, description="Its client secret; it also seals what a browser keeps during a sign-in."
    )
    oidc_organisation: str | None = Field(None, description="Tenant whose people sign in by the issuer.")
    oidc_claim: str = Field(
        "sub", min_length=1, description="Claim of the id token that is compared with a person's `oidc_subject`."
    )
    job_lease_seconds: int = Field(
        20,
        ge=1,
        le=300,
        description="Seconds without a sign of life after which another worker takes a worker's job.",
    )
    event_stream_seconds: int = Field(
        300, ge=1, le=3600, description="Seconds that a stream of a job's events lasts; browsers then come back."
    )
    invoice_years: int = Field(
        INVOICE_YEARS, ge=5, le=100, description="Whole calendar years that `db maintain` keeps invoices."
    )
    score_years: int = Field(
        SCORE_YEARS, ge=5, le=100, description="Whole calendar years that `db maintain` keeps scores, by their `as_of`."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log line that is written: DEBUG, INFO, WARNING or ERROR."
    )

    @property
    def keyring(self) -> Path:
        """Folder of the keys of natural persons."""
        return self.keyring_dir or self.local_dir / "keyring"

    @property
    def signing(self) -> Path:
        """Folder of the keys that sign checkpoints."""
        return self.signing_dir or self.local_dir / "signing"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: str | None) -> str | None:
        for proxy in proxies.split(",") if proxies else ():
            ip_network(proxy.strip())
        return proxies

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: str | None) -> str | None:
        for origin in origins.split(",") if origins else ():
            match = _ORIGIN.fullmatch(origin.strip())
            if match is None or (match["scheme"].lower(), match["port"]) in _DEFAULT_PORTS:
                raise ValueError("must be scheme://host[:port], as a browser says it: no path, no port 80 or 443")
        return origins

    @property
    def origins(self) -> tuple[str, ...]:
        """The allowed origins, one by one."""
        return tuple(origin.strip().lower() for origin in (self.allowed_origins or "").split(",") if origin)

    @field_validator("oidc_issuer")
    @classmethod
    def _is_https(cls, issuer: str | None) -> str | None:
        parts = urlsplit(issuer or "https://none")
        if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("must be an https:// URL")
        return issuer

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Self:
        parts = (self.oidc_issuer, self.oidc_client_id, self.oidc_client_secret, self.oidc_organisation)
        if any(parts) and not all(parts):
            raise ValueError("oidc_issuer, oidc_client_id, oidc_client_secret and oidc_organisation belong together")
        return self
