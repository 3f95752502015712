"""The two control tokens around an item: names, added to a tokenizer, found in an answer."""

import re
from collections.abc import Sequence

SOI, EOI = "<SOI>", "<EOI>"
SOI_WORDS, EOI_WORDS = "start of an item", "end of an item"
_RESERVED = re.compile(r"<\|reserved_special_token_\d+\|>")


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
        return tokenizer.add_special_tokens({"extra_special_tokens": [SOI, EOI]}, replace_extra_special_tokens=False)
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
    return [
        token.content
        for _, token in added
        if token.special
        and _RESERVED.fullmatch(token.content)
        and token.content not in used
        and token.content not in template
    ]


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
