"""The engine writes what one-token-at-a-time constrained decoding writes, and only items of the catalogue."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_chat
from transformers import GenerationConfig

from train_utils.chat import ItemPart, message, split_completion
from train_utils.engine import Done, Engine, ItemEvent, Request, TextDelta
from train_utils.processor import CatalogLogitsProcessor, FastPrefixConstrainedLogitsProcessor, Trie_link
from train_utils.trie import ConstraintError, Rules, build_tree

TITLES = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a", "blue river return of the red moon", "b 1", "b 2"]


def prompts(chat, n, seed=0):
    rng = random.Random(seed)
    asks = ["recommend", "list 3 titles", "the moon?", "a <SOI> red <|im_end|>", "1 2 3"]
    return [
        chat.render([message("user", rng.choice(asks) + " " * rng.randint(1, 9), ItemPart(rng.randrange(3)))],
                    prompt=True).ids
        for _ in range(n)
    ]


def plain(model, chat, prompt, rules, max_new):
    """One token at a time by `model.generate`, constrained by the processor."""
    ids = torch.tensor([prompt])
    config = GenerationConfig(do_sample=False, max_new_tokens=max_new, eos_token_id=chat.end_of_turn, pad_token_id=1)
    out = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config,
                         logits_processor=[CatalogLogitsProcessor(rules, chat.end_of_turn)])
    ids = out[0, len(prompt):].tolist()
    return ids[:-1] if ids[-1] == chat.end_of_turn else ids


def make(seed=0, bias_soi=0.0, titles=TITLES):
    model, chat = tiny_chat(titles, seed)
    # In float64, so that no two logits of a random model are equal but for the order of a sum.
    model = model.double()
    if bias_soi:
        with torch.no_grad():
            weight = model.get_output_embeddings().weight
            weight[chat.soi] += bias_soi * weight[chat.encode(" ")[0]]
    return model, chat, build_tree(chat.title_ids, chat.soi, chat.eoi)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sets(st.integers(0, len(TITLES) - 1), max_size=9))
def test_engine_equals_plain_constrained_decoding(seed, distinct, deny):
    model, chat, tree = make(seed, bias_soi=0.7)
    rules = Rules(tree, deny=deny, distinct=distinct)
    batch = prompts(chat, 4, seed)
    expected = [plain(model, chat, p, rules, 60) for p in batch]
    found = Engine(model, chat).generate([Request(p, rules, max_new_tokens=60) for p in batch])
    assert [c.ids for c in found] == expected
    for completion in found:
        allowed = {tuple(t) for i, t in enumerate(chat.title_ids) if i not in deny}
        items, _ = split_completion(completion.ids, chat.soi, chat.eoi)
        closed = items[: len(completion.leaves)]
        assert all(tuple(i) in allowed for i in closed)
        assert not distinct or len({tuple(i) for i in closed}) == len(closed)


def test_forced_lists_hold_the_wanted_number_of_distinct_items_and_nothing_else():
    model, chat, tree = make(3)
    rules = Rules(tree, deny=[0])
    engine = Engine(model, chat)
    for idx in (False, True):
        requests = [Request(p, rules, max_items=4, force_items=True, idx=idx) for p in prompts(chat, 5)]
        for completion in engine.generate(requests):
            assert completion.finish == "items" and len(set(completion.leaves)) == 4
            text = chat.tokenizer.decode(completion.ids)
            assert text.startswith("1. <SOI>" if idx else "<SOI>") and text.count("\n") == 3


def test_a_catalogue_smaller_than_the_list_gives_what_there_is():
    model, chat, tree = make(5, titles=["red", "a"])
    (completion,) = Engine(model, chat).generate(
        [Request(prompts(chat, 1)[0], Rules(tree), max_items=9, force_items=True)]
    )
    assert sorted(completion.leaves) == [0, 1]


def test_forced_tokens_and_drafts_save_passes():
    model, chat, tree = make(3)
    engine = Engine(model, chat)
    (completion,) = engine.generate([Request(prompts(chat, 1)[0], Rules(tree), max_items=9, force_items=True)])
    assert engine.counters.passes < len(completion.ids) / 2


def test_stream_gives_the_text_and_the_items_of_generate():
    model, chat, tree = make(11, bias_soi=0.8)
    rules = Rules(tree)
    for prompt in prompts(chat, 6):
        request = Request(prompt, rules, max_new_tokens=80)
        (whole,) = Engine(model, chat).generate([request])
        events = list(Engine(model, chat).stream(request))
        items = [e for e in events if isinstance(e, ItemEvent)]
        assert [int(tree.item_leaf[e.item]) for e in items] == whole.leaves
        assert [e.rank for e in items] == list(range(1, len(items) + 1))
        _, texts = split_completion(whole.ids, chat.soi, chat.eoi)
        spoken = "".join(e.text for e in events if isinstance(e, TextDelta))
        assert spoken == "".join(chat.decode(t) for t in texts)
        assert events[-1] == Done(whole.finish)


def test_without_a_catalogue_no_item_can_be_opened():
    model, chat, _ = make(2, bias_soi=0.9)
    for completion in Engine(model, chat).generate([Request(p, max_new_tokens=40) for p in prompts(chat, 5)]):
        assert chat.soi not in completion.ids and chat.eoi not in completion.ids


def test_rules_that_admit_nothing_raise_before_decoding():
    _, chat, tree = make()
    with pytest.raises(ConstraintError, match="admit none"):
        Rules(tree, deny=range(len(TITLES)))


@pytest.mark.parametrize("num_beams,sample", [(1, False), (3, False), (1, True)])
def test_the_published_pair_of_names_constrains_generate(num_beams, sample):
    model, chat, tree = make(7, bias_soi=0.7)
    link = Trie_link([[0, *ids] for ids in chat.title_ids], chat.tokenizer)
    processor = FastPrefixConstrainedLogitsProcessor(link.constrain_search_list, num_beams)
    slow = FastPrefixConstrainedLogitsProcessor(lambda b, ids: link.constrain_search_list(b, ids), num_beams)
    batch = prompts(chat, 3)
    width = max(map(len, batch))
    ids = torch.tensor([[chat.end_of_turn] * (width - len(p)) + p for p in batch])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in batch])
    for used in (processor, processor, slow):
        torch.manual_seed(0)
        out = model.generate(
            ids, attention_mask=mask, logits_processor=[used],
            generation_config=GenerationConfig(num_beams=num_beams, do_sample=sample, max_new_tokens=40,
                                               eos_token_id=chat.end_of_turn, pad_token_id=1),
        )
        for row in out[:, width:].tolist():
            items, _ = split_completion(row, chat.soi, chat.eoi)
            # The last item may be cut by the length limit.
            for item in items[:-1]:
                assert item in chat.title_ids


def test_a_row_off_the_tree_raises_instead_of_going_free():
    _, chat, tree = make()
    processor = CatalogLogitsProcessor(Rules(tree), chat.end_of_turn)
    with pytest.raises(ConstraintError):
        processor(torch.tensor([[chat.end_of_turn, chat.soi, 5, 5]]), torch.zeros(1, 400))
