"""Prompts -> completions with items: the only place that drives a model's decoding.

One pass of the model takes every token that is already known. Tokens that the tree forces ride along with the choice
before them, and the text that usually stands between two items is drafted and kept only where plain decoding would
have written the same. The output is that of one-token-at-a-time constrained decoding.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from train_utils.chat import Chat, separator
from train_utils.ragged import RaggedCache, read, read_shared_beginning, use_ragged_attention
from train_utils.title_search import search_titles
from train_utils.trie import ROOT, Cursor, Rules


@dataclass(frozen=True)
class Request:
    """One prompt and what its answer may hold.

    Attributes:
        prompt: token ids up to where the assistant goes on.
        rules: which items may be emitted; None means that no catalogue is in force, and no item can be opened.
        constrained: with False the tree is not applied (an unconstrained rival); `rules` is then unused.
        max_new_tokens: length limit. max_items: stop behind this many items, 0 for no limit.
        force_items: write a list of `max_items` items and nothing else; the model only chooses the items.
        idx: lists are numbered: what `force_items` writes, and the first guess of a draft.
        best_titles: 0 spells titles greedily, token by token. Otherwise titles are found whole, by search: 1 takes the
            most probable one at each item; n takes the n most probable at the first item of a list, one by one.
    """

    prompt: Sequence[int]
    rules: Rules | None = None
    constrained: bool = True
    max_new_tokens: int = 512
    max_items: int = 0
    force_items: bool = False
    idx: bool = False
    best_titles: int = 0


@dataclass
class Completion:
    """Token ids of an answer (end of turn left out), the leaves of its items, and why it ended."""

    ids: list[int] = field(default_factory=list)
    leaves: list[int] = field(default_factory=list)
    finish: str = ""


@dataclass(frozen=True)
class TextDelta:
    text: str


@dataclass(frozen=True)
class ItemEvent:
    """An item of the catalogue, as it stands in the answer: `item` is its index, `rank` counts from 1."""

    item: int
    rank: int


@dataclass(frozen=True)
class Done:
    finish: str


class _Row:
    """Decoding state of one request: what is written, what the model has not read yet, what is drafted."""

    def __init__(self, request: Request, chat: Chat):
        self.request = request
        self.chat = chat
        self.cursor = Cursor(request.rules) if request.constrained and request.rules else None
        self.out = Completion()
        self.pending: list[int] = list(request.prompt)
        self.draft: list[int] = []
        self.length = 0
        self.items = 0
        self.opened: torch.Tensor | None = None  # logits at an item that waits for its title
        self.ranking: list[int] = []  # leaves for the next items of the list
        self.text_from = 0  # place in the answer behind the last item
        self.numbered = request.idx  # whether the last item had a number before it
        if request.force_items:
            self._write_known(self._separator())
        else:
            self.draft = self._separator()

    def _separator(self) -> list[int]:
        """What stands before the next item of a list."""
        return [*self.chat.encode(separator(self.items + 1, self.numbered)), self.chat.soi]

    def barred(self) -> tuple[int, ...]:
        """Tokens that free text may not hold here."""
        if self.cursor is not None:
            return self.cursor.barred()
        return (self.chat.soi, self.chat.eoi) if self.request.constrained else ()

    def choose(self, logits: torch.Tensor) -> int:
        """The greedy token of `logits` ([V]) among those that the constraint allows here."""
        allowed = self.cursor.allowed() if self.cursor is not None else None
        if allowed is None:
            logits[list(self.barred())] = -torch.inf
            return int(logits.argmax())
        return int(allowed[int(logits[torch.from_numpy(allowed).long().to(logits.device)].argmax())])

    def write(self, token: int) -> None:
        """Takes `token` as written; what must follow it is written too."""
        if token == self.chat.end_of_turn and (self.cursor is None or self.cursor.allowed() is None):
            self.out.finish = "end"
            return
        self._write_known([token])
        while not self.out.finish and self.cursor is not None and (run := self.cursor.forced_run()):
            self._write_known(run)

    def write_next_title(self) -> None:
        """Writes the next title of the ranking into the open item."""
        item = self.request.rules.first_item(self.ranking.pop(0))
        self.opened = None
        self._write_known([*self.chat.title_ids[item], self.chat.eoi])

    def keeps_listing(self) -> bool:
        """Whether the open item goes on with the list of the one before: no word stands between them."""
        return bool(self.ranking) and not any(map(str.isalpha, self.chat.decode(self.out.ids[self.text_from:])))

    def _write_known(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            self.out.ids.append(token)
            self.pending.append(token)
            if token == self.chat.soi:
                between = self.chat.decode(self.out.ids[self.text_from:])
                self.numbered = between.endswith(f"{self.items + 1}. ")
            leaf = self.cursor.advance(token) if self.cursor is not None else None
            if leaf is not None:
                self.out.leaves.append(leaf)
            if token == self.chat.eoi:
                self._after_item()
            if not self.out.finish and len(self.out.ids) >= self.request.max_new_tokens:
                self.out.finish = "length"
            if self.out.finish:
                return

    def _after_item(self) -> None:
        self.items += 1
        self.text_from = len(self.out.ids)
        nothing_left = self.cursor is not None and self.cursor.exhausted
        if self.items == self.request.max_items or (self.request.force_items and nothing_left):
            self.out.finish = "items"
        elif self.request.force_items:
            self._write_known(self._separator())
        elif not nothing_left:
            self.draft = self._separator()

    def take(self, logits: torch.Tensor) -> int:
        """Writes what the pass decided; `logits` [1 + drafts, V]. Returns how many drafted tokens were right."""
        draft, self.draft = self.draft, []
        for right, row in enumerate(logits):
            if self.request.best_titles and self.cursor is not None and self.cursor.node == ROOT:
                self.opened = row
                return right
            token = self.choose(row)
            if right < len(draft) and token == draft[right] and token != self.chat.end_of_turn:
                # The model has read this token already: it is written, but not pending.
                self.write(token)
                del self.pending[0]
                if self.out.finish or self.pending:
                    return right + 1
                continue
            self.write(token)
            return right
        raise AssertionError("a pass has one row of logits more than drafts")


class Engine:
    """Decodes over any Hugging Face causal model, greedily.

    Args:
        model: the causal model. chat: its tokenizer, with the titles of the catalogue whose rules the requests carry.

    Raises:
        ValueError: a model that brings its own attention.
    """

    def __init__(self, model: nn.Module, chat: Chat):
        use_ragged_attention(model)
        self.model = model
        self.chat = chat
        self.passes = 0

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answers a batch. Raises ConstraintError before decoding for rules that admit nothing."""
        rows = [_Row(request, self.chat) for request in requests]
        for _ in self._decode(rows):
            pass
        return [row.out for row in rows]

    def stream(self, request: Request, stop: threading.Event | None = None) -> Iterator[TextDelta | ItemEvent | Done]:
        """Answers one request as events. Half of a character or of an item is never shown; `stop` ends it early."""
        row = _Row(request, self.chat)
        shown, text, rank, inside = 0, [], 0, False
        for _ in self._decode([row]):
            ids = row.out.ids
            for token in ids[shown:]:
                if inside := (token == self.chat.soi) or (inside and token != self.chat.eoi):
                    continue
                if token == self.chat.eoi and row.cursor is not None:
                    yield from self._flush(text, last=True)
                    yield ItemEvent(row.request.rules.first_item(row.out.leaves[rank]), rank + 1)
                    rank += 1
                elif token != self.chat.eoi:
                    text.append(token)
            shown = len(ids)
            yield from self._flush(text, last=False)
            if stop is not None and stop.is_set():
                row.out.finish = "stopped"
                break
        yield from self._flush(text, last=True)
        yield Done(row.out.finish)

    def _flush(self, text: list[int], last: bool) -> Iterator[TextDelta]:
        words = self.chat.decode(text)
        # A character has at most four bytes, and so four tokens; a longer run of bytes will not become one.
        if words and (last or len(text) > 8 or not words.endswith("\ufffd")):
            text.clear()
            yield TextDelta(words)

    @torch.inference_mode()
    def _decode(self, rows: Sequence[_Row]) -> Iterator[None]:
        """Runs passes until every row has finished; yields after each."""
        rows = [row for row in rows if not row.out.finish]
        if not rows:
            return
        cache, shared = read_shared_beginning(self.model, [row.pending for row in rows])
        for row in rows:
            row.length, row.pending = shared, row.pending[shared:]
        while rows:
            self._pass(rows, cache)
            yield
            left = [i for i, row in enumerate(rows) if not row.out.finish]
            if len(left) < len(rows):
                rows = [rows[i] for i in left]
                cache = cache.select(left)

    def _pass(self, rows: Sequence[_Row], cache: RaggedCache) -> None:
        """Reads what every row has pending and drafted, and lets each take what the model decided."""
        blocks = [row.pending + row.draft for row in rows]
        kept = [1 + len(row.draft) for row in rows]
        logits = read(self.model, cache, blocks, [row.length for row in rows], kept)
        self.passes += 1
        for row, found in zip(rows, logits.split(kept), strict=True):
            row.length += len(row.pending)
            row.pending = []
            row.length += row.take(found)
        self._search_titles(rows, cache)

    def _search_titles(self, rows: Sequence[_Row], cache: RaggedCache) -> None:
        """Writes a whole title into each row that has opened an item and wants one."""
        opened = [(i, row) for i, row in enumerate(rows) if row.opened is not None]
        searching = [(i, row) for i, row in opened if not row.keeps_listing()]
        for n in {row.request.best_titles for _, row in searching}:
            places, asking = zip(*((i, row) for i, row in searching if row.request.best_titles == n), strict=True)
            found = search_titles(self.model, cache.select(places), [row.length for row in asking],
                                  [row.cursor for row in asking], torch.stack([row.opened for row in asking]), n)
            for row, ranked in zip(asking, found, strict=True):
                row.ranking = [title.leaf for title in ranked]
        for _, row in opened:
            row.write_next_title()
