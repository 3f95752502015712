"""Titles of a catalog as token ids and as a trie: tokenized and checked once, or loaded from a trie cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from train_utils.constraint.title_check import check_distinct_tokens, check_title_ids, special_ids
from train_utils.constraint.trie import TitleTrie, build_trie
from train_utils.constraint.trie_cache import TrieTitles, load_trie, save_trie, trie_key
from train_utils.text_files import has_text

_REMEDY = "preprocess the dataset again"


class TitleCodec(Protocol):
    """Encoder of titles as token ids.

    Attributes:
        tokenizer: a Hugging Face tokenizer.
        soi: id of the control token that opens an item.
        eoi: id of the control token that closes an item.
        end_of_turn: id of the token that ends an answer.
        reserved_texts: texts that no title may contain: special tokens and markers of the chat template.
    """

    tokenizer: Any
    soi: int
    eoi: int
    end_of_turn: int

    @property
    def reserved_texts(self) -> Sequence[str]: ...
    def spell(self, title: str) -> str:
        """Return the title as it is tokenized, with the space before it in a text."""

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""


@dataclass(frozen=True)
class TitleIndex:
    """Titles of a catalog with their token ids and their trie.

    Attributes:
        titles: the titles, in item order.
        title_ids: token ids of each title, without control tokens.
        trie: the trie of the titles; None if there are no titles.
    """

    titles: Sequence[str]
    title_ids: Sequence[list[int]]
    trie: TitleTrie | None

    @classmethod
    def build(cls, codec: TitleCodec, titles: Sequence[str], trie_cache: str | Path = "") -> "TitleIndex":
        """Tokenize titles and build their trie, or load the trie from `trie_cache`.

        Args:
            codec: encodes titles as token ids.
            titles: the titles, in item order.
            trie_cache: folder that keeps tries between runs; "" for no cache.

        Raises:
            ValueError: a title shows no text or contains a special token, two titles have the same tokens, or a cache
                file is damaged.
        """
        if not titles:
            return cls(titles, [], None)
        spelled = [codec.spell(title) for title in titles]
        key = trie_key(codec.tokenizer, spelled, codec.soi, codec.eoi, codec.reserved_texts) if trie_cache else ""
        if key and (cached := load_trie(trie_cache, key)) is not None:
            return cls(titles, TrieTitles(cached), cached)
        _check_texts(titles, codec.reserved_texts)
        title_ids = codec.encode_many(spelled)
        # Not every tokenizer obeys the request to encode the text of a special token as plain text.
        special = special_ids(codec.tokenizer, (codec.soi, codec.eoi, codec.end_of_turn))
        check_title_ids(codec.tokenizer, title_ids, special, _REMEDY, titles)
        trie = build_trie(title_ids, codec.soi, codec.eoi)
        check_distinct_tokens(titles, trie)
        if key:
            save_trie(trie, trie_cache, key)
        return cls(titles, title_ids, trie)


def _check_texts(titles: Sequence[str], reserved_texts: Sequence[str]) -> None:
    for number, title in enumerate(titles):
        if not has_text(title):
            raise ValueError(f"title {number}, {title!r}, shows no text; give the item a title")
        if special := next((text for text in reserved_texts if text in title), None):
            raise ValueError(f"title {number}, {title!r}, holds the special token {special}; {_REMEDY}")
