"""Sequence samples: whole histories as bare item codes, with a label at every item."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from train_utils.catalog import Catalog
from train_utils.prompts.messages import ItemPart, message
from train_utils.prompts.renderer import Chat, Rendered
from train_utils.samples.conversation import Conversation
from train_utils.samples.plan import SampleConfig
from train_utils.samples.sources import Source, ask_teacher, shuffled
from train_utils.teacher.protocol import Teacher

TASK = "Sequence"
_OPENED = 0.1  # share of the items of a window that follow `<SOI>`


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a user's sequence: items `start` to `end`, and which of them (from 0) follow `<SOI>`."""

    user: int
    start: int
    end: int
    opened: frozenset[int]


class SequenceSamples:
    """Windows of the training sequences. Each item of a window but the first is predicted from those before it.

    A pass covers every training event. The windows of a pass have other borders than those of the passes before.

    Args:
        catalog: the catalog and the users' sequences.
        chat: renderer with item codes.
        teacher: ranks the items that follow each history; None for hard labels.
        config: configuration of the samples.
        length: items of a window at most.

    Raises:
        ValueError: the renderer has no item codes, or no user has two training events.
    """

    def __init__(self, catalog: Catalog, chat: Chat, teacher: Teacher | None, config: SampleConfig, length: int):
        if not chat.code_ids:
            raise ValueError("sequence samples need item codes; take another item form than titles")
        self.catalog, self.chat, self.teacher, self.config, self.length = catalog, chat, teacher, config, length
        self.sequences = [sequence for sequence in catalog.training_sequences() if len(sequence) >= 2]
        if not self.sequences:
            raise ValueError(f"dataset {catalog.name!r} has no user with two training events; nothing can be trained")
        self._windows = [
            (user, part)
            for user, sequence in enumerate(self.sequences)
            for part in range(n_windows(len(sequence) - 1, length))
        ]

    def samples(self, epochs: int) -> int:
        """Return the number of windows in `epochs` passes."""
        return len(self._windows) * epochs

    def tasks(self) -> list[str]:
        return [TASK]

    def check(self, epochs: int) -> None:
        # A window has one item more than labels, and each labeled item may follow `<SOI>`.
        longest = len(self.chat.history_ids(())) + (self.length + 1) * max(map(len, self.chat.code_ids)) + self.length
        if longest > self.config.max_token_length:
            raise ValueError(
                f"`max_token_length` {self.config.max_token_length} is too short for windows of {self.length} items "
                f"({longest} tokens); raise it or lower `max_sequence`"
            )

    def talks(self, numbers: Sequence[int]) -> list[Conversation]:
        windows = [self._window(number) for number in numbers]
        rankings = iter(self._ask([history for window in windows for history in self._histories(window)]))
        return [self._talk(window, rankings) for window in windows]

    def ask_ahead(self, numbers: Sequence[int]) -> None:
        self._ask([history for number in numbers for history in self._histories(self._window(number))])

    def _window(self, number: int) -> Window:
        epoch, index = divmod(number, len(self._windows))
        user, part = self._windows[shuffled(self.config.seed, epoch, len(self._windows))[index]]
        labels = len(self.sequences[user]) - 1  # every event but the first
        draw = f"{self.config.seed}/{epoch}/{user}"
        starts = window_starts(labels, self.length, draw)
        start, end = starts[part], starts[part + 1] if part + 1 < len(starts) else labels
        return Window(user, start, end + 1, opened_items(end + 1 - start, f"{draw}/{part}"))

    def _histories(self, window: Window) -> list[tuple[int, ...]]:
        """Return the history before each labeled item of a window, as long as the model may see."""
        sequence = self.sequences[window.user]
        return [sequence[max(0, at - self.length) : at] for at in range(window.start + 1, window.end)]

    def _ask(self, histories: Sequence[tuple[int, ...]]):
        if self.teacher is None or self.config.soft_labels == 0:
            return [None] * len(histories)
        return ask_teacher(self.teacher, self.catalog, histories, self.config)

    def _talk(self, window: Window, rankings) -> Conversation:
        items = self.sequences[window.user][window.start : window.end]
        ids, positions = self.chat.history_ids(()), []
        of_position: list[int] = []
        for n, item in enumerate(items):
            # A code of one token is predicted from the item before and from `<SOI>`; a longer code continues only one.
            if n not in window.opened or len(self.chat.code_ids[item]) == 1:
                positions.append((len(ids) - 1, item))
                of_position.append(n)
            if n in window.opened:
                ids.append(self.chat.soi)
                positions.append((len(ids) - 1, item))
                of_position.append(n)
            ids += self.chat.code_ids[item]
        rankings_of = {n: next(rankings) for n in range(1, len(items))}
        return Conversation(
            TASK,
            (message("user", *map(ItemPart, items)),),
            Rendered(ids, [False] * len(ids), positions),
            len(positions),
            beginnings={at: rankings_of[n] for at, n in enumerate(of_position) if n},
        )


