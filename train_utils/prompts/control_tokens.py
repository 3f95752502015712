"""The two control tokens around an item: their names, adding them to a tokenizer, splitting an answer by them."""

import re
from collections.abc import Sequence

from tokenizers import AddedToken

SOI, EOI = "<SOI>", "<EOI>"
SOI_WORDS, EOI_WORDS = "start of an item", "end of an item"
_RESERVED = re.compile(r"<\|reserved_special_token_\d+\|>")


def add_control_tokens(tokenizer) -> int:
    """Add the two control tokens to a tokenizer where they are missing.

    Where the vocabulary holds reserved special tokens (Llama 3), the first two unused ones become the control tokens,
    so that the embedding keeps its size; the tokenizer's configuration stores them as `soi_token` and `eoi_token`.
    Elsewhere `<SOI>` and `<EOI>` are added as special tokens.

    Returns:
        The number of control tokens that were missing.
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


def add_code_tokens(tokenizer, codes: Sequence[str]) -> int:
    """Add code tokens to a tokenizer as special tokens, which no text is encoded to; return how many were missing."""
    known = tokenizer.get_vocab()
    missing = [token for token in codes if token not in known]
    # Normalized or stripped tokens would match other texts.
    return tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in missing])


def control_tokens(tokenizer) -> tuple[str, str]:
    """Return the tokens around an item.

    They are the tokenizer's `soi_token` and `eoi_token`, or `<SOI>` and `<EOI>` where it has none.
    """
    return getattr(tokenizer, "soi_token", None) or SOI, getattr(tokenizer, "eoi_token", None) or EOI


def _reserved_tokens(tokenizer) -> list[str]:
    """Return the reserved special tokens of the vocabulary that are unused, by id."""
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
    """Split a completion into items and texts.

    An item that is not closed counts as an item, so that a scorer counts it as a nonexistent one.

    Args:
        ids: the tokens.
        soi: id of the control token before an item.
        eoi: id of the control token after an item.

    Returns:
        (items, texts): the token ids between control tokens, and the token ids outside them.
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
