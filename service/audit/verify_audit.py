#!/usr/bin/env python3
"""Verify an export of a clustercredit audit log against checkpoints that you kept.

用您保存的检查点核验审计日志的导出文件。

    python verify_audit.py export.ndjson.gz --checkpoint earlier.json --key-id 4f1c...

Or a firm's credit history, which brings its proofs along. 或核验企业信用历史证明：

    python verify_audit.py --statement statement.json --key-id 4f1c... [--checkpoint earlier.json]

One file: Python 3.9 or later and the package `cryptography`. It needs neither the service nor its database, and it
trusts neither: give it checkpoints that you received and kept earlier, and the id of the signing key (or the keys
themselves) that you noted when it was first handed to you. A checkpoint names its key, but cannot vouch for it.

Exit status: 0 the log is intact, 1 it is not, 2 the input cannot be used.

The formats are in docs/audit-format.md and docs/statement-format.md. 格式见 docs/audit-format.md。
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import re
import struct
import sys
import zlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import islice, takewhile
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid5

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
except ImportError:
    print("It needs a package 需要安装: python -m pip install cryptography", file=sys.stderr)  # noqa: T201
    sys.exit(2)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

INTACT, NOT_INTACT, UNUSABLE = 0, 1, 2
LONGEST_LINE = 4 * 1024 * 1024
LARGEST_FILE = 16 * 1024 * 1024
"""Of anything but a checkpoint, which may bring leaves along."""
LARGEST_CHECKPOINT = 1024 * 1024 * 1024
LARGEST_LOG = 10**15
LOOK_AHEAD = 100_000
"""Entries after the first wrong one that are read to tell whether one was removed, inserted, moved or changed."""
DIGEST = 32
_LINE = re.compile(rb'\{"body":(\{.*\}),"leaf":"([0-9a-f]{64})","number":(0|[1-9][0-9]{0,14})\}\n?')
_BODY = json.JSONDecoder(parse_int=str)
"""Whole numbers stay text: Python refuses those of more than some thousand digits, which the database does not."""
_HEX64 = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}\+00:00")

WORDS = {
    "changed": ("entry {n} was changed", "第 {n} 条记录被篡改"),
    "removed": ("entry {n} was removed", "第 {n} 条记录被删除"),
    "inserted": ("entry {n} was inserted", "第 {n} 条记录是后来插入的"),
    "moved": ("entry {n} was moved: another stands in its place", "第 {n} 条记录被移动，其位置上是另一条记录"),
    "cut off": (
        "the log was cut off: entry {n} is missing, and all after it",
        "日志被截断：自第 {n} 条记录起全部缺失",
    ),
    "rewritten": (
        (
            "entries {since} to {last} are not all as they were signed: one was changed, removed or inserted; which "
            "one, a checkpoint with leaves would tell"
        ),
        "第 {since} 至 {last} 条记录与签名时不一致：其中有记录被篡改、删除或插入（含叶哈希的检查点可指出具体哪一条）",
    ),
    "contradicting": (
        (
            "two signed histories contradict each other in entries {since} to {last}: the log was rewritten, or "
            "restored from a backup, and then signed anew; none of these entries is vouched for"
        ),
        (
            "两份已签名的历史在第 {since} 至 {last} 条记录中相互矛盾：日志被改写（或从备份恢复）后重新签名；"
            "这些记录均无法认定"
        ),
    ),
}
INTERVALS = ("rewritten", "contradicting")
INTACT_WORDS = (
    "intact: entries 0 to {last} are the ones that were signed at {at} (key {key_id})",
    "完好：第 0 至 {last} 条记录与 {at} 签名时一致（密钥 {key_id}）",
)
EMPTY_WORDS = ("intact: the checkpoint was signed over an empty log", "完好：该检查点签名时日志为空")
YOUNGER_WORDS = (
    "{count} later entries are covered by no checkpoint given; they agree with themselves, which proves little",
    "其后 {count} 条记录未被所给检查点覆盖；它们仅自身一致，证明力有限",
)
UNSURE_WORDS = (
    "it contradicts itself there; entries from {since} up to it are covered by no checkpoint that holds",
    "该处自相矛盾；第 {since} 条至该处的记录没有有效检查点覆盖",
)


class UnusableError(Exception):
    """The input cannot be verified; in English and Chinese."""

    def __init__(self, english: str, chinese: str) -> None:
        super().__init__(f"{english}\n{chinese}")


class UntrustedError(UnusableError):
    """A file names a key that is not trusted."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"The file names the key {key_id}, which you have not said that you trust. Only if this is the id that was "
            f"handed to you earlier, by another way than this file: --key-id {key_id}",
            f"文件使用的密钥 {key_id} 未被您声明为可信。仅当该编号与您先前通过其他途径获得的一致时，"
            f"才可加上 --key-id {key_id}",
        )
        self.key_id = key_id


