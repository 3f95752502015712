"""A saved trie equals the trie that was saved, for that tokenizer and catalog only."""

import numpy as np
import pytest
from tiny import tiny_chat, tiny_tokenizer

from train_utils.constraint.constraint import Constraint
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.trie import build_trie
from train_utils.constraint.trie_cache import load_trie, save_trie, trie_key
from train_utils.prompts.control_tokens import add_control_tokens
from train_utils.prompts.renderer import Chat

TITLES = ["red moon", "red moon 2", "the end", "\u591c", "a"]


def tokenizer():
    made = tiny_tokenizer()
    add_control_tokens(made)
    return made


def test_a_saved_trie_comes_back_as_it_was(tmp_path):
    rng = np.random.default_rng(0)
    trie = build_trie([rng.integers(2, 9, rng.integers(1, 7)).tolist() for _ in range(300)], 0, 1)
    save_trie(trie, tmp_path / "new", "k")
    actual = load_trie(tmp_path / "new", "k")
    assert (actual.soi, actual.eoi) == (0, 1)
    for name, array in trie.arrays().items():
        assert getattr(actual, name).dtype == array.dtype and np.array_equal(getattr(actual, name), array)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["k.safetensors"]
    matcher = Matcher(Constraint(actual, deny=[3]))
    matcher.accept_token(0)
    assert matcher.allowed().tolist() == sorted({trie.title(leaf)[0] for leaf in range(trie.n_leaves)})


def test_a_trie_of_one_title_can_be_saved(tmp_path):
    save_trie(build_trie([[5, 6]], 0, 1), tmp_path, "k")
    assert load_trie(tmp_path, "k").title(0) == [5, 6, 1]
    assert load_trie(tmp_path, "other") is None


def test_a_chat_takes_its_titles_from_the_trie_of_an_earlier_run(tmp_path, monkeypatch):
    first = Chat(tokenizer(), TITLES, tmp_path)
    monkeypatch.setattr(Chat, "encode_many", lambda self, texts: pytest.fail("titles were tokenized again"))
    again = Chat(tokenizer(), TITLES, tmp_path)
    assert list(again.title_ids) == list(first.title_ids) and len(again.title_ids) == len(TITLES)
    assert again.item_ids(2) == first.item_ids(2)


def test_another_catalog_tokenizer_or_order_has_another_key():
    made = tokenizer()
    keys = {
        trie_key(made, TITLES, 1, 2),
        trie_key(made, TITLES[::-1], 1, 2),
        trie_key(made, TITLES, 2, 1),
        trie_key(made, ["red moonred", *TITLES[1:]], 1, 2),
        trie_key(tiny_tokenizer(), TITLES, 1, 2),
    }
    assert len(keys) == 5
    assert trie_key(made, TITLES, 1, 2) in keys


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:20],
        lambda b: b"",
        lambda b: b[:8] + b"[" + b[9:],
        lambda b: b.replace(b"title tree", b"other tree"),
        lambda b: b.replace(b'"I32"', b'"F32"'),
        lambda b: b[:-40],
        lambda b: b"\xff" * 8 + b[8:],
    ],
)
def test_a_damaged_file_is_refused_with_a_remedy(tmp_path, damage):
    _, chat = tiny_chat(TITLES)
    save_trie(chat.trie, tmp_path, "k")
    path = tmp_path / "k.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="delete it"):
        load_trie(tmp_path, "k")
