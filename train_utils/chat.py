"""Messages to token ids and back. The only file that spells a control token.

A message's content is a list of parts. Text parts are encoded with special tokens disabled, so no text can forge a
control token or an end of turn; items and control symbols are inserted here by id.
"""

import itertools
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from train_utils.tree_file import TitlesOfTree, find_tree, save_tree, tree_key
from train_utils.trie import build_tree

SOI, EOI = "<SOI>", "<EOI>"
SOI_WORDS, EOI_WORDS = "start of an item", "end of an item"
# Stands for the content of message {}. The wide spaces show whether the template trims what it is given.
_WIDE = "\u2003"
_SENTINEL = "\x02{}\x03"
_RESERVED = re.compile(r"<\|reserved_special_token_\d+\|>")
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
    """Gives the tokenizer its two control tokens where they are missing; returns how many it did not have before.

    Where the vocabulary holds reserved special tokens (Llama 3), the first two that nothing else uses become the
    control tokens, so that the embedding keeps its size; they are kept in the tokenizer's configuration as
    `soi_token` and `eoi_token`. Elsewhere `<SOI>` and `<EOI>` are added as special tokens.
    """
    if set(control_tokens(tokenizer)) <= tokenizer.get_vocab().keys():
        return 0
    reserved = _reserved_tokens(tokenizer)
    if len(reserved) < 2:
        return tokenizer.add_special_tokens(
            {"extra_special_tokens": [SOI, EOI]}, replace_extra_special_tokens=False
        )
    named = dict(zip(("soi_token", "eoi_token"), reserved, strict=False))
    tokenizer.SPECIAL_TOKENS_ATTRIBUTES = [*tokenizer.SPECIAL_TOKENS_ATTRIBUTES, *named]
    tokenizer.add_special_tokens(named)
    return len(named)


def control_tokens(tokenizer) -> tuple[str, str]:
    """The tokens around an item: those that the tokenizer names `soi_token` and `eoi_token`, else `<SOI>`, `<EOI>`."""
    return getattr(tokenizer, "soi_token", None) or SOI, getattr(tokenizer, "eoi_token", None) or EOI