@dataclass(frozen=True)
class Checkpoint:
    """Size and root of a log at an instant, whose signature has been verified, and perhaps its leaf hashes."""

    size: int
    root: bytes
    at: str
    tenant_id: str
    key_id: str
    leaves: bytes | None


@dataclass(frozen=True)
class Finding:
    """What is wrong, and with which entry first.

    Attributes
    ----------
    kind
        A key of `WORDS`.
    number
        The entry's; of entries that were rewritten, the first that may be the one.
    since
        Entries before this one are sure to be as they were signed.
    """

    kind: str
    number: int
    last: int
    since: int

    def words(self) -> list[str]:
        """Say it in English and Chinese."""
        values = {"n": self.number, "since": self.number, "last": self.last}
        said = [words.format(**values) for words in WORDS[self.kind]]
        if self.kind not in INTERVALS and self.since < self.number:
            said = [f"{said[place]}; {more.format(since=self.since)}" for place, more in enumerate(UNSURE_WORDS)]
        return said


@dataclass(frozen=True)
class Verdict:
    """What became of a verification: the first finding if there is one, entries read, entries that are proven."""

    finding: Finding | None
    entries: int
    covered: int


class Tree:
    """The root over leaf hashes that come one by one (RFC 6962, section 2.1)."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Take the next leaf hash."""
        size = self.size
        while size & 1:
            leaf = hashlib.sha256(b"\x01" + self._subtrees.pop() + leaf).digest()
            size >>= 1
        self._subtrees.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over the leaves so far."""
        if not self._subtrees:
            return hashlib.sha256(b"").digest()
        right = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            right = hashlib.sha256(b"\x01" + left + right).digest()
        return right


def verify(lines: Iterable[bytes], checkpoints: Sequence[Checkpoint]) -> Verdict:
    """Verify a log's lines against checkpoints of that log.

    Parameters
    ----------
    lines
        Of the export, in order; one that is longer than is allowed is no entry.
    checkpoints
        At least one, from `read_checkpoint`.

    Raises
    ------
    UnusableError
        If the checkpoints are not all of one log.
    """
    if len({checkpoint.tenant_id for checkpoint in checkpoints}) != 1:
        raise UnusableError("The checkpoints are not all of one organisation.", "所给检查点不属于同一机构。")
    due = sorted(checkpoints, key=lambda checkpoint: checkpoint.size)
    clash = _clash(due)
    if clash is not None:
        return Verdict(clash, 0, 0)
    with_leaves = max((c for c in due if c.leaves is not None), key=lambda c: c.size, default=None)
    held, tree = _Held(with_leaves), Tree()
    entries = _entries(lines, due[0].tenant_id)
    while True:
        while due and due[0].size == tree.size:
            if due[0].root != tree.root():
                return held.verdict("rewritten", tree.size, due[:1])
            held.checkpoints.append(due.pop(0))
        entry = next(entries, None)
        if entry is None:
            break
        signed = held.leaves[tree.size * DIGEST : (tree.size + 1) * DIGEST]
        if entry.leaf is None or not entry.is_at(tree.size) or (signed and signed != entry.leaf):
            kind = _kind(entry, tree.size, held.leaves, list(takewhile(_is_entry, islice(entries, LOOK_AHEAD))))
            return held.verdict(kind, tree.size, due)
        tree.add(entry.leaf)
    if due:
        return held.verdict("cut off", tree.size, due)
    return Verdict(None, tree.size, held.checkpoints[-1].size)


def _clash(checkpoints: Sequence[Checkpoint]) -> Finding | None:
    """Tell whether checkpoints, the smallest first, are of two histories, as far as they alone tell it."""
    forks = [_fork(checkpoint, checkpoints) for checkpoint in checkpoints if checkpoint.leaves is not None]
    found = [fork for fork in forks if fork is not None]
    for one, other in zip(checkpoints, checkpoints[1:]):  # noqa: B905, RUF007 - Python 3.9
        if one.size == other.size and one.root != other.root:
            found.append(Finding("contradicting", 0, one.size - 1, 0))
    return min(found, key=lambda finding: finding.since, default=None)


def _fork(whole: Checkpoint, checkpoints: Sequence[Checkpoint]) -> Finding | None:
    """Tell where leaf hashes do not lead to a smaller checkpoint."""
    tree, leaves = Tree(), whole.leaves or b""
    for smaller in takewhile(lambda checkpoint: checkpoint.size <= whole.size, checkpoints):
        while tree.size < smaller.size:
            tree.add(leaves[tree.size * DIGEST : (tree.size + 1) * DIGEST])
        if tree.root() != smaller.root:
            # Without leaves of both, nothing tells from which entry on they differ.
            alike = 0 if smaller.leaves is None else _alike(leaves, smaller.leaves)
            return Finding("contradicting", alike, smaller.size - 1, alike)
    return None


def _alike(one: bytes, other: bytes) -> int:
    """Return how many leaf hashes are alike before the first that are not."""
    starts = range(0, min(len(one), len(other)), DIGEST)
    alike = takewhile(lambda start: one[start : start + DIGEST] == other[start : start + DIGEST], starts)
    return sum(1 for _ in alike)


class _Held:
    """The checkpoints that a log has been found to agree with, and the leaf hashes that it is compared with."""

    def __init__(self, with_leaves: Checkpoint | None) -> None:
        self.checkpoints: list[Checkpoint] = []
        self._with_leaves = with_leaves
        self.leaves = b"" if with_leaves is None else with_leaves.leaves or b""

    def verdict(self, kind: str, size: int, failing: Sequence[Checkpoint]) -> Verdict:
        """Return what was found after some entries, and which of them are sure to be as they were signed.

        A checkpoint vouches for its entries against those that fail only if it was signed before them: else the log
        may have been rewritten in between, and the checkpoint be one of the forgery.
        """
        known = len(self.leaves) // DIGEST
        holding = [(checkpoint.size, checkpoint.at) for checkpoint in self.checkpoints]
        if self._with_leaves is not None:
            holding.append((min(size, known), self._with_leaves.at))
        # Of one history with the leaf hashes are all that they lead to, whenever they were signed.
        rivals = [checkpoint.at for checkpoint in failing if checkpoint.size > known]
        since = max((held for held, at in holding if all(at < rival for rival in rivals)), default=0)
        if kind == "rewritten":
            is_forked = any(held > since for held, _ in holding)
            last = max(since, size - 1)
            return Verdict(Finding("contradicting" if is_forked else kind, since, last, since), size, since)
        return Verdict(Finding(kind, size, size, since), size, since)


class _Entry(NamedTuple):
    """A line: the number and the leaf hash that it claims, and the hash of its body, None if it is no entry here."""

    number: int
    claimed: bytes
    leaf: bytes | None

    def is_at(self, number: int) -> bool:
        """Tell whether what it claims is so."""
        return (self.number, self.claimed) == (number, self.leaf)


def _is_entry(entry: _Entry) -> bool:
    return entry.leaf is not None


def _entries(lines: Iterable[bytes], tenant_id: str) -> Iterator[_Entry]:
    """Take lines apart; nothing in them is believed, or shown."""
    for line in lines:
        match = _LINE.fullmatch(line) if len(line) <= LONGEST_LINE else None
        if match is None or not _is_of(match[1], tenant_id):
            yield _Entry(-1, b"", None)
        else:
            leaf = hashlib.sha256(b"\x00" + match[1]).digest()
            yield _Entry(int(match[3]), bytes.fromhex(match[2].decode()), leaf)


def _is_of(body: bytes, tenant_id: str) -> bool:
    """Tell whether the text is an entry of this tenant.

    One that nests too deep to be taken apart is JSON to the database: its bytes, which are what is signed, are looked
    through instead, so that who adds such an entry breaks nobody's export.
    """
    try:
        return bool(_BODY.decode(body.decode()).get("tenant_id") == tenant_id)
    except ValueError:
        return False
    except RecursionError:
        return f'"tenant_id":"{tenant_id}"'.encode() in body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _kind(entry: _Entry, number: int, known: bytes, after: Sequence[_Entry]) -> str:
    """Tell, from the signed leaf hashes and from what follows, what was done at the first wrong place."""
    expected = known[number * DIGEST : (number + 1) * DIGEST]
    if not expected:
        if entry.leaf is None or entry.number == number:
            return "changed"
        is_later = any(other.number == number for other in after)
        return "inserted" if entry.number < number else "moved" if is_later else "removed"
    if entry.leaf == expected:
        return "changed"
    is_signed = _is_among(entry.leaf, known, number + 1)
    if any(other.leaf == expected for other in after):
        return "moved" if is_signed else "inserted"
    is_younger = entry.is_at(entry.number) and entry.number > number
    next_but_one = known[(number + 2) * DIGEST : (number + 3) * DIGEST]
    goes_on_there = bool(after and next_but_one) and after[0].leaf == next_but_one
    return "removed" if is_signed or is_younger or goes_on_there else "changed"


def _is_among(leaf: bytes | None, known: bytes, start: int) -> bool:
    """Tell whether a leaf hash is among the signed ones from a number on."""
    place = -1 if leaf is None else known.find(leaf, start * DIGEST)
    while place >= 0 and place % DIGEST:
        place = known.find(leaf or b"", place + 1)
    return place >= 0


_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What taking hostile JSON apart may raise."""


