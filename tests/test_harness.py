"""Promises of the model class for lm-evaluation-harness; run where the harness is installed."""

import shutil

import pytest
import torch
from tiny import coded_chat, tiny_chat
from tiny_samples import TITLES, write_small_catalog
from transformers import AutoTokenizer, GenerationConfig

pytest.importorskip("lm_eval", reason="lm_eval is optional: pip install lm_eval==0.4.13")

from lm_eval.api.instance import Instance

from train_utils.constraint.constraint import Constraint
from train_utils.decoding.reference import generate_reference
from train_utils.decoding.request import Request
from train_utils.harness import RecLM
from train_utils.item_codes import save_item_codes
from train_utils.prompts.renderer import Chat

PROMPTS = ["the moon", "a list of titles:", "recommend an item", "1 2 3", "night"]


@pytest.fixture(scope="module")
def eager(tmp_path_factory):
    """A folder with a small dataset and an untrained model that is eager to open items."""
    folder = tmp_path_factory.mktemp("harness")
    write_small_catalog(folder / "data")
    model, chat = tiny_chat(TITLES, tied=False)
    with torch.no_grad():
        model.lm_head.weight[chat.soi] *= 3
    model.save_pretrained(folder / "model")
    chat.tokenizer.save_pretrained(folder / "model")
    return folder


def opened(eager, **more) -> RecLM:
    return RecLM(str(eager / "model"), device="cpu", dtype="float32", batch_size=2, **more)


def written(model: RecLM, **how) -> list[str]:
    settings = {"until": ["never"], "max_gen_toks": 30, "do_sample": False} | how
    requests = [Instance("generate_until", {}, (prompt, settings), n) for n, prompt in enumerate(PROMPTS)]
    return model.generate_until(requests)


def test_what_is_written_is_what_plain_constrained_decoding_writes(eager):
    model = opened(eager, data_path=str(eager / "data"))
    prompts = [model.tok_encode(prompt) for prompt in PROMPTS]
    rules = Constraint(model.chat.trie)
    plain = generate_reference(
        model.model, model.chat, [Request(ids, rules, answer_at=len(ids), max_new_tokens=30) for ids in prompts]
    )
    assert written(model) == [model.tok_decode(completion.ids) for completion in plain]
    assert any(completion.items for completion in plain)
    counted = model.get_model_info()
    with_items = sum(model.chat.soi in completion.ids for completion in plain)
    assert (counted["reclm_texts"], counted["reclm_texts_with_items"]) == (len(PROMPTS), with_items)


def test_what_is_written_does_not_depend_on_an_inherited_generation_configuration(eager, tmp_path):
    plain = written(opened(eager, data_path=str(eager / "data")))
    shutil.copytree(eager / "model", tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    GenerationConfig(
        repetition_penalty=1.7,
        no_repeat_ngram_size=2,
        suppress_tokens=[5, 6, Chat(tokenizer).soi],
        min_new_tokens=25,
        do_sample=True,
        top_k=3,
        eos_token_id=[5, 6],
    ).save_pretrained(tmp_path / "model")
    held = RecLM(str(tmp_path / "model"), data_path=str(eager / "data"), device="cpu", dtype="float32", batch_size=2)
    assert written(held) == plain


def test_without_a_catalog_the_model_is_free(eager):
    free, held = opened(eager), opened(eager, data_path=str(eager / "data"))
    assert written(free) != written(held) and free.with_items


def test_likelihoods_are_those_of_the_model_alone(eager):
    pairs = [Instance("loglikelihood", {}, (prompt, " the end"), n) for n, prompt in enumerate(PROMPTS)]
    scored = opened(eager, data_path=str(eager / "data")).loglikelihood(pairs)
    model, chat = opened(eager).model, opened(eager).chat
    for prompt, (logprob, _) in zip(PROMPTS, scored, strict=True):
        before, continuation = chat.encode(prompt), chat.encode(" the end")
        logits = model(torch.tensor([before + continuation])).logits[0].log_softmax(-1)
        expected = sum(logits[len(before) + n - 1, token].item() for n, token in enumerate(continuation))
        assert logprob == pytest.approx(expected, abs=1e-4)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing"):
        RecLM(str(tmp_path / "nothing"), device="cpu")


@pytest.mark.parametrize("form", ["token", "token_title", "rq_token_seq"])
def test_a_model_with_item_codes_writes_what_plain_constrained_decoding_writes(tmp_path, form):
    write_small_catalog(tmp_path / "data")
    plain, chat = coded_chat(TITLES, form)
    with torch.no_grad():
        plain.lm_head.weight[chat.soi] *= 3
    plain.save_pretrained(tmp_path / "model")
    chat.tokenizer.save_pretrained(tmp_path / "model")
    save_item_codes(chat.codes, tmp_path / "model")
    model = opened(tmp_path, data_path=str(tmp_path / "data"))
    assert model.chat.code_ids == chat.code_ids
    prompts = [model.tok_encode(prompt) for prompt in PROMPTS]
    rules = Constraint(model.chat.trie)
    expected = generate_reference(
        model.model, model.chat, [Request(ids, rules, answer_at=len(ids), max_new_tokens=30) for ids in prompts]
    )
    assert written(model) == [model.tok_decode(completion.ids) for completion in expected]
