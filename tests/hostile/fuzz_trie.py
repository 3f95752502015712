"""Trie caches: what is loaded is a trie, and walking it raises nothing."""

from pathlib import Path

import numpy as np
from damage import Reader

from train_utils.constraint.constraint import Constraint
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.trie import TitleTrie, build_trie
from train_utils.constraint.trie_cache import load_trie, save_trie

KEY = "key"


def small_trie() -> TitleTrie:
    rng = np.random.default_rng(0)
    titles = [rng.integers(2, 6, rng.integers(1, 7)).tolist() for _ in range(120)]  # some are equal
    return build_trie(titles, 0, 1, [7, 8])


def same(first: TitleTrie, second: TitleTrie) -> bool:
    """Return whether two tries are equal."""
    return (first.soi, first.eoi) == (second.soi, second.eoi) and all(
        np.array_equal(array, second.arrays()[name]) for name, array in first.arrays().items()
    )


def rebuilt(trie: TitleTrie) -> TitleTrie:
    """Return the trie that is built from the titles of another."""
    titles = [trie.title(int(leaf))[:-1] for leaf in trie.item_leaf]
    return build_trie(titles, trie.soi, trie.eoi, trie.item_tokens)


def walk(trie: TitleTrie) -> None:
    """Spell every title, and check that the trie is the one of its titles."""
    assert same(trie, rebuilt(trie))
    for leaf in range(trie.n_leaves):
        matcher = Matcher(Constraint(trie))
        for token in (trie.soi, *trie.title(leaf)):
            allowed = matcher.allowed()
            assert allowed is None or token in allowed
            matcher.accept_token(token)
        trie.path(leaf)
        trie.items_of_leaf(leaf)


def read_file(folder: Path) -> None:
    if (trie := load_trie(folder, KEY)) is not None:
        walk(trie)


def write_arrays(folder: Path) -> None:
    for name, array in small_trie().arrays().items():
        array.astype(np.int32).tofile(folder / name)


def read_arrays(folder: Path) -> None:
    """Read a cache of damaged arrays under the digest that they have: only their structure can give them away."""
    arrays = {path.name: np.frombuffer(path.read_bytes()[: path.stat().st_size // 4 * 4], np.int32)
              for path in folder.iterdir() if path.is_file()}  # fmt: skip
    save_trie(TitleTrie(0, 1, **arrays), folder, KEY)
    read_file(folder)


WORDS = (b'"I64"', b'"data_offsets":[0,0]', b'{"__metadata__":{}}', b"[" * 5000, b"\xff\xff\xff\x7f")
READERS = [
    Reader("trie cache", lambda folder: save_trie(small_trie(), folder, KEY), read_file, WORDS),
    Reader("trie cache, arrays", write_arrays, read_arrays),
]
