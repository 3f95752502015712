"""SGLang backend: SGLang's own classes run it, where SGLang is installed; its check of requests everywhere."""

import json
import os
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import coded_chat

from train_utils.engines.domains import CATALOGS, REQUIRE, settings_of
from train_utils.engines.sglang_plugin import RequestCheck, make_backend, register
from train_utils.item_codes import ItemCodes, save_item_codes

TITLES = ["red moon", "red moon two", "blue river", "the end", "green night", "a song", "night song"]
IDS = [f"i{n}" for n in range(7)]
LIST = 'reclm:{"domain": "tiny", "max_items": 3, "min_items": 3}'


def request(**more):
    """Return a request as a scheduler has it, which records why it was refused."""
    params = {
        "ebnf": None, "json_schema": None, "regex": None, "structural_tag": None, "ebnf_full_assistant": False,
        "min_new_tokens": 0, "stop_strs": [], "stop_regex_strs": [], "logit_bias": None, "beam_width": None,
        "stop_token_ids": None, "skip_special_tokens": True, "custom_params": None,
    }  # fmt: skip
    made = SimpleNamespace(
        sampling_params=SimpleNamespace(**params | more), refused=[], grammar=None, require_reasoning=False,
        origin_input_ids=[1],
    )  # fmt: skip
    made.set_finish_with_abort = made.refused.append
    return made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_new_tokens": 5}, "grammar: min_new_tokens is 5"),
        ({"stop_strs": ["moon"]}, "grammar: stop is ['moon']"),
        ({"stop_regex_strs": ["m+"]}, "grammar: stop_regex is ['m+']"),
        ({"logit_bias": {"3": -100.0}}, "grammar: logit_bias is {'3': -100.0}"),
        ({"beam_width": 4}, "grammar: beam_width is 4"),
        ({"stop_token_ids": {7, 9}}, "grammar: stop_token_ids has 7"),
    ],
)
def test_what_could_cut_an_item_or_leave_no_token_is_refused(given, message):
    check = RequestCheck(require=False)
    check.stop_tokens = frozenset({9})
    refused = request(ebnf=LIST, **given)
    assert check(lambda *_: pytest.fail("SGLang got the request"), None, refused) is False
    assert refused.refused[0].startswith(message)
    # The same parameters are no concern of a request without a catalog.
    assert check(lambda manager, request: True, None, request(**given)) is True


def test_a_request_with_a_catalog_goes_on_and_shows_its_items():
    check = RequestCheck(require=True)
    check.stop_tokens = frozenset({9})
    good = request(ebnf=LIST, stop_token_ids={9})
    assert check(lambda manager, request: True, None, good) is True and not good.refused
    assert good.sampling_params.skip_special_tokens is False


def test_where_a_catalog_is_required_a_request_without_one_is_refused():
    for given in ({}, {"regex": "a"}, {"ebnf": 'root ::= "a"'}):
        refused = request(**given)
        assert RequestCheck(require=True)(lambda *_: pytest.fail("SGLang got the request"), None, refused) is False
        assert "answers only with items of its catalogs" in refused.refused[0]


# -- with SGLang's own classes ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sglang():
    reason = (
        "SGLang is not installed: it needs a CUDA build of torch 2.14; scripts/sglang_test.sh runs its classes without"
    )
    return pytest.importorskip("sglang.srt.constrained.base_grammar_backend", reason=reason)


