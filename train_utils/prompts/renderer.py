"""Messages to token ids and back.

A message's content is a list of parts. Text parts are encoded with special tokens disabled, so no text can forge a
control token or an end of turn. Items and control symbols are inserted by id.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from train_utils.constraint.answer_start import answer_start
from train_utils.constraint.title_index import TitleIndex
from train_utils.item_codes import ItemCodes
from train_utils.prompts.chat_template import WIDE
from train_utils.prompts.codec import Codec
from train_utils.prompts.control_tokens import split_completion
from train_utils.prompts.messages import ControlPart, ItemPart, Message, Part, TitlePart, message


@dataclass(frozen=True)
class Rendered:
    """Conversation as token ids.

    Attributes:
        ids: the tokens.
        labeled: for each token, whether the assistant wrote it (its end-of-turn token included).
        items: (start, item) per item that is not written as text; `start` is the position before its title or code,
            that of `<SOI>` for an item between control tokens. A user's items are bare codes, if there are codes: text
            cannot forge a code, and a history is shorter without the control tokens.
    """

    ids: list[int]
    labeled: list[bool]
    items: list[tuple[int, int]]


class Chat(Codec):
    """Encoder and decoder of conversations whose messages contain items of a catalog.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template and both control tokens.
        titles: the catalog's titles, in item order.
        trie_cache: folder that keeps the trie of the titles between runs, so that they are not tokenized again; ""
            for none.
        codes: codes of the items; None spells items by their titles.
        unused_codes: code tokens of a model whose codes are of another catalog; no text may contain them.

    Attributes:
        titles: the titles.
        title_ids: token ids of each item between its control tokens: its title, its code, or both.
        code_ids: token ids of each item's code; () if items are spelled by their titles alone.
        trie: the trie of `title_ids`; None without titles.
        item_tokens: ids of the code tokens.

    Raises:
        ValueError: see `Codec` and `TitleIndex.build`.
    """

    def __init__(
        self,
        tokenizer,
        titles: Sequence[str] = (),
        trie_cache: str | Path = "",
        codes: ItemCodes | None = None,
        unused_codes: Sequence[str] = (),
    ):
        super().__init__(tokenizer)
        self.codes, self.unused_codes = codes, unused_codes
        self._use(TitleIndex.build(self, titles, trie_cache, codes, unused_codes))
        self.item_tokens = [] if self.trie is None else self.trie.item_tokens.tolist()

    def _use(self, index: TitleIndex) -> None:
        self.titles, self.title_ids = index.titles, index.title_ids
        self.code_ids, self.trie = index.code_ids, index.trie

    def with_titles(self, titles: Sequence[str], changed: Sequence[int]) -> "Chat":
        """Return an encoder of the same items after changes of some titles; see `TitleIndex.changed`.

        Args:
            titles: all titles, in item order; those beyond the last one before are added.
            changed: items whose titles are new.

        Raises:
            ValueError: see `TitleIndex.changed`.
        """
        before = TitleIndex(self.titles, self.title_ids, self.code_ids, self.trie)
        chat = copy.copy(self)
        chat._use(before.changed(self, titles, changed, self.codes, self.unused_codes))
        return chat

    def item_ids(self, item: int) -> list[int]:
        return [self.soi, *self.title_ids[item], self.eoi]

    @cached_property
    def one_token_codes(self) -> np.ndarray | None:
        """The token of each item, int64 [items]; None where items have no codes, or codes of several tokens."""
        if not self.code_ids or max(map(len, self.code_ids)) > 1:
            return None
        return np.array([token for (token,) in self.code_ids], dtype=np.int64)

    @cached_property
    def _first_token(self) -> list[int]:
        return self.render([message("user", "a")], prompt=False).ids[:1]

    def history_ids(self, items: Sequence[int]) -> list[int]:
        """Return a history without a conversation: the first token before a user's message, then bare codes."""
        return [*self._first_token, *itertools.chain.from_iterable(self.code_ids[item] for item in items)]

    def written_ids(self, item: int, recommended: bool) -> list[int]:
        """Return the tokens of an item after its position in `Rendered.items`.

        Args:
            item: the item.
            recommended: whether the assistant lists the item, between control tokens.
        """
        bare = bool(self.code_ids) and not recommended
        return self.code_ids[item] if bare else [*self.title_ids[item], self.eoi]

    def parts_of(self, ids: Sequence[int], item_of: Callable[[list[int]], int | None]) -> tuple[Part, ...]:
        """Return the parts of an answer.

        Args:
            ids: tokens of the answer.
            item_of: token ids between control tokens -> item; None keeps the tokens as text.
        """
        parts: list[Part] = []
        titles, texts = split_completion(ids, self.soi, self.eoi)
        for i, (text, title) in enumerate(itertools.zip_longest(texts, titles)):
            parts.append(self.decode_part(text or (), first=i == 0))
            if title is not None:
                item = item_of(title)
                parts.append(self.decode_part(title, first=False) if item is None else ItemPart(item))
        return tuple(part for part in parts if part != "")

    def answer_start(self, prompt: Sequence[int]) -> int:
        """Return the position in a prompt at which the answer that it opens or has begun starts."""
        return answer_start(prompt, self.end_of_turn, self.template.openers, self.trie)

    # -- conversations -------------------------------------------------------------------------------------------

    def render(self, messages: Sequence[Message], *, prompt: bool) -> Rendered:
        """Encode a conversation.

        The rendering of a conversation starts with the rendering of every prompt that is a prefix of it, so training
        and serving use the same tokens.

        Args:
            messages: the messages.
            prompt: whether the rendering ends where the assistant continues.

        Raises:
            ValueError: there are no messages.
        """
        messages = self._without_system(messages)
        markup = self.template.markup([m.role for m in messages], prompt)
        ids: list[int] = []
        labeled: list[bool] = []
        items: list[tuple[int, int]] = []
        for i, entry in enumerate(messages):
            self._append_markup(markup[i], messages[i - 1].role if i else "", ids, labeled)
            self._append_parts(entry, self._placed(entry.parts, markup[i], markup[i + 1]), ids, labeled, items)
        self._append_markup(markup[-1], messages[-1].role, ids, labeled)
        return Rendered(ids, labeled, items)

    def _append_markup(self, text: str, previous_role: str, ids: list[int], labeled: list[bool]) -> None:
        # A space before the content is encoded with the content's first word.
        tokens = self.template.tokenized(text.removeprefix(WIDE).removesuffix(WIDE).removesuffix(" "))
        written = 0
        if previous_role == "assistant":
            if self.end_of_turn not in tokens:
                tokens.insert(0, self.end_of_turn)  # else the model never learns to stop
            written = tokens.index(self.end_of_turn) + 1
        ids += tokens
        labeled += [position < written for position in range(len(tokens))]

    def _append_parts(
        self, entry: Message, parts: Iterable[Part], ids: list[int], labeled: list[bool], items: list[tuple[int, int]]
    ) -> None:
        start = len(ids)
        for part in parts:
            match part:
                case str():
                    ids += self.encode(part, continues=len(ids) > start)
                case ItemPart(item) if self.code_ids and entry.role != "assistant":
                    items.append((len(ids) - 1, item))
                    ids += self.code_ids[item]
                case ItemPart(item):
                    items.append((len(ids), item))
                    ids += self.item_ids(item)
                case ControlPart(which):
                    ids.append(self.soi if which == "soi" else self.eoi)
        labeled += [entry.role == "assistant"] * (len(ids) - start)

    def _placed(self, parts: Iterable[Part], before: str, after: str) -> list[Part]:
        """Return a message's parts as the template writes them between its markup.

        Args:
            parts: parts of the message.
            before: markup before the message; decides whether the content is trimmed and starts with a space.
            after: markup after the message; decides whether the content is trimmed.
        """
        joined = self._joined(parts)
        if joined and isinstance(joined[0], str) and not before.endswith(WIDE):
            joined[0] = joined[0].lstrip()
        if joined and isinstance(joined[-1], str) and not after.startswith(WIDE):
            joined[-1] = joined[-1].rstrip()
        if joined and isinstance(joined[0], str) and joined[0] and before.removesuffix(WIDE).endswith(" "):
            joined[0] = self._space + joined[0]
        return joined

    def _joined(self, parts: Iterable[Part]) -> list[Part]:
        """Return the parts with text and the titles in it joined, so that they are encoded like typed text."""
        joined: list[Part] = []
        for part in parts:
            text = f" {self.titles[part.item]}" if isinstance(part, TitlePart) else part
            if isinstance(text, str) and joined and isinstance(joined[-1], str):
                joined[-1] += text
            else:
                joined.append(text)
        return joined

    def _without_system(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages; without a system role in the template, the first user message takes the system text.

        Raises:
            ValueError: there are no messages.
        """
        messages = list(messages)
        if not messages:
            raise ValueError("a conversation needs at least one message, got none")
        if messages[0].role != "system" or self.system_allowed:
            return messages
        head, first, *rest = messages
        return [Message(first.role, (*head.parts, "\n\n", *first.parts)), *rest]
