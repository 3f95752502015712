"""Checks of titles as token ids before they enter a trie. Plain data."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from train_utils.characters import has_text, shown
from train_utils.constraint.trie import TitleTrie, special_tokens_in


class TitleError(ValueError):
    """A title that cannot be spelled.

    Attributes:
        number: its position among the titles.
        reason: the title and what is wrong with it, without the number.
    """

    def __init__(self, number: int, title: str, problem: str):
        super().__init__(f"title {number}, {title!r}, {problem}")
        self.number = number
        self.reason = f"title {shown(title)} {problem}"


def special_ids(tokenizer, marks: Iterable[int | None] = ()) -> set[int]:
    """Return the token ids that no title may contain.

    The unknown token is among them only if it has another role, because a title may contain unknown characters.

    Args:
        tokenizer: its special tokens are forbidden.
        marks: further token ids that have a meaning, such as control tokens; None entries are ignored.
    """
    roles = {
        tokenizer.convert_tokens_to_ids(str(token))
        for role, token in tokenizer.special_tokens_map.items()
        if role != "unk_token" and isinstance(token, str)
    }
    special = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= {*tokenizer.all_special_ids}
    return {token for token in (special - {tokenizer.unk_token_id} | roles | {*marks}) if token is not None}


def check_title_ids(
    tokenizer,
    titles: Sequence[Sequence[int]],
    special: Collection[int],
    remedy: str,
    names: Sequence[str] | None = None,
) -> None:
    """Reject titles that contain a special token or show no text.

    Args:
        tokenizer: decodes the titles.
        titles: token ids of each title.
        special: token ids that no title may contain.
        remedy: end of the error text for a special token.
        names: texts of the titles, for errors; None decodes them.

    Raises:
        TitleError: a title is rejected; the text gives the title and its number.
    """

    def named(number: int) -> str:
        return tokenizer.decode(titles[number]) if names is None else names[number]

    if hit := special_tokens_in(titles, special):
        number, token = hit
        text = tokenizer.convert_ids_to_tokens(token)
        raise TitleError(number, named(number), f"holds the special token {text}, which no text may; {remedy}")
    wordless = {
        token
        for token in {token for ids in titles for token in ids}
        if token == tokenizer.unk_token_id or not any(map(str.isalnum, tokenizer.decode([token])))
    }
    for number, ids in enumerate(titles):
        if wordless.issuperset(ids):
            known = [token for token in ids if token != tokenizer.unk_token_id]
            if not has_text(tokenizer.decode(known)):
                why = "holds no character that the tokenizer knows" if len(known) < len(ids) else "shows no text"
                raise TitleError(number, named(number), f"{why}; give the item another title")


def listed_twice(trie: TitleTrie, retired: Collection[int]) -> tuple[int, int] | None:
    """Return two items that may be listed and whose titles are the same tokens; None where there are none.

    Args:
        trie: the titles.
        retired: items that may not be listed, which may share their tokens with others.
    """
    if trie.n_leaves == trie.n_items:
        return None
    listed = np.ones(trie.n_items, dtype=bool)
    listed[np.fromiter(retired, dtype=np.int64)] = False
    n_listed = np.bincount(trie.item_leaf[listed], minlength=trie.n_leaves)
    if n_listed.max() <= 1:
        return None
    first, second, *_ = (item for item in trie.items_of_leaf(int(n_listed.argmax())) if listed[item])
    return first, second


def check_distinct_tokens(titles: Sequence[str], trie: TitleTrie) -> None:
    """Reject different titles with the same tokens, since the second of them could never be listed.

    Such titles differ only in what the tokenizer normalizes. Equal texts may share a leaf.

    Args:
        titles: the titles, in item order.
        trie: their trie.

    Raises:
        ValueError: two titles have the same tokens; the text gives both titles and their numbers.
    """
    if trie.n_leaves == trie.n_items:
        return
    for leaf in range(trie.n_leaves):
        first, *others = trie.items_of_leaf(leaf)
        for other in others:
            if titles[other] != titles[first]:
                raise ValueError(
                    f"titles {first} and {other}, {titles[first]!r} and {titles[other]!r}, are the same "
                    "tokens; rename one of the items"
                )