@pytest.fixture(scope="module")
def world(sglang, tmp_path_factory):
    """Return the settings, the arguments of a server, the renderer, the registered backend and SGLang's manager."""
    _, chat = coded_chat(TITLES, "token")
    at, data = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("tiny")
    chat.tokenizer.save_pretrained(at)
    (at / "config.json").write_text('{"item_form": "token"}')
    save_item_codes(ItemCodes("token", tuple(IDS), chat.codes.codes), at)
    metas = {i: {"title": title, "title_t": title} for i, title in zip(IDS, TITLES, strict=True)}
    (data / "metas.jsonl").write_text(json.dumps(metas))
    (data / "category.jsonl").write_text(json.dumps({"even": IDS[::2]}))
    (data / "sequential.jsonl").write_text(json.dumps({"u": IDS}))
    os.environ |= {CATALOGS: json.dumps({"tiny": str(data)}), REQUIRE: "0"}
    try:
        from sglang.srt.constrained.grammar_manager import GrammarManager
        from sglang.srt.plugins.hook_registry import HookRegistry

        register()
        HookRegistry.apply_hooks()
        arguments = SimpleNamespace(
            model_path=str(at), tokenizer_path=str(at), reasoning_parser=None, enable_custom_logit_processor=False
        )
        vocabulary = len(chat.tokenizer)
        backend = sglang.GRAMMAR_BACKEND_REGISTRY["reclm"](arguments, chat.tokenizer, vocabulary, {chat.end_of_turn})
        yield SimpleNamespace(
            arguments=arguments, chat=chat, backend=backend, manager=GrammarManager, settings=settings_of(os.environ),
            vocabulary=vocabulary,
        )  # fmt: skip
    finally:
        del os.environ[CATALOGS], os.environ[REQUIRE]


def compiled(world, ebnf):
    """Return the grammar object of a request, by SGLang's own way from a request to its compiled grammar."""
    made = request(ebnf=ebnf)
    manager = SimpleNamespace(
        grammar_backend=world.backend, grammar_queue=[], _enable_strict_thinking=False,
        _get_request_thinking_budget=lambda request: None,
    )  # fmt: skip
    assert world.manager.process_req_with_grammar(manager, made) and manager.grammar_queue == [made]
    grammar = made.grammar.result()
    world.backend.set_cache(made.grammar_key, grammar.copy())
    return grammar


def allowed(grammar, vocabulary):
    mask = grammar.allocate_vocab_mask(vocabulary, 3, "cpu")
    grammar.fill_vocab_mask(mask, 1)
    assert bool((mask[[0, 2]] == -1).all())  # rows of other requests stay as they are
    logits = torch.zeros(3, vocabulary)
    grammar.apply_vocab_mask(logits, grammar.move_vocab_mask(mask, "cpu"))
    assert torch.isfinite(logits[[0, 2]]).all()
    return torch.isfinite(logits[1]).nonzero().flatten().tolist()


def test_replies_drawn_at_random_list_distinct_items_and_rollbacks_leave_no_trace(world):
    rng, chat = random.Random(0), world.chat
    for _ in range(20):
        grammar, ids, listed = compiled(world, LIST), [], 0
        while not grammar.is_terminated():
            choices = allowed(grammar, world.vocabulary)
            token = rng.choice(choices) if rng.random() < 0.5 or chat.soi not in choices else chat.soi
            banned = next(t for t in range(world.vocabulary) if t not in choices)
            with pytest.raises(ValueError, match="may not follow"):
                grammar.accept_token(banned)
            grammar.accept_token(token)
            if rng.random() < 0.3 and not grammar.is_terminated():
                grammar.rollback(1)
                assert allowed(grammar, world.vocabulary) == choices
                grammar.accept_token(token)
            ids.append(token)
            listed += token == chat.eoi
        items = [t for t in ids if t in chat.item_tokens]
        assert len(items) == len({*items}) == listed == 3 and ids[-1] == chat.end_of_turn


def test_a_copy_for_another_request_starts_anew_and_catalog_grammars_are_not_kept(world):
    first = compiled(world, LIST)
    copied = first.copy()
    first.accept_token(world.chat.soi)
    assert world.chat.soi in allowed(copied, world.vocabulary)
    assert not any(text.startswith("reclm:") for _, text in world.backend.cache)


def test_other_grammars_are_llguidances_and_share_a_batch(world):
    stock = compiled(world, 'root ::= "red" | "blue"')
    assert type(stock).__name__ == "GuidanceGrammar"
    ours = compiled(world, LIST)
    from sglang.srt.constrained.base_grammar_backend import GrammarRow

    masks = []
    for first in (stock, ours):
        mask = first.allocate_vocab_mask(world.vocabulary, 2, "cpu")
        type(first).fill_vocab_mask_batched([GrammarRow(0, stock), GrammarRow(1, ours)], mask)
        masks.append(mask)
    assert torch.equal(*masks)
    type(ours).reset_vocab_mask(masks[0])
    assert bool((masks[0] == -1).all())


