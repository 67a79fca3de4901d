"""Files of secrets: for their owner alone, written whole, on the disk when the call returns."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import BinaryIO


def make_folder(folder: Path) -> None:
    """Make a folder, for its owner alone, and what is above it; each is on the disk when this returns."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def write_whole(place: Path, content: bytes) -> None:
    """Write a file that nobody ever sees in part; whoever finds one there gets FileExistsError."""
    draft = place.with_name(f"{place.name}.{os.urandom(8).hex()}")
    try:
        _write_new(draft, content)
        place.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)


def write_private(place: Path, content: bytes) -> None:
    """Write a file, for its owner alone if it is new; a link or a device that is there stays one."""
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def replace_whole(place: Path, content: bytes) -> None:
    """Write a file that nobody ever sees in part, in the place of the one that was there."""
    draft = place.with_name(f"{place.name}.{os.urandom(8).hex()}")
    try:
        _write_new(draft, content)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(place.parent)


@contextmanager
def written_whole(place: Path) -> Iterator[BinaryIO]:
    """Open a file, to write and read, that gets its name once all is written; after an error there is none.

    Raises
    ------
    FileExistsError
        If there is a file of this name; it stays as it is.
    """
    if place.exists():
        raise FileExistsError(errno.EEXIST, "There is a file of this name", str(place))
    draft = place.with_name(f"{place.name}.{os.urandom(8).hex()}")
    try:
        with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        place.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(place.parent)


@contextmanager
def folder_written_whole(place: Path) -> Iterator[Path]:
    """Make a folder, to fill, that gets its name once all is written; after an error there is none.

    Raises
    ------
    FileExistsError
        If there is something of this name that is not an empty folder; it stays as it is.
    """
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise FileExistsError(errno.EEXIST, "There is something of this name", str(place))
    make_folder(place.parent)
    draft = place.with_name(f"{place.name}.{os.urandom(8).hex()}")
    draft.mkdir(mode=0o700)
    try:
        yield draft
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(place.parent)


def _write_new(place: Path, content: bytes) -> None:
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, "Only a part could be written", str(place.parent))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def overwrite(place: Path) -> bool:
    """Overwrite a file with zeros, under whichever names it has, remove this one, and tell whether it was there."""
    try:
        with place.open("r+b") as file:
            file.write(bytes(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        return False
    place.unlink(missing_ok=True)
    return True


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Wait until nobody else, in this process or another, has this lock, and hold it: a file that stays."""
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Put a folder's list of files on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
