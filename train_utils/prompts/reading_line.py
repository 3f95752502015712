"""Reading line: what a message asks, in one line that a model writes and a grammar of the catalog constrains.

An example: `asks; count 5; like<item>; only "Comedy", "Drama"; without "Horror"; "year" 1990..1999`. That of a message
without any of it is `tells`. The clauses have a fixed order, names are JSON strings, and items are written as in lists.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.prompts.templates import READING, SYSTEM

MOST_READ = 1000  # bytes of a message that a model reads: a token has one or more, and contexts have 2,048 tokens
MOST_COUNT = 100  # items that a message may ask for; a larger number is a year or a price
MOST_NAMED = 8  # titles of one kind, and categories of one clause, that a line holds; few messages name more

_JUDGMENTS = {"like": "liked", "dislike": "disliked", "known": "known"}
# (together, also) -> word before the categories
_ONLY = {(False, False): "only", (True, False): "all", (False, True): "also", (True, True): "also all"}
_STRING = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"\d{1,12}(?:\.\d{1,2})?"
_CLAUSE = re.compile(rf"(?:{_STRING}|[^;\"])+")
_STRINGS = re.compile(_STRING)
_ITEM = re.compile(r"<(\d+)>")
_RANGE = re.compile(rf"({_STRING}) (?:any|({_NUMBER})?\.\.({_NUMBER})?)")


@dataclass(frozen=True, kw_only=True)
class ReadingLine:
    """Slots of a message; see `conversation.preferences.Change`, whose fields of the same names they are.

    Attributes:
        asks: whether the message asks for recommendations.
        forget: whether the user starts over.
        more: whether it asks for further items of the same kind.
        count: number of items that it asks for; None where it names none.
        liked: items that the user likes.
        disliked: items that the user does not like.
        known: items that the user knows, without a judgment.
        only: categories asked for.
        together: whether an item must have all of `only`, which are two or more.
        also: whether `only` is added to the categories asked for before.
        any_category: whether the user takes back a restriction to categories; then `only` is empty.
        without: categories excluded.
        ranges: (attribute, least value, greatest value), numbers of 0 or more with at most two decimals; None for no
            bound, and without both the user takes back the range.
    """

    asks: bool = False
    forget: bool = False
    more: bool = False
    count: int | None = None
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    only: tuple[str, ...] = ()
    together: bool = False
    also: bool = False
    any_category: bool = False
    without: tuple[str, ...] = ()
    ranges: tuple[tuple[str, float | None, float | None], ...] = ()


def reading_prompt(text: str) -> tuple[Message, Message]:
    """Return the messages after which a model writes the reading line of a text.

    Args:
        text: the user's message; what follows its first `MOST_READ` bytes is not read.
    """
    return message("system", SYSTEM), message("user", READING + read_part(text))


def is_reading(messages: Sequence[Message]) -> bool:
    """Return whether the last answer of a conversation is a reading line."""
    asked = next((entry for entry in reversed(messages) if entry.role == "user"), None)
    return asked is not None and isinstance(asked.parts[0], str) and asked.parts[0].startswith(READING)


def read_part(text: str) -> str:
    """Return the part of a message that is read, in whole characters."""
    return text[:MOST_READ].encode(errors="replace")[:MOST_READ].decode(errors="ignore")


def line_parts(line: ReadingLine) -> tuple[Part, ...]:
    """Return a reading line as the parts of an answer."""
    parts: list[Part] = []
    text = ""
    for clause, items in _clauses(line):
        text += f"{'; ' * bool(parts or text)}{clause}"
        if items:
            parts += [text, *map(ItemPart, items)]
            text = ""
    return (*parts, *([text] if text else []))


def _clauses(line: ReadingLine) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield the clauses of a line, each as its text and the items after it."""
    yield ("asks" if line.asks else "tells"), ()
    if line.forget:
        yield "forget", ()
    if line.more:
        yield "more", ()
    if line.count is not None:
        yield f"count {line.count}", ()
    for word, field in _JUDGMENTS.items():
        if items := getattr(line, field):
            yield word, items
    if line.only:
        yield f"{_ONLY[line.together, line.also]} {_quoted(line.only)}", ()
    if line.any_category:
        yield "any", ()
    if line.without:
        yield f"without {_quoted(line.without)}", ()
    for name, low, high in line.ranges:
        bounds = "any" if low is None and high is None else f"{_written(low)}..{_written(high)}"
        yield f"{_quoted([name])} {bounds}", ()


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(json.dumps(name, ensure_ascii=False) for name in names)


