"""Tokenizers that make a text endlessly long, and other parts of a model's folder that cost more than their bytes."""

import base64
import json
import shutil
import struct
from pathlib import Path

import pytest
from damage import edit, refused
from fuzz_models import read_backbone, valid_models

from train_utils.catalog import MAX_TITLE
from train_utils.files.tokenizer_file import MOST_ADDED, MOST_GROWTH, check_tokenizer
from train_utils.model_folder import LARGEST_CONFIG, check_model_folder
from train_utils.models.item_vectors import sentence_encoder


@pytest.fixture
def folder(tmp_path) -> Path:
    shutil.copytree(valid_models() / "backbone", tmp_path / "backbone")
    return tmp_path


def replace(pattern: dict, content: str) -> dict:
    return {"type": "Replace", "pattern": pattern, "content": content}


def sequence(part: str, *components: dict) -> dict:
    return {"type": "Sequence", f"{part}s": list(components)}


def charsmap(trie: bytes, *texts: bytes, size: int | None = None) -> dict:
    data = struct.pack("<I", len(trie) if size is None else size) + trie + b"".join(text + b"\0" for text in texts)
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(data).decode()}


DOUBLE = replace({"String": "e"}, "ee")
GROWING = {
    "letter by letter": ("normalizer", sequence("normalizer", *[DOUBLE] * 60)),
    "nested": ("normalizer", sequence("normalizer", *[sequence("normalizer", *[DOUBLE] * 8)] * 8)),
    "at every place": ("normalizer", replace({"Regex": ""}, "x" * 10_000)),
    "in front": ("normalizer", {"type": "Prepend", "prepend": "x" * 10_000}),
    "rules of sentencepiece": ("normalizer", charsmap(b"\0" * 4, b"x" * 10_000)),
    "bytes": ("normalizer", sequence("normalizer", *[{"type": "ByteLevel"}] * 30)),
    "decoded": ("decoder", sequence("decoder", *[DOUBLE] * 60)),
    "suffixes": ("decoder", sequence("decoder", *[{"type": "BPEDecoder", "suffix": ""}] * 60)),
    "two lists": ("decoder", sequence("decoder", *[DOUBLE] * 60) | {"normalizers": []}),
}
DAMAGED = {
    "trie longer than the file": charsmap(b"\0" * 4, b"x", size=2**32 - 4),
    "no trie": charsmap(b""),
    "no kind": {"normalizers": []},
    "number": {"type": "Replace", "pattern": 5, "content": []},
}


@pytest.mark.parametrize("name", GROWING)
def test_a_tokenizer_that_multiplies_texts_is_refused_before_it_sees_one(folder, name):
    part, component = GROWING[name]
    edit(folder / "backbone" / "tokenizer.json", **{part: component})
    assert "times as long" in refused(read_backbone, folder)


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_normalizers_are_refused_before_the_library_allocates_what_they_say(folder, name):
    edit(folder / "backbone" / "tokenizer.json", normalizer=DAMAGED[name])
    assert "damaged" in refused(read_backbone, folder)


def test_the_tokenizer_of_another_version_is_checked_as_well(folder):
    backbone = folder / "backbone"
    shutil.copy(backbone / "tokenizer.json", backbone / "tokenizer.4.0.0.json")
    edit(backbone / "tokenizer.4.0.0.json", normalizer=sequence("normalizer", *[DOUBLE] * 60))
    edit(backbone / "tokenizer_config.json", fast_tokenizer_files=["tokenizer.4.0.0.json"])
    assert "tokenizer.4.0.0.json" in refused(read_backbone, folder)


def test_a_template_of_tokens_is_no_longer_than_its_limit():
    special = {"a": {"id": "a", "ids": [0] * 1000, "tokens": ["a"] * 1000}}
    pieces = [{"SpecialToken": {"id": "a", "type_id": 0}}] * 1000
    template = {"type": "TemplateProcessing", "single": pieces, "pair": [], "special_tokens": special}
    for post_processor in (template, {"type": "Sequence", "processors": [template]}, template | {"processors": []}):
        assert f"{MOST_ADDED:,}" in refused(check_tokenizer, {"post_processor": post_processor})


def test_normalizers_of_released_models_are_within_the_limit():
    blanks = replace({"Regex": " {2,}"}, " ")
    folds = [{"type": kind} for kind in ("StripAccents", "Lowercase")]
    xlm = sequence("normalizer", replace({"String": "``"}, '"'), *folds, charsmap(b"\0" * 4, b"x" * 18), blanks)
    llama = sequence("normalizer", {"type": "Prepend", "prepend": "\u2581"}, replace({"String": " "}, "\u2581"))
    for normalizer in (None, {"type": "NFC"}, {"type": "BertNormalizer"}, {"type": "NFKC"}, xlm, llama):
        check_tokenizer({"normalizer": normalizer, "decoder": {"type": "ByteLevel"}, "post_processor": None})
    assert MOST_GROWTH * MAX_TITLE * 130 < 1 << 28  # bytes that the longest title takes


