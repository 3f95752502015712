"""A request, and what has been written of its answer, as far as that decides what may follow.

No tensor and no model: copies of the state run ahead of the model to draft what it will probably write.
"""

import random
from collections.abc import Sequence
from itertools import dropwhile

from train_utils.constraint.constraint import Prior
from train_utils.constraint.matcher import Matcher
from train_utils.decoding.request import Request
from train_utils.decoding.sampler import SamplingPoint
from train_utils.prompts.messages import separator
from train_utils.prompts.renderer import Chat

_EXPECTED = 128  # of a prior's best items, how many are guessed


class DecodingState:
    """The state of an answer. `write` takes one decided token and gives it with all that must follow it.

    Attributes:
        matcher: place in the tree; None without a catalog. finish: why the answer ended, "" while it goes on.
        begins_answer, begins_inside: whether the prompt ends where an answer begins, or inside an open item.
        ranking: (item, log-probability) of titles found for the next items of a list, best first.
    """

    __slots__ = (
        "request",
        "chat",
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
        self.matcher: Matcher | None = None
        answer_at = chat.answer_start(request.prompt) if request.answer_at is None else request.answer_at
        self.begins_answer = answer_at == len(request.prompt)
        if request.constrained and request.rules:
            self.matcher = Matcher.from_tokens(request.rules, request.prompt, chat.end_of_turn, answer_at)
        self.begins_inside = not self.free
        self.finish = ""
        self.ranking: tuple[tuple[int, float], ...] = ()
        self._items = self._count = self._decisions = 0
        self._numbered = request.idx  # whether the last item had a number before it
        self._between: list[int] = []  # tokens since the last item
        self._title: list[int] = []  # tokens of the open item, which the prompt may have begun
        if not self.free:
            prompt = list(request.prompt)
            self._title = prompt[len(prompt) - 1 - prompt[::-1].index(chat.soi) :]
        self._done: list[tuple[int, float | None, list[int]]] = []  # items that nobody has taken yet
        # What will probably stand before the next item; the prompt's own turn may have listed all that there are.
        self._expected = [] if self.exhausted else self._separator()
        self._likely = [] if self.matcher is None else _likely_items(request, self.matcher.rules.prior)

    def copy(self) -> "DecodingState":
        other = object.__new__(DecodingState)
        for name in DecodingState.__slots__:
            setattr(other, name, getattr(self, name))
        other.matcher = self.matcher.copy() if self.matcher is not None else None
        for name in ("_between", "_title", "_expected"):
            setattr(other, name, list(getattr(self, name)))
        other._done = []
        return other

    @property
    def free(self) -> bool:
        """True outside an item."""
        return self.matcher is None or self.matcher.free

    @property
    def exhausted(self) -> bool:
        """True where a catalog is in force and no item of it may be listed any more."""
        return self.matcher is not None and self.matcher.exhausted

    def take_items(self) -> list[tuple[int, float | None, list[int]]]:
        """Items written since the last call: index, log-probability where a search found it, and the ids as written."""
        done, self._done = self._done, []
        return done

    def begin(self) -> list[int]:
        """What is known of the answer before anything is decided."""
        if self.request.force_items and self.free:
            if self.exhausted:
                self.finish = "exhausted"
                return []
            return self._write(self._separator()) + self._follow()
        known = self._known()
        return self._write(known) + self._follow() if known else []

    def choice(self) -> SamplingPoint | None:
        """What may be picked here; None where a title is to be searched for."""
        uniform = 0.0
        if self.request.sampling.temperature > 0:
            uniform = random.Random(f"{self.request.seed}/{self._decisions}").random()
        matcher = self.matcher
        if matcher is None or matcher.free:
            return SamplingPoint(None, self._barred(), None, self.request.sampling, uniform)
        if self.searches:
            return None
        prior = matcher.prior()
        return SamplingPoint(matcher.allowed(), (), None if prior is None else prior[0], self.request.sampling, uniform)

    def _barred(self) -> tuple[int, ...]:
        """Tokens that free text may not hold here."""
        if self.matcher is None:
            return (self.chat.soi, self.chat.eoi) if self.request.constrained else ()
        return self.matcher.barred()

    def expected_text(self) -> int | None:
        """The next token of what usually stands before the next item, as long as the text has kept to it."""
        return self._expected[0] if self._expected else None

    def expected_title(self) -> int | None:
        """The next token on the way to the best item of the request's ranking that is left below this place."""
        matcher = self.matcher
        assert matcher is not None  # asked inside an item
        item = next(filter(matcher.offers, self._likely), None)
        return None if item is None else matcher.token_towards(item)

    @property
    def searches(self) -> bool:
        """Whether a whole title is to be found here, instead of a token."""
        return self.matcher is not None and self.matcher.at_root and self.request.best_titles > 0

    def write(self, token: int) -> list[int]:
        """Takes a decided token; returns what is written with it. Nothing for an end of turn.

        Raises:
            ConstraintError: the token is not allowed here.
        """
        self._decisions += 1
        if token == self.chat.end_of_turn and self.free:
            if self.matcher is None or self._items >= self.request.min_items:
                self.finish = "end"
            elif self.exhausted:
                self.finish = "exhausted"
            else:
                return self._write(self._separator()) + self._follow()
            return []
        return self._write([token]) + self._follow()

    def write_title(self) -> list[int]:
        """Writes the first title of the ranking into the open item."""
        return self._write(self._ranked_title()) + self._follow()

    def _follow(self) -> list[int]:
        written: list[int] = []
        while not self.finish and (known := self._known()):
            written += self._write(known)
        return written

    def _known(self) -> list[int]:
        """What must come next, as far as nothing has to be decided."""
        matcher = self.matcher
        if matcher is None or matcher.free:
            ended_item = not self._between and self._items > 0
            return self._separator() if self.request.force_items and ended_item else []
        if matcher.at_root and self.ranking and self._keeps_listing():
            # An item listed since the ranking was made may have closed others: it fills a group of the rules.
            self.ranking = tuple(dropwhile(lambda one: not matcher.offers(one[0]), self.ranking))
            if self.ranking:
                return self._ranked_title()
        return [] if self.searches else matcher.jump_forward()

    def _ranked_title(self) -> list[int]:
        return self.chat.item_ids(self.ranking[0][0])[1:]

    def _keeps_listing(self) -> bool:
        """Whether the open item goes on with the list of the one before: no word stands between them."""
        return not any(map(str.isalpha, self.chat.decode(self._between)))

    def _separator(self) -> list[int]:
        """What stands before the next item of a list."""
        return [*self.chat.encode(separator(self._items + 1, self._numbered)), self.chat.soi]

    def _write(self, tokens: Sequence[int]) -> list[int]:
        matcher = self.matcher
        for at, token in enumerate(tokens, 1):
            self._count += 1
            item = matcher.accept_token(token) if matcher is not None else None
            self._note(token)
            if matcher is not None and item is not None:
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


def _likely_items(request: Request, prior: Prior | None) -> list[int]:
    """Items in the order in which they are guessed: the request's own, else the best of its prior."""
    if len(request.expected) or prior is None:
        return list(request.expected)
    return prior.best(_EXPECTED)
