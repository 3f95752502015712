"""Requests to the engine, and its completions."""

import operator
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

from train_utils.constraint.constraint import Constraint, ConstraintError


@dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters of a token.

    Attributes:
        temperature: 0 takes the most probable token.
        top_k: number of tokens to draw from; 0 excludes none.
        top_p: probability mass to draw from; 1 excludes no token.

    Raises:
        ValueError: a number is out of its range.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}, wanted 0 or more")
        if self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}, wanted 0 (all) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, wanted more than 0 and at most 1")


GREEDY = SamplingParams()


@dataclass(frozen=True)
class Request:
    """One prompt and what its answer may hold.

    Attributes:
        prompt: token ids up to the position at which the assistant continues; its last turn may already contain items.
        rules: the admissible items; None if there is no catalog, so that no item can be opened.
        answer_at: position in the prompt at which the answer begins, which is its length if the assistant has written
            no text yet; None: after the last end of turn or the text that opens an answer in the chat template.
        constrained: False decodes without the trie, for comparison; `rules` is then unused.
        max_new_tokens: length limit of the answer, in tokens.
        max_items: stop after this many items; 0 for no limit.
        min_items: if the model would end its turn with fewer items, the next item of a list is opened instead; with
            an equal `max_items`, an answer that ends has exactly this many items.
        force_items: write only a list of `max_items` items; the model only chooses the items.
        idx: number the lists, both those that `force_items` writes and the first drafted separator.
        best_titles: 0 spells titles token by token. Otherwise whole titles are searched: 1 takes the most probable
            title at each item; n takes the n most probable titles at the first item of a list, one per item, without
            titles that the constraint has closed since.
        sampling: sampling parameters of the tokens.
        seed: seed of a sampled answer, which depends on the prompt and the seed.
        expected: item indices that the list will probably contain, best first (a teacher's); they make decoding
            faster and never change the answer.

    Raises:
        ValueError: the prompt is empty, or a number is out of its range.
    """

    prompt: Sequence[int]
    rules: Constraint | None = None
    _: KW_ONLY
    answer_at: int | None = None
    constrained: bool = True
    max_new_tokens: int = 512
    max_items: int = 0
    min_items: int = 0
    force_items: bool = False
    idx: bool = False
    best_titles: int = 0
    sampling: SamplingParams = GREEDY
    seed: int = 0
    expected: Sequence[int] = ()

    def __post_init__(self):
        if hasattr(self.prompt, "tolist"):  # an array
            object.__setattr__(self, "prompt", self.prompt.tolist())
        if not len(self.prompt):
            raise ValueError("a request's prompt is empty; render the conversation first")
        if self.answer_at is not None:
            object.__setattr__(self, "answer_at", operator.index(self.answer_at))
            if not 0 <= self.answer_at <= len(self.prompt):
                raise ValueError(
                    f"a request's answer_at is {self.answer_at}, wanted 0 to {len(self.prompt)}, the "
                    "length of its prompt"
                )
        for name, least in (("max_new_tokens", 1), ("max_items", 0), ("min_items", 0), ("best_titles", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"a request's {name} is {getattr(self, name)}, wanted {least} or more")
        if 0 < self.max_items < self.min_items:
            raise ValueError(f"a request's min_items is {self.min_items}, more than its max_items of {self.max_items}")


@dataclass
class Completion:
    """Answer to a request.

    Attributes:
        ids: token ids of the answer, without the end of turn.
        items: item indices, in order.
        scores: log-probability of each item among the admissible items.
        finish: why the answer ended. "end": the model ended its turn; "items": it has `max_items`; "exhausted": all
            admissible items are listed, and they are fewer than requested; "length": the length limit; "stopped": the
            caller stopped it; "error": decoding failed.
        error: the error, if `finish` is "error".
    """

    ids: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    finish: str = ""
    error: ConstraintError | None = None
