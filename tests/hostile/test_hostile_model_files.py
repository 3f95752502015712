"""The files of a model's or adapter's folder: refused in one line, before they take time or memory."""

import functools
import json
import os
import shutil
import struct
from pathlib import Path

import fuzz_models
import pytest
import torch
from damage import edit, faults, refused
from fuzz_models import read_adapter, read_backbone, valid_models
from safetensors.torch import load_file, save_file
from tiny import tiny_model, tiny_tokenizer
from trained_models import CPU

from train_utils.item_codes import read_item_codes
from train_utils.model_folder import Weights, check_model_folder, weights_in
from train_utils.models.backbone import load_backbone, load_tokenizer, own_dtype
from train_utils.models.item_vectors import sentence_encoder
from train_utils.models.size_limit import limited_by
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender


@pytest.fixture
def folder(tmp_path) -> Path:
    shutil.copytree(valid_models(), tmp_path / "models")
    return tmp_path / "models"


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json"])
@pytest.mark.parametrize("text", ["null", "[]", "5", '"x"', "{", "", "[" * 100_000], ids=lambda text: text[:5])
def test_what_is_no_json_object_is_refused_by_name(folder, name, text):
    (folder / "backbone" / name).write_text(text)
    error = refused(read_backbone, folder)
    assert name in error or name == "tokenizer.json"


NUMBERS = {
    "many layers": {"num_hidden_layers": 10**12},
    "more layers than tensors": {"num_hidden_layers": 9_000},
    "wide": {"hidden_size": 10**9},
    "words": {"vocab_size": 10**12},
    "feed-forward": {"intermediate_size": 10**11},
    "heads": {"head_dim": 10**10},
    "layer types": {"layer_types": ["full_attention"] * 7},
    "negative": {"num_hidden_layers": -1},
    "zero": {"num_attention_heads": 0, "hidden_size": 0},
    "text": {"hidden_size": "32"},
    "list": {"num_hidden_layers": [2]},
    "NaN": {"num_hidden_layers": float("nan")},
    "infinite": {"num_hidden_layers": float("inf")},
    "missing": {"hidden_size": None},
    "activation": {"hidden_act": "os.system"},
    "type": {"model_type": 5},
    "junk quantization": {"quantization_config": 5},
    "weights elsewhere": {"transformers_weights": "../../x.safetensors"},
    "pickled weights": {"transformers_weights": "x.bin"},
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_hostile_configuration_is_refused_before_it_takes_memory(folder, name):
    edit(folder / "backbone" / "config.json", **NUMBERS[name])
    refused(read_backbone, folder)


def test_construction_is_stopped_by_the_sizes_in_the_files():
    with pytest.raises(ValueError, match="configuration asks for"), torch.device("meta"), limited_by(Weights(10, 1000)):
        torch.nn.Linear(10**6, 10**6)
    torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="configuration asks for"), limited_by(Weights(10, 10**12)):
        torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(10**6))


def test_weights_of_another_shape_are_refused(folder):
    edit(folder / "backbone" / "config.json", intermediate_size=128)
    refused(read_backbone, folder)


def header(**entries) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


