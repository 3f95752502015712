"""Promises of tokenizers that are read without transformers: they are those that transformers reads."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from byte_tokenizer import byte_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from light_tokenizers import _MODELS, plain_tokenizer
from titles import TitleRules, load_rules, rules_of, rules_of_backend
from transformers import AutoTokenizer
from transformers.tokenization_utils_tokenizers import TokenizersBackend


@cache
def folder() -> Path:
    path = Path(mkdtemp())
    byte_tokenizer().save_pretrained(path)
    return path


@cache
def both() -> tuple[TitleRules, TitleRules]:
    return rules_of_backend(plain_tokenizer(folder()), 20), rules_of(AutoTokenizer.from_pretrained(folder()), 20)


@given(st.lists(st.text(max_size=30) | st.sampled_from(["<|im_end|>x", " Halo  2", "<|im_start|>"]), max_size=6))
def test_titles_get_the_tokens_that_transformers_gives_them(titles):
    ours, theirs = both()
    titles = [title.encode("utf-8", "replace").decode() for title in titles]
    assert ours.special_tokens == theirs.special_tokens
    for mine, other in ((ours.round_trip, theirs.round_trip), (ours.count_tokens, theirs.count_tokens)):
        assert list(map(mine, titles)) == list(map(other, titles))
    assert [function(titles) for function in ours.batch] == [function(titles) for function in theirs.batch]


@pytest.mark.parametrize("model", [name for name in _MODELS if name])
def test_transformers_takes_the_class_of_the_folder_for_the_models_that_are_read_without_it(tmp_path, model):
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model}))
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is TokenizersBackend
    assert plain_tokenizer(tmp_path) is not None


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer"}),
        ("tokenizer_config.json", {"eos_token": "<of the settings alone>"}),
        ("tokenizer_config.json", {"split_special_tokens": True}),
        ("tokenizer_config.json", {"additional_special_tokens": ["<new>"]}),
        ("config.json", {"model_type": "mistral"}),
        ("special_tokens_map.json", {}),
        ("added_tokens.json", {"<new>": 300}),
    ],
)
def test_what_transformers_adds_to_is_left_to_transformers(tmp_path, file, change):
    byte_tokenizer().save_pretrained(tmp_path)
    assert plain_tokenizer(tmp_path) is not None
    path = tmp_path / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | change))
    assert plain_tokenizer(tmp_path) is None
    if file != "config.json" and "tokenizer_class" not in change:
        assert load_rules(str(tmp_path), 20).round_trip("Halo 2") == "Halo 2"
