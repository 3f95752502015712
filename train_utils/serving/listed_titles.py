"""Lists in the text of an earlier answer: lines that are titles of the catalog become its items again."""

import re
from collections.abc import Mapping

from train_utils.prompts.messages import ItemPart, Part

_LINE = re.compile(r"(?P<mark>[ \t]*(?:\d{1,4}[.)]|[-*•])[ \t]+)(?P<title>\S.*?)(?P<end>[ \t]*)")


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
        body = line.rstrip("\r\n")
        match = _LINE.fullmatch(body)
        item = index.get(match["title"]) if match else None
        if match is None or item is None:
            parts.append(line)
        else:
            parts += [match["mark"], ItemPart(item), match["end"] + line[len(body) :]]
    return [part for part in parts if part != ""]