def read_checkpoint(data: bytes, trusted: Collection[str]) -> Checkpoint:
    """Take a checkpoint apart and verify its signature, and its leaf hashes if it has some.

    Parameters
    ----------
    data
        JSON with `signed`, `signature` and perhaps `leaves`.
    trusted
        Ids of the keys that are trusted: a checkpoint brings its key along, but cannot vouch for it.

    Raises
    ------
    UnusableError
        If it is no checkpoint, or not signed with a trusted key.
    """
    try:
        seal, packed = _sealed(data)
        checkpoint = _checkpoint(seal.said, None if packed is None else base64.b64decode(packed, validate=True))
    except _UNREADABLE:
        raise UnusableError("This is not a checkpoint of an audit log.", "这不是审计日志的检查点文件。") from None
    if not seal.holds(trusted):
        raise UnusableError(
            "The checkpoint's signature is wrong: it was changed after it was signed, or never was signed.",
            "检查点的签名无效：它在签名后被改动，或从未被签名。",
        )
    if checkpoint.leaves is not None and not _are_leaves_of(checkpoint.leaves, checkpoint):
        raise UnusableError(
            "The leaf hashes in the checkpoint are not those of its signed root.", "检查点中的叶哈希与其签名的根不符。"
        )
    return checkpoint