@pytest.mark.parametrize("field", ["modules_to_not_convert", "ignore", "modules"])
def test_patterns_of_a_quantization_that_could_match_forever_are_refused(folder, field):
    path = folder / "backbone" / "config.json"
    for quantization in ({field: ["(.+)+!"]}, {"inner": {field: "a|(a|a)*"}}, {"(.+)+!": 4}, {field: [".*" * 9]}):
        edit(path, quantization_config={"quant_method": "bitnet"} | quantization)
        assert "quantization_config" in refused(read_backbone, folder)
    edit(path, quantization_config=None, text_config={"quantization_config": {field: ["(.+)+!"]}})
    assert "quantization_config" in refused(read_backbone, folder)


def test_usual_patterns_of_a_quantization_pass_the_check(folder):
    names = ["lm_head", "model.layers.0.mlp", "re:.*lm_head.*", "model.layers.*.q_proj$", "visual/blocks"]
    edit(folder / "backbone" / "config.json", quantization_config={"quant_method": "fp8", "ignore": names})
    check_model_folder(folder / "backbone")


def test_numbers_and_sizes_of_a_configuration_are_limited(folder):
    path = folder / "backbone" / "config.json"
    valid = path.read_text()
    edit(path, num_labels=10**9)
    assert "num_labels" in refused(read_backbone, folder)
    path.write_text(valid + " " * LARGEST_CONFIG)
    assert f"{LARGEST_CONFIG:,}" in refused(read_backbone, folder)


# -- encoders ----------------------------------------------------------------------------------------------------------
OWN = "sentence_transformers.models."
POOLING = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}


@pytest.fixture
def encoder(folder) -> Path:
    """Return the folder of an encoder whose transformer is in a folder of its own."""
    path = folder / "encoder"
    (path / "1_Pooling").mkdir(parents=True)
    (folder / "backbone").rename(path / "0_Transformer")
    (path / "1_Pooling" / "config.json").write_text(json.dumps(POOLING))
    name_modules(path, ("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"))
    return path


def name_modules(folder: Path, *modules: tuple[str, str]) -> None:
    listed = [{"idx": i, "name": str(i), "path": path, "type": OWN + kind} for i, (path, kind) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(listed))


def test_the_folder_of_each_module_of_an_encoder_is_checked(encoder):
    assert sentence_encoder(str(encoder), "cpu")(["a", "b"]).shape == (2, 32)
    path = encoder / "0_Transformer" / "config.json"
    valid = path.read_text()
    edit(path, num_hidden_layers=10**12)
    assert "num_hidden_layers" in refused(sentence_encoder, str(encoder), "cpu")
    path.write_text(valid)
    edit(path, num_hidden_layers=9_000, intermediate_size=10**6)
    assert "configuration asks for" in refused(sentence_encoder, str(encoder), "cpu")


@pytest.mark.parametrize("kind", ["LSTM", "BoW", "WordEmbeddings", "Router", "StaticEmbedding"])
def test_an_encoder_has_modules_of_known_kinds_only(encoder, kind):
    name_modules(encoder, ("0_Transformer", kind))
    assert kind in refused(sentence_encoder, str(encoder), "cpu")


@pytest.mark.parametrize("content", [None, 5, [], [5], [{"type": "x"}], [{"type": OWN + "Pooling", "path": "../x"}]])
def test_rubbish_for_the_modules_of_an_encoder_ends_in_one_line(encoder, content):
    (encoder / "modules.json").write_text(json.dumps(content))
    assert "modules.json" in refused(sentence_encoder, str(encoder), "cpu")


def test_an_encoder_has_few_modules_and_no_pickles(encoder):
    name_modules(encoder, *[("0_Transformer", "Transformer")] * 100)
    assert "1 to 16" in refused(sentence_encoder, str(encoder), "cpu")
    (encoder / "2_Dense").mkdir()
    (encoder / "2_Dense" / "pytorch_model.bin").write_bytes(b"\x80\x02N.")
    name_modules(encoder, ("0_Transformer", "Transformer"), ("2_Dense", "Dense"))
    assert "pickle" in refused(sentence_encoder, str(encoder), "cpu")


def test_an_encoder_that_cannot_encode_ends_in_one_line(encoder):
    name_modules(encoder, ("0_Transformer", "Transformer"))  # no pooling: it gives no vectors of texts
    assert "cannot encode" in refused(sentence_encoder(str(encoder), "cpu"), ["a"])
