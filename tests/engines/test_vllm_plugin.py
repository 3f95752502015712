"""The plugin promises that vLLM refuses, at its start or with a 400, whatever it could not constrain.

vLLM itself is not installed here: its classes are stood in for by classes with its parameters. With vLLM,
scripts/vllm_check.sh checks the same.
"""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from tiny import tiny_chat

from train_utils.engines import vllm_plugin
from train_utils.engines.domains import CATALOGS, REQUIRE, settings_of
from train_utils.engines.vllm_jump_forward import GrammarProposer

TITLES = ["red moon", "red moon two", "blue river"]


class VLLMValidationError(ValueError):
    pass


def vllm_classes():
    """Return classes with the parameters of vLLM's."""

    class SamplingParams:
        def __init__(self, grammar=None, **more):
            self.structured_outputs = SimpleNamespace(grammar=grammar, _backend=None) if grammar else None
            self.ignore_eos, self.min_tokens, self.allowed_token_ids = False, 0, None
            self.bad_words, self.stop, self.stop_token_ids, self.skip_special_tokens = [], [], [], True
            self._all_stop_token_ids, self.logit_bias = set(), None
            vars(self).update(more)

        def _validate_structured_outputs(self, model_config, structured_outputs_config, tokenizer):
            self.stock = True

    class InputProcessor:
        def __init__(self, vllm_config, renderer=None):
            self.tokenizer = vllm_config.tokenizer

    class StructuredOutputManager:
        def __init__(self, vllm_config):
            self.tokenizer = vllm_config.tokenizer

    class GuidanceBackend:
        def compile_grammar(self, request_type, grammar_spec, stop_token_ids=None):
            return "stock"

    class XgrammarBackend(GuidanceBackend):
        def compile_grammar(self, request_type, grammar_spec, stop_token_ids=None):
            return "stock"

    class Scheduler:
        def update_draft_token_ids(self, draft_token_ids):
            for req_id, drafts in zip(draft_token_ids.req_ids, draft_token_ids.draft_token_ids, strict=True):
                self.requests[req_id].spec_token_ids = drafts

    return {
        "vllm.sampling_params": [SamplingParams],
        "vllm.v1.engine.input_processor": [InputProcessor],
        "vllm.v1.structured_output": [GuidanceBackend, XgrammarBackend, StructuredOutputManager],
        "vllm.v1.core.sched.scheduler": [Scheduler],
        "vllm.exceptions": [VLLMValidationError],
        "vllm.version": [],
    }


@pytest.fixture
def folders(tmp_path):
    """Return a dataset folder and a model folder."""
    dataset = tmp_path / "movies"
    dataset.mkdir()
    (dataset / "metas.jsonl").write_text(json.dumps({f"i{n}": {"title_t": title} for n, title in enumerate(TITLES)}))
    (dataset / "category.jsonl").write_text(json.dumps({"odd": ["i1"]}))
    (dataset / "sequential.jsonl").write_text(json.dumps({"u": ["i0", "i1", "i2"]}))
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    return dataset, model


@pytest.fixture
def vllm(monkeypatch, folders):
    """Install the classes as vLLM, and return them by name, with a configuration."""
    names = {}
    for path, classes in vllm_classes().items():
        parts = path.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name not in sys.modules or end == len(parts):
                monkeypatch.setitem(sys.modules, name, ModuleType(name))
        for cls in classes:
            setattr(sys.modules[path], cls.__name__, cls)
            names[cls.__name__] = cls
    monkeypatch.setattr(sys.modules["vllm.version"], "__version__", "0.32.0", raising=False)
    dataset, model = folders
    monkeypatch.setenv(CATALOGS, json.dumps({"movies": str(dataset)}))
    monkeypatch.delenv(REQUIRE, raising=False)
    _, chat = tiny_chat([])
    config = SimpleNamespace(
        tokenizer=chat.tokenizer,
        model_config=SimpleNamespace(
            skip_tokenizer_init=False,
            model=str(model),
            tokenizer=str(model),
            get_vocab_size=lambda: len(chat.tokenizer),
            try_get_generation_config=lambda: {"eos_token_id": [1]},
        ),
        structured_outputs_config=SimpleNamespace(backend="auto", reasoning_parser="", enable_in_reasoning=False),
    )
    return SimpleNamespace(**names, config=config, chat=chat)


