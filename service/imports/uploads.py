"""Files that wait in the database to be imported: sealed, since a file may hold numbers that are never kept.

The importer rejects a row with a person's number, and hides the number. Until then it is in the file, and the file in
the database, its log and its backups; so it is encrypted under a key of its own beside the keyring, which is destroyed
when the job is over.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from uuid import UUID

from service.errors import Conflict
from service.imports.chunks import ImportFailedError, fault
from service.imports.readers.content import AGAIN, check_ratio
from service.imports.readers.contract import MOST_UNPACKED
from service.jobs.rules import FINAL
from service.jobs.use_cases import states
from service.kit import clock
from service.kit.db import Database
from service.kit.keyring import ABANDONED, Keyring, KeyringError
from service.kit.vault import PART_BYTES, Vault

_MAGIC = b"\x1f\x8b"


class Uploads:
    """The sealed files of one installation.

    Parameters
    ----------
    keyring
        Beside whose keys theirs are kept.
    """

    def __init__(self, keyring: Keyring) -> None:
        self._vault = Vault(keyring, "uploads")

    def seal(self, tenant_id: UUID, job_id: UUID, content: bytes) -> Iterator[bytes]:
        """Yield a file's parts, encrypted under a new key."""
        return self._vault.seal(tenant_id, job_id, content)

    def open(self, tenant_id: UUID, job_id: UUID, parts: Iterable[bytes]) -> BytesIO:
        """Return a file, in memory alone.

        Raises
        ------
        Conflict
            If its key is not in this process's keyring, or does not open it.
        """
        try:
            file = self._vault.open(tenant_id, job_id, parts)
        except KeyringError:
            raise Conflict("The uploaded file is damaged, or its key is another's. Upload it again.") from None
        if file is None:
            raise Conflict(
                "The key of the uploaded file is not in the worker's keyring. Let all servers and workers share one"
                " folder CLUSTERCREDIT_KEYRING_DIR, and upload the file again."
            )
        return file

    def forget(self, tenant_id: UUID, job_id: UUID) -> None:
        """Destroy the key of a file."""
        self._vault.forget(tenant_id, job_id)

    def tidy(self, database: Database) -> None:
        """Destroy every tenant's keys of jobs that are over, or that never were: their processes were killed."""
        now = clock.now()
        for tenant_id in self._vault.keys.tenants():
            job_ids = self._vault.keys.keys(tenant_id, now)
            if not job_ids:
                continue
            nobodys = set(self._vault.keys.keys(tenant_id, now - ABANDONED))
            with database.session(tenant_id) as session:
                jobs = states(session, job_ids)
            for job_id in job_ids:
                if jobs[job_id] in FINAL if job_id in jobs else job_id in nobodys:
                    self.forget(tenant_id, job_id)


def check_size(file: BytesIO, name: str) -> None:
    """Check that a file, if it is gzipped, is no bomb, and leave it at its beginning.

    Raises
    ------
    ImportFailedError
        If it unpacks to too much, or is damaged.
    """
    if file.getbuffer()[: len(_MAGIC)] != _MAGIC:
        return
    size = 0
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            while size <= MOST_UNPACKED and (part := unpacked.read(PART_BYTES)):
                size += len(part)
                check_ratio(name, file.tell(), size)
    except (OSError, EOFError, zlib.error) as error:
        raise ImportFailedError(name, fault(f"the file is damaged: {error}", "文件已损坏", *AGAIN)) from None
    if size > MOST_UNPACKED:
        words = (f"it unpacks to more than {MOST_UNPACKED:,} bytes", f"解压后超过 {MOST_UNPACKED:,} 字节")
        raise ImportFailedError(name, fault(*words, "send it in parts", "请分成几个文件"))
    file.seek(0)
