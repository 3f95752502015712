"""What is asked of the engine, and what it answers."""

import operator
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

from train_utils.constraint.constraint import Constraint, ConstraintError


@dataclass(frozen=True)
class SamplingParams:
    """How a token is drawn. temperature 0 takes the likeliest; top_k 0 and top_p 1 leave no token out."""

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
        prompt: token ids up to where the assistant goes on; its last turn may already hold items.
        answer_at: where in the prompt the answer begins: its length where the assistant has said nothing yet; None:
            behind the last end of turn, or what the chat template opens an answer with.
        rules: which items may be emitted; None means that no catalog is in force, and no item can be opened.
        constrained: with False the tree is not applied (an unconstrained rival); `rules` is then unused.
        max_new_tokens: length limit. max_items: stop behind this many items, 0 for no limit.
        min_items: where the model would end its turn with fewer items, the next item of a list is opened instead; with
            the same `max_items` an answer that ends has exactly so many.
        force_items: write a list of `max_items` items and nothing else; the model only chooses the items.
        idx: lists are numbered: what `force_items` writes, and the first guess of a draft.
        best_titles: 0 spells titles token by token. Otherwise titles are found whole, by search: 1 takes the most
            probable one at each item; n takes the n most probable at the first item of a list, one by one, without
            those that the rules have closed meanwhile.
        sampling: how tokens are taken; seed: what a sampled answer depends on, beside the prompt.
        expected: item indices that the list will probably hold, best first (a teacher's): they make it faster, never
            different.

    Raises:
        ValueError: an empty prompt, or a number out of its range.
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
    """An answer.

    Attributes:
        ids: its tokens, end of turn left out.
        items: item indices, in order. scores: their log-probabilities among the admissible items.
        finish: why it ended. "end": the model ended its turn; "items": it has `max_items`; "exhausted": fewer items
            than asked for are admissible, and all are listed; "length": the limit; "stopped": somebody stopped it;
            "error": it could not be gone on with.
        error: what was wrong, for the finish "error".
    """

    ids: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    finish: str = ""
    error: ConstraintError | None = None