WEIGHTS = {
    "empty": b"",
    "long header": struct.pack("<Q", 2**63 - 1) + b"{}",
    "no object": struct.pack("<Q", 2) + b"[]",
    "no entry": header(a=5),
    "outside": header(a={"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}),
    "negative": header(a={"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}),
    "no dtype": header(a={"dtype": 5, "shape": [0], "data_offsets": [0, 0]}),
}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("which", ["backbone/model.safetensors", "adapter/adapter_model.safetensors"])
def test_hostile_headers_of_weights_are_refused(folder, which, name):
    (folder / which).write_bytes(WEIGHTS[name])
    refused(read_adapter if "adapter" in which else read_backbone, folder)


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd", "../x.safetensors", "x.bin", 5, None])
def test_an_index_names_files_of_its_folder_only(folder, file):
    (folder / "backbone" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": file}}))
    assert "model.safetensors.index.json" in refused(read_backbone, folder)


@pytest.mark.parametrize("name", ["backbone/pytorch_model.bin", "adapter/adapter_model.bin"])
def test_pickled_weights_are_not_read(folder, name):
    path = folder / name
    weights = next(path.parent.glob("*.safetensors"))
    torch.save(load_file(weights), path)
    weights.unlink()
    assert "safetensors" in refused(read_adapter if "adapter" in name else read_backbone, folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"])
def test_a_pipe_in_the_place_of_a_file_is_refused(folder, name):
    path = folder / "backbone" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert name in refused(read_backbone, folder)


def test_links_to_files_are_followed(folder):
    (folder / "backbone").rename(folder / "elsewhere")
    (folder / "backbone").mkdir()
    for path in (folder / "elsewhere").iterdir():
        (folder / "backbone" / path.name).symlink_to(path)
    read_backbone(folder)


ADAPTERS = {
    "catastrophic": {"target_modules": "(.+)+!"},
    "alternatives": {"target_modules": "(?:.|.)" * 40},
    "pattern in a list": {"target_modules": ["(.+)+!"]},
    "layers pattern": {"layers_pattern": "(.+)+!", "layers_to_transform": [0]},
    "excluded": {"exclude_modules": "(.+)+!"},
    "saved": {"modules_to_save": ["(.+)+!"]},
    "rank pattern": {"rank_pattern": {"(.+)+!": 4}},
    "rank": {"r": 10**9},
    "no rank": {"r": -4},
    "rank of a module": {"rank_pattern": {"q_proj": 10**9}},
    "rank as text": {"r": "4"},
    "NaN": {"lora_alpha": float("nan")},
    "kind": {"peft_type": "PROMPT_TUNING"},
    "no kind": {"peft_type": None},
    "imports": {"megatron_config": {"a": 1}, "megatron_core": "antigravity"},
    "replicated layers": {"layer_replication": [[0, 10**9]]},
    "start": {"init_lora_weights": "pissa_niter_1000000000"},
    "rows": {"trainable_token_indices": {"embed_tokens": [10**9]}},
    "junk rows": {"trainable_token_indices": "x"},
    "no modules": {"target_modules": []},
    "other modules": {"target_modules": ["none"]},
    "number": {"target_modules": 5},
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_hostile_adapter_is_refused(folder, name):
    edit(folder / "adapter" / "adapter_config.json", **ADAPTERS[name])
    assert "adapter" in refused(read_adapter, folder)


def test_an_adapter_in_the_folder_of_a_backbone_is_checked_as_well(folder):
    for path in (folder / "adapter").glob("adapter_*"):
        shutil.copy(path, folder / "backbone")
    edit(folder / "backbone" / "adapter_config.json", target_modules="(.+)+!")
    assert "target_modules" in refused(read_backbone, folder)


@pytest.mark.parametrize("modules", ["all-linear", "q_proj", ["q_proj", "v_proj"], ["model.layers.0.self_attn.q_proj"]])
def test_plain_names_of_modules_are_read(folder, modules):
    edit(folder / "adapter" / "adapter_config.json", target_modules=modules)
    check_model_folder(folder / "adapter")


def pre_tokenizer(pattern: str) -> dict:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


TOKENIZERS = {
    "catastrophic": {"pre_tokenizer": pre_tokenizer("(a|a)*$")},
    "broken pattern": {"pre_tokenizer": pre_tokenizer("(")},
    "no model": {"model": None},
    "empty": {"model": {"type": "BPE", "vocab": {}, "merges": []}},
    "far id": {"added_tokens": [{"id": 2**31, "content": "<SOI>", "special": True}]},
    "no vocabulary": {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "b"}},
    "junk": {"normalizer": {"type": "Replace", "pattern": 5, "content": []}},
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_hostile_tokenizer_is_refused(folder, name):
    edit(folder / "backbone" / "tokenizer.json", **TOKENIZERS[name])
    if name == "catastrophic":  # the library ends the search after ten million steps
        tokenizer = load_tokenizer(str(folder / "backbone"))
        tokenizer.chat_template = tokenizer.chat_template.replace("assistant", "a" * 40 + "!")
        refused(Chat, tokenizer)
    else:
        refused(read_backbone, folder)


@pytest.mark.parametrize("rubbish", [{"eos_token": 5}, {"pad_token": []}, {"added_tokens_decoder": {"x": 1}}])
@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json"])
def test_rubbish_for_special_tokens_ends_in_one_line(folder, name, rubbish):
    (folder / "backbone" / "special_tokens_map.json").write_text("{}")
    edit(folder / "backbone" / name, **rubbish)
    try:
        read_backbone(folder)
    except ValueError as error:
        assert "\n" not in str(error)


def test_a_token_beyond_the_rows_of_the_model_is_refused(tmp_path):
    tokenizer = tiny_tokenizer()
    tiny_model(len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary[max(vocabulary, key=vocabulary.get)] = 10**6
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert "rows" in refused(load_backbone, str(tmp_path), CPU, "float32")


def test_sizes_of_weights_count_packed_ones_several_times(tmp_path):
    save_file({"a": torch.zeros(3, 4, dtype=torch.bfloat16)}, tmp_path / "model.safetensors")
    assert weights_in(tmp_path) == Weights(1, 12)
    save_file({"a": torch.zeros(3, dtype=torch.int32)}, tmp_path / "model.safetensors")
    assert weights_in(tmp_path) == Weights(1, 96)


# -- code in the folder ------------------------------------------------------------------------------------------------
MODULE = """
import pathlib
pathlib.Path({marker!r}).write_text("ran")
from transformers import LlamaConfig, LlamaForCausalLM
class Config(LlamaConfig): model_type = "evil"
class Model(LlamaForCausalLM): config_class = Config
class Module: pass
"""


@pytest.fixture
def evil(folder) -> Path:
    backbone = folder / "backbone"
    (backbone / "evil.py").write_text(MODULE.format(marker=str(folder / "ran")))
    kinds = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    edit(backbone / "config.json", model_type="evil", auto_map=kinds)
    return backbone


def test_code_of_a_folder_runs_only_for_who_asks_for_it(evil):
    for load in (
        functools.partial(Recommender.load, device="cpu"),
        own_dtype,
        functools.partial(load_backbone, device=CPU, dtype="float32"),
    ):
        with pytest.raises(ValueError, match="not run.*`trust_remote_code`"):
            load(str(evil))
    assert not (evil.parent / "ran").exists()
    loaded = Recommender.load(evil, device="cpu", dtype="float32", trust_remote_code=True)
    assert type(loaded.model).__name__ == "Model" and (evil.parent / "ran").exists()


def test_a_load_inside_a_library_fails_instead_of_asking(evil, monkeypatch):
    from transformers import AutoConfig

    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("asked"))
    with pytest.raises(ValueError, match="execute"):
        AutoConfig.from_pretrained(evil)


def test_modules_of_an_encoder_are_not_imported_from_its_folder(evil):
    modules = [{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]
    (evil / "modules.json").write_text(json.dumps(modules))
    assert "trust_remote_code" in refused(sentence_encoder, str(evil), "cpu")
    assert not (evil.parent / "ran").exists()


def test_item_codes_of_a_stranger_are_refused_in_one_line(tmp_path):
    for content in (5, [], {"form": "token", "codes": []}, {"form": "token", "codes": {"a": [5]}}, {"form": 5}):
        (tmp_path / "item_index.json").write_text(json.dumps(content))
        refused(read_item_codes, tmp_path)


@pytest.mark.parametrize("reader", fuzz_models.READERS, ids=lambda reader: reader.name)
def test_damaged_models_end_in_one_line(reader):
    assert faults(reader, range(6)) == []
