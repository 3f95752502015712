"""Plugin of SGLang: registers the grammar backend `reclm`.

SGLang calls `register` in each of its processes, from the entry point group `sglang.srt.plugins`. An error there is
only logged, and SGLang then refuses `--grammar-backend reclm`; an error after that ends the scheduler. So a server with
this flag never answers without the catalogs.
"""

import os
from typing import Any

from train_utils.command import print_error
from train_utils.engines.domains import CATALOGS, Domains, Settings, load_domains, settings_of
from train_utils.engines.grammar_request import GrammarRequest, grammar_text, is_grammar

NAME = "reclm"
TESTED = ("0.5.23",)  # versions of SGLang whose classes the tests have run on
_MANAGER = "sglang.srt.constrained.grammar_manager.GrammarManager"
_CHECKED = "process_req_with_grammar"
# Sampling parameters of a request that could forbid every token that the grammar allows, or cut an item; see
# `vllm_plugin`. The value is that of a request without them.
_REFUSED: tuple[tuple[str, tuple[object, ...], str], ...] = (
    ("min_new_tokens", (0, None), "it forbids the end of a reply that is complete; give min_items"),
    ("stop_strs", ([], None, ""), "it could cut an item; give max_items"),
    ("stop_regex_strs", ([], None, ""), "it could cut an item; give max_items"),
    ("logit_bias", (None, {}), "it may forbid every admissible item; give rules"),
    ("beam_width", (None, 1), "beams are not decoded under a grammar"),
)


def register() -> None:
    """Register the backend and the check of requests, where `RECLM_CATALOGS` names catalogs."""
    if (settings := settings_of(os.environ)) is None:
        return
    from sglang.srt.arg_groups.choices import GRAMMAR_BACKEND_CHOICES, add_grammar_backend_choices
    from sglang.srt.constrained.base_grammar_backend import register_grammar_backend
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    check = RequestCheck(settings.require)
    HookRegistry.register(f"{_MANAGER}.{_CHECKED}", check, HookType.AROUND)

    def make(server_args: Any, tokenizer: Any, vocab_size: int, eos_token_ids: Any) -> Any:
        try:
            backend = make_backend(settings, server_args, tokenizer, vocab_size, eos_token_ids or ())
        except (ValueError, OSError) as error:
            raise SystemExit(print_error(error)) from None
        check.stop_tokens = backend.stop_tokens
        return backend

    register_grammar_backend(NAME, make)
    if NAME not in GRAMMAR_BACKEND_CHOICES:
        add_grammar_backend_choices([NAME])


def make_backend(settings: Settings, server_args: Any, tokenizer: Any, vocab_size: int, eos_token_ids: Any) -> Any:
    """Return the backend of a scheduler, with the catalogs loaded.

    Args:
        settings: settings of the operator.
        server_args: SGLang's arguments.
        tokenizer: tokenizer of the served model.
        vocab_size: number of tokens of the served model.
        eos_token_ids: tokens at which SGLang ends any reply.

    Raises:
        ValueError: a catalog is broken or does not fit the model, or SGLang was started with what leaves replies, or
            parts of them, without the grammar.
    """
    from sglang.version import __version__

    check_start(server_args, tokenizer, __version__)
    domains = load_domains(settings, tokenizer, server_args.model_path, vocab_size)
    stops = frozenset(eos_token_ids) | {tokenizer.eos_token_id, domains.end_of_turn} - {None}
    for name in domains.domains:  # a stop token that is part of an item is found here
        domains.grammar(grammar_text(GrammarRequest(name)), stops)
    return _backend(domains, stops, tokenizer, vocab_size, eos_token_ids)


def check_start(server_args: Any, tokenizer: Any, version: str) -> None:
    """Check how SGLang was started.

    Raises:
        ValueError: the version was not tested, there is no tokenizer or another one than the model's, replies have a
            part without the grammar, or the check of requests is not in place.
    """
    from sglang.srt.constrained.grammar_manager import GrammarManager

    if version not in TESTED:
        raise ValueError(f"SGLang is {version}, and the plugin was tested with {', '.join(TESTED)}; install that one")
    if not hasattr(getattr(GrammarManager, _CHECKED, None), "__wrapped__"):
        raise ValueError(f"SGLang has not applied the plugin's check of requests ({_MANAGER}.{_CHECKED})")
    if tokenizer is None:
        raise ValueError(f"{CATALOGS} is set and SGLang has no tokenizer; start it without --skip-tokenizer-init")
    if server_args.tokenizer_path not in (None, server_args.model_path):
        raise ValueError(
            f"the tokenizer is {server_args.tokenizer_path!r}, and that of the model {server_args.model_path!r} is "
            "needed; start SGLang without --tokenizer-path"
        )
    for name in ("reasoning_parser", "enable_custom_logit_processor"):
        if value := getattr(server_args, name):
            raise ValueError(
                f"{name} is {value!r}, with which a reply can leave the catalog; start SGLang without "
                f"--{name.replace('_', '-')}"
            )


class RequestCheck:
    """Check of the requests that reach a scheduler, around SGLang's own.

    Args:
        require: whether a request without a catalog is refused.

    Attributes:
        stop_tokens: tokens that end a reply.
    """

    def __init__(self, require: bool):
        self._require = require
        self.stop_tokens: frozenset[int] = frozenset()

    def __call__(self, stock: Any, manager: Any, request: Any) -> bool:
        """Refuse a request with status 400, or let SGLang go on with it.

        Returns:
            Whether the request waits for its grammar.
        """
        params = request.sampling_params
        if not is_grammar(params.ebnf):
            if self._require:
                request.set_finish_with_abort(
                    'this server answers only with items of its catalogs: give ebnf "reclm:{\\"domain\\": ...}"'
                )
                return False
            return stock(manager, request)
        if problem := self._problem(params):
            request.set_finish_with_abort(f"grammar: {problem}")
            return False
        # The reply's items are between special tokens, which its text must show.
        params.skip_special_tokens = False
        return stock(manager, request)

    def _problem(self, params: Any) -> str:
        for name, harmless, why in _REFUSED:
            if (value := getattr(params, name)) not in harmless:
                return f"{name.removesuffix('_strs')} is {value!r}: {why}"
        if others := set(params.stop_token_ids or ()) - self.stop_tokens:
            return f"stop_token_ids has {sorted(others)[0]}: it could cut an item; give max_items"
        return ""


def _backend(domains: Domains, stops: frozenset[int], tokenizer: Any, vocab_size: int, eos_token_ids: Any) -> Any:
    from train_utils.engines.sglang_backend import SglangBackend

    return SglangBackend(domains, stops, tokenizer, n_vocab=vocab_size, eos_token_ids=eos_token_ids)