def _written(number: float | None) -> str:
    if number is None:
        return ""
    return str(int(number)) if float(number).is_integer() else f"{number:.2f}".rstrip("0")


def parsed_line(parts: Iterable[Part]) -> ReadingLine:
    """Return the slots of a reading line. An item, a category or an attribute counts where it stands first.

    Args:
        parts: parts of the answer.

    Raises:
        ValueError: the answer is no reading line.
    """
    text = "".join(map(_marked, parts))
    head, *clauses = [clause.strip() for clause in _CLAUSE.findall(text)] or [""]
    if head not in ("asks", "tells"):
        raise ValueError(f"the line {text[:80]!r} begins with neither asks nor tells")
    slots: dict = {"asks": head == "asks"}
    ranges: dict[str, tuple[float | None, float | None]] = {}
    named: set[int] = set()
    for clause in clauses:
        word = clause.partition("<")[0].partition('"')[0].strip()
        names = tuple(dict.fromkeys(map(json.loads, _STRINGS.findall(clause))))
        if bounds := _RANGE.fullmatch(clause):
            ranges.setdefault(names[0], _ordered(bounds[2], bounds[3]))
        elif word in _JUDGMENTS:
            items = dict.fromkeys(map(int, _ITEM.findall(clause)))
            slots[_JUDGMENTS[word]] = tuple(item for item in items if item not in named)
            named.update(items)
        elif word in _ONLY.values():
            together, also = next(key for key, value in _ONLY.items() if value == word)
            slots |= {"only": names, "together": together and len(names) > 1, "also": also}
        elif word == "without":
            slots["without"] = names
        elif word in ("forget", "more", "any"):
            slots["any_category" if word == "any" else word] = True
        elif number := re.fullmatch(r"count (\d{1,3})", clause):
            slots["count"] = int(number[1])
        else:
            raise ValueError(f"the line {text[:80]!r} has the unknown clause {clause[:80]!r}")
    return ReadingLine(**slots, ranges=tuple((name, low, high) for name, (low, high) in ranges.items()))


def _marked(part: Part) -> str:
    """Return a part as text, in which only an item is `<number>` outside of quotation marks."""
    if isinstance(part, ItemPart):
        return f"<{part.item}>"
    return part if isinstance(part, str) else ""


def _ordered(low: str | None, high: str | None) -> tuple[float | None, float | None]:
    """Return the bounds of a range, the lower one first."""
    if low and high:
        return min(float(low), float(high)), max(float(low), float(high))
    return (float(low) if low else None), (float(high) if high else None)


def line_grammar(categories: Iterable[str], attributes: Iterable[str], soi: int, eoi: int, items: bool = True) -> str:
    """Return the grammar of the reading lines of a catalog, in the Lark syntax of llguidance.

    An item is `<SOI>` and `<EOI>`: the tokens between them are left to the trie.

    Args:
        categories: names of the categories.
        attributes: names of the numeric attributes.
        soi: id of the control token before an item.
        eoi: id of the control token after an item.
        items: whether a line may hold items.
    """
    # The lexer is greedy: no text may begin with another one that is followed by more.
    names, numbered, number = list(categories), list(attributes), r"[0-9]{1,12}(\.[0-9]{1,2})?"
    clauses = ["forget?", "more?", "count?", *(f"{word}?" for word in _JUDGMENTS if items)]
    clauses += ["categories?", "without?"] * bool(names) + [f"range{{0,{MOST_NAMED}}}"] * bool(numbered)
    rules = [
        # A SentencePiece tokenizer writes a space before every text.
        f'start: " "? ("asks" | "tells") {" ".join(clauses)}',
        'forget: "; forget"',
        'more: "; more"',
        'count: "; count " COUNT',
        f"COUNT: /[1-9][0-9]?|{MOST_COUNT}/",
    ]
    if items:
        rules += [f"item: <[{soi}]> <[{eoi}]>"]
        rules += [f'{word}: "; {word}" item{{1,{MOST_NAMED}}}' for word in _JUDGMENTS]
    if numbered:
        rules += [
            f"range: ({' | '.join(_literal(f'; {_quoted([name])} ') for name in numbered)}) BOUNDS",
            rf"BOUNDS: /{number}\.\.({number})?|\.\.{number}|any/",
        ]
    if names:
        rules += [
            f'categories: "; any" | ({" | ".join(_literal(f"; {word} ") for word in _ONLY.values())}) names',
            'without: "; without " names',
            f'names: NAME (", " NAME){{0,{MOST_NAMED - 1}}}',
            f"NAME: {' | '.join(_literal(_quoted([name])) for name in names)}",
        ]
    return "\n".join(rules)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
