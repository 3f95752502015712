"""Lists that a model on another server chooses from shortlists; every answer is checked before it is used."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

from train_utils.constraint.constraint import ConstraintError
from train_utils.decoding.completions_endpoint import STARTED_WITH, CompletionsEndpoint, Written
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.shortlist import CANDIDATES, MOST_CANDIDATES, Shortlist, best_candidates
from train_utils.printable import one_line
from train_utils.prompts.messages import separator
from train_utils.prompts.renderer import Chat

_AT_ONCE = 32  # requests that wait for the server at a time; it batches them


@dataclass(frozen=True)
class ShortlistRanker:
    """Ranker of lists on a server.

    Args:
        endpoint: the server.
        candidates: candidates of a list at most.

    Raises:
        ValueError: the number of candidates is none that a grammar can hold.
    """

    endpoint: CompletionsEndpoint
    candidates: int = CANDIDATES

    def __post_init__(self):
        if not 1 <= self.candidates <= MOST_CANDIDATES:
            raise ValueError(
                f"`candidates` is {self.candidates}, wanted 1 to {MOST_CANDIDATES}: the grammar keeps a bit for each"
            )

    def rank(self, chat: Chat, requests: Sequence[Request]) -> list[Completion]:
        """Return a list of `max_items` candidates for each request, in the order in which the model writes them.

        Args:
            chat: renderer with the model's tokenizer and the catalog's titles.
            requests: the requests; the prior of their rules ranks the candidates.

        Returns:
            A completion per request. One whose answer is no list of its candidates has a `ConstraintError`.

        Raises:
            EndpointError: the server does not answer as wanted.
            ValueError: see `shortlist_of`.
        """
        with ThreadPoolExecutor(_AT_ONCE, "shortlist") as threads:
            return list(threads.map(lambda request: self._list(chat, request), requests))

    def _list(self, chat: Chat, request: Request) -> Completion:
        shortlist = shortlist_of(chat, request, self.candidates)
        if shortlist is None:
            return Completion(finish="exhausted")
        written = self.endpoint.complete(request.prompt, shortlist.grammar(), shortlist.most_tokens + 1)
        try:
            items = read_list(shortlist, written, chat)
        except ConstraintError as error:
            server = self.endpoint.served[1]
            remedy = f"it applies no grammar, or hides special tokens; {server} needs {STARTED_WITH[server]}"
            return Completion(
                finish="error", error=ConstraintError(f"the answer of {self.endpoint.url}: {error}; {remedy}")
            )
        finish = "items" if len(items) == request.max_items else "exhausted"
        return Completion(shortlist.tokens_of(items), items, item_scores(shortlist, items, written), finish)


@dataclass(frozen=True)
class ShortlistEngine:
    """Ranker with the methods of an engine, for lists alone.

    Args:
        ranker: the ranker.
        chat: renderer with the model's tokenizer and the catalog's titles.
    """

    ranker: ShortlistRanker
    chat: Chat
    searches: Literal[False] = False
    model: None = None

    def finds_titles(self, tokens: int) -> bool:
        """Return False; see `RemoteEngine`."""
        return False

    def generate(self, requests: Sequence[Request], reproducible: bool = False) -> list[Completion]:
        """Return lists; see `ShortlistRanker.rank`."""
        return self.ranker.rank(self.chat, requests)


def shortlist_of(chat: Chat, request: Request, candidates: int = CANDIDATES) -> Shortlist | None:
    """Return the shortlist of a request: the best candidates by the prior of its rules.

    Args:
        chat: renderer with the catalog's titles.
        request: a request with rules and a prior; `max_items` is the length of the list.
        candidates: number of candidates at most.

    Returns:
        The shortlist; its list is shorter than `max_items` where fewer items are admissible, and None where none is.

    Raises:
        ValueError: the rules of the request have no prior, or the list is longer than the candidates.
    """
    if request.max_items > candidates:
        raise ValueError(
            f"a list of {request.max_items} items is chosen from {candidates} candidates; ask for fewer, or raise "
            f"`candidates`, at most {MOST_CANDIDATES}"
        )
    if request.rules is None or request.rules.prior is None:
        raise ValueError("a shortlist needs scores of the items, from a teacher or of their popularity")
    items = best_candidates(request.rules, request.rules.prior.scores, candidates, least=request.max_items)
    if not items:
        return None
    length = min(request.max_items, len(items))
    return Shortlist(
        tuple(items),
        tuple(tuple(chat.title_ids[item]) for item in items),
        tuple(tuple(chat.encode(separator(rank, request.idx))) for rank in range(1, length + 1)),
        chat.soi,
        chat.eoi,
    )


def read_list(shortlist: Shortlist, written: Written, chat: Chat) -> list[int]:
    """Return the items of a server's answer.

    Args:
        shortlist: the candidates that the server was given.
        written: the answer.
        chat: decodes tokens.

    Raises:
        ConstraintError: the answer is no list of distinct candidates of the length of the shortlist.
    """
    if written.finish == "length":
        raise ConstraintError("the list was cut")
    ends = {chat.end_of_turn, chat.tokenizer.eos_token_id} - {None}
    text = written.text
    for end in ends:
        text = text.removesuffix(_with_special(chat, [end]))
    if not written.ids:
        return shortlist.items_of_text(text, partial(_with_special, chat))
    items = shortlist.items_of_tokens(written.ids[:-1] if written.ids[-1] in ends else written.ids)
    expected = _with_special(chat, shortlist.tokens_of(items))
    if "".join(text.split()) != "".join(expected.split()):
        shown = f"its tokens read {one_line(expected, 80)!r} here, and its text is {one_line(text, 80)!r}"
        raise ConstraintError(f"{shown}; the server has another tokenizer")
    return items


def _with_special(chat: Chat, ids: Sequence[int]) -> str:
    return chat.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def item_scores(shortlist: Shortlist, items: Sequence[int], written: Written) -> list[float]:
    """Return the log-probability of each item of a list, as the server reports it; NaN where it does not.

    The grammar fixes the tokens of a list, so their positions are known.
    """
    ids, values = shortlist.tokens_of(items), written.log_probabilities
    if not len(ids) <= len(values) <= len(ids) + 1:
        return [math.nan] * len(items)
    starts = [at for at, token in enumerate(ids) if token == shortlist.soi]
    ends = [at for at, token in enumerate(ids) if token == shortlist.eoi]
    return [sum(values[start + 1 : end + 1]) for start, end in zip(starts, ends, strict=True)]
