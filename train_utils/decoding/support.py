"""Support of a model by the engine, tested: the logits of a few tokens are compared with those of a plain pass."""

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from transformers import DynamicCache, PreTrainedModel

from train_utils.decoding.forward import forward
from train_utils.decoding.plain_generate import generate_greedily
from train_utils.decoding.ragged_attention import RaggedCache, use_ragged_attention
from train_utils.models.backbone import mixed_precision, n_embeddings

_TEXTS = ([5, 7, 11, 6], [9, 5])  # of unlike lengths
_BEYOND = 8  # tokens by which a text that is tried passes a length
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}  # of the range of the logits; other formats round more
_COARSE = 0.1
_NOISE = 8  # positions before a length at which two ways of reading differ by rounding alone
_PROBING = threading.RLock()  # a probe changes the model's attention, and threads may share a model
# Whole numbers of a configuration that count anything but tokens of a text; the largest position is tried by itself.
_NO_LENGTH = re.compile(
    "vocab|hidden|intermediate|dim|embd|inner|rank|head|layer|expert|ffn|feature|token|_id|max_position"
)
# An incompatible cache or signature raises various errors in the model's own code; all mean the same.
_FAILURES = (
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    KeyError,
    RuntimeError,
    NotImplementedError,
    AssertionError,
)


@dataclass(frozen=True)
class Support:
    """Support of a model by the engine.

    Attributes:
        problem: why the engine cannot decode the model; "" if it can.
        max_length: length in tokens up to which the engine's passes equal plain ones; None for any length tested so
            far. Models whose positions or attention depend on the length of the text (dynamic RoPE, longrope, chunks)
            read longer texts differently.
        undecodable: why `generate` of transformers cannot decode the model either; "" if it can or is not needed.
    """

    problem: str = ""
    max_length: int | None = None
    undecodable: str = ""


def decoding_support(model: PreTrainedModel) -> Support:
    """Test the engine's passes on a model; the result is cached on the model."""
    if "decoding_support" not in vars(model):
        with _PROBING:
            if "decoding_support" not in vars(model):
                vars(model)["decoding_support"] = _probe(model)
    return vars(model)["decoding_support"]


def readable_length(model: PreTrainedModel, tokens: int) -> int | None:
    """Return the length limit of the engine if a text exceeds it, else None.

    Lengths in the model's configuration, of a window or a chunk, are tested when a text first exceeds them.

    Args:
        model: the causal model.
        tokens: length of the text in tokens.

    Returns:
        The number of tokens up to which the engine's passes equal plain ones; None if `tokens` does not exceed it.
    """
    support = decoding_support(model)
    if support.problem:
        return None
    lengths = vars(model).setdefault("lengths_to_try", sorted(set(_lengths(model.config.get_text_config().to_dict()))))
    if lengths and lengths[0] < tokens:
        with _PROBING:
            support = vars(model)["decoding_support"]
            while lengths and lengths[0] < tokens and (support.max_length is None or lengths[0] < support.max_length):
                if not _reads_beyond(model, lengths[0]):
                    support = vars(model)["decoding_support"] = replace(support, max_length=lengths[0])
                del lengths[0]
    return support.max_length if support.max_length is not None and tokens > support.max_length else None


def check_length(model: PreTrainedModel, tokens: int) -> None:
    """Check that the engine can read a text.

    Args:
        model: the causal model.
        tokens: length of the text in tokens.

    Raises:
        ValueError: the engine cannot read the model, or not in a text of this length.
    """
    support = decoding_support(model)
    if support.problem:
        raise ValueError(support.problem)
    if (longest := readable_length(model, tokens)) is not None:
        raise ValueError(
            f"a text of {tokens} tokens cannot be searched: from {longest} on the positions or the "
            f"attention of {type(model).__name__} depend on the length of the text; shorten the prompt "
            "(`max_history`), or decode greedily"
        )


@torch.inference_mode()
def _probe(model: PreTrainedModel) -> Support:
    before = model.config._attn_implementation
    try:
        use_ragged_attention(model)
        with mixed_precision(model):
            problem = _difference(model)
            longest = None if problem else _max_length(model)
    except _FAILURES as error:
        problem, longest = _in_one_line(error), None
    if model.config._attn_implementation != before:
        model.set_attn_implementation(before)
    if not problem:
        return Support(max_length=longest)
    name = type(model).__name__
    failure = _failure_of_generate(model)
    return Support(
        f"{name} cannot be read as the engine reads ({problem})",
        undecodable=failure
        and (f"{name} can be decoded neither by the engine ({problem}) nor by transformers' generate ({failure})"),
    )


