"""Text of unknown origin on a terminal, on one line, and in Markdown. Standard library only.

Titles, file names and log lines may hold what a terminal executes: escape sequences, carriage returns, marks that turn
the direction of the text.
"""

import re

# Control characters but line feed and tab, overrides and isolates of the writing direction, and lone surrogates, which
# no encoding of a terminal can write.
_EXECUTED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LINE_BREAKS = re.compile("[\t-\r\x1c-\x1e\x85\u2028\u2029]+")
# A backslash makes these ordinary characters. An underscore inside a word is one already.
_MARKDOWN = re.compile(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# GitHub turns addresses into links, whatever is escaped before them.
_ADDRESS = re.compile(r":(?=//)|(?<=\bwww)\.", re.IGNORECASE)


def printable(text: str) -> str:
    """Return `text` without the characters that a terminal executes; line feeds and tabs stay."""
    return _EXECUTED.sub("", text)


def one_line(text: str, most: int = 0) -> str:
    """Return `text` printable and on one line.

    Args:
        text: the text.
        most: most characters, of which the last one is an ellipsis if the text is longer; 0 for no limit.
    """
    line = printable(_LINE_BREAKS.sub(" ", text))
    return f"{line[: most - 1]}…" if 0 < most < len(line) else line


def markdown(text: str) -> str:
    """Return `text` as Markdown that shows it: on one line, without markup, HTML, links or table cells."""
    plain = _MARKDOWN.sub(r"\\\g<0>", one_line(text))
    plain = re.sub("[&<>]", lambda match: _HTML[match[0]], plain)
    return _ADDRESS.sub(lambda match: f"&#{ord(match[0])};", plain)
