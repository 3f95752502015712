"""Shortlist: the candidates of one list, as a grammar for a server that constrains decoding by llguidance.

The grammar is parametric: its parameter is the set of titles listed so far, so each title comes at most once. All of it
is token ids, so a model sees each title as it was trained on it, and items of one token need no text. Its language and
`Shortlist.items_of_tokens` are the same lists of tokens. No tensor and no model.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.matcher import Matcher
from train_utils.prompts.control_tokens import split_completion

MOST_CANDIDATES = 64  # bits of the parameter of an llguidance grammar
CANDIDATES = 60


@dataclass(frozen=True)
class Shortlist:
    """Candidates of a list, and the tokens around them.

    Attributes:
        items: item indices of the candidates, best first; no two share a title.
        titles: token ids of each candidate between its control tokens.
        separators: token ids before each item of the list; their number is the length of the list.
        soi: id of the control token before an item.
        eoi: id of the control token after an item.

    Raises:
        ValueError: there are more candidates than a grammar can distinguish, two have the same title, or the list is
            empty or longer than its candidates.
    """

    items: tuple[int, ...]
    titles: tuple[tuple[int, ...], ...]
    separators: tuple[tuple[int, ...], ...]
    soi: int
    eoi: int

    def __post_init__(self):
        if len(self.items) > MOST_CANDIDATES:
            raise ValueError(f"a shortlist has {len(self.items)} candidates, wanted at most {MOST_CANDIDATES}")
        if len(set(self.titles)) < len(self.items):
            raise ValueError("two candidates of a shortlist have the same title; leave one out")
        if not 1 <= len(self.separators) <= len(self.items):
            raise ValueError(
                f"a list of {len(self.separators)} items cannot be chosen from {len(self.items)} candidates"
            )

    @property
    def length(self) -> int:
        """Number of items of the list."""
        return len(self.separators)

    @property
    def most_tokens(self) -> int:
        """Number of tokens of the longest list."""
        longest = sorted(map(len, self.titles), reverse=True)[: self.length]
        return sum(longest) + sum(map(len, self.separators)) + 2 * self.length

    def grammar(self) -> str:
        """Return the grammar of the lists, in the Lark syntax of llguidance.

        The parameter holds one bit per candidate, set once it is listed; how many are set is the position in the list.
        """
        rules = ["start: next::0x0", f'next::_: "" %if bit_count_eq(_, {self.length})']
        rules += [
            f"    | {_tokens(separator)} item::_ %if bit_count_eq(_, {position})"
            for position, separator in enumerate(self.separators)
        ]
        for bit, title in enumerate(self.titles):
            written = _tokens([self.soi, *title, self.eoi])
            rules.append(f"{'    |' if bit else 'item::_:'} {written} next::set_bit({bit}) %if bit_clear({bit})")
        return "\n".join(rules) + "\n"

    def tokens_of(self, items: Sequence[int]) -> list[int]:
        """Return the tokens of a list of candidates, as the grammar accepts it."""
        title = dict(zip(self.items, self.titles, strict=True))
        return [
            token
            for separator, item in zip(self.separators, items, strict=True)
            for token in (*separator, self.soi, *title[item], self.eoi)
        ]

    def items_of_tokens(self, ids: Sequence[int]) -> list[int]:
        """Return the items of a list that a server has written.

        Args:
            ids: its tokens, without the end of turn.

        Raises:
            ConstraintError: the tokens are no list of distinct candidates of this length.
        """
        item_of = dict(zip(self.titles, self.items, strict=True))
        titles, texts = split_completion(ids, self.soi, self.eoi)
        items = self._checked([item_of.get(tuple(title)) for title in titles])
        if list(ids) != self.tokens_of(items):
            raise ConstraintError(f"text around the items is {texts}, wanted {list(self.separators)}")
        return items

    def items_of_text(self, text: str, decode: Callable[[Sequence[int]], str]) -> list[int]:
        """Return the items of a list of which a server has sent the text alone; spaces around titles may differ.

        Args:
            text: the list with its control tokens as text, without the end of turn.
            decode: tokens -> text, special tokens included.

        Raises:
            ConstraintError: the text is no list of distinct candidates of this length.
        """
        item_of: dict[str, int] = {}
        for item, title in zip(self.items, self.titles, strict=True):
            if item_of.setdefault(decode(title).strip(), item) != item:
                raise ConstraintError(f"two candidates read {decode(title).strip()!r}; their text names neither")
        soi, eoi = decode([self.soi]), decode([self.eoi])
        pieces = re.split(f"({re.escape(soi)}|{re.escape(eoi)})", text)
        contents, controls = [piece.strip() for piece in pieces[::2]], pieces[1::2]
        items = self._checked([item_of.get(content) for content in contents[1::2]])
        around = [*(decode(separator).strip() for separator in self.separators), ""]
        if controls != [soi, eoi] * self.length or contents[::2] != around:
            raise ConstraintError(f"text around the items is {contents[::2]}, wanted {around}")
        return items

    def _checked(self, items: Sequence[int | None]) -> list[int]:
        listed = [item for item in items if item is not None]
        if len(listed) < len(items):
            raise ConstraintError(f"item {items.index(None) + 1} of the list is none of the candidates")
        if len(set(listed)) < len(listed):
            raise ConstraintError("the list repeats an item")
        if len(listed) != self.length:
            raise ConstraintError(f"the list has {len(listed)} items, wanted {self.length}")
        return listed


def best_candidates(rules: Constraint, scores: np.ndarray, n: int, least: int = 1) -> list[int]:
    """Return the `n` admissible items with the highest scores, best first, of which every choice meets the rules.

    Limits per category hold for the candidates together, and so for each list of some of them.

    Args:
        rules: the admissible items.
        scores: float [items], 0 or more.
        n: number of candidates at most.
        least: number of candidates up to which items of score 0 fill the shortlist.
    """
    matcher = Matcher(rules)
    admissible = np.flatnonzero(matcher.admissible_mask())
    values = np.asarray(scores)[admissible]
    known = admissible[values > 0]
    best = known[np.argsort(-values[values > 0], kind="stable")]
    chosen: list[int] = []
    opened: Matcher | None = None
    for item in itertools.chain(best.tolist(), admissible[values <= 0].tolist()):
        if len(chosen) == n or matcher.exhausted or (len(chosen) >= least and scores[item] <= 0):
            break
        if opened is None:
            opened = matcher.copy()
            opened.accept_token(rules.trie.soi)
        if not opened.offers(item):  # the caps of its categories are full
            continue
        for token in (rules.trie.soi, *rules.trie.title(int(rules.trie.item_leaf[item]))):
            listed = matcher.accept_token(token)
        assert listed is not None  # the title is whole
        chosen.append(listed)
        opened = None
    return chosen


def _tokens(ids: Iterable[int]) -> str:
    return " ".join(f"<[{token}]>" for token in ids)