class _Seal(NamedTuple):
    """A signed text, what it says, and the key that it names; the key's id is its hash."""

    signed: bytes
    signature: bytes
    said: dict[str, Any]
    key: bytes

    def holds(self, trusted: Collection[str]) -> bool:
        """Tell whether the key signed the text; UntrustedError if nobody said that it is to be trusted."""
        if self.said["key_id"] not in trusted:
            raise UntrustedError(self.said["key_id"])
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(self.signature, self.signed)
        except (InvalidSignature, ValueError):
            return False
        return True


def _sealed(data: bytes) -> tuple[_Seal, Any]:
    """Take a signed file apart, into what is sealed and the leaves beside it; one of `_UNREADABLE` if it is none."""
    outer = json.loads(data, object_pairs_hook=_object)
    signed = outer["signed"].encode()
    said = json.loads(signed, object_pairs_hook=_object)
    key = bytes.fromhex(said["public_key"])
    if hashlib.sha256(key).hexdigest() != said["key_id"]:
        raise ValueError("the key is not the one of the id")
    return _Seal(signed, bytes.fromhex(outer["signature"]), said, key), outer.get("leaves")


def _checkpoint(said: dict[str, Any], leaves: bytes | None) -> Checkpoint:
    """Return the checkpoint that was signed; one of `_UNREADABLE` if it is none."""
    size, forms = said["size"], {"key_id": _HEX64, "root": _HEX64, "tenant_id": _UUID, "at": _AT}
    if (said["type"], said["version"]) != ("clustercredit-checkpoint", 1) or type(size) is not int:
        raise ValueError("not a checkpoint")
    if not 0 <= size <= LARGEST_LOG or not all(form.fullmatch(said[name]) for name, form in forms.items()):
        raise ValueError("not a checkpoint")
    return Checkpoint(size, bytes.fromhex(said["root"]), said["at"], said["tenant_id"], said["key_id"], leaves)


