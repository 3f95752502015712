"""A trie cache that a stranger wrote, or a disk damaged, is refused when it is loaded, and the trie is built again."""

import dataclasses
import logging
import os
import random
from contextlib import suppress

import numpy as np
import pytest
from damage import faults
from fuzz_trie import KEY, READERS, rebuilt, same, small_trie, walk
from tiny import tiny_tokenizer

from train_utils.constraint.trie import build_trie
from train_utils.constraint.trie_cache import load_trie, save_trie, trie_path
from train_utils.prompts.control_tokens import add_control_tokens
from train_utils.prompts.renderer import Chat

TITLES = ["red moon", "red moon 2", "the end", "a"]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_damaged_cache_is_refused_or_is_a_trie(reader):
    assert faults(reader, range(40)) == []


def changed(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """Return a copy with one element changed, added or removed."""
    copy, at = array.copy(), rng.randrange(len(array) + 1)
    match rng.randrange(4):
        case 0:
            return np.insert(copy, at, rng.choice((0, -1, 2**31 - 1, len(array))))
        case 1 if at < len(array):
            return np.delete(copy, at)
        case _:
            copy[at % len(copy)] = rng.choice((0, 1, -1, -(2**31), 2**31 - 1, int(rng.choice(array)), len(array)))
    return copy


def test_any_array_that_does_not_fit_the_others_is_refused_under_a_valid_digest(tmp_path):
    trie, rng, refused = small_trie(), random.Random(0), 0
    for n in range(250):
        name = rng.choice(list(trie.arrays()))
        other = dataclasses.replace(trie, **{name: changed(getattr(trie, name), rng)})
        save_trie(other, tmp_path, KEY)
        try:
            actual = load_trie(tmp_path, KEY)
        except ValueError as error:
            assert "\n" not in str(error) and "delete it" in str(error), n
            refused += 1
        else:
            assert same(actual, rebuilt(actual)), (n, name)
            walk(actual)
    assert refused > 160


def test_titles_of_one_token_equal_titles_and_prefixes_pass(tmp_path):
    rng = np.random.default_rng(1)
    catalogs = [
        [[5]], [[5], [5]], [[5], [5, 6]], [[5], [6]], [[2**31 - 1], [5] * 64],
        *([rng.integers(2, 5, rng.integers(1, 5)).tolist() for _ in range(n)] for n in range(2, 40)),
    ]  # fmt: skip
    for titles in catalogs:
        trie = build_trie(titles, 0, 1)
        save_trie(trie, tmp_path, KEY)
        assert same(load_trie(tmp_path, KEY), trie)


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    save_trie(small_trie(), tmp_path, KEY)
    path = trie_path(tmp_path, KEY)
    valid = path.read_bytes()
    for at in range(0, len(valid), 23):
        path.write_bytes(valid[:at] + bytes([valid[at] ^ 4]) + valid[at + 1 :])
        with suppress(ValueError):
            assert same(load_trie(tmp_path, KEY), small_trie()), at  # padding between header and arrays


def test_a_header_of_gigabytes_or_of_deep_nesting_is_refused(tmp_path):
    for content in (b"\xff\xff\xff\x7f\0\0\0\0" + bytes(99), (50_000).to_bytes(8, "little") + b"[" * 50_000):
        trie_path(tmp_path, KEY).write_bytes(content)
        with pytest.raises(ValueError, match="no trie cache .*; delete it"):
            load_trie(tmp_path, KEY)


def test_a_pipe_or_folder_in_its_place_is_refused(tmp_path):
    os.mkfifo(trie_path(tmp_path, "pipe"))
    trie_path(tmp_path, "folder").mkdir()
    for key in ("pipe", "folder"):
        with pytest.raises(ValueError, match="it is no file"):
            load_trie(tmp_path, key)


def tokenizer():
    made = tiny_tokenizer()
    add_control_tokens(made)
    return made


def cache_of(tmp_path):
    chat = Chat(tokenizer(), TITLES, tmp_path)
    (path,) = tmp_path.iterdir()
    return chat, path


def test_a_damaged_cache_is_reported_in_one_line_and_made_again(tmp_path, caplog):
    first, path = cache_of(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with caplog.at_level(logging.WARNING):
        again = Chat(tokenizer(), TITLES, tmp_path)
    assert list(again.title_ids) == list(first.title_ids)
    (record,) = caplog.records
    assert "the trie is built again" in record.message and "\n" not in record.message
    assert same(load_trie(tmp_path, path.stem), first.trie)


@pytest.mark.parametrize("other", [
    lambda trie: build_trie([*([trie.title(leaf)[:-1] for leaf in range(3)]), [5, 6], [5, 7]], trie.soi, trie.eoi),
    lambda trie: build_trie([[5], [6], [7], [9999]], trie.soi, trie.eoi),
    lambda trie: build_trie([[5], [6], [7], [8]], trie.soi + 10, trie.eoi),
    lambda trie: build_trie([[5], [6], [7], [8]], trie.soi, trie.eoi, [9]),
])  # fmt: skip
def test_a_trie_of_another_catalog_under_this_key_is_not_used(tmp_path, caplog, other):
    first, path = cache_of(tmp_path)
    save_trie(other(first.trie), tmp_path, path.stem)
    with caplog.at_level(logging.WARNING):
        again = Chat(tokenizer(), TITLES, tmp_path)
    assert list(again.title_ids) == list(first.title_ids) and len(caplog.records) == 1
