"""Prompts -> their best beams: the beam search of transformers 5.23 with `early_stopping=False`, without its padding.

A prompt is read once, not once a beam, and one pass a step takes the newest token of every beam of every request. The
sequences and scores are those of `model.generate` with `CatalogLogitsProcessor` on each prompt alone. A token counts
with its log-probability among the whole vocabulary, and so does one that the tree forces; a prior is added to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from train_utils.chat import Chat
from train_utils.cursor import Cursor
from train_utils.processor import mask_scores
from train_utils.ragged import read, read_shared_beginning, use_ragged_attention
from train_utils.support import check_length
from train_utils.writing import Completion, Request


@dataclass(frozen=True)
class Beam:
    """An answer, and the sum of its tokens' log-probabilities over length ** length_penalty; an end of turn counts in
    both. The completion tells no scores of single items."""

    completion: Completion
    score: float


@dataclass(frozen=True)
class _NoCatalogue:
    """The cursor of a request without rules: free text, in which no control token may stand."""

    control: tuple[int, int]
    free = True
    items = ()

    def barred(self) -> tuple[int, int]:
        return self.control

    def advance(self, token: int) -> None:
        return None

    def copy(self) -> "_NoCatalogue":
        return self


@dataclass(frozen=True)
class _Open:
    """A beam that goes on: what it wrote, the sum of log-probabilities, and its place in the tree."""

    ids: tuple[int, ...]
    score: float
    cursor: Cursor | _NoCatalogue


@dataclass(frozen=True)
class _Continuation:
    """One token more: the sum of log-probabilities with it, the number of the beam that it continues, the token."""

    score: float
    beam: int
    token: int


@dataclass
class _Search:
    """One request: its beams that go on and those that ended, best first; `num_beams` of each at most."""

    request: Request
    chat: Chat
    num_beams: int
    length_penalty: float
    open: list[_Open] = field(default_factory=list)
    ended: list[Beam] = field(default_factory=list)

    def __post_init__(self):
        rules, chat = self.request.rules, self.chat
        cursor = _NoCatalogue((chat.soi, chat.eoi)) if rules is None else (
            Cursor.behind(rules, self.request.prompt, chat.end_of_turn, chat.answer_start(self.request.prompt)
                          if self.request.answer_at is None else self.request.answer_at))
        self._listed_before = len(cursor.items)
        self.open.append(_Open((), 0.0, cursor))

    def take(self, best: Sequence[_Continuation]) -> list[int]:
        """Follows the continuations, best first.

        Returns:
            for each beam that goes on the number of the one that it continues; nothing once the search is over.
        """
        length = len(self.open[0].ids) + 1
        divisor = length ** self.length_penalty
        at_limit = length >= self.request.max_new_tokens
        going, parents, ended = [], [], []
        for rank, one in enumerate(best):
            if at_limit or one.token == self.chat.end_of_turn:
                # Those behind the first num_beams are only there so that enough beams go on.
                if rank < self.num_beams:
                    ended.append(Beam(self._completion(one), one.score / divisor))
            elif len(going) < self.num_beams:
                going.append(self._extended(one))
                parents.append(one.beam)
        self.ended = sorted(self.ended + ended, key=lambda beam: -beam.score)[:self.num_beams]
        full = len(self.ended) == self.num_beams
        # A heuristic of transformers: a longer text could still win where the penalty is above 0.
        if at_limit or (full and going[0].score / divisor <= self.ended[-1].score):
            going, parents = [], []
        self.open = going
        return parents

    def _extended(self, one: _Continuation) -> _Open:
        beam = self.open[one.beam]
        cursor = beam.cursor.copy()
        cursor.advance(one.token)
        return _Open((*beam.ids, one.token), one.score, cursor)

    def _completion(self, one: _Continuation) -> Completion:
        beam, finish = self.open[one.beam], "end"
        if one.token != self.chat.end_of_turn:
            beam, finish = self._extended(one), "length"
        return Completion(list(beam.ids), list(beam.cursor.items[self._listed_before:]), finish=finish)


@torch.inference_mode()
def beam_search(model: nn.Module, chat: Chat, requests: Sequence[Request], num_beams: int, num_return: int = 1,
                length_penalty: float = 1.0) -> list[list[Beam]]:
    """Searches a batch; each request is answered as if it were alone.

    Args:
        requests: their prompt, rules (None: text without items) and max_new_tokens are used.
        num_beams: beams a request. num_return: how many of them are wanted.
        length_penalty: exponent of the length by which a sum of log-probabilities is divided; above 0 favours longer
            texts.

    Returns:
        the best beams of each request, best first; fewer than `num_return` only if the rules and the length limit
        allow no more texts.

    Raises:
        ValueError: wrong numbers, a request for something that is not searched (sampling, forced lists, titles by
            search, a number of items, no constraint), or a model that the engine cannot read, or not in texts as long.
        ConstraintError: a prompt's last turn is off the tree.
    """
    if num_beams < 1:
        raise ValueError(f"num_beams is {num_beams}, wanted 1 or more")
    if not 1 <= num_return <= num_beams:
        raise ValueError(f"num_return is {num_return}, wanted 1 to num_beams, which is {num_beams}")
    for request in requests:
        _check(request)
    if not requests:
        return []
    check_length(model, max(len(request.prompt) + request.max_new_tokens for request in requests))
    use_ragged_attention(model)
    searches = [_Search(request, chat, num_beams, length_penalty) for request in requests]
    cache, shared = read_shared_beginning(model, [request.prompt for request in requests])
    blocks, lengths = [list(request.prompt[shared:]) for request in requests], [shared] * len(requests)
    going = searches
    while going:
        logits = read(model, cache, blocks, lengths, [[len(block) - 1] for block in blocks])
        # Each beam has one end of turn, so that among twice as many there are always enough that go on.
        found = _best_continuations(logits, going, 2 * num_beams)
        rows, first = [], 0
        for search, best in zip(going, found, strict=True):
            n_before = len(search.open)
            rows += [first + beam for beam in search.take(best)]
            first += n_before
        going = [search for search in going if search.open]
        if going and rows != list(range(first)):
            cache = cache.select(rows)
        blocks = [[beam.ids[-1]] for search in going for beam in search.open]
        lengths = [len(search.request.prompt) + len(beam.ids) - 1 for search in going for beam in search.open]
    return [search.ended[:num_return] for search in searches]


def _check(request: Request) -> None:
    """Raises ValueError for what a beam search does not do."""
    unused = {
        "sampling.temperature": request.sampling.temperature, "force_items": request.force_items,
        "best_titles": request.best_titles, "max_items": request.max_items, "min_items": request.min_items,
        "constrained": request.constrained,
    }
    wanted = dict.fromkeys(unused, 0) | {"constrained": True}
    if wrong := next((name for name, value in unused.items() if value != wanted[name]), None):
        raise ValueError(f"a request's {wrong} is {unused[wrong]}, beam search wants {wanted[wrong]}; use the engine")


def _best_continuations(logits: torch.Tensor, searches: Sequence[_Search], n: int) -> list[list[_Continuation]]:
    """The n best continuations of each search, best first. logits: [open beams of all searches, V]."""
    beams = [beam for search in searches for beam in search.open]
    # transformers searches in float32, whatever the model is.
    scores = logits.float().log_softmax(1)
    mask_scores(scores, [beam.cursor for beam in beams])
    scores += scores.new_tensor([beam.score for beam in beams])[:, None]
    values, tokens = scores.topk(min(n, scores.shape[1]))
    place = torch.tensor([(s, b) for s, search in enumerate(searches) for b in range(len(search.open))],
                         device=values.device).T
    shape = (len(searches), max(len(search.open) for search in searches), values.shape[1])
    by_search = values.new_full(shape, -torch.inf).index_put_(tuple(place), values).flatten(1)
    token_of = tokens.new_zeros(shape).index_put_(tuple(place), tokens).flatten(1)
    best, at = by_search.topk(min(n, by_search.shape[1]))
    # Whole numbers below 2^53 are exact in float64, so that one copy brings everything.
    found = torch.stack([best.double(), (at // shape[2]).double(), token_of.gather(1, at).double()], 2).tolist()
    return [[_Continuation(score, int(beam), int(token)) for score, beam, token in row if score > -torch.inf]
            for row in found]
