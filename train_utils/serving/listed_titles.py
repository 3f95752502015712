"""Lists in the text of an earlier answer: lines that are titles of the catalog become its items again."""

import re
from collections.abc import Mapping

from train_utils.prompts.messages import ItemPart, Part

_MARK = re.compile(r"[ \t]*+(?:\d{1,4}[.)]|[-*•])[ \t]++")
_SPACE = " \t\r\n"


def listed_parts(text: str, index: Mapping[str, int]) -> list[Part]:
    """Return the parts of an answer that a client sends back as text.

    Args:
        text: the answer.
        index: title -> item.

    Returns:
        Texts, and the items of numbered or marked lines that are titles. Where there are none, the last line may be a
        title without a mark: a list of one item, which notices may precede.
    """
    if (item := index.get(text.strip())) is not None:
        return [ItemPart(item)]
    parts = _marked_parts(text, index)
    if any(isinstance(part, ItemPart) for part in parts):
        return parts
    before, end_of_line, last = text.rstrip(_SPACE).rpartition("\n")
    item = index.get(last.strip(_SPACE))
    return parts if item is None else [before + end_of_line, ItemPart(item)]


def _marked_parts(text: str, index: Mapping[str, int]) -> list[Part]:
    """Return the parts of a text whose numbered or marked lines are items where they are titles."""
    parts: list[Part] = []
    for line in text.splitlines(keepends=True):
        mark = _MARK.match(line)
        begin = mark.end() if mark else 0
        end = len(line.rstrip(_SPACE))
        item = index.get(line[begin:end]) if mark else None
        if item is None:
            parts.append(line)
        else:
            parts += [line[:begin], ItemPart(item), line[end:]]
    return [part for part in parts if part != ""]
