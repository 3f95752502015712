"""Packed samples: one row without padding has the losses and gradients of padded rows, in every supported model."""

from functools import partial

import pytest
import torch
from tiny import TINY_SIZES, coded_chat, tiny_chat
from tiny_samples import CONFIG, TITLES, drawn
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from train_utils.decoding.support import decoding_support
from train_utils.models.backbone import separates_packed
from train_utils.samples.batch import collate
from train_utils.samples.encode import ScopeLabels, encode_code_sample, encode_sample
from train_utils.training.method import cgen_loss, code_loss

SIZES = TINY_SIZES | {"initializer_range": 0.3}
MODELS = {
    "Llama": lambda n: LlamaForCausalLM(LlamaConfig(vocab_size=n, **SIZES)),
    "Mistral with a window": lambda n: MistralForCausalLM(MistralConfig(vocab_size=n, **SIZES, sliding_window=24)),
    "Qwen3": lambda n: Qwen3ForCausalLM(Qwen3Config(vocab_size=n, **SIZES, head_dim=8)),
    "Phi3": lambda n: Phi3ForCausalLM(Phi3Config(vocab_size=n, **SIZES)),
    "Gemma3 with windows": lambda n: Gemma3ForCausalLM(
        Gemma3TextConfig(vocab_size=n, **SIZES, head_dim=8, sliding_window=24)
    ),
}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("coded", [True, False], ids=["token", "title"])
def test_packed_samples_have_the_loss_and_the_gradients_of_padded_ones(name, attention, coded):
    chat = (coded_chat if coded else tiny_chat)(TITLES)[1]
    torch.manual_seed(0)
    model = MODELS[name](len(chat.tokenizer))
    assert not decoding_support(model).problem
    model.set_attn_implementation(attention)
    loss = code_loss(chat, 0.0) if coded else cgen_loss
    encode = encode_code_sample if coded else encode_sample
    samples = [encode(chat, ScopeLabels(chat.trie), talk, CONFIG) for talk in drawn(chat).talks(range(6))]
    assert len({len(sample.ids) for sample in samples}) > 1

    def computed(packed):
        value, parts = loss(model, collate(samples, 1, coded, packed=packed))
        return value, parts, torch.autograd.grad(value, list(model.parameters()), allow_unused=True)

    (value, parts, gradients), (expected, its_parts, its_gradients) = map(computed, (True, False))
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-6)
    close(value, expected)
    assert parts.keys() == its_parts.keys()
    close(torch.tensor(list(parts.values())), torch.tensor(list(its_parts.values())))
    for gradient, its_gradient in zip(gradients, its_gradients, strict=True):
        assert (gradient is None) == (its_gradient is None)
        if gradient is not None:
            close(gradient, its_gradient)


def test_models_that_read_on_from_one_sample_to_the_next_are_found():
    """OPT takes positions, but transformers gives it no mask for packed samples."""
    assert all(separates_packed(make(64)) for make in MODELS.values())
    assert not separates_packed(OPTForCausalLM(OPTConfig(vocab_size=64, hidden_size=32, ffn_dim=64, num_hidden_layers=2,
                                                         num_attention_heads=4, word_embed_proj_dim=32)))  # fmt: skip


def test_a_packed_batch_is_the_samples_one_behind_the_other():
    chat = tiny_chat(TITLES)[1]
    samples = [encode_sample(chat, ScopeLabels(chat.trie), talk, CONFIG) for talk in drawn(chat).talks(range(4))]
    batch = collate(samples, 1, packed=True)
    assert batch.ids.tolist() == [sum((sample.ids for sample in samples), [])] and batch.mask.all()
    assert batch.positions.tolist() == [[at for sample in samples for at in range(len(sample.ids))]]
    owners = [number for number, sample in enumerate(samples) for _ in sample.ids]
    assert batch.sample_of(torch.arange(len(owners))).tolist() == owners
