"""Conversation of one user, for programs: a message in, texts and items out."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from train_utils.characters import shown, whole_characters
from train_utils.constraint.item_rules import ItemRules, item_rules
from train_utils.conversation.limits.category_words import Encoder
from train_utils.decoding.events import TextDelta
from train_utils.dialogue.answers import AnswerEvent, Notice, reasons_of, reply
from train_utils.dialogue.dialogue import Dialogue, admitted_by
from train_utils.dialogue.expectations import Expectations
from train_utils.dialogue.readers import make_reader
from train_utils.dialogue.weights import read_weights
from train_utils.models.item_vectors import sentence_encoder
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.recommender import Recommendation, Recommender, whole_number


@dataclass(frozen=True)
class Answer:
    """Answer to a message.

    Attributes:
        text: the answer's text, with the titles of its items.
        items: the items, best first.
        understood: what the conversation has asked for so far, in words; "" for nothing.
        notices: what the user should know and is not part of the answer, such as that fewer items fit than were asked.
    """

    text: str
    items: tuple[Recommendation, ...]
    understood: str
    notices: tuple[str, ...]


class Conversation:
    """Conversation with a recommender: what messages ask for becomes rules inside decoding and a prior of lists.

    It is of one user, and answers one message at a time.

    Args:
        recommender: model and catalog; its teacher, if it has one, is part of the prior.
        history: ids or titles of what the user consumed before, oldest first.
        rules: which items may be listed, whatever the user asks for, as `ItemRules` or as a mapping of its fields.
        encoder: sentence encoder for words that mean a category ("scary"), or its folder; None reads names and the
            words of `conversation.limits.category_thesaurus`.
        list_length: items of a list for which the user names no number.
        max_new_tokens: length limit of an answer without its list, in tokens.
        max_context: tokens of prompt and answer at most, where the model's context is not shorter; 0 for no limit.

    Raises:
        ValueError: the catalog lacks an item of the history, the rules or a number are invalid, the encoder cannot be
            loaded, or the recommender's model only lists.
        ConstraintError: the rules admit no item.
    """

    def __init__(
        self,
        recommender: Recommender,
        history: Sequence[str] = (),
        rules: ItemRules | Mapping[str, object] | None = None,
        *,
        encoder: str | Path | Encoder | None = None,
        list_length: int = LIST_LENGTH,
        max_new_tokens: int = 512,
        max_context: int = 0,
    ):
        if not isinstance(recommender, Recommender):
            raise ValueError(f"`recommender` is {shown(recommender)}, wanted a Recommender; see Recommender.load")
        _ = recommender.engine  # raises here for a model that only lists
        self.recommender, self._expectations, reader = recommender, None, None
        if recommender.catalog is not None:
            catalog = recommender.catalog
            reader = make_reader("rules", recommender, _encoder(encoder))
            weights = read_weights(recommender.source, catalog.name)
            self._expectations = Expectations.of(recommender, catalog, recommender.teacher, weights)
        self._new_dialogue = partial(
            Dialogue,
            recommender,
            reader,
            list_length=whole_number("list_length", list_length),
            max_new_tokens=whole_number("max_new_tokens", max_new_tokens),
            max_context=whole_number("max_context", max_context) if max_context else 0,
        )
        self._begin(history, rules)

    def another(
        self, history: Sequence[str] = (), rules: ItemRules | Mapping[str, object] | None = None
    ) -> "Conversation":
        """Return a new conversation, of another user for instance, that shares what takes long to make.

        Args:
            history: see the class.
            rules: see the class.
        """
        other = object.__new__(Conversation)
        vars(other).update(vars(self))
        other._begin(history, rules)
        return other

    def _begin(self, history: Sequence[str], rules: ItemRules | Mapping[str, object] | None) -> None:
        if rules is not None and self.recommender.catalog is None:
            raise ValueError("rules are given and no catalog is loaded; pass `dataset` to Recommender.load")
        parsed = rules if isinstance(rules, ItemRules) else item_rules({} if rules is None else rules)
        dialogue = self._new_dialogue(
            distinct=parsed.distinct,
            admitted=admitted_by(self.recommender, parsed),
            max_per_category=parsed.max_per_category,
        )
        if 0 < dialogue.context <= dialogue.max_new_tokens:
            raise ValueError(
                f"`max_new_tokens` is {dialogue.max_new_tokens}, which leaves no room for a message in a context of "
                f"{dialogue.context} tokens; lower it"
            )
        dialogue.profile = tuple(dict.fromkeys(self.recommender.indices(history)))
        self._dialogue, self._answering = dialogue, threading.Lock()

    @property
    def understood(self) -> str:
        """What the conversation has asked for so far, in words; "" for nothing."""
        return self._dialogue.asked

    def ask(self, text: str) -> Answer:
        """Answer a message."""
        texts, items, notices = list[str](), list[Recommendation](), list[str]()
        for event in self.events(text):
            match event:
                case TextDelta(words):
                    texts.append(words)
                case Recommendation(title=title):
                    texts.append(title)
                    items.append(event)
                case Notice(line, says_understood=False):
                    notices.append(line)
        return Answer("".join(texts), tuple(items), self.understood, tuple(notices))

    def events(self, text: str, stop: threading.Event | None = None) -> Iterator[AnswerEvent]:
        """Answer a message and yield texts, items and notices as they are made, `Done` after the answer.

        The part of the answer that was yielded is kept in the conversation, also where the caller stops iterating.

        Args:
            text: the message.
            stop: ends the answer early when it is set.

        Raises:
            ValueError: the message is no text; or, with the first event, the answer before is not read to its end.
        """
        if not isinstance(text, str):
            raise ValueError(f"`text` is {shown(text)}, wanted a text")
        return self._answer(whole_characters(text), stop)

    def _answer(self, text: str, stop: threading.Event | None) -> Iterator[AnswerEvent]:
        # Two answers at a time would list the same items, since neither has heard of the other's.
        if not self._answering.acquire(blocking=False):
            raise ValueError(
                "the answer before is not read to its end; read it or close it, and take `another` for another user"
            )
        try:
            yield from reply(self._dialogue, self._expectations, text, stop)
        finally:
            self._answering.release()

    def why(self, *ranks: int) -> str:
        """Return why items of the last list were listed, a line each.

        Args:
            ranks: positions in the last list, from 1; none for all of it.

        Raises:
            ValueError: there is no such position.
        """
        listed = self._dialogue.last.items
        for rank in map(partial(whole_number, "ranks"), ranks):
            if not 1 <= rank <= len(listed):
                raise ValueError(f"`ranks` has {rank}, and the last list has {len(listed)} items")
        items = [listed[rank - 1] for rank in ranks] or list(listed)
        return reasons_of(self._dialogue, self._expectations, items) if items else ""


def _encoder(given: str | Path | Encoder | None) -> Encoder | None:
    """Return an encoder, which is loaded where its folder is given."""
    if isinstance(given, (str, Path)) and str(given):
        return sentence_encoder(str(given), "cpu")
    if given is None or callable(given):
        return given
    raise ValueError(f"`encoder` is {shown(given)}, wanted a folder, a function from texts to vectors, or None")