def _failure_of_generate(model: PreTrainedModel) -> str:
    """Return why `generate` cannot decode a model; "" if it can."""
    ids = torch.tensor([_TEXTS[0]], device=next(model.parameters()).device)
    try:
        generate_greedily(model, ids, torch.ones_like(ids), 2, _TEXTS[0][0])
    except _FAILURES as error:
        return _in_one_line(error)
    return ""


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _difference(model: PreTrainedModel) -> str:
    """Compare two rows of one batch, read in two passes, with plain passes over each; return the difference or ""."""
    cache, halves = RaggedCache(len(_TEXTS)), [len(text) // 2 for text in _TEXTS]
    logits = []
    for begins, ends in (([0] * len(_TEXTS), halves), (halves, list(map(len, _TEXTS)))):
        blocks = [text[begin:end] for text, begin, end in zip(_TEXTS, begins, ends, strict=True)]
        logits.append(
            forward(model, cache, blocks, begins, [list(range(len(block))) for block in blocks]).split(
                list(map(len, blocks))
            )
        )
    layers = getattr(model.config.get_text_config(), "num_hidden_layers", 1)
    if len(cache.layers) < layers or not all(layer.is_initialized for layer in cache.layers):
        return "some of its layers keep another state than keys and values"
    for row, text in enumerate(_TEXTS):
        plain = read_plainly(model, text, range(len(text)))
        if not _alike(torch.cat([part[row] for part in logits]), plain, model):
            return "its logits are others than those of a plain pass"
    return ""


def _lengths(config: object, key: str = "") -> Iterator[int]:
    """Yield the integers of a configuration that may be lengths of texts."""
    if isinstance(config, dict):
        for name, value in config.items():
            yield from _lengths(value, str(name))
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _lengths(value, key)
    elif type(config) is int and config > len(_TEXTS[0]) and not _NO_LENGTH.search(key):
        yield config


@torch.inference_mode()
def _reads_beyond(model: PreTrainedModel, length: int) -> bool:
    """Return whether the engine reads the end of a text slightly longer than `length` as `generate` does."""
    size, words = length + _BEYOND, n_embeddings(model)
    begun = max(1, length - 2 - _NOISE)
    text = [(at * at + 7 * at + 5) % words for at in range(size)]
    before = model.config._attn_implementation
    with mixed_precision(model):
        try:
            plain = _read_on(model, text, begun)
        except _FAILURES:
            return True  # no pass reads such a text, so the engine is no worse
        try:
            use_ragged_attention(model)
            cache = RaggedCache(1)
            forward(model, cache, [text[:begun]], [0], [[begun - 1]])
            logits = forward(model, cache, [text[begun:]], [begun], [list(range(size - begun))])
        except _FAILURES:
            return False
        finally:
            if model.config._attn_implementation != before:
                model.set_attn_implementation(before)
    below = max(1, length - 2 - begun)  # positions whose reading no length has changed yet
    noise = float((logits[:below].float() - plain[:below]).abs().max())
    return _alike(logits, plain, model, noise)


def _max_length(model: PreTrainedModel) -> int | None:
    """Return the length from which on it affects how the first tokens of a text are read; None if it never does."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    # Dynamic RoPE continues beyond the maximum length of the configuration.
    longest = 4 * context if context and "rope_type" in str(rope) else context
    if longest is None or longest <= len(_TEXTS[0]):
        return None
    text = _TEXTS[0]
    alone = read_plainly(model, text, range(len(text)))[:-1]

    def steady(last: int) -> bool:
        positions = [*range(len(text) - 1), last]
        # Passes of one shape: where nothing depends on the length, they round alike in every number format.
        return _alike(read_plainly(model, text, positions)[:-1], alone, model, noise=0.0)

    if steady(longest - 1):
        return None
    low, high = len(text) - 1, longest - 1  # the last steady position is between them
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if steady(middle) else (low, middle)
    return low + 1


@torch.inference_mode()
def read_plainly(model: PreTrainedModel, text: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
    """Return the logits of a text by one pass without a cache.

    Args:
        model: the causal model.
        text: token ids.
        positions: position of each token.

    Returns:
        float32 [tokens, V].
    """
    device = next(model.parameters()).device
    ids, at = torch.tensor([list(text)], device=device), torch.tensor([list(positions)], device=device)
    return model(input_ids=ids, attention_mask=torch.ones_like(ids), position_ids=at, use_cache=False).logits[0].float()


def _read_on(model: PreTrainedModel, text: Sequence[int], begun: int) -> torch.Tensor:
    """Return the logits of a text after its first `begun` tokens, read one token at a time with the model's own cache.

    Returns:
        float32 [tokens after the first `begun`, V].
    """
    ids = torch.tensor([list(text)], device=next(model.parameters()).device)
    cache, rows = DynamicCache(config=model.config), []
    for begin, end in pairwise([0, *range(begun, len(text) + 1)]):
        logits = model(
            input_ids=ids[:, begin:end],
            attention_mask=torch.ones_like(ids[:, :end]),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        rows.append(logits[0, -1].float())
    return torch.stack(rows[1:])


def _alike(logits: torch.Tensor, expected: torch.Tensor, model: PreTrainedModel, noise: float | None = None) -> bool:
    """Return whether logits agree up to rounding.

    Args:
        logits: logits [tokens, V].
        expected: float32 logits [tokens, V].
        model: its number format decides how much rounding counts.
        noise: difference that rounding alone makes between the two ways of reading, where it was measured; formats that
            round much hide small differences otherwise.
    """
    scale = max(float(expected.max() - expected.min()), 1e-6)
    tight = _TOLERANCE[torch.float32] * scale
    bound = _TOLERANCE.get(getattr(model, "compute_dtype", model.dtype), _COARSE) * scale
    if noise is not None:
        bound = min(bound, 4 * noise + tight)
    return bool(((logits.float() - expected).abs().max() <= bound).item())
