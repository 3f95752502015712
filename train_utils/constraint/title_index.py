"""Titles of a catalog as token ids and as a trie: tokenized and checked once, or loaded from a trie cache."""

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from train_utils.characters import has_text
from train_utils.constraint.title_check import TitleError, check_distinct_tokens, check_title_ids, special_ids
from train_utils.constraint.trie import TitleTrie, build_trie
from train_utils.constraint.trie_cache import REMEDY, TrieTitles, load_trie, save_trie, trie_key
from train_utils.constraint.trie_change import changed_trie
from train_utils.constraint.trie_check import check_belongs
from train_utils.item_codes import CODE, ItemCodes

logger = logging.getLogger(__name__)
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
        title_ids: token ids of each item between its control tokens: the title, the item's code, or both.
        code_ids: token ids of each item's code; () if items are spelled by their titles alone.
        trie: the trie of `title_ids`; None if there are no titles.
    """

    titles: Sequence[str]
    title_ids: Sequence[list[int]]
    code_ids: Sequence[list[int]]
    trie: TitleTrie | None

    @classmethod
    def build(
        cls,
        codec: TitleCodec,
        titles: Sequence[str],
        trie_cache: str | Path = "",
        codes: ItemCodes | None = None,
        unused_codes: Sequence[str] = (),
    ) -> "TitleIndex":
        """Tokenize titles and build their trie, or load the trie from `trie_cache`.

        Args:
            codec: encodes titles as token ids.
            titles: the titles, in item order.
            trie_cache: folder that keeps tries between runs; "" for no cache.
            codes: codes of the items; None spells items by their titles.
            unused_codes: code tokens of the model that no item has; no text may contain them.

        Raises:
            ValueError: a title shows no text or contains a special token, or two titles have the same tokens.
        """
        if not titles:
            return cls(titles, [], [], None)
        code_ids, item_tokens = _code_ids(codec, titles, codes, unused_codes)
        spelled = [codec.spell(title) for title in titles]
        known_codes, reserved = _reserved(codec, codes, unused_codes)
        keyed = [*spelled, "", *unused_codes] if unused_codes else spelled
        if codes is not None:
            keyed = [*spelled, codes.form, *map("".join, codes.codes), "", *codes.other_tokens]
        key = trie_key(codec.tokenizer, keyed, codec.soi, codec.eoi, reserved) if trie_cache else ""
        if key and (cached := _cached(codec, trie_cache, key, item_tokens, len(titles))) is not None:
            return cls(titles, TrieTitles(cached), code_ids, cached)
        title_ids = _title_ids(codec, titles, spelled, reserved, known_codes, _REMEDY)
        if codes is not None:
            endings = title_ids if codes.with_title else [[]] * len(titles)
            title_ids = [[*code, *ending] for code, ending in zip(code_ids, endings, strict=True)]
        trie = build_trie(title_ids, codec.soi, codec.eoi, item_tokens)
        check_distinct_tokens(titles, trie)
        if key:
            save_trie(trie, trie_cache, key)
        return cls(titles, title_ids, code_ids, trie)

    def changed(
        self,
        codec: TitleCodec,
        titles: Sequence[str],
        changed: Sequence[int],
        codes: ItemCodes | None = None,
        unused_codes: Sequence[str] = (),
    ) -> "TitleIndex":
        """Return the index after changes of some titles, of which no other is tokenized.

        Titles of several items may be the same tokens; see `listed_twice`.

        Args:
            codec: see `build`.
            titles: all titles, in item order; those beyond the last one before are added.
            changed: items whose titles are new.
            codes: codes of the items, which stay as they are; None spells items by their titles.
            unused_codes: see `build`.

        Raises:
            TitleError: a title shows no text or contains a special token; its number is a position in `changed`.
            ValueError: an item is added that has no code.
        """
        if codes is not None and len(titles) > len(codes.codes):
            raise ValueError(f"there are {len(codes.codes)} item codes for {len(titles)} titles")
        if self.trie is None or not changed:
            return replace(self, titles=titles)
        known_codes, reserved = _reserved(codec, codes, unused_codes)
        texts = [titles[item] for item in changed]
        spelled = [codec.spell(text) for text in texts]
        title_ids = _title_ids(codec, texts, spelled, reserved, known_codes, "give the item another title")
        if codes is not None and not codes.with_title:
            return replace(self, titles=titles)
        before = self.code_ids or [[]] * len(titles)
        new = {item: [*before[item], *ids] for item, ids in zip(changed, title_ids, strict=True)}
        trie = changed_trie(self.trie, new)
        return TitleIndex(titles, TrieTitles(trie), self.code_ids, trie)


def _cached(
    codec: TitleCodec, folder: str | Path, key: str, item_tokens: Sequence[int], n_items: int
) -> TitleTrie | None:
    """Load a trie from the cache; None, with a warning if there is a damaged one, where it must be built."""
    try:
        trie = load_trie(folder, key)
        if trie is not None:
            check_belongs(trie, codec.soi, codec.eoi, item_tokens, n_items)
            known = len(codec.tokenizer)
            if trie.tokens.max() >= known and not set(trie.tokens.tolist()) <= set(
                codec.tokenizer.get_vocab().values()
            ):
                raise ValueError("the titles of the trie cache have tokens that the tokenizer lacks")
    except ValueError as error:
        logger.warning("the trie is built again: %s", str(error).removesuffix(REMEDY))
        return None
    return trie


def _code_ids(
    codec: TitleCodec, titles: Sequence[str], codes: ItemCodes | None, unused_codes: Sequence[str]
) -> tuple[list[list[int]], Sequence[int]]:
    """Return the token ids of each item's code, and of all code tokens.

    Raises:
        ValueError: the codes are of another number of items, or the tokenizer lacks a code token.
    """
    if codes is None and not unused_codes:
        return [], ()
    vocabulary = codec.tokenizer.get_vocab()
    if codes is None:
        return [], [vocabulary[token] for token in unused_codes if token in vocabulary]
    if len(codes.codes) != len(titles):
        raise ValueError(f"there are {len(codes.codes)} item codes for {len(titles)} titles")
    if lacking := next((token for token in codes.tokens if token not in vocabulary), None):
        raise ValueError(f"the tokenizer has no item code {lacking}; the tokenizer and the item codes differ")
    ids = {token: vocabulary[token] for token in codes.tokens}
    others = [vocabulary[token] for token in codes.other_tokens if token in vocabulary]
    return [[ids[token] for token in code] for code in codes.codes], [*ids.values(), *others]


def _reserved(
    codec: TitleCodec, codes: ItemCodes | None, unused_codes: Sequence[str]
) -> tuple[frozenset[str], Sequence[str]]:
    """Return the code tokens, and the other texts that no title may contain.

    `_check_texts` finds codes by their form, since there may be many.
    """
    known = frozenset(unused_codes if codes is None else codes.tokens)
    return known, sorted(set(codec.reserved_texts) - known) if known else codec.reserved_texts


def _title_ids(
    codec: TitleCodec,
    titles: Sequence[str],
    spelled: list[str],
    reserved: Sequence[str],
    codes: Collection[str],
    remedy: str,
) -> list[list[int]]:
    """Return the token ids of titles, which are checked.

    Raises:
        TitleError: a title shows no text or contains a special token.
    """
    _check_texts(titles, reserved, codes, remedy)
    title_ids = codec.encode_many(spelled)
    # Not every tokenizer obeys the request to encode the text of a special token as plain text.
    special = special_ids(codec.tokenizer, (codec.soi, codec.eoi, codec.end_of_turn))
    check_title_ids(codec.tokenizer, title_ids, special, remedy, titles)
    return title_ids


def _check_texts(titles: Sequence[str], reserved_texts: Sequence[str], codes: Collection[str], remedy: str) -> None:
    for number, title in enumerate(titles):
        if not has_text(title):
            raise TitleError(number, title, "shows no text; give the item a title")
        if special := next((text for text in (*reserved_texts, *_codes_in(title, codes)) if text in title), None):
            raise TitleError(number, title, f"holds the special token {special}; {remedy}")


def _codes_in(title: str, codes: Collection[str]) -> list[str]:
    """Return the code tokens that a title contains as text."""
    return [match for match in CODE.findall(title) if match in codes] if codes else []
