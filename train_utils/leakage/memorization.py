"""Memorization of the dataset by a backbone: two likelihood probes, each against a shuffled control.

After Bordt et al. (arXiv 2404.06209, completion of rows) and Di Palma et al. (arXiv 2505.10212, MovieLens-1M). The
results are upper bounds: the model may know a title from other sources, and a user's next item follows from taste too.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train_utils.catalog import Catalog
from train_utils.evaluation.metrics import aggregate, paired_permutation

EXAMPLES = 4  # titles in the prompt, as examples of the format
EVENTS = 5  # a user's first events; the next one is scored
CONTROLS = 4  # other users whose history is a control
_ROWS = 32
_EXAMPLES_KEPT = 20


@dataclass(frozen=True)
class Scored:
    """Score of a continuation.

    Attributes:
        log_probability: log-probability of the continuation, in nats.
        greedy: whether greedy decoding produces it.
    """

    log_probability: float
    greedy: bool


@torch.inference_mode()
def score_continuations(
    model: PreTrainedModel, prompt: Sequence[int], rows: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[Scored]:
    """Score the continuation of each row, given the prompt and the row's first part.

    Args:
        model: causal language model.
        prompt: token ids, at least one; prefilled once for all rows.
        rows: (given, continuation) token ids; `given` may be empty.

    Returns:
        One score per row.
    """
    blocks = [[prompt[-1], *given, *rest] for given, rest in rows]
    width = max(map(len, blocks)) - 1
    # Rows are padded on the right, where causal attention of their tokens does not reach.
    inputs = torch.tensor([[*block[:-1], *[0] * (width + 1 - len(block))] for block in blocks], device=model.device)
    cache = None
    if len(prompt) > 1:
        cache = model(
            input_ids=torch.tensor([prompt[:-1]], device=model.device), use_cache=True, logits_to_keep=1
        ).past_key_values
        cache.batch_repeat_interleave(len(rows))
    logits = model(input_ids=inputs, past_key_values=cache, use_cache=cache is not None).logits
    scored = []
    for block, (given, rest), row in zip(blocks, rows, logits, strict=True):
        targets = torch.tensor(block[len(given) + 1 :], device=model.device)
        steps = row[len(given) : len(given) + len(rest)].float()
        chosen = steps.log_softmax(-1).gather(1, targets[:, None])
        scored.append(Scored(float(chosen.sum()), bool((steps.argmax(-1) == targets).all())))
    return scored


def compare(true: Sequence[float], control: Sequence[float], seed: int) -> dict[str, object]:
    """Compare paired scores: mean difference true - control, 95 % bootstrap interval, two-sided sign-flip p-value."""
    pairs = [{"difference": a - b} for a, b in zip(true, control, strict=True)]
    difference = aggregate(pairs, seed=seed)["difference"]
    return {
        "probes": len(pairs),
        "true": float(np.mean(true)),
        "control": float(np.mean(control)),
        "difference": difference["mean"],
        "ci": difference["ci"],
        "p": paired_permutation(true, control, seed=seed),
    }


def probe_titles(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, catalog: Catalog, probes: int, seed: int
) -> dict[str, object]:
    """Test whether the model predicts the second half of a title's tokens from the first half.

    The control is the same second half after the first half of another title. Log-probabilities are those of the half,
    in nats; "completed" is the share of halves that greedy decoding completes.

    Raises:
        ValueError: fewer than two titles of two tokens or more remain next to the examples.
    """
    order = random.Random(f"{seed}/titles").sample(catalog.titles, len(catalog.titles))
    prompt = [*_start(tokenizer), *_encode(tokenizer, "".join(f"{title}\n" for title in order[:EXAMPLES]))]
    halves = []
    for title in order[EXAMPLES:]:
        ids = _encode(tokenizer, title)
        if len(ids) > 1:
            halves.append((title, ids[: (len(ids) + 1) // 2], ids[(len(ids) + 1) // 2 :]))
        if len(halves) == probes:
            break
    if len(halves) < 2:
        raise ValueError(
            f"{catalog.name!r} has {len(halves)} titles of two tokens or more besides {EXAMPLES} examples, "
            "wanted 2 or more; leave `model_name` out"
        )
    others = [*halves[1:], halves[0]]
    rows = [
        row
        for (_, own, rest), (_, wrong, _) in zip(halves, others, strict=True)
        for row in ((own, rest), (wrong, rest))
    ]
    scored: list[Scored] = []
    for at in tqdm(range(0, len(rows), _ROWS), desc="titles", unit="batch", disable=None):
        scored += score_continuations(model, prompt, rows[at : at + _ROWS])
    true, control = scored[::2], scored[1::2]
    known = [title for (title, _, _), score in zip(halves, true, strict=True) if score.greedy]
    return {
        **compare([s.log_probability for s in true], [s.log_probability for s in control], seed),
        "completed": len(known) / len(true),
        "completed_control": sum(s.greedy for s in control) / len(control),
        "completed_titles": known[:_EXAMPLES_KEPT],
    }


def probe_next_items(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, catalog: Catalog, probes: int, seed: int
) -> dict[str, object]:
    """Test whether a user's next title is more probable after the user's own first events than after other users'.

    The prompt holds the titles of the first `EVENTS` training events, one per line; the next title is scored.
    The control is the mean score of this title over the histories of up to `CONTROLS` other users. Log-probabilities
    are those of the whole title, in nats.

    Raises:
        ValueError: fewer than two users have more than `EVENTS` training events.
    """
    users = [items[: EVENTS + 1] for items in catalog.training_sequences() if len(items) > EVENTS]
    users = random.Random(f"{seed}/users").sample(users, min(probes, len(users)))
    if len(users) < 2:
        raise ValueError(
            f"{catalog.name!r} has {len(users)} users with more than {EVENTS} training events, wanted 2 "
            "or more; leave `model_name` out"
        )
    titles = catalog.titles
    controls = min(CONTROLS, len(users) - 1)
    scores = np.zeros((controls + 1, len(users)))  # [own and other histories, users]
    for index, items in enumerate(tqdm(users, desc="next items", unit="user", disable=None)):
        prompt = [*_start(tokenizer), *_encode(tokenizer, "".join(f"{titles[item]}\n" for item in items[:-1]))]
        compared = [(index + shift) % len(users) for shift in range(controls + 1)]
        rows = [((), _encode(tokenizer, f"{titles[users[other][-1]]}\n")) for other in compared]
        scored = score_continuations(model, prompt, rows)
        for shift, other in enumerate(compared):
            scores[shift, other] = scored[shift].log_probability
    return compare(scores[0].tolist(), scores[1:].mean(0).tolist(), seed)


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def _start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the tokens that the tokenizer adds before every text."""
    plain, whole = _encode(tokenizer, "a"), tokenizer("a")["input_ids"]
    return list(itertools.takewhile(lambda token: token != plain[0], whole))
