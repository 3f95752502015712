"""Plugin of vLLM: a structured-output grammar whose text begins with `reclm:` is a `TreeGrammar`.

vLLM has no registry of structured-output backends, so that methods of its classes are wrapped in place: those that
check a request, that compile a grammar, and that begin a server. Other requests take vLLM's own way. vLLM calls
`register` in every process; the catalogs are loaded where requests are checked and where grammars run.
"""

import functools
import inspect
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from train_utils.command import print_error
from train_utils.engines.domains import CATALOGS, Domains, load_domains, settings_of
from train_utils.engines.drafter import ReplyDrafter
from train_utils.engines.grammar_request import MOST_BIASES, GrammarRequest, grammar_text, is_grammar
from train_utils.engines.tree_grammar import TreeGrammar
from train_utils.engines.vllm_jump_forward import with_jump_forward

TESTED = ((0, 32), (0, 33))  # versions of vLLM from the first to before the second
_MARK = "_wrapped_by_reclm"
# Parameters of a request that could forbid every token that the grammar allows, continue a reply after its end, or cut
# an item; and the value that does not.
_REFUSED: tuple[tuple[str, object, str], ...] = (
    ("ignore_eos", False, "the reply would continue after its end, without the catalog"),
    ("min_tokens", 0, "it forbids the end of a reply that is complete; give min_items"),
    ("allowed_token_ids", None, "the catalog says which tokens are allowed"),
    ("bad_words", [], "they may forbid every admissible item; give rules"),
    ("stop", [], "it could cut an item; give max_items"),
)


class VllmGrammar:
    """`TreeGrammar` with the methods of vLLM's `StructuredOutputGrammar`.

    Args:
        grammar: the grammar of one reply.
        drafter: drafts what may follow.
    """

    def __init__(self, grammar: TreeGrammar, drafter: ReplyDrafter):
        self.grammar, self._drafter = grammar, drafter

    def drafts(self, most: int) -> list[int]:
        """Return up to `most` tokens that must or probably will follow."""
        return self._drafter.propose(most)

    def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:
        """Accept tokens; those after the end of the reply are ignored, as by vLLM's own grammars."""
        for token in tokens:
            if self.grammar.is_terminated():
                return True
            if not self.grammar.accept_token(token):
                return False
        return True

    def validate_tokens(self, tokens: list[int]) -> list[int]:
        return self.grammar.validate_tokens(tokens)

    def rollback(self, num_tokens: int) -> None:
        self.grammar.rollback(num_tokens)

    def fill_bitmask(self, bitmask: Any, batch_index: int) -> None:
        self.grammar.fill_bitmask(bitmask[batch_index].numpy())

    def is_terminated(self) -> bool:
        return self.grammar.is_terminated()

    def reset(self) -> None:
        self.grammar.reset()


def register() -> None:
    """Wrap vLLM's methods, where `RECLM_CATALOGS` names catalogs; a wrong setting ends the process with one line.

    Without the variable vLLM stays as it is, and refuses grammars of this project as malformed.
    """
    with _one_line():
        if (settings := settings_of(os.environ)) is None:
            return
        check_version(version_of_vllm())
    from vllm.sampling_params import SamplingParams
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.engine.input_processor import InputProcessor
    from vllm.v1.structured_output import GuidanceBackend, StructuredOutputManager, XgrammarBackend

    served = _Served(settings)
    with _one_line():
        wrap(InputProcessor, "__init__", ("vllm_config", "renderer"), served.starts_checking)
        wrap(StructuredOutputManager, "__init__", ("vllm_config",), served.starts_decoding)
        wrap(
            SamplingParams,
            "_validate_structured_outputs",
            ("model_config", "structured_outputs_config", "tokenizer"),
            served.checks,
        )
        wrap(Scheduler, "update_draft_token_ids", ("draft_token_ids",), with_jump_forward)
        for backend in (GuidanceBackend, XgrammarBackend):
            wrap(backend, "compile_grammar", ("request_type", "grammar_spec", "stop_token_ids"), served.compiles)


def version_of_vllm() -> str:
    """Return the installed version of vLLM, which has another name as a build for CPUs."""
    from vllm.version import __version__

    return __version__


def check_version(installed: str) -> None:
    """Check that this version of vLLM was tested.

    Raises:
        ValueError: it was not.
    """
    numbers = tuple(int(part) if part.isdigit() else -1 for part in installed.split(".")[:2])
    first, end = TESTED
    if not first <= numbers < end:
        wanted = f">={'.'.join(map(str, first))},<{'.'.join(map(str, end))}"
        raise ValueError(f"vLLM is {installed}, and the plugin was tested with vllm{wanted}; install that one")


def wrap(owner: type, name: str, parameters: tuple[str, ...], around: Callable) -> None:
    """Replace a method by one that calls `around(stock, self, *arguments)`; a second call changes nothing.

    Args:
        owner: the class.
        name: name of the method.
        parameters: parameters that the method must have, in this order.
        around: called with the method, the object, and the method's arguments.

    Raises:
        ValueError: the class has no such method, or one with other parameters.
    """
    stock: Any = getattr(owner, name, None)
    if hasattr(stock, _MARK):
        return
    actual = tuple(inspect.signature(stock).parameters)[1:] if callable(stock) else ()
    if actual[: len(parameters)] != parameters:
        raise ValueError(
            f"vLLM's {owner.__name__}.{name} has the parameters {', '.join(actual) or 'of no method'}, and the plugin "
            f"was made for {', '.join(parameters)}; install a version of vLLM that the plugin was tested with"
        )

    @functools.wraps(stock)
    def wrapper(self, *arguments, **named):
        return around(stock, self, *arguments, **named)

    setattr(wrapper, _MARK, True)
    setattr(owner, name, wrapper)


