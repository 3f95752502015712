"""What is expected of a user in a conversation: model, teacher, similarity and popularity as one prior of lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import numpy as np

from train_utils.catalog import Catalog, Item
from train_utils.constraint.constraint import Prior, log_shares
from train_utils.dialogue.weights import Weights
from train_utils.models.item_similarity import ItemSimilarity
from train_utils.priors import combined, teacher_scores
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.recommender import CHAT_HISTORY, Recommender
from train_utils.teacher.breaker import CircuitBreaker
from train_utils.teacher.protocol import Teacher, TeacherError, TeacherRefusal


@dataclass(frozen=True)
class Taste:
    """What is known of a user's taste, as item indices.

    Attributes:
        history: what the user consumed and liked, oldest first.
        examples: liked items that the conversation names, oldest first.
        disliked: items that the user does not like.
    """

    history: tuple[int, ...] = ()
    examples: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()

    def without(self, item: int) -> "Taste":
        """Return the taste of a user who never met an item."""
        return Taste(*(tuple(i for i in items if i != item) for items in (self.history, self.examples, self.disliked)))


def similarity_of(catalog: Catalog, teacher: Teacher | None) -> ItemSimilarity:
    """Return the similarity of a catalog's items, with the teacher's vectors of the items that it was trained on.

    Raises:
        TeacherError: the teacher does not know such an item.
    """
    inner = teacher.teacher if isinstance(teacher, CircuitBreaker) else teacher
    vectors_of = getattr(inner, "item_vectors", None)
    known = catalog.items[: len(catalog.items) - catalog.added]
    return ItemSimilarity.of(catalog, vectors_of([item.id for item in known]) if vectors_of else None)


@dataclass
class Expectations:
    """Prior of lists in conversations.

    Args:
        recommender: model and catalog.
        teacher: a sequential recommender of the catalog; None for none.
        similarity: similarity of the catalog's items.
        weights: weights of the parts.

    Attributes:
        problem: why the teacher was left out, until `take_problem` returns it; "" for none.
        outages: outages of the teacher that were a problem: each is one once.
    """

    recommender: Recommender
    similarity: ItemSimilarity
    teacher: Teacher | None = None
    weights: Weights = field(default_factory=Weights)
    problem: str = ""
    outages: int = 0

    @classmethod
    def of(
        cls, recommender: Recommender, catalog: Catalog, teacher: Teacher | None = None, weights: Weights | None = None
    ) -> "Expectations":
        """Return the expectations with the teacher's item vectors as a part of similarity, where it has them.

        A teacher that does not know an item of the catalog is left out. One that fails later is left out for a while;
        see `CircuitBreaker`.

        Args:
            recommender: model and catalog.
            catalog: the recommender's catalog.
            teacher: a sequential recommender of the catalog; None for none.
            weights: weights of the parts; None for the defaults.
        """
        problem = ""
        try:
            similarity = similarity_of(catalog, teacher)
        except TeacherError as error:
            teacher, similarity, problem = None, similarity_of(catalog, None), str(error)
        if teacher is not None and not isinstance(teacher, CircuitBreaker):
            teacher = CircuitBreaker(teacher, catalog.name)
        return cls(recommender, similarity, teacher, weights or Weights(), problem)

    def changed(self, recommender: Recommender, items: Mapping[int, Item]) -> "Expectations":
        """Return the expectations after changes of items.

        Args:
            recommender: the recommender after them.
            items: index -> item.
        """
        return replace(self, recommender=recommender, similarity=self.similarity.changed(items))

    def take_problem(self) -> str:
        """Return why the teacher was left out, once; "" for no new reason."""
        problem, self.problem = self.problem, ""
        return problem

    def scores(self, tastes: Sequence[Taste]) -> list[np.ndarray]:
        """Return what the prior of each user adds to the scores of the items, float64 [items] each."""
        return list(map(self.added, self.parts(tastes)))

    def added(self, parts: Mapping[str, Prior]) -> np.ndarray:
        """Return what the parts of a prior add to the scores of the items together, float64 [items]."""
        prior = reduce(combined, parts.values(), None)
        return np.zeros(len(self.recommender.renderer.titles)) if prior is None else log_shares(prior)

    def priors(self, tastes: Sequence[Taste]) -> list[Prior | None]:
        """Return the prior of each user's list; None where nothing is expected.

        Args:
            tastes: what is known of each user.
        """
        return [reduce(combined, parts.values(), None) for parts in self.parts(tastes)]

    def parts(self, tastes: Sequence[Taste]) -> list[dict[str, Prior]]:
        """Return the parts of each user's prior by name: "model", "teacher", "similarity", "popularity".

        Args:
            tastes: what is known of each user.
        """
        of_model = self.recommender.sequence_priors(
            [taste.history[-CHAT_HISTORY:] for taste in tastes], self.weights.sequence
        )
        named = [
            {"model": model, "teacher": teacher, "similarity" if taste.examples else "popularity": self._rest(taste)}
            for taste, model, teacher in zip(tastes, of_model, self._of_teacher(tastes), strict=True)
        ]
        return [{name: prior for name, prior in parts.items() if prior is not None} for parts in named]

    def lifts(self, parts: Mapping[str, Prior], items: Sequence[int]) -> list[dict[str, float]]:
        """Return what each part of a prior adds to the scores of items beyond an equal share, in nats.

        Args:
            parts: the parts of a user's prior.
            items: indices of the items.
        """
        n_items = len(self.recommender.renderer.titles)
        added = {name: log_shares(prior)[list(items)] + prior.weight * np.log(n_items) for name, prior in parts.items()}
        return [{name: float(values[i]) for name, values in added.items()} for i in range(len(items))]

    def _of_teacher(self, tastes: Sequence[Taste]) -> list[Prior | None]:
        priors: list[Prior | None] = [None] * len(tastes)
        weight = self.weights.teacher
        known = [i for i, taste in enumerate(tastes) if taste.history]
        catalog = self.recommender.catalog
        if self.teacher is None or catalog is None or not weight or not known:
            return priors
        histories = [tastes[i].history[-CHAT_HISTORY:] for i in known]
        try:
            scores = teacher_scores(self.teacher, catalog, histories, LIST_LENGTH)
        except TeacherError as error:
            outages = getattr(self.teacher, "outages", None)
            if isinstance(error, TeacherRefusal) or outages is None or outages != self.outages:
                self.problem, self.outages = str(error), outages or 0
            return priors
        for i, of_items in zip(known, scores, strict=True):
            priors[i] = Prior(of_items, weight, "sum")
        return priors

    def _rest(self, taste: Taste) -> Prior | None:
        if taste.examples:
            return Prior(self.similarity.shares(taste.examples, taste.disliked), self.weights.similarity, "sum")
        catalog = self.recommender.catalog
        # In a catalog without events the popularity is a part of what the model expects already.
        if not taste.history and catalog is not None and not catalog.is_cold:
            return Prior(np.asarray(catalog.popularity) + 1.0, self.weights.popularity, "sum")
        return None
