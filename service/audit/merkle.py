r"""Merkle trees of RFC 6962, section 2.1: roots, proofs of inclusion and of consistency, and their verification.

A leaf's hash is SHA-256 of a zero byte and its data, a node's of a one byte and both children. A tree of n leaves has
the largest power of two below n to the left. Nothing here reads or keeps anything: who keeps hashes of complete
subtrees asks which of them a proof needs (`inclusion_spans`, `consistency_spans`, `complete_subtrees`).

>>> leaves = [leaf_hash(bytes([i])) for i in range(7)]
>>> verify_inclusion(leaves[5], 5, 7, inclusion_path(leaves, 5), root(leaves))
True
>>> verify_consistency(3, 7, root(leaves[:3]), root(leaves), consistency_path(leaves, 3))
True
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

DIGEST = 32
EMPTY_ROOT = sha256(b"").digest()


class Span(NamedTuple):
    """Leaves from `start` up to, not with, `stop`: the leaves of one subtree."""

    start: int
    stop: int


class Subtree(NamedTuple):
    """The complete subtree of the leaves from ``place * 2**level`` up to ``(place + 1) * 2**level``."""

    level: int
    place: int


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf.

    >>> leaf_hash(b"").hex()
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'
    """
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; of none, SHA-256 of nothing.

    >>> root([]) == EMPTY_ROOT
    True
    >>> root([leaf_hash(b"")]) == leaf_hash(b"")
    True
    """
    return bulk_root(b"".join(leaves))


def bulk_root(leaves: bytes | bytearray | memoryview) -> bytes:
    """Return the root over the leaf hashes that stand one behind the other in a buffer: a million in about a second.

    Parameters
    ----------
    leaves
        n * 32 bytes.

    Raises
    ------
    ValueError
        If the length is no multiple of 32.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(6)]
    >>> pair, four = node_hash(leaves[4], leaves[5]), root(leaves[:4])
    >>> bulk_root(b"".join(leaves)) == node_hash(four, pair)
    True
    """
    if len(leaves) % DIGEST:
        raise ValueError(f"leaf hashes take {DIGEST} bytes each; {len(leaves)} bytes are no multiple of that")
    level = bytes(leaves)
    while len(level) > DIGEST:
        # A last node without a sibling moves up as it is: so the left subtree is always the largest power of two.
        paired = len(level) - len(level) % (2 * DIGEST)
        level = parents(level[:paired]) + level[paired:]
    return level or EMPTY_ROOT


def parents(level: bytes) -> bytes:
    """Return the hashes of the nodes over an even number of hashes that stand one behind the other."""
    return b"".join([sha256(b"\x01" + level[at : at + 2 * DIGEST]).digest() for at in range(0, len(level), 2 * DIGEST)])


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that a leaf is in the tree: the siblings on its way to the root, lowest first.

    Raises
    ------
    ValueError
        If the tree has no such leaf.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(3)]
    >>> inclusion_path(leaves, 2) == [node_hash(leaves[0], leaves[1])]
    True
    """
    return [root(leaves[span.start : span.stop]) for span in inclusion_spans(index, len(leaves))]


def consistency_path(leaves: Sequence[bytes], old_size: int) -> list[bytes]:
    """Return the proof that the tree of the first leaves grew into the tree of all.

    Raises
    ------
    ValueError
        If the old size is below 1 or above the number of leaves.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(4)]
    >>> consistency_path(leaves, 2) == [node_hash(leaves[2], leaves[3])]
    True
    """
    return [root(leaves[span.start : span.stop]) for span in consistency_spans(old_size, len(leaves))]


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the subtrees whose roots make up the proof that a leaf is in a tree, in the proof's order.

    >>> inclusion_spans(5, 7)
    [Span(start=4, stop=5), Span(start=6, stop=7), Span(start=0, stop=4)]
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    spans, start, stop = [], 0, size
    while stop - start > 1:
        middle = start + _left(stop - start)
        if index < middle:
            spans.append(Span(middle, stop))
            stop = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old_size: int, size: int) -> list[Span]:
    """Return the subtrees whose roots make up the proof that a tree grew out of a smaller one, in the proof's order.

    >>> consistency_spans(3, 7)
    [Span(start=2, stop=3), Span(start=3, stop=4), Span(start=0, stop=2), Span(start=4, stop=7)]
    >>> consistency_spans(4, 7)
    [Span(start=4, stop=7)]
    """
    if not 0 < old_size <= size:
        raise ValueError(f"a tree of {size} leaves has not grown out of one of {old_size}")
    spans, start, stop = [], 0, size
    while old_size < stop:
        middle = start + _left(stop - start)
        if old_size <= middle:
            spans.append(Span(middle, stop))
            stop = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    if start:
        spans.append(Span(start, stop))
    return spans[::-1]


def complete_subtrees(span: Span) -> list[Subtree]:
    """Return the complete subtrees that a proof's subtree is made of, left to right: `fold` gives its root.

    >>> complete_subtrees(Span(4, 7))
    [Subtree(level=1, place=2), Subtree(level=0, place=6)]
    """
    subtrees, start = [], span.start
    while start < span.stop:
        level = (span.stop - start).bit_length() - 1
        if start % (1 << level):
            raise ValueError(f"no tree of RFC 6962 has a subtree of the leaves from {span.start} up to {span.stop}")
        subtrees.append(Subtree(level, start >> level))
        start += 1 << level
    return subtrees


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees, each smaller than the one to its left; of none, the empty tree's.

    >>> leaves = [leaf_hash(bytes([i])) for i in range(7)]
    >>> fold([root(leaves[:4]), root(leaves[4:6]), leaves[6]]) == root(leaves)
    True
    """
    if not hashes:
        return EMPTY_ROOT
    right = hashes[-1]
    for left in reversed(hashes[:-1]):
        right = node_hash(left, right)
    return right


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], tree_root: bytes) -> bool:
    """Tell whether a proof shows that a leaf hash is at its index in the tree of this size and root.

    >>> verify_inclusion(leaf_hash(b"a"), 0, 1, [], leaf_hash(b"b"))
    False
    """
    if not 0 <= index < size:
        return False
    spans = inclusion_spans(index, size)
    if len(path) != len(spans):
        return False
    here = leaf
    for span, sibling in zip(spans, path, strict=True):
        here = node_hash(sibling, here) if span.stop <= index else node_hash(here, sibling)
    return here == tree_root


def verify_consistency(old_size: int, size: int, old_root: bytes, tree_root: bytes, path: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that the tree of this size and root begins with all leaves of the older one.

    >>> verify_consistency(1, 2, leaf_hash(b"a"), node_hash(leaf_hash(b"a"), leaf_hash(b"b")), [leaf_hash(b"b")])
    True
    """
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not path and old_root == tree_root
    spans = consistency_spans(old_size, size)
    if len(path) != len(spans):
        return False
    first = spans[0]
    if first.start >= old_size:
        # The old tree is a complete subtree of the new one, so the proof leaves its root out.
        old = new = old_root
    else:
        old = new = path[0]
        spans, path = spans[1:], path[1:]
    for span, sibling in zip(spans, path, strict=True):
        if span.start >= old_size:
            new = node_hash(new, sibling)
        else:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
    return old == old_root and new == tree_root


def _left(size: int) -> int:
    """Return the number of leaves of the left subtree: the largest power of two below the size."""
    return 1 << ((size - 1).bit_length() - 1)