def started(vllm):
    """Return a check of requests, and a compiler of grammars, of started processes."""
    vllm_plugin.register()
    vllm.InputProcessor(vllm.config)
    vllm.StructuredOutputManager(vllm.config)

    def check(params):
        structured = vllm.config.structured_outputs_config
        params._validate_structured_outputs(vllm.config.model_config, structured, vllm.chat.tokenizer)
        return params

    return check, lambda text: vllm.XgrammarBackend().compile_grammar("GRAMMAR", text, {1})


GOOD = 'reclm:{"domain": "movies", "max_items": 2, "force_items": true}'


def test_a_grammar_of_this_project_is_checked_compiled_and_shows_special_tokens(vllm):
    check, compile_grammar = started(vllm)
    params = check(vllm.SamplingParams(GOOD))
    assert params.structured_outputs._backend == "xgrammar" and not hasattr(params, "stock")
    assert not params.skip_special_tokens and params._all_stop_token_ids == {1}
    grammar, mask = compile_grammar(GOOD), torch.zeros((2, 20), dtype=torch.int32)
    assert grammar.accept_tokens("r", [vllm.chat.soi]) and not grammar.accept_tokens("r", [vllm.chat.eoi])
    grammar.fill_bitmask(mask, 1)
    assert not mask[0].any() and mask[1].any()
    assert grammar.drafts(4) == [] or len(grammar.drafts(4)) <= 4
    grammar.reset()
    assert grammar.validate_tokens([vllm.chat.soi, vllm.chat.eoi]) == [vllm.chat.soi]


def test_other_grammars_and_requests_take_the_stock_way(vllm):
    check, compile_grammar = started(vllm)
    vllm_plugin.register()  # vLLM may call it several times in a process
    for params in (vllm.SamplingParams("start: /a/"), vllm.SamplingParams()):
        assert check(params).stock
    assert compile_grammar("start: /a/") == "stock"


@pytest.mark.parametrize(
    ("grammar", "more", "error"),
    [
        ("reclm:{", {}, "no JSON object"),
        (" " + GOOD, {}, "it starts with"),
        ('reclm:{"domain": "x"}', {}, "domain is 'x', wanted one of 'movies'"),
        ('reclm:{"domain": "movies", "rules": {"allow": []}}', {}, "admit none"),
        ('reclm:{"domain": "movies", "rules": {"deny": ["i0", "i1", "i2"]}}', {}, "admit none"),
        ('reclm:{"domain": "movies", "rules": {"categories": ["x"]}}', {}, "category 'x'"),
        (GOOD, {"ignore_eos": True}, "ignore_eos is True"),
        (GOOD, {"min_tokens": 3}, "min_tokens is 3"),
        (GOOD, {"allowed_token_ids": [1]}, r"allowed_token_ids is \[1\]"),
        (GOOD, {"bad_words": ["a"]}, "bad_words is"),
        (GOOD, {"stop": ["a"]}, "stop is"),
    ],
)
def test_a_request_that_cannot_be_kept_is_refused_where_it_arrives(vllm, grammar, more, error):
    check, _ = started(vllm)
    with pytest.raises(VLLMValidationError, match=error):
        check(vllm.SamplingParams(grammar, **more))


def test_biases_that_would_end_the_engine_are_refused(vllm):
    vllm.config.use_v2_model_runner = True
    check, _ = started(vllm)
    check(vllm.SamplingParams(GOOD, logit_bias=dict.fromkeys(range(1024), 1.0)))
    with pytest.raises(VLLMValidationError, match="logit_bias has 1025 tokens, wanted 1024"):
        check(vllm.SamplingParams(GOOD, logit_bias=dict.fromkeys(range(1025), 1.0)))


def test_a_stop_token_inside_an_item_is_refused(vllm):
    check, _ = started(vllm)
    (first, *_) = vllm.chat.encode(" red moon")
    with pytest.raises(VLLMValidationError, match="part of an item"):
        check(vllm.SamplingParams(GOOD, stop_token_ids=[first]))


def test_a_server_that_requires_a_catalog_refuses_requests_without(vllm, monkeypatch):
    monkeypatch.setenv(REQUIRE, "1")
    check, _ = started(vllm)
    check(vllm.SamplingParams(GOOD))
    for params in (vllm.SamplingParams(), vllm.SamplingParams("start: /a/")):
        with pytest.raises(VLLMValidationError, match="only with items of its catalogs"):
            check(params)


