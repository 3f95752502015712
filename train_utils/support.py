"""Whether the engine can decode a model, found by trying: a few tokens, read in its way and plainly, are compared."""

from dataclasses import dataclass

import torch
from torch import nn

from train_utils.model import mixed_precision
from train_utils.ragged import RaggedCache, read, use_ragged_attention

_TEXTS = ([5, 7, 11, 6], [9, 5])  # of unlike lengths
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}  # of the range of the logits; other formats round more
_COARSE = 0.1


@dataclass(frozen=True)
class Support:
    """What the engine can do with a model.

    Attributes:
        problem: why it cannot decode the model, "" where it can.
        max_length: tokens up to which it can; None for any number. Models whose positions change with the length of
            the text (dynamic RoPE, longrope) read tokens otherwise when a longer text is read beside them.
    """

    problem: str = ""
    max_length: int | None = None


def decoding_support(model: nn.Module) -> Support:
    """Tries the engine's passes on a model; the answer is kept with the model."""
    if "decoding_support" not in vars(model):
        vars(model)["decoding_support"] = _probe(model)
    return vars(model)["decoding_support"]


def check_length(model: nn.Module, tokens: int) -> None:
    """Raises ValueError for a model that the engine cannot read, or not in a text of so many tokens."""
    support = decoding_support(model)
    if support.problem:
        raise ValueError(support.problem)
    if support.max_length is not None and tokens > support.max_length:
        raise ValueError(f"a text of {tokens} tokens cannot be searched for titles: from {support.max_length} on the "
                         f"positions of {type(model).__name__} depend on the length of the text; shorten the prompt "
                         "(--max_history), or decode greedily")


@torch.inference_mode()
def _probe(model: nn.Module) -> Support:
    before = model.config._attn_implementation
    try:
        use_ragged_attention(model)
        with mixed_precision(model):
            problem = _difference(model)
            longest = None if problem else _max_length(model)
    # A cache or a signature of another kind fails in many ways inside the model's own code; each means the same.
    except (ValueError, TypeError, IndexError, AttributeError, KeyError, RuntimeError, NotImplementedError,
            AssertionError) as error:
        problem, longest = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", None
    if model.config._attn_implementation != before:
        model.set_attn_implementation(before)
    if not problem:
        return Support(max_length=longest)
    return Support(f"{type(model).__name__} cannot be read as the engine reads ({problem})")


def _difference(model: nn.Module) -> str:
    """What differs between two rows read side by side, in two passes, and each read by itself at once."""
    cache, halves = RaggedCache(len(_TEXTS)), [len(text) // 2 for text in _TEXTS]
    found = []
    for begins, ends in (([0] * len(_TEXTS), halves), (halves, list(map(len, _TEXTS)))):
        blocks = [text[begin:end] for text, begin, end in zip(_TEXTS, begins, ends, strict=True)]
        found.append(read(model, cache, blocks, begins, [list(range(len(block))) for block in blocks]).split(
            list(map(len, blocks))))
    for row, text in enumerate(_TEXTS):
        plain = _plain(model, text, range(len(text)))
        if not _alike(torch.cat([part[row] for part in found]), plain, model):
            return "its logits are others than those of a plain pass"
    return ""


def _max_length(model: nn.Module) -> int | None:
    """Tokens that a text may have before its length changes how its first tokens are read; None if it never does."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    # Dynamic RoPE goes on beyond what the configuration calls the longest text.
    longest = 4 * context if context and "rope_type" in str(rope) else context
    if longest is None or longest <= len(_TEXTS[0]):
        return None
    text = _TEXTS[0]
    alone = _plain(model, text, range(len(text)))[:-1]

    def steady(last: int) -> bool:
        places = [*range(len(text) - 1), last]
        return _alike(_plain(model, text, places)[:-1], alone, model)

    if steady(longest - 1):
        return None
    low, high = len(text) - 1, longest - 1  # the last place that is steady lies between
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if steady(middle) else (low, middle)
    return low + 1


def _plain(model: nn.Module, text: list[int], places) -> torch.Tensor:
    """Logits [tokens, V] of a text by one pass without a cache, its tokens at `places`."""
    device = next(model.parameters()).device
    ids, at = torch.tensor([text], device=device), torch.tensor([list(places)], device=device)
    mask = torch.ones_like(ids)
    return model(input_ids=ids, attention_mask=mask, position_ids=at, use_cache=False).logits[0].float()


def _alike(found: torch.Tensor, wanted: torch.Tensor, model: nn.Module) -> bool:
    dtype = getattr(model, "compute_dtype", model.dtype)
    scale = float(wanted.max() - wanted.min())
    return bool(((found.float() - wanted).abs().max() <= _TOLERANCE.get(dtype, _COARSE) * max(scale, 1e-6)).item())
