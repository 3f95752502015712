"""Readers of the chat: rules, the model, or both."""

from dataclasses import replace

from train_utils.conversation.limits.category_words import Encoder
from train_utils.conversation.preferences import Change
from train_utils.conversation.reader import Reader, RequestReader
from train_utils.dialogue.model_reader import ModelReader, Reading
from train_utils.recommender import Recommender

# Least probability of a line that adds to what the rules read. Of a model trained for 110 steps no line from .5 on
# added anything to the dev messages (LOG.md): a better model needs a choice of its own.
SURE = 0.8


class BothReader:
    """Rules, then the model where the rules read nothing.

    Args:
        rules: reader by rules.
        model: the model as a reader.
    """

    def __init__(self, rules: Reader, model: ModelReader):
        self._rules, self._model = rules, model

    def read(self, text: str) -> Change:
        """Return what a message changes."""
        change = self._rules.read(text)
        return both(change, self._model.reading(text)) if _is_open(change) else change


def _is_open(change: Change) -> bool:
    """Return whether the rules read no condition in a message, so that the model may add some."""
    conditions = (change.only, change.without, change.limits, change.ranges, change.excluded)
    return not any(conditions) and not change.any_category


def both(rules: Change, reading: Reading) -> Change:
    """Return the change of the rules, with the conditions of a sure model where the rules read none."""
    model = reading.change
    if reading.probability < SURE or not _is_open(rules):
        return rules
    return replace(
        rules, only=model.only, together=model.together, also=rules.also or model.also, without=model.without,
        ranges=model.ranges,
    )  # fmt: skip


def make_reader(kind: str, recommender: Recommender, encoder: Encoder | None = None) -> Reader:
    """Return a reader of messages.

    Args:
        kind: "rules", "model" or "both".
        recommender: model and catalog.
        encoder: encodes texts, for words that mean a category without naming it; for the rules.

    Raises:
        ValueError: see `ModelReader`.
    """
    catalog = recommender.catalog
    assert catalog is not None  # without a catalog the chat reads nothing
    if kind == "model":
        return ModelReader(recommender)
    rules = RequestReader(catalog, recommender.named_titles, encoder)
    return rules if kind == "rules" else BothReader(rules, ModelReader(recommender))
