"""Rows of item codes: started from titles, trained alone, saved, merged, and read as peft reads them."""

import pytest
import torch
from tiny import coded_chat
from tiny_samples import TITLES
from trained_models import CPU, backbone_at
from transformers import AutoModelForCausalLM, AutoTokenizer

from train_utils.item_codes import one_token_each, save_item_codes
from train_utils.models.adapters import add_lora, save_adapter
from train_utils.models.item_rows import embed, row_numbers
from train_utils.models.trained import load_trained, merge_adapter
from train_utils.training.loss import head_logits


def with_lora(layers=1):
    model, chat = coded_chat(TITLES)
    return add_lora(model, [chat.soi, chat.eoi], 4, 4, 0.0, layers, False, chat.item_tokens), chat


def moved(model):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def test_a_code_starts_as_the_mean_of_its_title():
    model, chat = coded_chat(TITLES)
    table = model.get_input_embeddings().weight
    title = chat.encode(chat.spell(TITLES[7]))
    assert torch.allclose(table[chat.code_ids[7][0]], table[title].mean(0))


def test_a_popular_item_starts_more_probable_than_a_rare_one():
    model, chat = coded_chat(["red moon"] + TITLES[:1] + ["moon red"])  # the same tokens, counts 0 and 2
    prompt = torch.tensor([[ids[0] for ids in chat.code_ids]])
    with torch.no_grad():
        logits = model(prompt).logits[0].mean(0)
    assert logits[chat.code_ids[2][0]] > logits[chat.code_ids[0][0]]


def test_vectors_and_logits_equal_those_of_pefts_own_layers():
    model, chat = with_lora()
    moved(model)
    causal = model.get_base_model()
    ids = torch.tensor([[0, chat.soi, *chat.item_tokens[:3], 5]])
    assert torch.equal(embed(causal.get_input_embeddings(), ids), causal.get_input_embeddings()(ids))
    head, states = causal.get_output_embeddings(), torch.randn(4, 32)
    whole = head(states)
    assert torch.allclose(head_logits(head, states), whole, atol=1e-5)
    columns = torch.tensor([chat.item_tokens[5], 3, chat.eoi, chat.item_tokens[0]])
    assert torch.allclose(head_logits(head, states, columns), whole[:, columns], atol=1e-5)


def test_only_the_rows_of_codes_and_control_tokens_get_a_gradient():
    model, chat = with_lora()
    causal = model.get_base_model()
    vectors = embed(causal.get_input_embeddings(), torch.tensor([[0, chat.item_tokens[2], 5]]))
    head_logits(causal.get_output_embeddings(), vectors[0]).logsumexp(1).sum().backward()
    named = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert {name.split(".")[-4] for name in named} == {"embed_tokens", "lm_head"}
    (rows,) = (p.grad for name, p in model.named_parameters() if name in named and "embed_tokens" in name)
    tokens = [chat.soi, chat.eoi, *chat.item_tokens]
    assert rows.abs().sum(1).nonzero()[:, 0].tolist() == [tokens.index(chat.item_tokens[2])]


def test_row_numbers_find_tokens_in_any_order():
    assert row_numbers(torch.tensor([9, 4, 7]), torch.tensor([[7, 1], [9, 4]])).tolist() == [[2, -1], [0, 1]]


@pytest.mark.parametrize("tied", [True, False])
def test_an_adapter_with_codes_merges_to_a_model_that_plain_transformers_opens(tmp_path, tied):
    from train_utils.models.backbone import load_backbone
    from train_utils.models.control_rows import add_item_tokens
    from train_utils.models.item_rows import add_item_rows
    from train_utils.prompts.renderer import Chat

    backbone = backbone_at(tmp_path / "base", tied=tied)
    tokenizer, model = load_backbone(backbone, CPU, "float32")
    add_item_tokens(tokenizer, model)
    codes = one_token_each(map(str, range(len(TITLES))), tokenizer.get_vocab())
    add_item_rows(tokenizer, model, codes, TITLES, [range(len(TITLES))])
    chat = Chat(tokenizer, TITLES, codes=codes)
    trained = moved(add_lora(model, [chat.soi, chat.eoi], 4, 4, 0.0, 1, False, chat.item_tokens))
    save_adapter(trained, tokenizer, tmp_path / "adapter", {}, more=lambda to: save_item_codes(codes, to))
    ids = torch.tensor([[0, 5, chat.soi, chat.item_tokens[3], chat.eoi, 7, chat.item_tokens[0]]])
    with torch.no_grad():
        expected = trained(ids).logits
    merge_adapter(tmp_path / "adapter", backbone, tmp_path / "merged", {})
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    known = AutoTokenizer.from_pretrained(tmp_path / "merged").get_vocab()
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, expected, atol=1e-4)
        assert torch.allclose(
            load_trained(str(tmp_path / "adapter"), CPU, backbone=backbone, dtype="float32")[1](ids).logits,
            expected,
            atol=1e-4,
        )
    assert [known[token] for token in codes.tokens] == chat.item_tokens
    assert (tmp_path / "merged" / "item_index.json").is_file()