def _are_leaves_of(leaves: bytes, checkpoint: Checkpoint) -> bool:
    if len(leaves) != checkpoint.size * DIGEST:
        return False
    tree = Tree()
    for start in range(0, len(leaves), DIGEST):
        tree.add(leaves[start : start + DIGEST])
    return tree.root() == checkpoint.root


ROW = struct.Struct("<Iiq16s16s16s16s16s16s4d64s4s4s16s16s16s32s32s32s32s32s")
"""A score as the log proves it: docs/score-row.md."""
ROW_FIELDS = (
    "version",
    "as_of",
    "scored_at",
    "tenant_id",
    "id",
    "firm_id",
    "model_version_id",
    "context_id",
    "run_id",
    "pd",
    "interval_low",
    "interval_high",
    "points",
    "product",
    "grade",
    "stable_grade",
    "interval_kind",
    "pd_basis",
    "decision",
    "reasons",
    "features",
    "missing",
    "reason_families",
    "actor",
)
IDS = ("tenant_id", "id", "firm_id")
TENANTS = UUID("6f1dca1e-51f0-4c5c-9f0d-0d8a6cbd7a11")
NUMBERS = ("pd", "interval_low", "interval_high", "points")
CODES = ("product", "grade", "stable_grade", "interval_kind", "pd_basis", "decision")
STATEMENT_WORDS = (
    "intact: signed at {at} for {made_for} (key {key_id}); {count} scores are in the log of {size} entries",
    "完好：于 {at} 为 {made_for} 签署（密钥 {key_id}）；{count} 项评分均在含 {size} 条记录的日志中",
)
HELD_WORDS = (
    "the log begins with the {size} entries that your checkpoint signed at {at}; {covered} of these scores are in them",
    "日志以您的检查点（{at} 签名，{size} 条）为开头；其中包含 {covered} 项评分",
)
UNHELD_WORDS = (
    (
        "Without --checkpoint, one that you kept, this proves what the key's holder signed now, not that its log is "
        "the one of earlier."
    ),
    "未提供您保存的检查点（--checkpoint），仅证明密钥持有者此刻所签内容，不能证明其日志未被整体改写。",
)
STATED_WORDS = (
    (
        "The firm's name, the models' names, loans, repayments and that no score is left out are the lender's word, "
        "under its signature; the log does not prove them."
    ),
    "企业名称、模型名称、贷款、还款记录以及评分是否齐全，由出具机构签名声明，日志不作证明。",
)


class ForgedError(Exception):
    """What is wrong with a statement, in English and Chinese."""


@dataclass(frozen=True)
class Proven:
    """A statement that holds, and the kept checkpoint whose log its own begins with, if one was given."""

    said: dict[str, Any]
    kept: Checkpoint | None


def verify_statement(data: bytes, trusted: Collection[str], checkpoints: Sequence[Checkpoint] = ()) -> Proven:
    """Verify a firm's credit history: its signature, and that each score is in the log whose root it names.

    By itself that binds whoever holds the signing key to one log with these scores in it; that the log is the one of
    earlier, and was not written anew for the occasion, only a checkpoint that was kept since can tell.

    Parameters
    ----------
    data
        JSON with `signed` and `signature`.
    trusted
        Ids of the keys that are trusted.
    checkpoints
        From `read_checkpoint`.

    Raises
    ------
    UnusableError
        If it is no statement, names a key that is not trusted, or proves nothing about the checkpoints.
    ForgedError
        If it was changed, a score is not in the log, or the log does not begin with a checkpoint's.
    """
    try:
        seal, _ = _sealed(data)
        said = seal.said
        is_statement = (said["type"], said["version"]) == ("clustercredit-statement", 1)
    except _UNREADABLE:
        is_statement = False
    if not is_statement:
        raise UnusableError("This is not a statement of credit history.", "这不是信用历史证明文件。")
    if not seal.holds(trusted):
        raise ForgedError("the signature is wrong: it was changed after it was signed", "签名无效：签署后被改动")
    try:
        _check_names(said)
        kept = _kept(said, checkpoints)
        roots = [_proven_batch(entry, said) for entry in said["entries"]]
        for place, score in enumerate(said["scores"]):
            _check_score(place, score, roots[score["entry"]], said)
    except (*_UNREADABLE, IndexError, struct.error, OverflowError):
        raise ForgedError("its proofs are not whole", "其证明不完整") from None
    return Proven(dict(said), kept)