def _reserved_tokens(tokenizer) -> list[str]:
    """Special tokens that the vocabulary keeps in reserve, by id, without those that have got a meaning."""
    used = {str(token) for token in tokenizer.special_tokens_map.values()}
    template = str(tokenizer.chat_template)
    added = sorted(tokenizer.added_tokens_decoder.items())
    return [token.content for _, token in added if token.special and _RESERVED.fullmatch(token.content)
            and token.content not in used and token.content not in template]


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
        self.soi, self.eoi = map(self._control_id, control_tokens(tokenizer))
        self._markers: list[str] = []
        self._markups: dict[tuple[tuple[str, ...], bool], list[str]] = {}  # it depends on the roles alone
        # A title is spelled as a word behind a space is: whole words are what the model knows, and the first token of
        # a bare title is often a single letter. SentencePiece writes that space itself.
        self._space = "" if self.decode([*self.encode("a"), *self.encode("a")]) == "a a" else " "
        self.system_allowed = True
        self.system_allowed = self._renders(("system", "user", "assistant", "user", "assistant"))
        self.end_of_turn = self._end_of_turn()
        self._markers = self._markers_of_template()
        spelled = [self._space + title for title in titles]
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

    def _control_id(self, token: str) -> int:
        token_id = self.tokenizer.convert_tokens_to_ids(token)
        if token_id is None or token_id == self.tokenizer.unk_token_id or token not in self.tokenizer.get_vocab():
            raise ValueError(f"the tokenizer has no control token {token}; train or merge the model with this project")
        return token_id

    def _check_titles(self, titles: Sequence[str]) -> None:
        special = [SOI, EOI, *self.tokenizer.all_special_tokens, *self._markers]
        special += [token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        for title in titles:
            if found := next((s for s in special if s in title), None):
                raise ValueError(f"title {title!r} holds the special token {found}; preprocess the dataset again")

    # -- text ----------------------------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; special tokens and the template's markers in it stay ordinary characters."""
        if not self._markers:
            return self._tokenised(text, split_special_tokens=True)
        # A tokenizer splits only special tokens; other markers are cut behind their first character.
        found = re.finditer("|".join(map(re.escape, self._markers)), text)
        cuts = [0, *(marker.start() + 1 for marker in found), len(text)]
        pieces = [text[start:end] for start, end in itertools.pairwise(cuts)]
        return [token for piece in pieces for token in self._tokenised(piece, split_special_tokens=True)]

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
        markup = self._markup([m.role for m in messages], prompt)
        ids, labelled, items = [], [], []
        for i, entry in enumerate(messages):
            self._append_markup(markup[i], messages[i - 1].role if i else "", ids, labelled)
            self._append_parts(entry, self._placed(entry.parts, markup[i], markup[i + 1]), ids, labelled, items)
        self._append_markup(markup[-1], messages[-1].role, ids, labelled)
        return Rendered(ids, labelled, items)

    def _append_markup(self, text: str, previous_role: str, ids: list[int], labelled: list[bool]) -> None:
        # A space before a content belongs to its first word.
        text = text.removeprefix(_WIDE).removesuffix(_WIDE).removesuffix(" ")
        tokens = self._tokenised(text, split_special_tokens=False) if text else []
        closes = previous_role == "assistant" and self.end_of_turn in tokens
        written = tokens.index(self.end_of_turn) + 1 if closes else 0
        ids += tokens
        labelled += [position < written for position in range(len(tokens))]

    def _append_parts(self, entry: Message, parts: Iterable[Part], ids: list[int], labelled: list[bool],
                      items: list[tuple[int, int]]) -> None:
        start = len(ids)
        for part in parts:
            match part:
                case str():
                    ids += self.encode(part)
                case ItemPart(item):
                    items.append((len(ids), item))
                    ids += self.item_ids(item)
                case ControlPart(which):
                    ids.append(self.soi if which == "soi" else self.eoi)
        labelled += [entry.role == "assistant"] * (len(ids) - start)

    def _placed(self, parts: Iterable[Part], before: str, behind: str) -> list[Part]:
        """A message's parts as the template puts them between its markup: trimmed or not, behind a space or not."""
        joined = self._joined(parts)
        if joined and isinstance(joined[0], str) and not before.endswith(_WIDE):
            joined[0] = joined[0].lstrip()
        if joined and isinstance(joined[-1], str) and not behind.startswith(_WIDE):
            joined[-1] = joined[-1].rstrip()
        if joined and isinstance(joined[0], str) and joined[0] and before.removesuffix(_WIDE).endswith(" "):
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

    # -- the tokenizer's template --------------------------------------------------------------------------------

    def _markup(self, roles: Sequence[str], prompt: bool) -> list[str]:
        """What the template writes before each message, and behind the last one: up to the answer with `prompt`.

        Up to an answer's content it is what the template writes for a conversation that ends with this answer:
        templates that think (Qwen 3) write older answers without the empty thought that newer ones open with.
        """
        key = (*roles, "assistant") if prompt else tuple(roles)
        if (key, prompt) not in self._markups:
            markup: list[str] = []
            for i, role in enumerate(key):
                if role == "assistant":
                    markup += self._pieces(key[:i + 1])[len(markup):i + 1]
            self._markups[key, prompt] = markup if prompt else markup + self._pieces(key)[len(markup):]
        return self._markups[key, prompt]

    def _pieces(self, roles: Sequence[str]) -> list[str]:
        """The template's text around the contents of messages with these roles, `_WIDE` where it does not trim."""
        text = self._template(roles)
        pieces = []
        for i, role in enumerate(roles):
            before, found, text = text.partition(_SENTINEL.format(i))
            if not found:
                raise ValueError(f"the chat template drops or moves the {role} message {i}; it cannot be used")
            pieces.append(before)
        return [*pieces, text]

    def _template(self, roles: Sequence[str], prompt: bool = False) -> str:
        from jinja2.exceptions import TemplateError

        contents = [{"role": r, "content": _WIDE + _SENTINEL.format(i) + _WIDE} for i, r in enumerate(roles)]
        try:
            # An answer is not thought over aloud; templates that do not think ignore the option.
            return self.tokenizer.apply_chat_template(
                contents, tokenize=False, add_generation_prompt=prompt, enable_thinking=False
            )
        except TemplateError as error:
            told = ", ".join(roles)
            raise ValueError(f"the chat template refuses messages of the roles {told}: {error}") from None

    def _renders(self, roles: Sequence[str]) -> bool:
        try:
            self._markup(roles, prompt=False)
        except ValueError:
            return False
        return True

    def _end_of_turn(self) -> int:
        """The first added or special token behind an assistant's content in the model's own template."""
        *_, before, tail = self._pieces(["user", "assistant"])
        prompt = self._template(["user"], prompt=True)
        if not before.startswith(prompt.rpartition(_SENTINEL.format(0))[2]):
            raise ValueError("the chat template writes an answer otherwise than it prompts for one; it cannot be used")
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        for token in self._tokenised(tail, split_special_tokens=False):
            if token in special:
                return token
        if self.tokenizer.eos_token_id is None:
            raise ValueError("the chat template closes no turn and the tokenizer has no eos token")
        return self.tokenizer.eos_token_id

    def _markers_of_template(self) -> list[str]:
        """Added tokens that the template writes although they are not special: a text must not be read as them."""
        roles = ["system"] * self.system_allowed + ["user", "assistant"]
        written = set(self._tokenised("".join(self._markup(roles, prompt=False)), split_special_tokens=False))
        added = self.tokenizer.added_tokens_decoder.items()
        markers = {token.content for i, token in added if i in written and not token.special and len(token.content) > 1}
        return sorted(markers, key=len, reverse=True)


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
