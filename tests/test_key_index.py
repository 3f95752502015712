"""Versions of an index share what did not change, and each equals the index that is made of its entries."""

import random

from train_utils.key_index import KeyIndex


def test_versions_equal_dictionaries_of_sets_whatever_was_merged_meanwhile():
    rng = random.Random(0)
    pairs = {(f"k{rng.randrange(900)}", n) for n in range(1500)}
    index = KeyIndex(sorted(pairs))
    versions = [(index, pairs)]
    for _ in range(60):
        index, pairs = versions[-1]
        removed = rng.sample(sorted(pairs), rng.randint(0, 60))
        added = [(f"k{rng.randrange(6000)}", rng.randrange(3000)) for _ in range(rng.randint(0, 120))]
        versions.append((index.changed(removed, added), (pairs - {*removed}) | {*added}))
    for index, pairs in versions:
        held: dict[str, tuple[int, ...]] = {}
        for key, entry in sorted(pairs):
            held[key] = (*held.get(key, ()), entry)
        assert {key: index.get(key) for key in index} == held
        assert all(index.only(key) == (entries if len(entries) == 1 else ()) for key, entries in held.items())
        assert "none" not in index and index.get("none") == index.only("none") == ()


def test_an_entry_that_is_given_twice_counts_once():
    index = KeyIndex([("a", 1), ("a", 1), ("a", 2)]).changed([], [("a", 2), ("b", 3), ("b", 3)])
    assert (index.get("a"), index.get("b")) == ((1, 2), (3,))
    assert [*index.changed([("b", 3), ("c", 1)], [])] == ["a"]


def test_indexes_of_several_kinds_are_apart():
    indexes = KeyIndex.of_kinds(["x", "y"], [("x", "a", 1), ("y", "a", 2), ("x", "b", 3)])
    assert {kind: {key: index.get(key) for key in index} for kind, index in indexes.items()} == {
        "x": {"a": (1,), "b": (3,)},
        "y": {"a": (2,)},
    }