def _check_names(said: dict[str, Any]) -> None:
    """Check that ids are those of the names: both are functions of them (UUID version 5)."""
    firm, tenant_id = said["firm"], UUID(said["tenant_id"])
    if uuid5(TENANTS, said["tenant"]) != tenant_id or uuid5(tenant_id, firm["key"]) != UUID(firm["id"]):
        raise ForgedError("a name is not the one of its id", "名称与编号不符")
    if type(said["size"]) is not int or not _HEX64.fullmatch(said["root"]):
        raise ValueError("no tree")


def _kept(said: dict[str, Any], checkpoints: Sequence[Checkpoint]) -> Checkpoint | None:
    """Return the newest checkpoint that the statement proves its log to begin with."""
    ours = [checkpoint for checkpoint in checkpoints if checkpoint.tenant_id == said["tenant_id"]]
    earlier = said["earlier"] or {"size": said["size"], "path": []}
    proven = [checkpoint for checkpoint in ours if checkpoint.size in {earlier["size"], said["size"]}]
    if checkpoints and not proven:
        sizes = ", ".join(str(checkpoint.size) for checkpoint in ours) or "none of this organisation"
        raise UnusableError(
            f"The statement proves nothing about your checkpoint (size {sizes}). Ask for it anew, with ?from=<size>.",
            f"该证明与您的检查点（{sizes}）无关，请以 ?from=<检查点条数> 重新申请。",
        )
    for checkpoint in proven:
        path = [] if checkpoint.size == said["size"] else [bytes.fromhex(step) for step in earlier["path"]]
        if not grew_from(checkpoint.size, said["size"], checkpoint.root, bytes.fromhex(said["root"]), path):
            raise ForgedError(
                "its log does not begin with the one that your checkpoint signed: history was rewritten",
                "其日志与您保存的检查点不一致：历史已被改写",
            )
    return max(proven, key=lambda checkpoint: checkpoint.size, default=None)


def _proven_batch(entry: dict[str, Any], said: dict[str, Any]) -> tuple[bytes, int]:
    """Return root and count of the scores that an entry of the log is about, once it is proven to be in the log."""
    body = entry["body"].encode()
    leaf = hashlib.sha256(b"\x00" + body).digest()
    path = [bytes.fromhex(step) for step in entry["path"]]
    if not leads_to(leaf, entry["number"], said["size"], path, bytes.fromhex(said["root"])):
        raise ForgedError(
            f"entry {int(entry['number'])} is not in the log", f"第 {int(entry['number'])} 条记录不在日志中"
        )
    told = json.loads(body, object_pairs_hook=_object)
    if (told["tenant_id"], told["action"]) != (said["tenant_id"], "scores.added"):
        raise ForgedError("an entry is not about scores of this organisation", "有记录并非该机构的评分记录")
    if told["facts"]["format"] != "score-row/1":
        raise ValueError("another format")
    return bytes.fromhex(told["after"]), told["facts"]["count"]


