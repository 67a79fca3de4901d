"""The only reader of the environment.

Every setting is an environment variable ``CLUSTERCREDIT_<NAME>``; ``docs/reference/settings.md`` is generated
from this class.
"""

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    tenant: str = Field("default", description="Tenant that the command line works for unless `--tenant` is given.")
    host: str = Field("127.0.0.1", description="Address that `clustercredit serve` listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that `clustercredit serve` listens on.")
    max_body_bytes: int = Field(
        8 * 1024 * 1024, ge=1024, description="Largest request body in bytes; a longer one is answered 413."
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
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log line that is written: DEBUG, INFO, WARNING or ERROR."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: str | None) -> str | None:
        for proxy in proxies.split(",") if proxies else ():
            ip_network(proxy.strip())
        return proxies

    @property
    def keyring(self) -> Path:
        """Folder of the keys of natural persons."""
        return self.keyring_dir or self.local_dir / "keyring"
