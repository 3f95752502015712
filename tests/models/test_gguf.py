"""A GGUF file is a backbone as its folder is: the same tokens, logits, adapter and merged model."""

import pytest
import torch
from gguf_files import write_gguf
from tiny import CHATML, coded_chat, tiny_model, tiny_tokenizer
from tiny_samples import small_catalog
from transformers import AutoModelForCausalLM, AutoTokenizer

from train_utils.item_codes import save_item_codes
from train_utils.models.adapters import add_lora, save_adapter
from train_utils.models.backbone import load_backbone, load_tokenizer, model_files
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.trained import load_trained, merge_adapter
from train_utils.prompts.messages import ItemPart, message
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender

CPU = torch.device("cpu")
TITLES = ["red moon", "the end", "夜"]


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def backbone(request, tmp_path):
    """(GGUF file, the model that it was written from, its tokenizer)."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(len(tokenizer), tied=request.param)
    return write_gguf(tmp_path / "tiny.gguf", model, tokenizer), model, tokenizer


def ids_of(chat) -> torch.Tensor:
    talk = [message("user", "the red ", ItemPart(0)), message("assistant", ItemPart(1))]
    return torch.tensor([chat.render(talk, prompt=False).ids])


def test_a_gguf_file_gives_the_model_and_the_tokens_that_it_was_written_from(backbone):
    file, model, tokenizer = backbone
    loaded, read = load_backbone(file, CPU, "float32")
    text = "the red moon, Éternel été 夜 12"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"] == load_tokenizer(file)(text)["input_ids"]
    assert loaded.chat_template == CHATML
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        torch.testing.assert_close(read(ids).logits, model(ids).logits, atol=1e-4, rtol=1e-4)


def test_an_adapter_on_a_gguf_is_merged_into_an_ordinary_folder_and_finds_its_file_again(backbone, tmp_path):
    file, _, _ = backbone
    tokenizer, model = load_backbone(file, CPU, "float32")
    add_item_tokens(tokenizer, model)
    chat = Chat(tokenizer, TITLES)
    model = add_lora(model, [chat.soi, chat.eoi], 4, 8, 0.0).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter) * parameter.requires_grad
        expected = model(ids_of(chat)).logits
    save_adapter(model, tokenizer, tmp_path / "adapter", {})
    _, in_memory = load_trained(str(tmp_path / "adapter"), CPU, "float32")
    merge_adapter(tmp_path / "adapter", file, tmp_path / "merged", {})
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.dtype == torch.bfloat16 and not hasattr(merged.config, "quantization_config")
    again = Chat(AutoTokenizer.from_pretrained(tmp_path / "merged"), TITLES)
    assert again.title_ids == chat.title_ids and again.end_of_turn == chat.end_of_turn
    with torch.no_grad():
        torch.testing.assert_close(in_memory(ids_of(chat)).logits, expected, atol=1e-4, rtol=1e-4)
        for name, weight in in_memory.state_dict().items():
            assert torch.equal(merged.state_dict()[name], weight.to(torch.bfloat16)), name


@pytest.mark.parametrize("kept", [0, 3, 30, 1000, -5000, -10])
def test_a_gguf_that_is_cut_off_is_refused_in_one_line(tmp_path, kept):
    tokenizer = tiny_tokenizer()
    file = tmp_path / "tiny.gguf"
    write_gguf(file, tiny_model(len(tokenizer)), tokenizer)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"tiny\.gguf' cannot be loaded") as error:
        load_backbone(str(file), CPU)
    assert "\n" not in str(error.value)


def test_what_is_no_gguf_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.gguf").write_text("not a model")
    (tmp_path / "folder.gguf").mkdir()
    for name, reason in (("text", "cannot be loaded"), ("folder", "no such file"), ("nothing", "no such file")):
        for load in (load_tokenizer, lambda file: load_backbone(file, CPU)):
            with pytest.raises(ValueError, match=reason) as error:
                load(str(tmp_path / f"{name}.gguf"))
            assert "\n" not in str(error.value)


def test_merging_into_a_gguf_that_is_not_there_is_refused_and_leaves_nothing(backbone, tmp_path):
    file, _, _ = backbone
    tokenizer, model = load_backbone(file, CPU, "float32")
    add_item_tokens(tokenizer, model)
    chat = Chat(tokenizer)
    save_adapter(add_lora(model, [chat.soi, chat.eoi], 4, 8, 0.0), tokenizer, tmp_path / "adapter", {})
    with pytest.raises(ValueError, match="no such file"):
        merge_adapter(tmp_path / "adapter", str(tmp_path / "other.gguf"), tmp_path / "merged", {})
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("form", ["token", "token_title", "rq_token_seq"])
def test_a_gguf_next_to_its_item_codes_lists_what_the_model_lists(tmp_path, form):
    catalog = small_catalog()
    model, chat = coded_chat(catalog.titles, form)
    file = write_gguf(tmp_path / "codes.gguf", model, chat.tokenizer)
    save_item_codes(chat.codes, tmp_path)
    loaded = Recommender.load(file, catalog, device="cpu", dtype="float32")
    expected = Recommender(model, chat, catalog)
    assert loaded.renderer.code_ids == chat.code_ids
    forged = "".join(chat.codes.tokens)
    assert not set(chat.item_tokens).intersection(loaded.renderer.render([message("user", forged)], prompt=True).ids)
    for history in (["3"], ["1", "7", "12"]):
        assert [item.id for item in loaded.recommend(history, k=5)] == [
            item.id for item in expected.recommend(history, k=5)
        ]
    assert tmp_path / "item_index.json" in model_files(file)
