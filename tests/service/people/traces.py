"""Look for a number on the disk, in every form in which it might lie there."""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path


def _base64_forms(data: bytes) -> list[bytes]:
    """Return what is sure to stand in a base64 text, wherever in it the data begins."""
    forms = []
    for offset, unsure in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(offset) + data)
        forms.append(text[unsure : (offset + len(data)) * 8 // 6])
    return forms


def text_forms(number: str) -> list[bytes]:
    """Return forms without control characters."""
    plain = number.encode()
    forms = [plain, plain.lower(), plain.hex().encode(), plain.hex().upper().encode(), *_base64_forms(plain)]
    for digest in (hashlib.sha256(plain).digest(), hashlib.md5(plain).digest(), hashlib.sha1(plain).digest()):
        forms += [digest.hex().encode(), digest.hex().upper().encode(), *_base64_forms(digest)]
    return forms


def forms(number: str) -> list[bytes]:
    """Return every form that is looked for."""
    plain = number.encode()
    return [
        *text_forms(number),
        number.encode("utf-16-le"),
        number.encode("utf-16-be"),
        hashlib.sha256(plain).digest(),
        hashlib.md5(plain).digest(),
        hashlib.sha1(plain).digest(),
    ]


def hash_forms(digest: bytes) -> list[bytes]:
    """Return a keyed hash as it may lie on the disk, also as Python writes bytes, plainly and in JSON."""
    written = repr(digest)[2:-1].encode()
    escaped = [written, written.replace(b"\\", b"\\\\")]
    return [digest, digest.hex().encode(), digest.hex().upper().encode(), *escaped, *_base64_forms(digest)]


def found(patterns: Iterable[bytes], *folders: Path) -> list[tuple[str, bytes]]:
    """Return file and pattern of every hit in these folders."""
    patterns, hits = list(patterns), []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            try:
                content = path.read_bytes() if path.is_file() else b""
            except FileNotFoundError:
                continue
            hits += [(str(path.relative_to(folder)), pattern) for pattern in patterns if pattern in content]
    return hits
