"""Rows of different lengths in one pass see what each would see alone, whatever the family of the model."""

import gc
import weakref

import pytest
import torch
from tiny import tiny_chat
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from train_utils.constraint.constraint import Constraint
from train_utils.constraint.trie import build_trie
from train_utils.decoding.drafter import Drafter
from train_utils.decoding.engine import Engine, RunningBatch
from train_utils.decoding.forward import forward
from train_utils.decoding.ragged_attention import RaggedCache, use_ragged_attention
from train_utils.decoding.request import Request

SIZES = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 1,
    "initializer_range": 0.3,
}
FAMILIES = {
    "sliding window": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=5)),
    "no window, keys normed": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "window in one layer of two": lambda: Qwen3ForCausalLM(
        Qwen3Config(**SIZES, use_sliding_window=True, sliding_window=5, max_window_layers=1)
    ),
}


def ragged(model, cache, blocks, lengths):
    """Logits of all tokens of `blocks`, row by row."""
    sizes = [len(block) for block in blocks]
    return forward(model, cache, blocks, lengths, kept=[range(n) for n in sizes]).split(sizes)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_rows_of_any_length_get_the_logits_that_each_gets_alone(family):
    torch.manual_seed(0)
    model = FAMILIES[family]().double().eval()
    texts = torch.randint(0, 320, (3, 90)).tolist()
    alone = [model(input_ids=torch.tensor([text])).logits[0] for text in texts]
    use_ragged_attention(model)
    cache, lengths = RaggedCache(3), [0, 0, 0]
    for new in ([7, 1, 30], [1, 1, 1], [2, 70, 5], [10, 3, 1]):
        blocks = [text[at : at + n] for text, at, n in zip(texts, lengths, new, strict=True)]
        actual = ragged(model, cache, blocks, lengths)
        for row, at, n, whole in zip(actual, lengths, new, alone, strict=True):
            torch.testing.assert_close(row, whole[at : at + n])
        lengths = [at + n for at, n in zip(lengths, new, strict=True)]


@torch.inference_mode()
def test_rows_can_be_dropped_copied_and_taken_back():
    torch.manual_seed(0)
    model = FAMILIES["sliding window"]().double().eval()
    first, second = torch.randint(0, 320, (2, 20)).tolist()
    alone = model(input_ids=torch.tensor([second])).logits[0]
    use_ragged_attention(model)
    cache = RaggedCache(2)
    ragged(model, cache, [first[:9], second[:12]], [0, 0])
    cache = cache.select([1, 1])
    # Five tokens are read again over the seven that were read before.
    actual = ragged(model, cache, [second[5:], second[12:15]], [5, 12])
    torch.testing.assert_close(actual[0], alone[5:])
    torch.testing.assert_close(actual[1], alone[12:15])


@torch.inference_mode()
def test_a_cache_gives_its_memory_back_at_once():
    model = FAMILIES["sliding window"]().eval()
    use_ragged_attention(model)
    cache = RaggedCache(1)
    ragged(model, cache, [[5, 6, 7]], [0])
    copy = cache.select([0, 0])
    keys = [weakref.ref(one.layers[0].keys) for one in (cache, copy)]
    gc.disable()
    try:
        del cache, copy
        assert [key() for key in keys] == [None, None]
    finally:
        gc.enable()


def test_a_running_batch_holds_less_than_twice_what_its_rows_need_after_one_left():
    model, chat = tiny_chat(["red", "a"])
    engine = Engine(model.double(), chat)
    spare = 64  # slots by which a cache grows
    requests = [Request([5 + n, *[7] * length], max_new_tokens=3 + n) for n, length in enumerate([400, *range(3, 21)])]
    alone = [engine.generate([request], reproducible=True)[0].ids for request in requests]
    batch = RunningBatch(engine, Drafter())
    rows, left = batch.add(requests[:6]), list(requests[6:])
    while batch.rows:
        before = len(batch.rows)
        batch.step()
        if len(batch.rows) < before and batch.rows:
            n_rows, slots = batch.cache.layers[0].keys.shape[:2]
            assert n_rows * slots < 2 * len(batch.rows) * (max(row.length for row in batch.rows) + spare)
        if left and len(batch.rows) < 4:
            rows += batch.add([left.pop(0)])
    assert [row.out.ids for row in rows] == alone
    assert not left and not batch.cache.layers, "an empty batch holds no memory"


@torch.inference_mode()
def test_a_model_with_ragged_attention_still_works_for_everybody_else():
    torch.manual_seed(0)
    model = FAMILIES["sliding window"]().double().eval()
    ids = torch.randint(0, 320, (2, 20))
    mask = torch.ones_like(ids)
    mask[0, :6] = 0
    before = model(input_ids=ids, attention_mask=mask).logits[mask.bool()]
    use_ragged_attention(model)
    torch.testing.assert_close(model(input_ids=ids, attention_mask=mask).logits[mask.bool()], before)


def test_attention_that_is_not_written_here_is_refused():
    _, chat = tiny_chat(["red", "a"])
    model = Gemma2ForCausalLM(Gemma2Config(**(SIZES | {"vocab_size": len(chat.tokenizer)}))).eval()
    rules = Constraint(build_trie(chat.title_ids, chat.soi, chat.eoi))
    with pytest.raises(ValueError, match="softcap"):
        Engine(model, chat).generate([Request([5, 6, 7], rules)])
