"""Titles as token ids: which of them no tree may hold. Plain data."""

from collections.abc import Collection, Iterable, Sequence

from train_utils.constraint.trie import TitleTrie, special_tokens_in
from train_utils.text_files import has_text


def special_ids(tokenizer, marks: Iterable[int | None] = ()) -> set[int]:
    """Token ids that no title may hold: special ones, and `marks` that others give a meaning.

    The token for unknown characters is none of them where it is nothing else: a title may have such a character.
    """
    roles = {
        tokenizer.convert_tokens_to_ids(str(token))
        for role, token in tokenizer.special_tokens_map.items()
        if role != "unk_token" and isinstance(token, str)
    }
    found = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    found |= {*tokenizer.all_special_ids}
    return {token for token in (found - {tokenizer.unk_token_id} | roles | {*marks}) if token is not None}


def check_title_ids(
    tokenizer,
    titles: Sequence[Sequence[int]],
    special: Collection[int],
    remedy: str,
    names: Sequence[str] | None = None,
) -> None:
    """Refuses titles that hold a special token, or nothing that shows.

    names: the titles as texts, to name them by; without them they are decoded.

    Raises:
        ValueError: names the title and its place.
    """

    def named(place: int) -> str:
        return f"title {place}, {tokenizer.decode(titles[place]) if names is None else names[place]!r},"

    if found := special_tokens_in(titles, special):
        place, token = found
        shown = tokenizer.convert_ids_to_tokens(token)
        raise ValueError(f"{named(place)} holds the special token {shown}, which no text may; {remedy}")
    wordless = {
        token
        for token in {token for ids in titles for token in ids}
        if token == tokenizer.unk_token_id or not any(map(str.isalnum, tokenizer.decode([token])))
    }
    for place, ids in enumerate(titles):
        if wordless.issuperset(ids):
            known = [token for token in ids if token != tokenizer.unk_token_id]
            if not has_text(tokenizer.decode(known)):
                why = "holds no character that the tokenizer knows" if len(known) < len(ids) else "shows no text"
                raise ValueError(f"{named(place)} {why}; give the item another title")


def check_told_apart(titles: Sequence[str], trie: TitleTrie) -> None:
    """Refuses titles that the tokenizer makes one of, as those that differ in what it normalizes: the second of them
    could never be listed. Equal texts may share a leaf.

    Raises:
        ValueError: names both titles and their places.
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
