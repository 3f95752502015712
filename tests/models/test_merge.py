"""A merged folder is the trained model in plain transformers, whatever was trained, wherever its tokens come from."""

import dataclasses
import json

import pytest
import torch
from chat_templates import FAMILIES, family_tokenizer
from tiny import tiny_model
from trained_models import CPU, TITLES, backbone_at, logits, trained
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from train_utils.models.adapters import add_lora, save_adapter
from train_utils.models.backbone import end_turns_alike, load_backbone, load_tokenizer
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.trained import load_trained, merge_adapter
from train_utils.prompts.control_tokens import add_control_tokens
from train_utils.prompts.messages import message
from train_utils.prompts.renderer import Chat

METHODS = [("lora", 0), ("lora", 1), ("dora", 0), ("dora", 1), ("full", 0)]


@pytest.mark.parametrize("tokens", ["added", "spare", "reserved"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(("how", "layers"), METHODS)
def test_a_merged_folder_opens_in_plain_transformers_as_the_trained_model(tmp_path, how, layers, tied, tokens):
    backbone = backbone_at(tmp_path / "base", tokens, tied)
    model, chat = trained(backbone, how, layers)
    expected = logits(model, chat)
    save_adapter(model, chat.tokenizer, tmp_path / "adapter", {"of": "training"})
    merge_adapter(tmp_path / "adapter", backbone, tmp_path / "merged", {"of": "merge"})

    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    again = Chat(tokenizer, TITLES)
    torch.testing.assert_close(logits(merged, again), expected, atol=1e-4, rtol=1e-4)
    assert (again.soi, again.eoi, again.title_ids) == (chat.soi, chat.eoi, chat.title_ids)
    assert tokenizer.chat_template == chat.tokenizer.chat_template
    assert add_item_tokens(tokenizer, merged) is False, "the trained rows stay"
    torch.testing.assert_close(logits(merged, again), expected, atol=1e-4, rtol=1e-4)

    assert merged.generation_config.do_sample is False
    assert merged.generation_config.eos_token_id == chat.end_of_turn
    assert json.loads((tmp_path / "merged/manifest.json").read_text()) == {"of": "merge"}
    assert not (tmp_path / "merged/adapter_config.json").exists()

    in_memory = load_trained(str(tmp_path / "adapter"), CPU, "float32")[1]
    torch.testing.assert_close(logits(in_memory, chat), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tokens", ["spare", "reserved"])
def test_an_embedding_with_room_keeps_its_size_and_its_other_rows(tmp_path, tokens):
    tokenizer, model = load_backbone(backbone_at(tmp_path / "base", tokens), CPU, "float32")
    before = model.get_input_embeddings().weight.detach().clone()
    assert add_item_tokens(tokenizer, model) is True
    after = model.get_input_embeddings().weight.detach()
    chat = Chat(tokenizer, TITLES)
    changed = (before != after).any(1).nonzero().flatten().tolist()
    assert after.shape == before.shape and changed == [chat.soi, chat.eoi]
    torch.testing.assert_close(after[chat.soi], before[chat.encode("start of an item")].mean(0))


def test_an_embedding_without_room_grows_by_the_two_tokens(tmp_path):
    tokenizer, model = load_backbone(backbone_at(tmp_path / "base"), CPU, "float32")
    before = model.get_input_embeddings().num_embeddings
    add_item_tokens(tokenizer, model)
    assert model.get_input_embeddings().num_embeddings == model.config.vocab_size == before + 2 == len(tokenizer)


@pytest.mark.parametrize("layers", [0, 1])
def test_training_goes_on_from_a_merged_model_with_the_rows_it_has(tmp_path, layers):
    model, chat = trained(backbone_at(tmp_path / "base", "spare"), "lora")
    save_adapter(model, chat.tokenizer, tmp_path / "first", {})
    merge_adapter(tmp_path / "first", str(tmp_path / "base"), tmp_path / "once", {})
    model, chat = trained(str(tmp_path / "once"), "lora", layers)
    expected = logits(model, chat)
    save_adapter(model, chat.tokenizer, tmp_path / "second", {})
    merge_adapter(tmp_path / "second", str(tmp_path / "once"), tmp_path / "twice", {})
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "twice")
    torch.testing.assert_close(logits(merged, chat), expected, atol=1e-4, rtol=1e-4)


def test_an_adapter_that_added_its_tokens_is_merged_into_a_backbone_with_reserved_ones(tmp_path):
    backbone = backbone_at(tmp_path / "base", "reserved")
    tokenizer, model = load_backbone(backbone, CPU, "float32")
    tokenizer.add_special_tokens({"extra_special_tokens": ["<SOI>", "<EOI>"]}, replace_extra_special_tokens=False)
    add_item_tokens(tokenizer, model)
    chat = Chat(tokenizer, TITLES)
    model = add_lora(model, [chat.soi, chat.eoi], 4, 8, 0.0).eval()
    save_adapter(model, tokenizer, tmp_path / "adapter", {})
    merge_adapter(tmp_path / "adapter", backbone, tmp_path / "merged", {})
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits(merged, chat), logits(model, chat), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_a_merged_model_is_rounded_once_to_the_number_format_of_its_backbone(tmp_path, dtype):
    backbone = backbone_at(tmp_path / "base", dtype=dtype)
    model, chat = trained(backbone, "lora")
    save_adapter(model, chat.tokenizer, tmp_path / "adapter", {})
    merge_adapter(tmp_path / "adapter", backbone, tmp_path / "merged", {})
    assert AutoConfig.from_pretrained(tmp_path / "merged").dtype == dtype
    exact = load_trained(str(tmp_path / "adapter"), CPU, "float32")[1].state_dict()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").state_dict()
    assert merged.keys() == exact.keys()
    for name, weight in merged.items():
        assert torch.equal(weight, exact[name].to(dtype)), name


def test_an_adapter_of_another_backbone_is_refused_in_one_line(tmp_path):
    backbone = backbone_at(tmp_path / "base")
    model, chat = trained(backbone, "lora")
    save_adapter(model, chat.tokenizer, tmp_path / "adapter", {})
    other = backbone_at(tmp_path / "other", "reserved")
    with pytest.raises(ValueError, match="was trained on another model than") as error:
        merge_adapter(tmp_path / "adapter", other, tmp_path / "merged", {})
    assert "\n" not in str(error.value) and not (tmp_path / "merged").exists()


def broken(folder, what):
    backbone_at(folder)
    if what == "no model":
        (folder / "model.safetensors").unlink()
    elif what == "cut off":
        whole = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    elif what == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    else:
        (folder / "config.json").write_text("{")
    return str(folder)


@pytest.mark.parametrize("what", ["no model", "cut off", "no tokenizer", "config"])
def test_a_broken_folder_is_refused_in_one_line(tmp_path, what):
    with pytest.raises(ValueError, match="cannot be loaded") as error:
        load_backbone(broken(tmp_path / "base", what), CPU, "float32")
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there_is_refused_before_any_hub_is_asked(tmp_path):
    for load in (load_tokenizer, lambda name: load_backbone(name, CPU)):
        with pytest.raises(ValueError, match="no such folder"):
            load(str(tmp_path / "nothing"))


def test_a_tokenizer_alone_knows_the_same_control_tokens(tmp_path):
    backbone = backbone_at(tmp_path / "base", "reserved")
    tokenizer = load_tokenizer(backbone)
    add_control_tokens(tokenizer)
    with_model, model = load_backbone(backbone, CPU, "float32")
    add_item_tokens(with_model, model)
    assert Chat(tokenizer).soi == Chat(with_model).soi


@pytest.mark.parametrize("family", ["Gemma-it", "Llama-2", "GLM"])
def test_a_merged_folder_agrees_with_itself_on_the_end_of_a_turn(tmp_path, family):
    """Gemma's tokenizer calls another token its eos than its template ends a turn with."""
    gemma = dataclasses.replace(FAMILIES["Gemma"], special=("<eos>", *FAMILIES["Gemma"].special))
    tokenizer = family_tokenizer(gemma if family == "Gemma-it" else FAMILIES[family])
    tokenizer.save_pretrained(tmp_path / "base")
    tiny_model(len(tokenizer)).save_pretrained(tmp_path / "base")
    model, chat = trained(str(tmp_path / "base"), "lora")
    save_adapter(model, chat.tokenizer, tmp_path / "adapter", {})
    merge_adapter(tmp_path / "adapter", str(tmp_path / "base"), tmp_path / "merged", {})
    merged, again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged"), load_tokenizer(str(tmp_path / "merged"))
    assert again.eos_token_id == merged.generation_config.eos_token_id == merged.config.eos_token_id == chat.end_of_turn
    conversation = [message("user", "the red"), message("assistant", "moon"), message("user", "more")]
    assert Chat(again, TITLES).render(conversation, prompt=True) == chat.render(conversation, prompt=True)
    own = [{"role": m.role, "content": m.parts[0]} for m in conversation]
    before = load_tokenizer(str(tmp_path / "base")).apply_chat_template(own, tokenize=False, add_generation_prompt=True)
    assert again.apply_chat_template(own, tokenize=False, add_generation_prompt=True) == before


def test_a_tokenizer_whose_template_writes_its_eos_elsewhere_keeps_it(tmp_path):
    family = dataclasses.replace(
        FAMILIES["Gemma"],
        special=("<eos>", *FAMILIES["Gemma"].special),
        template="{{ eos_token }}" + FAMILIES["Gemma"].template,
    )
    tokenizer = family_tokenizer(family)
    model = tiny_model(len(tokenizer) + 2)
    add_control_tokens(tokenizer)
    end_turns_alike(tokenizer, model)
    assert tokenizer.eos_token == "<eos>"
    assert tokenizer.convert_ids_to_tokens(model.generation_config.eos_token_id) == "<end_of_turn>"


def test_a_merged_folder_pads_by_a_token_and_writes_the_date_of_training(tmp_path):
    """Whoever serves it runs its template, on any day; a base may list several ends and know no padding."""
    tokenizer = family_tokenizer(FAMILIES["Llama-3"])
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') + date_string }}" + FAMILIES["Llama-3"].template
    assert tokenizer.pad_token is None
    tokenizer.save_pretrained(tmp_path / "base")
    base = tiny_model(len(tokenizer))
    base.generation_config.eos_token_id, base.generation_config.pad_token_id = [0, 1, 3], None
    base.save_pretrained(tmp_path / "base")
    model, chat = trained(str(tmp_path / "base"), "lora")
    save_adapter(model, chat.tokenizer, tmp_path / "adapter", {})
    merge_adapter(tmp_path / "adapter", str(tmp_path / "base"), tmp_path / "merged", {})
    merged, again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged"), load_tokenizer(str(tmp_path / "merged"))
    assert again.eos_token_id == merged.generation_config.eos_token_id == merged.config.eos_token_id == chat.end_of_turn
    assert again.pad_token_id == merged.generation_config.pad_token_id is not None
    own = again.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False, add_generation_prompt=True)
    assert own.startswith("26 Jul 202426 Jul 2024")
    conversation = chat.render([message("user", "x")], prompt=True)
    assert Chat(again, TITLES).render([message("user", "x")], prompt=True) == conversation
    assert again.encode(own, add_special_tokens=False) == conversation.ids