def _check_score(place: int, score: dict[str, Any], batch: tuple[bytes, int], said: dict[str, Any]) -> None:
    """Check that a score is in its batch, is this firm's, and says what its binary row says."""
    data = bytes.fromhex(score["row"])
    row = {name: value for name, value in zip(ROW_FIELDS, ROW.unpack(data))}  # noqa: B905, C416 - Python 3.9
    leaf = hashlib.sha256(b"\x00" + data).digest()
    root, count = batch
    path = [bytes.fromhex(step) for step in score["path"]]
    if row["version"] != 1 or score["size"] != count or not leads_to(leaf, score["index"], count, path, root):
        raise ForgedError(f"score {place} is not in the log", f"第 {place} 项评分不在日志中")
    shown = dict(score["shown"], tenant_id=said["tenant_id"], firm_id=said["firm"]["id"])
    if not (_says(row, shown) and all(_is_digest(row[name], text) for name, text in score["texts"].items())):
        raise ForgedError(f"score {place} says another thing than the log", f"第 {place} 项评分与日志不符")


def _is_digest(digest: bytes, text: str) -> bool:
    return digest == hashlib.sha256(text.encode()).digest()


def _says(row: dict[str, Any], shown: dict[str, Any]) -> bool:
    """Tell whether what is written out is what the binary row holds."""
    as_of = date(1970, 1, 1) + timedelta(days=row["as_of"])
    scored_at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=row["scored_at"])  # noqa: UP017
    numbers = {name: None if isnan(row[name]) else row[name] for name in NUMBERS}
    return (
        shown["as_of"] == as_of.isoformat()
        and datetime.fromisoformat(shown["scored_at"]) == scored_at
        and all(shown[name] == numbers[name] for name in NUMBERS)
        and all(shown[name] == row[name].rstrip(b"\x00").decode("ascii") for name in CODES)
        and all(shown[name].replace("-", "") == row[name].hex() for name in IDS)
    )


def leads_to(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a path leads from a leaf at a place of a tree to the tree's root (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last = index, size - 1
    for step in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            leaf = hashlib.sha256(b"\x01" + step + leaf).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            leaf = hashlib.sha256(b"\x01" + leaf + step).digest()
        place, last = place >> 1, last >> 1
    return last == 0 and leaf == root


def grew_from(old_size: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """Tell whether a tree begins with all leaves of an older one (RFC 9162, section 2.1.4.2)."""
    if old_size == size:
        return not path and old_root == root
    if not 0 < old_size < size:
        return False
    steps = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    if not steps:
        return False
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old = hashlib.sha256(b"\x01" + step + old).digest()
            new = hashlib.sha256(b"\x01" + step + new).digest()
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = hashlib.sha256(b"\x01" + new + step).digest()
        place, last = place >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def say_statement(proven: Proven) -> list[str]:
    """Return what a statement that holds says, English first."""
    said = proven.said
    firm = said["firm"]
    values = {name: said[name] for name in ("at", "key_id", "size", "made_for")} | {"count": len(said["scores"])}
    lines = [f"{said['tenant']}: {firm['key']} {firm['name'] or ''}".strip()]
    for score in said["scores"]:
        shown = score["shown"]
        lines.append(
            f"  {shown['as_of']}  {shown['product']}  grade 等级 {shown['grade']}  PD 违约概率 {shown['pd']:.2%}"
        )
    lines += [words.format(**values) for words in STATEMENT_WORDS]
    if proven.kept is None:
        return [*lines, *UNHELD_WORDS, *STATED_WORDS]
    size = proven.kept.size
    covered = sum(said["entries"][score["entry"]]["number"] < size for score in said["scores"])
    lines += [words.format(size=size, at=proven.kept.at, covered=covered) for words in HELD_WORDS]
    return [*lines, *STATED_WORDS]


def read_keys(data: bytes) -> set[str]:
    """Return the ids of public keys: of a PEM file, or of the JSON of GET /v1/audit/keys.

    Raises
    ------
    UnusableError
        If it is neither.
    """
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            key = load_pem_public_key(data)
            raws = [key.public_bytes_raw()] if isinstance(key, Ed25519PublicKey) else []
        else:
            raws = [bytes.fromhex(item["public_key"]) for item in json.loads(data)["items"]]
    except (ValueError, KeyError, TypeError, RecursionError, UnsupportedAlgorithm):
        raws = []
    if not raws or any(len(raw) != DIGEST for raw in raws):
        raise UnusableError("The file of keys holds no Ed25519 public keys.", "密钥文件中没有 Ed25519 公钥。")
    return {hashlib.sha256(raw).hexdigest() for raw in raws}


def read_lines(path: str) -> Iterator[bytes]:
    """Yield the lines of an export, plain or gzipped; one that is too long comes in pieces, none of them an entry.

    A compressed file that breaks off ends there, and what is missing is found missing.
    """
    try:
        with Path(path).open("rb") as plain:
            is_packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            file = gzip.GzipFile(fileobj=plain) if is_packed else plain
            while line := file.readline(LONGEST_LINE + 1):
                if file.tell() == len(line) and line.lstrip().startswith(b'{"signed"'):
                    raise UnusableError(
                        f"{path} is no export but a checkpoint or a statement (--statement).",
                        f"{path} 不是导出文件，而是检查点或证明文件（--statement）。",
                    )
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}.", f"无法读取文件 {path}。") from None


def _read_file(path: str, largest: int = LARGEST_FILE) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}.", f"无法读取文件 {path}。") from None
    if len(data) > largest:
        raise UnusableError(
            f"A file has more than {largest} bytes, which nothing of its kind has.",
            f"文件超过 {largest} 字节，不是所需的文件。",
        )
    return data


