"""Lists in the text of an earlier answer: lines that are titles of the catalog become its items again."""

import re
from collections.abc import Mapping

from train_utils.prompts.messages import ItemPart, Part

_MARK = re.compile(r"[ \t]*+(?:\d{1,4}[.)]|[-*•])[ \t]++")


def listed_parts(text: str, index: Mapping[str, int]) -> list[Part]:
    """Return the parts of an answer that a client sends back as text.

    Args:
        text: the answer.
        index: title -> item.

    Returns:
        Texts, and the items of numbered or marked lines, or of the only line, that are titles.
    """
    if (item := index.get(text.strip())) is not None:
        return [ItemPart(item)]
    parts: list[Part] = []
    for line in text.splitlines(keepends=True):
        mark = _MARK.match(line)
        begin = mark.end() if mark else 0
        end = len(line.rstrip(" \t\r\n"))
        item = index.get(line[begin:end]) if mark else None
        if item is None:
            parts.append(line)
        else:
            parts += [line[:begin], ItemPart(item), line[end:]]
    return [part for part in parts if part != ""]