def test_drafts_in_a_tree_are_verified_by_sglang_s_own_traversal(world):
    reason = "SGLang's speculation imports all of its models, which need torchvision"
    traverse_tree = pytest.importorskip("sglang.srt.speculative.spec_utils", reason=reason).traverse_tree
    chat, grammar = world.chat, compiled(world, LIST)
    grammar.accept_token(chat.soi)
    code, other, text = chat.item_tokens[0], chat.item_tokens[1], chat.encode("a")[0]
    # The node 0 is the last token of the reply; 1 and 2 are siblings, 3 follows 1, 4 follows 3, 5 follows 2.
    drafts = torch.tensor([chat.soi, code, text, chat.eoi, chat.soi, other])
    mask = grammar.allocate_vocab_mask(world.vocabulary, 6, "cpu")
    traverse_tree(
        torch.tensor([1, 3, 5, 4, -1, -1]), torch.tensor([-1, 2, -1, -1, -1, -1]), drafts, grammar, mask,
        vocab_size=world.vocabulary,
    )  # fmt: skip
    bits = np.unpackbits(mask.numpy().view(np.uint8), bitorder="little").reshape(6, -1)[:, : world.vocabulary]
    assert {*np.flatnonzero(bits[0])} == {*chat.item_tokens} and {*np.flatnonzero(bits[1])} == {chat.eoi}
    assert {*np.flatnonzero(bits[4])} == {*chat.item_tokens} - {code}  # the item is listed already
    assert bits[2].all() and bits[5].all()  # below a refused draft nothing is filled
    assert {*allowed(grammar, world.vocabulary)} == {*chat.item_tokens}


def test_forced_tokens_are_offered(world):
    grammar = compiled(world, LIST)
    assert grammar.try_jump_forward(None) is None
    grammar.accept_token(world.chat.soi)
    grammar.accept_token(world.chat.item_tokens[2])
    assert grammar.try_jump_forward(None) == ([world.chat.eoi], "")


@pytest.mark.parametrize(
    ("ebnf", "message"),
    [
        ("reclm:{}", "domain is None"),
        ('reclm:{"domain": "other"}', "domain is 'other', wanted one of 'tiny'"),
        ("reclm:[", "no JSON object"),
        ("reclm:" + json.dumps({"domain": "tiny", "rules": {"deny": IDS}}), "admit none"),
    ],
)
def test_a_bad_request_is_a_grammar_that_sglang_refuses(world, ebnf, message):
    refused = compiled(world, ebnf)
    assert type(refused).__name__ == "InvalidGrammarObject" and message in refused.error_message


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tokenizer_path": "elsewhere"}, "the tokenizer is 'elsewhere'"),
        ({"reasoning_parser": "qwen3"}, "reasoning_parser is 'qwen3'"),
        ({"enable_custom_logit_processor": True}, "start SGLang without --enable-custom-logit-processor"),
        ({"model_path": "owner/model", "tokenizer_path": None}, "is no local folder"),
    ],
)
def test_a_start_that_leaves_replies_free_is_refused(world, given, message):
    arguments = SimpleNamespace(**vars(world.arguments) | given)
    with pytest.raises(ValueError, match=message):
        make_backend(world.settings, arguments, world.chat.tokenizer, world.vocabulary, {world.chat.end_of_turn})


def test_another_version_and_a_missing_check_are_refused(world, monkeypatch):
    from sglang.srt.constrained.grammar_manager import GrammarManager

    def make():
        make_backend(world.settings, world.arguments, world.chat.tokenizer, world.vocabulary, {world.chat.end_of_turn})

    monkeypatch.setattr("sglang.version.__version__", "0.6.0")
    with pytest.raises(ValueError, match="SGLang is 0.6.0, and the plugin was tested with"):
        make()
    monkeypatch.undo()
    monkeypatch.setattr(GrammarManager, "process_req_with_grammar", GrammarManager.process_req_with_grammar.__wrapped__)
    with pytest.raises(ValueError, match="has not applied the plugin's check"):
        make()


def test_the_backend_is_a_choice_of_the_command_line(world):
    from sglang.srt.arg_groups.choices import GRAMMAR_BACKEND_CHOICES

    register()
    assert GRAMMAR_BACKEND_CHOICES.count("reclm") == 1
