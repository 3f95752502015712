"""Messages to token ids and back. The only file that spells a control token.

A message's content is a list of parts. Text parts are encoded with special tokens disabled, so no text can forge a
control token or an end of turn; items and control symbols are inserted here by id.
"""

import itertools
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from train_utils.constraint.answer_start import answer_start
from train_utils.constraint.title_check import check_title_ids, check_told_apart, special_ids
from train_utils.constraint.trie import TitleTrie, build_trie
from train_utils.constraint.trie_cache import TrieTitles, load_trie, save_trie, trie_key
from train_utils.prompts.chat_template import WIDE, ChatTemplate, tokenize
from train_utils.prompts.control_tokens import EOI, SOI, control_tokens, split_completion
from train_utils.prompts.messages import ControlPart, ItemPart, Message, Part, TitlePart
from train_utils.text_files import has_text

# Texts before which another is tokenized as it is in the middle of a text: the first that no token reaches over.
_ANCHORS = ("\u241f", "\n", ".", "a")


@dataclass(frozen=True)
class Rendered:
    """A conversation as token ids.

    Attributes:
        ids: the tokens.
        labeled: for each token, whether the assistant wrote it (its end-of-turn token included).
        items: (start, item) of each item that stands between control tokens; `start` is the place of `<SOI>`.
    """

    ids: list[int]
    labeled: list[bool]
    items: list[tuple[int, int]]


