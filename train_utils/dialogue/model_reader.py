"""The model as a reader of messages: it writes a reading line under the catalog's grammar."""

from collections.abc import Iterable
from dataclasses import dataclass

from train_utils.conversation.preferences import Change
from train_utils.conversation.ranges import Range
from train_utils.decoding.guided_line import LineGrammar, write_line
from train_utils.prompts.reading_line import MOST_READ, ReadingLine, line_grammar, parsed_line, reading_prompt
from train_utils.recommender import Recommender

MOST_WRITTEN = 200  # tokens of a reading line; those of the training samples have 50 at most


@dataclass(frozen=True)
class Reading:
    """What a model has read.

    Attributes:
        change: what the message changes.
        probability: of the line, among the lines that the grammar admits.
    """

    change: Change
    probability: float


class ModelReader:
    """Reader whose model writes what a message asks.

    It reads neither titles that the catalog lacks, nor questions about titles, nor judgments of titles of the message
    before: these slots stay empty.

    Args:
        recommender: a model that was trained by SFTReading, and a catalog.

    Raises:
        ValueError: the model was not trained so or retrieves its items, or its tokenizer is no fast one.
    """

    def __init__(self, recommender: Recommender):
        catalog, chat, config = recommender.catalog, recommender.renderer, recommender.model.config
        assert catalog is not None  # without a catalog the chat reads nothing
        if getattr(config, "reads_messages", None) is not True or recommender.retriever is not None:
            raise ValueError(
                f"model {recommender.source!r} was not trained to read messages; give `reader` rules, or train with "
                "`SFT_train_tasks` SFTReading"
            )
        self._recommender, self._chat = recommender, chat
        grammar = line_grammar(catalog.categories, catalog.numeric_attributes, chat.soi, chat.eoi)
        self._grammar = LineGrammar(chat, grammar)

    def read(self, text: str) -> Change:
        """Return what a message changes; see `read_part` for how much of it is read."""
        return self.reading(text).change

    def reading(self, text: str) -> Reading:
        """Return what a message changes, and how probable that is."""
        prompt = self._prompt(text)
        line = write_line(self._recommender.engine, self._grammar, prompt, MOST_WRITTEN)
        if not line.is_whole:
            return Reading(Change(), 0.0)
        items = iter(line.items)
        parts = self._chat.parts_of(line.ids, lambda ids: next(items))
        return Reading(_change(parsed_line(parts)), line.probability)

    def _prompt(self, text: str) -> list[int]:
        """Return the prompt; of a text that does not fit the context, the first half, and so on."""
        context = self._recommender.context
        while True:
            prompt = self._chat.render(reading_prompt(text), prompt=True).ids
            if not context or len(prompt) + MOST_WRITTEN <= context or not text:
                return prompt
            text = text[: min(len(text), 2 * MOST_READ) // 2]


def _change(line: ReadingLine) -> Change:
    return Change(
        asks=line.asks,
        count=line.count if line.asks else None,
        liked=_titles(line.liked),
        disliked=_titles(line.disliked),
        known=_titles(line.known),
        only=tuple(name for name in line.only if name not in line.without),
        together=line.together,
        also=line.also,
        without=line.without,
        ranges=tuple(Range(*entry) for entry in line.ranges),
        any_category=line.any_category,
        more=line.more and line.asks,
        forget=line.forget,
    )


def _titles(items: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    return tuple((item,) for item in items)