def test_without_catalogs_vllm_stays_as_it_is(vllm, monkeypatch):
    monkeypatch.delenv(CATALOGS)
    before = vllm.SamplingParams._validate_structured_outputs
    vllm_plugin.register()
    assert vllm.SamplingParams._validate_structured_outputs is before


def refuses_to_start(vllm, capsys, error):
    with pytest.raises(SystemExit) as stopped:
        started(vllm)
    line = capsys.readouterr().err
    assert stopped.value.code == 2 and line.startswith("error: ") and line.count("\n") == 1
    assert error in line


@pytest.mark.parametrize("version", ["0.31.9", "0.33.0", "1.0", "dev"])
def test_other_versions_of_vllm_are_refused(vllm, monkeypatch, capsys, version):
    monkeypatch.setattr(sys.modules["vllm.version"], "__version__", version)
    refuses_to_start(vllm, capsys, f"vLLM is {version}, and the plugin was tested with vllm>=0.32,<0.33")


def test_a_method_with_other_parameters_is_refused(vllm, monkeypatch, capsys):
    monkeypatch.setattr(vllm.GuidanceBackend, "compile_grammar", lambda self, spec: None)
    refuses_to_start(vllm, capsys, "GuidanceBackend.compile_grammar has the parameters spec")


def test_another_tokenizer_is_refused(vllm, capsys):
    vllm.config.model_config.tokenizer = "other"
    refuses_to_start(vllm, capsys, "start vLLM without --tokenizer")


def test_a_smaller_vocabulary_is_refused(vllm, capsys):
    vllm.config.model_config.get_vocab_size = lambda: 290
    refuses_to_start(vllm, capsys, "outside the model's vocabulary of 290")


def test_a_tokenizer_without_control_tokens_is_refused(vllm, capsys):
    from tiny import tiny_tokenizer

    vllm.config.tokenizer = tiny_tokenizer()
    refuses_to_start(vllm, capsys, "has no control token <SOI>")


def test_a_reasoning_parser_and_other_backends_are_refused(vllm, capsys):
    vllm.config.structured_outputs_config.reasoning_parser = "deepseek"
    refuses_to_start(vllm, capsys, "--reasoning-parser")
    vllm.config.structured_outputs_config.reasoning_parser = ""
    vllm.config.structured_outputs_config.backend = "outlines"
    refuses_to_start(vllm, capsys, "backend is 'outlines'")


@pytest.mark.parametrize(
    ("environment", "error"),
    [
        ({CATALOGS: "movies"}, "is no JSON"),
        ({CATALOGS: "[]"}, "wanted"),
        ({CATALOGS: '{"a": ""}'}, "wanted"),
        ({CATALOGS: '{"a": "/no/such/folder"}'}, "does not exist"),
        ({CATALOGS: '{"a": "/", "a": "/"}'}, "twice"),
        ({REQUIRE: "1"}, "names no catalog"),
        ({REQUIRE: "yes"}, "wanted 0 or 1"),
    ],
)
def test_wrong_settings_are_one_line(environment, error):
    with pytest.raises(ValueError, match=error):
        settings_of(environment)


def test_drafts_of_a_constrained_request_come_from_its_grammar(vllm):
    _, compile_grammar = started(vllm)
    grammar = compile_grammar(
        'reclm:{"domain": "movies", "rules": {"allow": ["i2"]}, "max_items": 1, "force_items": true}'
    )

    def request(grammar, **more):
        structured = None if grammar is None else SimpleNamespace(grammar=grammar)
        return SimpleNamespace(
            structured_output_request=structured, is_finished=lambda: False, is_prefill_chunk=False, **more
        )

    scheduler = vllm.Scheduler()
    scheduler.num_spec_tokens = 3
    scheduler.requests = {"ours": request(grammar), "free": request(None), "json": request(object())}
    drafts = GrammarProposer(vllm.config).propose([[5], [5], [5]], None, None, slot_mappings=None)
    assert drafts == [[], [], []]
    scheduler.update_draft_token_ids(SimpleNamespace(req_ids=list(scheduler.requests), draft_token_ids=drafts))
    ids = [vllm.chat.soi, *vllm.chat.encode(" blue river"), vllm.chat.eoi, 1]
    assert scheduler.requests["ours"].spec_token_ids == ids[:3]
    assert scheduler.requests["free"].spec_token_ids == scheduler.requests["json"].spec_token_ids == []
    assert grammar.accept_tokens("r", ids) and grammar.is_terminated() and grammar.accept_tokens("r", [3])
