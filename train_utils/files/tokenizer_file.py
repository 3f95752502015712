"""How long the components of a `tokenizer.json` can make a text, computed before a library runs them.

Components run one after the other, so a few replacements of a letter by two take any time and memory, and the Rust code
ends the process where memory is exhausted. Standard library only.
"""

import base64
import math
from collections.abc import Mapping
from typing import Any

# Characters that a normalizer or decoder may make of one; each takes 130 bytes and 1.4 µs. Those of chat models
# make up to three, XLM-RoBERTa's 36: sentencepiece's rules (18) and a pattern of blanks (2). ALBERT's and XLNet's, with
# NFKD (18) and lower case (2) before them, are beyond it.
MOST_GROWTH = 100
MOST_ADDED = 1_000  # tokens that a post-processor may put around a text; those of released models put up to three
# Characters that other components make of one, at most; 1 for those that are not named.
_GROWTH = {
    "NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 2, "BertNormalizer": 12, "ByteLevel": 4,
    "ByteFallback": 4, "WordPiece": 2, "BPEDecoder": 2, "CTC": 2,
}  # fmt: skip
_TRIE_WIDTH = 4  # bytes of a number


def check_tokenizer(content: Mapping[str, Any]) -> None:
    """Check the components of a `tokenizer.json`.

    Raises:
        ValueError: they can make a text longer than `MOST_GROWTH` times, put more than `MOST_ADDED` tokens around it,
            or are damaged.
    """
    for part in ("normalizer", "decoder"):
        try:
            growth = _growth(content.get(part), f"{part}s")
        except (ValueError, TypeError, AttributeError, KeyError):
            raise ValueError(f"its {part!r} is damaged") from None
        if growth > MOST_GROWTH:
            raise ValueError(f"its {part!r} can make a text {growth:.3g} times as long, wanted at most {MOST_GROWTH:,}")
    if (added := _added(content.get("post_processor"))) > MOST_ADDED:
        raise ValueError(f"its 'post_processor' puts {added:,} tokens around a text, wanted at most {MOST_ADDED:,}")


def _growth(component: Any, parts: str) -> float:
    """Return how many characters a component makes of one, at most; a sequence lists others under `parts`."""
    if component is None:
        return 1
    kind = component["type"]
    if kind == "Sequence":
        return math.prod(_growth(part, parts) for part in component[parts])
    if kind == "Replace":
        return _growth_of_replacement(component["pattern"], component["content"])
    if kind == "Prepend":
        return 1 + len(component["prepend"])
    if kind == "Precompiled":
        return _growth_of_charsmap(base64.b64decode(component["precompiled_charsmap"]))
    return _GROWTH.get(kind, 1)


def _growth_of_replacement(pattern: Mapping[str, str], content: str) -> float:
    if text := pattern.get("String"):
        return max(1, len(content) / len(text))
    return 1 + len(content)  # a regular expression may match before each character


def _growth_of_charsmap(data: bytes) -> int:
    """Return the length of the longest replacement in the rules of sentencepiece: a trie, then texts that end in 0."""
    size = int.from_bytes(data[:_TRIE_WIDTH], "little")
    if size % _TRIE_WIDTH or not 0 < size <= len(data) - _TRIE_WIDTH:  # the library allocates what the file says
        raise ValueError("a trie is longer than its file")
    texts = data[_TRIE_WIDTH + size :].split(b"\0")
    return max(1, *(len(text.decode("utf-8", "replace")) for text in texts))


def _added(component: Any) -> int:
    """Return the number of tokens that a post-processor puts around a text."""
    if not isinstance(component, dict):
        return 0
    parts, special = component.get("processors"), component.get("special_tokens")
    lengths = {
        name: len(token["ids"])
        for name, token in (special.items() if isinstance(special, dict) else ())
        if isinstance(token, dict) and isinstance(token.get("ids"), list)
    }
    templates = [part for part in (component.get("single"), component.get("pair")) if isinstance(part, list)]
    own = max((sum(_length(piece, lengths) for piece in template) for template in templates), default=0)
    return own + (sum(map(_added, parts)) if isinstance(parts, list) else 0)


def _length(piece: Any, lengths: Mapping[str, int]) -> int:
    """Return the number of tokens of a piece of a template; the text itself counts as one."""
    token = piece.get("SpecialToken") if isinstance(piece, dict) else None
    name = token.get("id") if isinstance(token, dict) else None
    return lengths.get(name, 1) if isinstance(name, str) else 1
