"""State of one answer: the request, the tokens written so far, and the tokens that may follow.

No tensor and no model: copies of the state run ahead of the model to draft what it will probably write.
"""

import random
from collections.abc import Sequence
from itertools import dropwhile

import numpy as np

from train_utils.constraint.constraint import Prior
from train_utils.constraint.matcher import Matcher, Unconstrained
from train_utils.decoding.request import Request
from train_utils.decoding.sampler import SamplingPoint
from train_utils.prompts.messages import separator
from train_utils.prompts.renderer import Chat

_EXPECTED = 128  # best items of a prior that are drafted


class DecodingState:
    """State of one answer. `write` accepts one sampled token and returns it with the tokens that are forced after it.

    Args:
        request: the request that is answered.
        chat: renderer of the conversation, with the catalog's titles.

    Attributes:
        constrained: whether the answer is constrained to a catalog.
        matcher: state in the trie.
        finish: why the answer ended, "" until it ends.
        begins_answer: whether the prompt ends where an answer begins.
        begins_inside: whether the prompt ends inside an open item.
        ranking: (item, log-probability) of the titles that a search returned for the next items of a list, best first.
    """

    __slots__ = (
        "request",
        "chat",
        "constrained",
        "matcher",
        "finish",
        "ranking",
        "begins_answer",
        "begins_inside",
        "_items",
        "_count",
        "_decisions",
        "_numbered",
        "_between",
        "_expected",
        "_title",
        "_done",
        "_likely",
    )

    def __init__(self, request: Request, chat: Chat):
        self.request = request
        self.chat = chat
        answer_at = chat.answer_start(request.prompt) if request.answer_at is None else request.answer_at
        self.begins_answer = answer_at == len(request.prompt)
        rules = request.rules if request.constrained else None
        self.constrained = rules is not None
        self.matcher: Matcher = (
            Unconstrained(_barred_without_rules(request, chat))
            if rules is None
            else Matcher.from_tokens(rules, request.prompt, chat.end_of_turn, answer_at)
        )
        self._likely = [] if rules is None else _likely_items(request, rules.prior)
        self.begins_inside = not self.free
        self.finish = ""
        self.ranking: tuple[tuple[int, float], ...] = ()
        self._items = self._count = self._decisions = 0
        self._numbered = request.idx  # whether a number preceded the last item
        self._between: list[int] = []  # tokens since the last item
        self._title: list[int] = []  # tokens of the open item, which the prompt may have opened
        if not self.free:
            prompt = list(request.prompt)
            self._title = prompt[len(prompt) - 1 - prompt[::-1].index(chat.soi) :]
        self._done: list[tuple[int, float | None, list[int]]] = []  # items that `take_items` has not returned yet
        # The probable text before the next item; the last turn of the prompt may have listed all items already.
        self._expected = [] if self.exhausted else self._separator()

    def copy(self) -> "DecodingState":
        other = object.__new__(DecodingState)
        for name in DecodingState.__slots__:
            setattr(other, name, getattr(self, name))
        other.matcher = self.matcher.copy()
        for name in ("_between", "_title", "_expected"):
            setattr(other, name, list(getattr(self, name)))
        other._done = []
        return other

    @property
    def free(self) -> bool:
        """True outside an item."""
        return self.matcher.free

    @property
    def exhausted(self) -> bool:
        """True if there is a catalog and none of its items is admissible."""
        return self.matcher.exhausted

    def take_items(self) -> list[tuple[int, float | None, list[int]]]:
        """Return the items written since the last call.

        Returns:
            (item index, log-probability if a search returned the item, token ids as written) of each item.
        """
        done, self._done = self._done, []
        return done

    def begin(self) -> list[int]:
        """Write and return the tokens that are forced before the first sampled token."""
        if self.request.force_items and self.free:
            if self.exhausted:
                self.finish = "exhausted"
                return []
            return self._write(self._separator()) + self._follow()
        known = self._known()
        return self._write(known) + self._follow() if known else []

    def choice(self) -> SamplingPoint | None:
        """Return the sampling point of the next token; None where a whole title is searched."""
        uniform = 0.0
        if self.request.sampling.temperature > 0:
            uniform = random.Random(f"{self.request.seed}/{self._decisions}").random()
        matcher = self.matcher
        if matcher.free:
            return SamplingPoint(None, matcher.barred(), None, self.request.sampling, uniform)
        if self.searches:
            return None
        prior = matcher.prior()
        return SamplingPoint(
            matcher.allowed(), None, None if prior is None else prior[0], self.request.sampling, uniform
        )

    def expected_text(self) -> int | None:
        """Return the next token of the usual separator between items; None once the text has deviated from it."""
        return self._expected[0] if self._expected else None

    def expected_title(self) -> int | None:
        """Return the next token of the best expected item that is admissible below this position; None if none is."""
        item = next(filter(self.matcher.offers, self._likely), None)
        return None if item is None else self.matcher.token_towards(item)

    @property
    def searches(self) -> bool:
        """Whether a whole title is searched here instead of a token sampled."""
        return self.matcher.at_root and self.request.best_titles > 0

    def write(self, token: int) -> list[int]:
        """Write a sampled token and the tokens that are forced after it.

        Returns:
            The tokens written; an end of turn itself is not written.

        Raises:
            ConstraintError: the token is not allowed here.
        """
        self._decisions += 1
        if token == self.chat.end_of_turn and self.free:
            if not self.constrained or self._items >= self.request.min_items:
                self.finish = "end"
            elif self.exhausted:
                self.finish = "exhausted"
            else:
                return self._write(self._separator()) + self._follow()
            return []
        return self._write([token]) + self._follow()

    def write_title(self) -> list[int]:
        """Write the first title of the ranking into the open item and return the tokens written."""
        return self._write(self._ranked_title()) + self._follow()

    def _follow(self) -> list[int]:
        written: list[int] = []
        while not self.finish and (known := self._known()):
            written += self._write(known)
        return written

    def _known(self) -> list[int]:
        """Return the tokens that are forced next."""
        matcher = self.matcher
        if matcher.free:
            ended_item = not self._between and self._items > 0
            return self._separator() if self.request.force_items and ended_item else []
        if matcher.at_root and self.ranking and self._keeps_listing():
            # An item listed after the search may have filled a capped group, which closes other items of the ranking.
            self.ranking = tuple(dropwhile(lambda entry: not matcher.offers(entry[0]), self.ranking))
            if self.ranking:
                return self._ranked_title()
        return [] if self.searches else matcher.jump_forward()

    def _ranked_title(self) -> list[int]:
        return self.chat.item_ids(self.ranking[0][0])[1:]

    def _keeps_listing(self) -> bool:
        """Return whether the open item continues the list of the previous item: no word is between them."""
        return not any(map(str.isalpha, self.chat.decode(self._between)))

    def _separator(self) -> list[int]:
        """Return the tokens before the next item of a list, `<SOI>` included."""
        return [*self.chat.encode(separator(self._items + 1, self._numbered)), self.chat.soi]

    def _write(self, tokens: Sequence[int]) -> list[int]:
        matcher = self.matcher
        for at, token in enumerate(tokens, 1):
            self._count += 1
            item = matcher.accept_token(token)
            self._note(token)
            if item is not None:
                score = None
                if self.ranking and matcher.same_title(self.ranking[0][0], item):
                    score, self.ranking = self.ranking[0][1], self.ranking[1:]
                self._done.append((item, score, self._title))
            if token == self.chat.eoi:
                self._after_item()
            if not self.finish and self._count >= self.request.max_new_tokens:
                self.finish = "length"
            if self.finish:
                return list(tokens[:at])
        return list(tokens)

    def _note(self, token: int) -> None:
        if token == self.chat.soi:
            self._title = [token]
            self._numbered = self.chat.decode(self._between).endswith(f"{self._items + 1}. ")
        elif token == self.chat.eoi or not self.free:
            self._title.append(token)
        else:
            self._between.append(token)
        if self._expected and token == self._expected[0]:
            del self._expected[0]
        else:
            self._expected = []

    def _after_item(self) -> None:
        self._items += 1
        self._between = []
        if self._items == self.request.max_items:
            self.finish = "items"
        elif self.exhausted and (self.request.force_items or self._items < self.request.min_items):
            self.finish = "exhausted"
        self._expected = [] if self.exhausted else self._separator()


def _barred_without_rules(request: Request, chat: Chat) -> np.ndarray | tuple[int, ...]:
    """Return the tokens that a text without items must not contain."""
    if not request.constrained:
        return ()
    # The trie's own array: rows that share it are masked together.
    return (chat.soi, chat.eoi) if chat.trie is None else chat.trie.barred_with_soi


def _likely_items(request: Request, prior: Prior | None) -> list[int]:
    """Return items in drafting order: the expected items of the request, else the best of its prior."""
    if len(request.expected) or prior is None:
        return list(request.expected)
    return prior.best(_EXPECTED)