def n_windows(labels: int, length: int) -> int:
    """Return the number of windows of a sequence, each with `length` labels at most."""
    return 1 if labels <= length else labels // length + 1


@lru_cache(maxsize=4096)
def window_starts(labels: int, length: int, draw: str) -> tuple[int, ...]:
    """Return where the windows of a sequence start: the first has a random length, the others are full but the last."""
    n = n_windows(labels, length)
    if n == 1:
        return (0,)
    shortest, longest = max(1, labels - (n - 1) * length), min(length, labels - (n - 2) * length - 1)
    return (0, *range(random.Random(draw).randint(shortest, longest), labels, length))


def opened_items(n: int, draw: str) -> frozenset[int]:
    """Return which of the n items of a window follow `<SOI>`: the last, and some of the others but the first.

    So `<SOI>` learns to ask for the next item after histories of any length, at the price of a token.
    """
    rng = random.Random(draw)
    return frozenset([n - 1, *(at for at in range(1, n - 1) if rng.random() < _OPENED)])


class MixedSamples:
    """Two sources as one, interleaved evenly. An epoch takes `n` samples of the first, and an epoch of the second.

    Args:
        first: source of `n` samples per epoch.
        n: the number of samples.
        second: the other source.
        text_weight: factor of the text's loss in the first source's samples.
    """

    def __init__(self, first: Source, n: int, second: Source, text_weight: float = 1.0):
        self.first, self.second, self.config, self.text_weight = first, second, first.config, text_weight
        self._of_first, self._of_both = n, n + second.samples(1)

    @property
    def cut(self) -> int:
        return getattr(self.first, "cut", 0)

    def samples(self, epochs: int) -> int:
        return self._of_both * epochs

    def tasks(self) -> list[str]:
        return sorted({*self.first.tasks(), *self.second.tasks()})

    def check(self, epochs: int) -> None:
        self.first.check(math.ceil(self._of_first * epochs / max(1, self.first.samples(1))))
        self.second.check(epochs)

    def talks(self, numbers: Sequence[int]) -> list[Conversation]:
        of_first, of_second = self._split(numbers)
        first = (replace(talk, text_weight=self.text_weight) for talk in self.first.talks(of_first))
        second = iter(self.second.talks(of_second))
        return [next(first if self._is_first(number) else second) for number in numbers]

    def ask_ahead(self, numbers: Sequence[int]) -> None:
        of_first, of_second = self._split(numbers)
        self.first.ask_ahead(of_first)
        self.second.ask_ahead(of_second)

    def _firsts_before(self, number: int) -> int:
        """Return how many of the numbers below `number` are of the first source."""
        return number * self._of_first // self._of_both

    def _is_first(self, number: int) -> bool:
        return self._firsts_before(number + 1) > self._firsts_before(number)

    def _split(self, numbers: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the numbers of the samples in the first and in the second source."""
        firsts = [self._firsts_before(number) for number in numbers if self._is_first(number)]
        return firsts, [number - self._firsts_before(number) for number in numbers if not self._is_first(number)]
