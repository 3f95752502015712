"""Systems that simulated users talk with: the chat, the model without a reader, and rankings under the same rules."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from train_utils.catalog import Catalog
from train_utils.constraint.item_rules import ItemRules, compile_rules
from train_utils.conversation.reader import Reader
from train_utils.decoding.request import Completion, Request
from train_utils.dialogue.dialogue import Dialogue, Heard, Plan
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.evaluation.simulated_users import Answer
from train_utils.priors import teacher_scores
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.prompts.messages import ItemPart, Part
from train_utils.recommender import Recommender
from train_utils.teacher.protocol import Teacher

BATCH = 16  # users that are answered in one pass
_FREE_TOKENS = 200  # of an answer in which the model decides what is text and what is an item

# tastes -> scores of all items, float [tastes, items]
Scores = Callable[[Sequence[Taste]], Sequence[np.ndarray]]


class _System(ABC):
    """System with a dialogue for each user; `_answers` answers a batch of them."""

    def __init__(self, users: int, new: Callable[[], Dialogue]):
        self.dialogues = [new() for _ in range(users)]

    def __call__(self, messages: Mapping[int, str]) -> dict[int, Answer]:
        """Answer the messages of users, by number of the user."""
        answers: dict[int, Answer] = {}
        numbers = list(messages)
        for start in range(0, len(numbers), BATCH):
            batch = numbers[start : start + BATCH]
            talks = [self.dialogues[i] for i in batch]
            heard = [_heard(talk, messages[i]) for talk, i in zip(talks, batch, strict=True)]
            for i, talk, said, answer in zip(batch, talks, heard, self._answers(talks, heard), strict=True):
                talk.record(said.user, answer.parts)
                answers[i] = answer
        return answers

    @abstractmethod
    def _answers(self, talks: Sequence[Dialogue], heard: Sequence[Heard]) -> list[Answer]: ...


def _heard(talk: Dialogue, text: str) -> Heard:
    heard = talk.hear(text)
    assert heard is not None  # a simulated user's messages are short
    return heard


class ChatSystem(_System):
    """The chat: what is asked becomes rules, what is expected a prior, and the model lists."""

    def __init__(self, users: int, expectations: Expectations, reader: Reader):
        super().__init__(users, lambda: Dialogue(expectations.recommender, reader))
        self.expectations = expectations

    def _answers(self, talks: Sequence[Dialogue], heard: Sequence[Heard]) -> list[Answer]:
        priors = self.expectations.priors([talk.taste for talk in talks])
        plans = [talk.plan(said, prior) for talk, said, prior in zip(talks, heard, priors, strict=True)]
        rows = [i for i, plan in enumerate(plans) if not plan.problem]
        requests = [talks[i].request(heard[i], plans[i]) for i in rows]
        answers = [Answer()] * len(talks)
        for i, answer in zip(rows, _generated(self.expectations.recommender, requests), strict=True):
            answers[i] = answer
        return answers


class FreeSystem(_System):
    """The model as a chat model under the constraint: nothing is read but the titles, which are not listed back."""

    def __init__(self, users: int, recommender: Recommender):
        super().__init__(users, lambda: Dialogue(recommender, max_new_tokens=_FREE_TOKENS))
        self.recommender = recommender

    def _answers(self, talks: Sequence[Dialogue], heard: Sequence[Heard]) -> list[Answer]:
        requests = [talk.request(said, self._plan(talk, said)) for talk, said in zip(talks, heard, strict=True)]
        return _generated(self.recommender, requests)

    def _plan(self, talk: Dialogue, heard: Heard) -> Plan:
        catalog, trie = self.recommender.catalog, self.recommender.renderer.trie
        assert catalog is not None
        assert trie is not None
        texts = [part for entry in talk.messages(heard.user) for part in entry.parts if isinstance(part, str)]
        named = {item for text in texts for items in self.recommender.named_titles.mentions(text) for item in items}
        return Plan(compile_rules(catalog, trie, ItemRules(deny=tuple(catalog.ids(sorted(named))))))


class RankingSystem(_System):
    """A ranking filtered by the rules that the chat understands."""

    def __init__(self, users: int, recommender: Recommender, reader: Reader, scores: Scores):
        super().__init__(users, lambda: Dialogue(recommender, reader))
        self.scores = scores

    def _answers(self, talks: Sequence[Dialogue], heard: Sequence[Heard]) -> list[Answer]:
        scores = self.scores([talk.taste for talk in talks])
        plans = [talk.plan(said, None) for talk, said in zip(talks, heard, strict=True)]
        return [Answer(_best(of_items, plan)) for of_items, plan in zip(scores, plans, strict=True)]


def _best(scores: np.ndarray, plan: Plan) -> tuple[Part, ...]:
    if plan.constraint is None:
        return ()
    admitted = np.flatnonzero(plan.constraint.admitted)
    order = np.argsort(-scores[admitted], kind="stable")[: plan.n_items]
    return tuple(map(ItemPart, admitted[order].tolist()))


def _generated(recommender: Recommender, requests: Sequence[Request]) -> list[Answer]:
    completions = recommender.engine.generate(requests) if requests else []
    return [Answer(_parts(recommender, completion)) for completion in completions]


def _parts(recommender: Recommender, completion: Completion) -> tuple[Part, ...]:
    items = iter(completion.items)
    return recommender.renderer.parts_of(completion.ids, lambda _: next(items, None))


class TeacherScores:
    """Scores of a teacher; popularity for users of whom nothing is known.

    Args:
        teacher: the teacher.
        catalog: the items to score.
    """

    def __init__(self, teacher: Teacher, catalog: Catalog):
        self.teacher, self.catalog = teacher, catalog

    def __call__(self, tastes: Sequence[Taste]) -> list[np.ndarray]:
        known = [i for i, taste in enumerate(tastes) if taste.history]
        scores = popularity_scores(self.catalog)(tastes)
        if known:
            of_teacher = teacher_scores(self.teacher, self.catalog, [tastes[i].history for i in known], LIST_LENGTH)
            for i, of_items in zip(known, of_teacher, strict=True):
                scores[i] = of_items
        return scores


def popularity_scores(catalog: Catalog) -> Callable[[Sequence[Taste]], list[np.ndarray]]:
    """Return the function that scores items by their popularity, whatever the taste."""
    popular = np.asarray(catalog.popularity, dtype=np.float64)
    return lambda tastes: [popular] * len(tastes)
