"""The same answers by `model.generate` and the processor, one token a pass: what the engine is compared with."""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from train_utils.chat import Chat
from train_utils.cursor import Cursor
from train_utils.processor import CatalogLogitsProcessor
from train_utils.writing import Completion, Request


class _EnoughItems(StoppingCriteria):
    """Ends a row behind its last wanted item."""

    def __init__(self, prompt_length: int, eoi: int, wanted: Sequence[int]):
        self.prompt_length, self.eoi = prompt_length, eoi
        self.wanted = torch.tensor([n or 2**31 for n in wanted])

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs) -> torch.BoolTensor:
        items = (input_ids[:, self.prompt_length:] == self.eoi).sum(1)
        return items >= self.wanted.to(items.device)


def generate_plainly(model: nn.Module, chat: Chat, requests: Sequence[Request],
                     processors: Sequence[LogitsProcessor] | None = None,
                     watchers: Sequence[LogitsProcessor] = ()) -> list[Completion]:
    """Greedy answers of a left-padded batch.

    Args:
        processors: a rival's, instead of the catalogue's own. watchers: called last, with the scores that decide.

    Raises:
        ValueError: a request for something that `generate` does not do: sampling, forced lists, titles by search.
    """
    for request in requests:
        others = (request.sampling.temperature, request.force_items, request.best_titles, request.min_items)
        if any(others) or request.rules is None:
            raise ValueError("the oracle decodes greedily under a catalogue; use the engine for anything else")
    width = max(len(request.prompt) for request in requests)
    padding = [width - len(request.prompt) for request in requests]
    device = next(model.parameters()).device
    ids = torch.tensor([[chat.end_of_turn] * n + list(r.prompt) for n, r in zip(padding, requests, strict=True)],
                       device=device)
    mask = torch.tensor([[0] * n + [1] * (width - n) for n in padding], device=device)
    starts = [n + (chat.answer_start(r.prompt) if r.answer_at is None else r.answer_at)
              for n, r in zip(padding, requests, strict=True)]
    own = [CatalogLogitsProcessor([request.rules for request in requests], chat.end_of_turn, answer_at=starts)]
    longest = max(request.max_new_tokens for request in requests)
    # What `generate` is not told it takes from the model's own configuration, such as repetition_penalty. A copy of the
    # outermost object gets an empty one: the model itself may be in use by another thread.
    model = copy.copy(model)
    model.generation_config = GenerationConfig()
    output = model.generate(
        ids, attention_mask=mask, logits_processor=[*(own if processors is None else processors), *watchers],
        stopping_criteria=[_EnoughItems(width, chat.eoi, [request.max_items for request in requests])],
        generation_config=GenerationConfig(do_sample=False, num_beams=1, max_new_tokens=longest,
                                           eos_token_id=chat.end_of_turn, pad_token_id=chat.end_of_turn),
    )
    return [_completion(chat, request, row) for request, row in zip(requests, output[:, width:].tolist(), strict=True)]


def _completion(chat: Chat, request: Request, ids: Sequence[int]) -> Completion:
    """Cuts a row where its request ends, and walks the tree once more for its items."""
    answer_at = chat.answer_start(request.prompt) if request.answer_at is None else request.answer_at
    cursor = Cursor.behind(request.rules, request.prompt, chat.end_of_turn, answer_at)
    found = Completion()
    for token in ids:
        if token == chat.end_of_turn and cursor.free:
            found.finish = "end"
            break
        item = cursor.advance(token)
        found.ids.append(token)
        if item is not None:
            found.items.append(item)
            found.finish = "items" if len(found.items) == request.max_items else ""
        if not found.finish and len(found.ids) >= request.max_new_tokens:
            found.finish = "length"
        if found.finish:
            break
    return found