def plain(text: str) -> str:
    """Return text whose every character but a line feed can be shown: what it says must not steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def say(verdict: Verdict, checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Return a verdict in words, English first."""
    if verdict.finding is not None:
        english, chinese = verdict.finding.words()
        return [f"NOT INTACT: {english}", f"不完好：{chinese}"]
    newest = max(checkpoints, key=lambda checkpoint: checkpoint.size)
    values = {"last": newest.size - 1, "at": newest.at, "key_id": newest.key_id}
    said = [words.format(**values) for words in (INTACT_WORDS if newest.size else EMPTY_WORDS)]
    younger = verdict.entries - verdict.covered
    return said + [words.format(count=younger) for words in YOUNGER_WORDS if younger]


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify what the command line names, say what was found, and return the exit status."""
    parser = argparse.ArgumentParser(
        description="Verify an export of a clustercredit audit log against checkpoints that you kept. 核验审计日志",
        epilog="Exit status 退出码: 0 intact 完好; 1 not intact 不完好; 2 the input cannot be used 输入无法使用",
    )
    parser.add_argument("export", nargs="?", help="NDJSON, plain or gzipped 导出文件")
    parser.add_argument("--statement", help="a firm's credit history, instead of an export 企业信用历史证明")
    parser.add_argument(
        "--checkpoint", action="append", default=[], help="one that you kept; several may be given 您保存的检查点"
    )
    parser.add_argument("--key-id", action="append", default=[], help="id of a key that you trust 可信密钥的编号")
    parser.add_argument("--keys", action="append", default=[], help="file of public keys that you trust 可信公钥文件")
    options = parser.parse_args(arguments)
    if (options.export is None) == (options.statement is None):
        parser.error("give an export or --statement 请给出导出文件或 --statement")
    if options.export is not None and not options.checkpoint:
        parser.error("an export needs --checkpoint 核验导出文件需要 --checkpoint")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show Chinese shows escapes, instead of a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        trusted = set(options.key_id)
        for path in options.keys:
            trusted.update(read_keys(_read_file(path)))
        checkpoints = [read_checkpoint(_read_file(path, LARGEST_CHECKPOINT), trusted) for path in options.checkpoint]
        if options.statement is not None:
            proven = verify_statement(_read_file(options.statement), trusted, checkpoints)
            print(plain("\n".join(say_statement(proven))))  # noqa: T201
            return INTACT
        verdict = verify(read_lines(options.export), checkpoints)
    except ForgedError as error:
        english, chinese = error.args
        print(f"NOT INTACT: {english}\n不完好：{chinese}")  # noqa: T201
        return NOT_INTACT
    except UnusableError as error:
        print(plain(str(error)), file=sys.stderr)  # noqa: T201 - a program of its own
        return UNUSABLE
    except Exception as error:  # noqa: BLE001 - a traceback's status would say that the log is not intact
        print(  # noqa: T201
            f"The input cannot be used: {plain(repr(error)[:500])}\n输入无法使用。", file=sys.stderr
        )
        return UNUSABLE
    print(plain("\n".join(say(verdict, checkpoints))))  # noqa: T201
    return INTACT if verdict.finding is None else NOT_INTACT


if __name__ == "__main__":
    sys.exit(main())