class _Served:
    """The catalogs of this process, and what the wrapped methods do.

    Args:
        settings: settings of the operator.
    """

    def __init__(self, settings):
        self._settings = settings
        self._domains: Domains | None = None
        self._stops: frozenset[int] = frozenset()  # tokens at which vLLM ends any reply
        self._most_biases = math.inf

    def starts_checking(self, stock, processor, vllm_config, *arguments, **named) -> None:
        stock(processor, vllm_config, *arguments, **named)
        self._load(vllm_config, processor.tokenizer)

    def starts_decoding(self, stock, manager, vllm_config) -> None:
        stock(manager, vllm_config)
        self._load(vllm_config, getattr(manager, "tokenizer", None))

    def _load(self, vllm_config, tokenizer) -> None:
        if self._domains is not None:
            return
        with _one_line():
            config, structured = vllm_config.model_config, vllm_config.structured_outputs_config
            if tokenizer is None or config.skip_tokenizer_init:
                raise ValueError(f"{CATALOGS} is set and vLLM has no tokenizer; start it without --skip-tokenizer-init")
            if config.tokenizer != config.model:
                raise ValueError(
                    f"the tokenizer is {config.tokenizer!r}, and that of the model {config.model!r} is needed; start "
                    "vLLM without --tokenizer"
                )
            if structured.reasoning_parser and not structured.enable_in_reasoning:
                raise ValueError(
                    f"the reasoning parser {structured.reasoning_parser!r} lets the model write without the catalog "
                    "before its answer; start vLLM without --reasoning-parser"
                )
            if structured.backend not in ("auto", "xgrammar", "guidance"):
                raise ValueError(
                    f"the structured-outputs backend is {structured.backend!r}, wanted auto, xgrammar or guidance"
                )
            self._stops = _stop_tokens(config, tokenizer)
            if getattr(vllm_config, "use_v2_model_runner", False):
                self._most_biases = MOST_BIASES
            domains = load_domains(self._settings, tokenizer, config.model, config.get_vocab_size())
            for name in domains.domains:  # a stop token that is part of an item is found here
                domains.grammar(grammar_text(GrammarRequest(name)), self._stops | {domains.end_of_turn})
            self._domains = domains

    def checks(self, stock, params, model_config, structured_outputs_config, tokenizer) -> None:
        """Check a request where it arrives, so that a bad one is a 400."""
        from vllm.exceptions import VLLMValidationError

        structured = params.structured_outputs
        text = structured.grammar if structured is not None else None
        if not is_grammar(text):
            if self._settings.require:
                raise VLLMValidationError(
                    'this server answers only with items of its catalogs: give structured_outputs {"grammar": '
                    '"reclm:{\\"domain\\": ...}"}'
                )
            return stock(params, model_config, structured_outputs_config, tokenizer)
        try:
            domains = self._known()
            for name, harmless, why in _REFUSED:
                if (value := getattr(params, name)) != harmless and value is not None:
                    raise ValueError(f"grammar: {name} is {value!r}: {why}")
            if len(params.logit_bias or ()) > self._most_biases:
                raise ValueError(
                    f"grammar: logit_bias has {len(params.logit_bias)} tokens, wanted {self._most_biases} or fewer"
                )
            domains.grammar(text, self._stops | {domains.end_of_turn, *(params.stop_token_ids or ())})
        except ValueError as error:
            raise VLLMValidationError(str(error)) from None
        # The reply's items are between special tokens, which its text must show.
        params.skip_special_tokens = False
        if domains.end_of_turn not in (params.stop_token_ids or ()):
            params.stop_token_ids = [*(params.stop_token_ids or ()), domains.end_of_turn]
        params._all_stop_token_ids.update(params.stop_token_ids)
        backend = structured_outputs_config.backend
        structured._backend_was_auto = backend == "auto"
        structured._backend = "xgrammar" if backend == "auto" else backend

    def compiles(self, stock, backend, request_type, grammar_spec, stop_token_ids=None):
        """Compile the grammar of a request where grammars run."""
        if not is_grammar(grammar_spec):
            return stock(backend, request_type, grammar_spec, stop_token_ids)
        return VllmGrammar(*self._known().with_drafter(grammar_spec, stop_token_ids or ()))

    def _known(self) -> Domains:
        if self._domains is None:
            raise ValueError("grammar: the catalogs of this process were not loaded at its start")
        return self._domains


def _stop_tokens(model_config, tokenizer) -> frozenset[int]:
    """Return the tokens at which vLLM ends any reply: those of the generation configuration and of the tokenizer."""
    configured = model_config.try_get_generation_config().get("eos_token_id")
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in (*listed, tokenizer.eos_token_id) if token is not None)


@contextmanager
def _one_line() -> Iterator[None]:
    """End the process with one line on a user's error."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise SystemExit(print_error(error)) from None
