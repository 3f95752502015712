"""Messages to token ids and back. The only file that spells a control token.

A message's content is a list of parts. Text parts are encoded with special tokens disabled, so no text can forge a
control token or an end of turn; items and control symbols are inserted here by id.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from train_utils.tree_file import TitlesOfTree, find_tree, save_tree, tree_key
from train_utils.trie import build_tree

SOI, EOI = "<SOI>", "<EOI>"
SOI_WORDS, EOI_WORDS = "start of an item", "end of an item"
_SENTINEL = "\x02{}\x03"
_TOKENIZING = threading.Lock()


@dataclass(frozen=True, slots=True)
class ItemPart:
    """An item of the catalogue, written as `<SOI>` title `<EOI>`."""

    item: int


@dataclass(frozen=True, slots=True)
class TitlePart:
    """An item of the catalogue named in running text, without control tokens."""

    item: int


@dataclass(frozen=True, slots=True)
class ControlPart:
    """A control symbol that a text talks about: "soi" or "eoi"."""

    which: str


Part = str | ItemPart | TitlePart | ControlPart


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    parts: tuple[Part, ...]


def message(role: str, *parts: Part) -> Message:
    return Message(role, parts)


@dataclass(frozen=True)
class Rendered:
    """A conversation as token ids.

    Attributes:
        ids: the tokens.
        labelled: for each token, whether the assistant wrote it (its end-of-turn token included).
        items: (start, item) of each item that stands between control tokens; `start` is the place of `<SOI>`.
    """

    ids: list[int]
    labelled: list[bool]
    items: list[tuple[int, int]]


def add_control_tokens(tokenizer) -> int:
    """Adds `<SOI>` and `<EOI>` as special tokens where they are missing; returns how many were added."""
    return tokenizer.add_special_tokens({"extra_special_tokens": [SOI, EOI]}, replace_extra_special_tokens=False)


class Chat:
    """Encodes and decodes conversations by the tokenizer's own chat template.

    Args:
        tokenizer: a Hugging Face tokenizer with a chat template and both control tokens.
        titles: the catalogue's titles, in item order.
        trees: a folder that keeps the titles' tree between runs, so that they need not be tokenised again; "" for none.

    Attributes:
        titles, title_ids: the titles and their token ids. tree: their prefix tree; None without titles.

    Raises:
        ValueError: no chat template, control tokens missing, a title that holds a special token, or a template
            whose rendering of a conversation is not an extension of its prompt.
    """

    def __init__(self, tokenizer, titles: Sequence[str] = (), trees: str | Path = ""):
        if not tokenizer.chat_template:
            raise ValueError("the tokenizer has no chat template; use an instruction-tuned model")
        self.tokenizer, self.titles = tokenizer, titles
        self.soi, self.eoi = self._control_id(SOI), self._control_id(EOI)
        # A title is spelled as a word behind a space is: whole words are what the model knows, and the first token of
        # a bare title is often a single letter. SentencePiece writes that space itself.
        space = " " if self.decode(self.encode(" a")) == " a" else ""
        spelled = [space + title for title in titles]
        key = tree_key(tokenizer, spelled, self.soi, self.eoi) if trees and spelled else ""
        self.tree = find_tree(trees, key) if key else None
        self.title_ids: Sequence[list[int]]
        if self.tree is None:
            self._check_titles(titles)
            self.title_ids = self.encode_many(spelled)
            self.tree = build_tree(self.title_ids, self.soi, self.eoi) if spelled else None
            if key:
                save_tree(self.tree, trees, key)
        else:
            self.title_ids = TitlesOfTree(self.tree)
        self.system_allowed = self._renders([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])
        self.end_of_turn = self._end_of_turn()

    def _control_id(self, token: str) -> int:
        token_id = self.tokenizer.convert_tokens_to_ids(token)
        if token_id is None or token_id == self.tokenizer.unk_token_id or token not in self.tokenizer.get_vocab():
            raise ValueError(f"the tokenizer has no control token {token}; train or merge the model with this project")
        return token_id

    def _check_titles(self, titles: Sequence[str]) -> None:
        special = [SOI, EOI, *self.tokenizer.all_special_tokens]
        for title in titles:
            if found := next((s for s in special if s in title), None):
                raise ValueError(f"title {title!r} holds the special token {found}; preprocess the dataset again")

    # -- text ----------------------------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; special tokens in it stay ordinary characters."""
        return self._tokenised(text, split_special_tokens=True)

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        if not len(texts):
            return []
        return self._tokenised(list(texts), split_special_tokens=True)

    def _tokenised(self, text: str | list[str], split_special_tokens: bool) -> list:
        # How special tokens are read is a state of the tokenizer, not of the call: two threads would take each other's.
        with _TOKENIZING:
            encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=split_special_tokens)
        return encoded["input_ids"]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids` without special tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def item_ids(self, item: int) -> list[int]:
        return [self.soi, *self.title_ids[item], self.eoi]

    # -- conversations -------------------------------------------------------------------------------------------

    def render(self, messages: Sequence[Message], *, prompt: bool) -> Rendered:
        """Encodes a conversation; with `prompt` it ends where the assistant is to go on.

        The rendering of a conversation starts with the rendering of every prompt cut from it, so what is trained
        is what is served.
        """
        messages = self._without_system(messages)
        contents = [{"role": m.role, "content": _SENTINEL.format(i)} for i, m in enumerate(messages)]
        text = self._template(contents, add_generation_prompt=prompt)
        ids, labelled, items = [], [], []
        for i, entry in enumerate(messages):
            before, found, text = text.partition(_SENTINEL.format(i))
            if not found:
                raise ValueError(f"the chat template drops the {entry.role} message {i}; it cannot be used")
            self._append_markup(before, messages[i - 1].role if i else "", ids, labelled)
            self._append_parts(entry, ids, labelled, items)
        self._append_markup(text, messages[-1].role, ids, labelled)
        return Rendered(ids, labelled, items)

    def _append_markup(self, text: str, previous_role: str, ids: list[int], labelled: list[bool]) -> None:
        tokens = self._tokenised(text, split_special_tokens=False) if text else []
        closes = previous_role == "assistant" and self.end_of_turn in tokens
        written = tokens.index(self.end_of_turn) + 1 if closes else 0
        ids += tokens
        labelled += [position < written for position in range(len(tokens))]

    def _append_parts(self, entry: Message, ids: list[int], labelled: list[bool], items: list[tuple[int, int]]) -> None:
        start = len(ids)
        for part in self._joined(entry.parts):
            match part:
                case str():
                    ids += self.encode(part)
                case ItemPart(item):
                    items.append((len(ids), item))
                    ids += self.item_ids(item)
                case ControlPart(which):
                    ids.append(self.soi if which == "soi" else self.eoi)
        labelled += [entry.role == "assistant"] * (len(ids) - start)

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

    def _template(self, contents: list[dict], **options) -> str:
        return self.tokenizer.apply_chat_template(contents, tokenize=False, **options)

    def _renders(self, contents: list[dict]) -> bool:
        from jinja2.exceptions import TemplateError

        try:
            return contents[0]["content"] in self._template(contents, add_generation_prompt=True)
        except TemplateError:
            return False

    def _end_of_turn(self) -> int:
        """The first special token behind an assistant's content in the model's own template."""
        contents = [{"role": "user", "content": "u"}, {"role": "assistant", "content": _SENTINEL.format(0)}]
        prompt = self._template(contents[:1], add_generation_prompt=True)
        whole = self._template(contents)
        if not whole.startswith(prompt):
            raise ValueError("the chat template writes an answer otherwise than it prompts for one; it cannot be used")
        special = set(self.tokenizer.all_special_ids)
        tail = self._tokenised(whole.partition(_SENTINEL.format(0))[2], split_special_tokens=False)
        for token in tail:
            if token in special:
                return token
        if self.tokenizer.eos_token_id is None:
            raise ValueError("the chat template closes no turn and the tokenizer has no eos token")
        return self.tokenizer.eos_token_id


def split_completion(ids: Sequence[int], soi: int, eoi: int) -> tuple[list[list[int]], list[list[int]]]:
    """Splits a completion into (items, texts): the token ids between control tokens, and those outside.

    An item that is not closed counts as an item, so that a scorer sees it as one that does not exist.
    """
    items: list[list[int]] = []
    texts: list[list[int]] = [[]]
    current: list[int] | None = None
    for token in ids:
        if token == soi:
            if current is not None:
                items.append(current)
            current = []
        elif token == eoi and current is not None:
            items.append(current)
            current = None
            texts.append([])
        elif token != eoi:
            (texts[-1] if current is None else current).append(token)
    if current is not None:
        items.append(current)
    return items, texts


def separator(rank: int, idx: bool) -> str:
    """What stands before the item of this rank (from 1) in a list."""
    return ("" if rank == 1 else "\n") + (f"{rank}. " if idx else "")


def numbered(items: Iterable[int], idx: bool) -> tuple[Part, ...]:
    """The parts of an answer that lists `items`, one a line, numbered when `idx` is set."""
    parts: list[Part] = []
    for rank, item in enumerate(items, 1):
        parts += [separator(rank, idx), ItemPart(item)]
    return tuple(part for part in parts if part != "")
