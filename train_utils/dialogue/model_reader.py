"""The model as a reader of messages: it writes a reading line under the catalog's grammar.

Which titles a message names is searched in its text, as for the rules; what the message says of them, and all else, the
model reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from train_utils.conversation.limits.ranges import Range
from train_utils.conversation.preferences import Change
from train_utils.conversation.titles.reader import TitleReader
from train_utils.decoding.guided_line import LineGrammar, grammar_tokenizer, write_line
from train_utils.prompts.named_titles import Mention
from train_utils.prompts.plain_text import plain_text
from train_utils.prompts.reading_line import ReadingLine, line_grammar, parsed_line, read_part, reading_prompt
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
        self._titles = TitleReader(recommender.named_titles)
        tokenizer, names = grammar_tokenizer(chat), (catalog.categories, catalog.numeric_attributes)
        self._with_items, self._without_items = (
            LineGrammar(chat, tokenizer, line_grammar(*names, chat.soi, chat.eoi, items)) for items in (True, False)
        )

    def read(self, text: str) -> Change:
        """Return what a message changes; see `read_part` for how much of it is read."""
        return self.reading(text).change

    def reading(self, text: str) -> Reading:
        """Return what a message changes, and how probable that is."""
        text = read_part(text)
        named = self._named(text)
        state = self._with_items.begin([*named]) if named else self._without_items.begin()
        line = write_line(self._recommender.engine, state, self._prompt(text), MOST_WRITTEN)
        if not line.is_whole:
            return Reading(Change(), 0.0)
        items = iter(line.items)
        parts = self._chat.parts_of(line.ids, lambda ids: next(items))
        return Reading(_change(parsed_line(parts), named), line.probability)

    def _named(self, text: str) -> dict[int, tuple[int, ...]]:
        """Return the titles that a text names: the first of the items that share a title -> all of them."""
        found = (annotation.value for annotation in self._titles.find(plain_text(text)))
        return {value.items[0]: tuple(value.items) for value in found if isinstance(value, Mention)}

    def _prompt(self, text: str) -> list[int]:
        """Return the prompt; of a text that does not fit the context, the first half, and so on."""
        context = self._recommender.context
        while True:
            prompt = self._chat.render(reading_prompt(text), prompt=True).ids
            if not context or len(prompt) + MOST_WRITTEN <= context or not text:
                return prompt
            text = text[: len(text) // 2]


def _change(line: ReadingLine, named: Mapping[int, tuple[int, ...]]) -> Change:
    return Change(
        asks=line.asks,
        count=line.count if line.asks else None,
        liked=tuple(named[item] for item in line.liked),
        disliked=tuple(named[item] for item in line.disliked),
        known=tuple(named[item] for item in line.known),
        only=tuple(name for name in line.only if name not in line.without),
        together=line.together,
        also=line.also,
        without=line.without,
        ranges=tuple(Range(*entry) for entry in line.ranges),
        any_category=line.any_category,
        more=line.more and line.asks,
        forget=line.forget,
    )
