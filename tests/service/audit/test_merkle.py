"""The Merkle tree against RFC 6962's test vectors, and against pymerkle."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from service.audit import merkle

INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CONSISTENCY = {
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
"""These vectors are those of Google's certificate-transparency, the implementation of the RFC's authors."""
SOME = settings(max_examples=40)


def _leaves(number):
    return [merkle.leaf_hash(str(i).encode()) for i in range(number)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_of_the_reference_vectors(size):
    leaves = [merkle.leaf_hash(bytes.fromhex(data)) for data in INPUTS[:size]]
    assert merkle.root(leaves).hex() == ROOTS[size - 1]


@pytest.mark.parametrize("sizes", CONSISTENCY)
def test_consistency_proofs_of_the_reference_vectors(sizes):
    leaves = [merkle.leaf_hash(bytes.fromhex(data)) for data in INPUTS[: sizes[1]]]
    assert [part.hex() for part in merkle.consistency_path(leaves, sizes[0])] == CONSISTENCY[sizes]


@SOME
@given(st.data())
def test_roots_and_proofs_equal_pymerkle(data):
    size = data.draw(st.integers(1, 300))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    leaves, oracle = _leaves(size), InmemoryTree()
    oracle.append_entries(str(i).encode() for i in range(size))
    root = merkle.root(leaves)
    assert root == oracle.get_root()
    path, grown = merkle.inclusion_path(leaves, index), merkle.consistency_path(leaves, old)
    assert [leaves[index], *path] == oracle.prove_inclusion(index + 1).path
    assert merkle.verify_inclusion(leaves[index], index, size, path, root)
    assert merkle.verify_consistency(old, size, oracle.get_root(old), root, grown)


@SOME
@given(st.data())
def test_a_proof_of_something_else_is_refused(data):
    size = data.draw(st.integers(2, 200))
    index, other = data.draw(st.permutations(range(size)))[:2]
    leaves = _leaves(size)
    root, path = merkle.root(leaves), merkle.inclusion_path(leaves, index)
    assert not merkle.verify_inclusion(leaves[other], index, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], other, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, path[1:], root)
    assert not merkle.verify_inclusion(leaves[index], index, size, [*path, path[0]], root)
    assert not merkle.verify_inclusion(leaves[index], size, size, path, root)
    old = data.draw(st.integers(1, size - 1))
    grown, old_root = merkle.consistency_path(leaves, old), merkle.root(leaves[:old])
    forked = merkle.root([*leaves[:-1], merkle.leaf_hash(b"other")])
    assert not merkle.verify_consistency(old, size, old_root, forked, grown)
    assert not merkle.verify_consistency(old, size, merkle.leaf_hash(b"other"), root, grown)
    assert not merkle.verify_consistency(old, size, old_root, root, grown[:-1])
    assert not merkle.verify_consistency(0, size, merkle.EMPTY_ROOT, root, [])


@SOME
@given(st.data())
def test_complete_subtrees_make_up_every_subtree_of_a_proof(data):
    size = data.draw(st.integers(1, 300))
    leaves = _leaves(size)
    spans = merkle.inclusion_spans(data.draw(st.integers(0, size - 1)), size)
    spans += merkle.consistency_spans(data.draw(st.integers(1, size)), size)
    for span in spans:
        subtrees = merkle.complete_subtrees(span)
        hashes = [merkle.root(leaves[s.place << s.level : (s.place + 1) << s.level]) for s in subtrees]
        assert merkle.fold(hashes) == merkle.root(leaves[span.start : span.stop])


def test_what_no_tree_has_is_refused():
    with pytest.raises(ValueError, match="has no leaf 3"):
        merkle.inclusion_path(_leaves(3), 3)
    with pytest.raises(ValueError, match="has not grown"):
        merkle.consistency_path(_leaves(3), 4)
    with pytest.raises(ValueError, match="no multiple"):
        merkle.bulk_root(bytes(33))
    with pytest.raises(ValueError, match="no tree of RFC 6962"):
        merkle.complete_subtrees(merkle.Span(1, 3))
