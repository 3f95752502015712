"""Does a base model know the dataset by heart? Two probes by likelihood, each against a shuffled control.

After Bordt et al. (arXiv 2404.06209, completion of rows) and Di Palma et al. (arXiv 2505.10212, MovieLens-1M). What is
found is an upper bound: a title may be known from elsewhere, and users' next items follow from taste as well.
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

EXAMPLES = 4  # titles that show the model what the lines are
EVENTS = 5  # a user's first events, whose next one is asked for
CONTROLS = 4  # other users whose next item is scored instead
_ROWS = 32
_EXAMPLES_KEPT = 20


@dataclass(frozen=True)
class Scored:
    """log_probability: of the continuation, in nats. greedy: whether greedy decoding writes it."""

    log_probability: float
    greedy: bool


@torch.inference_mode()
def score_continuations(
    model: PreTrainedModel, prompt: Sequence[int], rows: Sequence[tuple[Sequence[int], Sequence[int]]]
) -> list[Scored]:
    """What the model gives to the second part of each row behind the prompt and the row's first part.

    Args:
        prompt: at least one token, read once. rows: (given, continuation) token ids; `given` may be empty.
    """
    blocks = [[prompt[-1], *given, *rest] for given, rest in rows]
    width = max(map(len, blocks)) - 1
    # What pads a row stands behind it, where its own tokens do not look.
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
        wanted = torch.tensor(block[len(given) + 1 :], device=model.device)
        steps = row[len(given) : len(given) + len(rest)].float()
        chosen = steps.log_softmax(-1).gather(1, wanted[:, None])
        scored.append(Scored(float(chosen.sum()), bool((steps.argmax(-1) == wanted).all())))
    return scored


def compare(true: Sequence[float], control: Sequence[float], seed: int) -> dict[str, object]:
    """Paired difference true - control: mean, 95 % bootstrap interval, two-sided p of the sign-flip test."""
    pairs = [{"difference": a - b} for a, b in zip(true, control, strict=True)]
    found = aggregate(pairs, seed=seed)["difference"]
    return {
        "probes": len(pairs),
        "true": float(np.mean(true)),
        "control": float(np.mean(control)),
        "difference": found["mean"],
        "ci": found["ci"],
        "p": paired_permutation(true, control, seed=seed),
    }


def probe_titles(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, catalog: Catalog, probes: int, seed: int
) -> dict[str, object]:
    """Does the second half of a title's tokens follow from the first half?

    The control is the same second half behind the first half of another title. Log-probabilities are of the half, in
    nats; "completed" is the share of halves that greedy decoding writes to the end.

    Raises:
        ValueError: fewer than two titles of two tokens or more beside the examples.
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
            f"{catalog.name!r} has {len(halves)} titles of two tokens or more beside {EXAMPLES} examples, "
            "wanted 2 or more; leave --model_name out"
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
    """Is a user's next title more probable behind the user's own first events than behind other users'?

    A history is the titles of the first `EVENTS` training events, a line each, and the title behind them is scored.
    Its control is the mean over `CONTROLS` other users' histories; log-probabilities are of the whole title, in nats.

    Raises:
        ValueError: fewer than two users with more than `EVENTS` training events.
    """
    users = [items[: EVENTS + 1] for items in catalog.training_sequences() if len(items) > EVENTS]
    users = random.Random(f"{seed}/users").sample(users, min(probes, len(users)))
    if len(users) < 2:
        raise ValueError(
            f"{catalog.name!r} has {len(users)} users with more than {EVENTS} training events, wanted 2 "
            "or more; leave --model_name out"
        )
    titles = catalog.titles
    controls = min(CONTROLS, len(users) - 1)
    scores = np.zeros((controls + 1, len(users)))  # [own and other histories, users]
    for place, items in enumerate(tqdm(users, desc="next items", unit="user", disable=None)):
        prompt = [*_start(tokenizer), *_encode(tokenizer, "".join(f"{titles[item]}\n" for item in items[:-1]))]
        asked = [(place + shift) % len(users) for shift in range(controls + 1)]
        rows = [((), _encode(tokenizer, f"{titles[users[other][-1]]}\n")) for other in asked]
        scored = score_continuations(model, prompt, rows)
        for shift, other in enumerate(asked):
            scores[shift, other] = scored[shift].log_probability
    return compare(scores[0].tolist(), scores[1:].mean(0).tolist(), seed)


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def _start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that the tokenizer puts before every text."""
    plain, whole = _encode(tokenizer, "a"), tokenizer("a")["input_ids"]
    return list(itertools.takewhile(lambda token: token != plain[0], whole))