class Chat:
    """Encodes and decodes conversations by the tokenizer's own chat template.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template and both control tokens.
        titles: the catalog's titles, in item order.
        trees: a folder that keeps the titles' tree between runs, so that they need not be tokenized again; "" for none.

    Attributes:
        titles, title_ids: the titles and their token ids. tree: their prefix tree; None without titles.
        template: the tokenizer's chat template. end_of_turn: the token that ends an answer.

    Raises:
        ValueError: no chat template, control tokens missing, a title that holds a special token or no text, or a
            template whose rendering of a conversation is not an extension of its prompt.
    """

    def __init__(self, tokenizer, titles: Sequence[str] = (), trie_cache: str | Path = ""):
        self.tokenizer, self.titles = tokenizer, titles
        self.template = ChatTemplate(tokenizer)
        self.end_of_turn, self.system_allowed = self.template.end_of_turn, self.template.system_allowed
        self.soi, self.eoi = map(self._control_id, control_tokens(tokenizer))
        self._markers: list[str] = []
        # A title is spelled as a word behind a space is: whole words are what the model knows, and the first token of
        # a bare title is often a single letter. SentencePiece writes that space itself, before every text.
        self._space = "" if self.decode([*self.encode("a"), *self.encode("a")]) == "a a" else " "
        self._markers = self._markers_of_template()
        self._before = self.encode("a")  # stands for what precedes a text that is decoded in the middle of an answer
        self._continuations = self._unlike_continuations()
        spelled = [self._space + title for title in titles]
        # Texts that no title may hold; a kept tree was checked for these.
        special = (token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
        self._unspoken = sorted({SOI, EOI, *tokenizer.all_special_tokens, *self._markers, *special})
        key = trie_key(tokenizer, spelled, self.soi, self.eoi, self._unspoken) if trie_cache and spelled else ""
        self.trie = load_trie(trie_cache, key) if key else None
        self.title_ids: Sequence[list[int]]
        if self.trie is None:
            self._check_titles(titles)
            self.title_ids = self.encode_many(spelled)
            self.trie = self._build_tree(spelled)
            if key:
                save_trie(self.trie, trie_cache, key)
        else:
            self.title_ids = TrieTitles(self.trie)

    def _control_id(self, token: str) -> int:
        token_id = self.tokenizer.convert_tokens_to_ids(token)
        if token_id is None or token_id == self.tokenizer.unk_token_id or token not in self.tokenizer.get_vocab():
            raise ValueError(f"the tokenizer has no control token {token}; train or merge the model with this project")
        return token_id

    def _check_titles(self, titles: Sequence[str]) -> None:
        for place, title in enumerate(titles):
            if not has_text(title):
                raise ValueError(f"title {place}, {title!r}, shows no text; give the item a title")
            if found := next((text for text in self._unspoken if text in title), None):
                raise ValueError(
                    f"title {place}, {title!r}, holds the special token {found}; preprocess the dataset again"
                )

    def _build_tree(self, spelled: Sequence[str]) -> TitleTrie | None:
        if not spelled:
            return None
        # Not every tokenizer reads a special token's text as plain text when it is asked to.
        check_title_ids(
            self.tokenizer,
            self.title_ids,
            special_ids(self.tokenizer, (self.soi, self.eoi, self.end_of_turn)),
            "preprocess the dataset again",
            self.titles,
        )
        trie = build_trie(self.title_ids, self.soi, self.eoi)
        check_told_apart(self.titles, trie)
        return trie

    # -- text ----------------------------------------------------------------------------------------------------

    def encode(self, text: str, behind: bool = False) -> list[int]:
        """Token ids of plain text; special tokens and the template's markers in it stay ordinary characters.

        behind: other content of the message stands before it, so that SentencePiece writes no space of its own.
        """
        pieces = [text]
        if self._markers:
            # A tokenizer splits only special tokens; other markers are cut behind their first character.
            found = re.finditer("|".join(map(re.escape, self._markers)), text)
            cuts = [0, *(marker.start() + 1 for marker in found), len(text)]
            pieces = [text[start:end] for start, end in itertools.pairwise(cuts)]
        return [
            token
            for i, piece in enumerate(pieces)
            for token in (self._encode_behind(piece) if behind or i else self._tokenized(piece))
        ]

    def _encode_behind(self, text: str) -> list[int]:
        if not text or self._space:
            return self._tokenized(text)
        for anchor in _ANCHORS:
            head, ids = self._tokenized(anchor), self._tokenized(anchor + text)
            if ids[: len(head)] == head:
                return ids[len(head) :]
        return self._tokenized(text)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokenized(list(texts)) if len(texts) else []

    def _tokenized(self, text: str | list[str]) -> list:
        return tokenize(self.tokenizer, text, split_special_tokens=True)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids` without special tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def item_ids(self, item: int) -> list[int]:
        return [self.soi, *self.title_ids[item], self.eoi]

    def decode_part(self, ids: Sequence[int], first: bool) -> str:
        """Text of a run of an answer's tokens between two items, as it reads there: SentencePiece's space before a
        word counts, but at the beginning of the answer."""
        if first:
            return self.decode(ids)
        return self.decode([*self._before, *ids]).removeprefix(self.decode(self._before))

    def settled_part(self, ids: Sequence[int], first: bool) -> str:
        """The beginning of `decode_part` that no further token can change: half of a character is left out."""
        readings = [self.decode_part([*ids, *more], first) for more in ((), *self._continuations)]
        return os.path.commonprefix(readings).rstrip("\ufffd")

    def _unlike_continuations(self) -> list[list[int]]:
        """Tokens that show what is settled: a letter, and a byte of no character, which spoils the bytes before it."""
        vocabulary = self.tokenizer.get_vocab()
        spoiling = [[vocabulary[token]] for token in ("<0xFF>",) if token in vocabulary]
        return [self._before, *spoiling]

    def parts_of(self, ids: Sequence[int], item_of: Callable[[list[int]], int | None]) -> tuple["Part", ...]:
        """The parts of an answer from its tokens.

        item_of: the item of the token ids between control tokens; None keeps these as text.
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
        """Where in a prompt the answer that it opens or has begun starts."""
        return answer_start(prompt, self.end_of_turn, self.template.openers, self.trie)

    # -- conversations -------------------------------------------------------------------------------------------

    def render(self, messages: Sequence[Message], *, prompt: bool) -> Rendered:
        """Encodes a conversation; with `prompt` it ends where the assistant is to go on.

        The rendering of a conversation starts with the rendering of every prompt cut from it, so what is trained
        is what is served.
        """
        messages = self._without_system(messages)
        markup = self.template.markup([m.role for m in messages], prompt)
        ids, labeled, items = [], [], []
        for i, entry in enumerate(messages):
            self._append_markup(markup[i], messages[i - 1].role if i else "", ids, labeled)
            self._append_parts(entry, self._placed(entry.parts, markup[i], markup[i + 1]), ids, labeled, items)
        self._append_markup(markup[-1], messages[-1].role, ids, labeled)
        return Rendered(ids, labeled, items)

    def _append_markup(self, text: str, previous_role: str, ids: list[int], labeled: list[bool]) -> None:
        # A space before a content belongs to its first word.
        tokens = self.template.tokenized(text.removeprefix(WIDE).removesuffix(WIDE).removesuffix(" "))
        written = 0
        if previous_role == "assistant":
            if self.end_of_turn not in tokens:
                tokens.insert(0, self.end_of_turn)  # the template closes no turn: no answer would ever learn to stop
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
                    ids += self.encode(part, behind=len(ids) > start)
                case ItemPart(item):
                    items.append((len(ids), item))
                    ids += self.item_ids(item)
                case ControlPart(which):
                    ids.append(self.soi if which == "soi" else self.eoi)
        labeled += [entry.role == "assistant"] * (len(ids) - start)

    def _placed(self, parts: Iterable[Part], before: str, behind: str) -> list[Part]:
        """A message's parts as the template puts them between its markup: trimmed or not, behind a space or not."""
        joined = self._joined(parts)
        if joined and isinstance(joined[0], str) and not before.endswith(WIDE):
            joined[0] = joined[0].lstrip()
        if joined and isinstance(joined[-1], str) and not behind.startswith(WIDE):
            joined[-1] = joined[-1].rstrip()
        if joined and isinstance(joined[0], str) and joined[0] and before.removesuffix(WIDE).endswith(" "):
            joined[0] = self._space + joined[0]
        return joined

    def _joined(self, parts: Iterable[Part]) -> list[Part]:
        """Text and the titles in it as one string: it is encoded as it would be if a user had typed it."""
        joined: list[Part] = []
        for part in parts:
            text = f" {self.titles[part.item]}" if isinstance(part, TitlePart) else part
            if isinstance(text, str) and joined and isinstance(joined[-1], str):
                joined[-1] += text
            else:
                joined.append(text)
        return joined

    def _without_system(self, messages: Sequence[Message]) -> list[Message]:
        """Templates that know no system role get its text at the head of the first user message."""
        messages = list(messages)
        if not messages:
            raise ValueError("a conversation needs at least one message, got none")
        if messages[0].role != "system" or self.system_allowed:
            return messages
        head, first, *rest = messages
        return [Message(first.role, (*head.parts, "\n\n", *first.parts)), *rest]

    def _markers_of_template(self) -> list[str]:
        """Added tokens that the template writes although they are not special: a text must not be read as them."""
        roles = ["system"] * self.system_allowed + ["user", "assistant"]
        written = set(self.template.tokenized("".join(self.template.markup(roles, prompt=False))))
        added = self.tokenizer.added_tokens_decoder.items()
        markers = {token.content for i, token in added if i in written and not token.special and len(token.content) > 1}
        return sorted(markers, key=len, reverse=True)
