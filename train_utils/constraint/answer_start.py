"""Where an answer begins in the token ids of a conversation. Plain data."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from train_utils.constraint.trie import TitleTrie

_SIGNS = 0xF0000  # private characters, one for each added token
_SIGN = "[\U000f0000-\U0010ffff]"


class Openers:
    """The texts that a chat template writes before an answer, found in token ids however these were cut.

    A tokenizer may put a line break of the user's, or the answer's first one, into one token with the template's, so
    texts are compared and not ids. An added token is compared as a token: words that spell it are no opener.

    Args:
        tokenizer: reads ids.
        markups: token ids of what the template writes before an answer, one for each way in which it does.
    """

    def __init__(self, tokenizer, markups: Iterable[Sequence[int]]):
        self._tokenizer = tokenizer
        added = sorted({*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids})
        self._signs = {token: chr(_SIGNS + n) for n, token in enumerate(added)}
        patterns = {self._pattern(ids) for ids in markups}
        self._found = re.compile("|".join(sorted(patterns - {""}, key=len, reverse=True)))

    def __bool__(self) -> bool:
        return bool(self._found.pattern)

    def ends(self, ids: Sequence[int]) -> Iterator[int]:
        """Places behind each opener in the ids, the last one first."""
        if not self:
            return
        text, runs = self._read(ids)
        for match in reversed(list(self._found.finditer(text))):
            yield self._place(ids, match.end(), text, runs)

    def _pattern(self, ids: Sequence[int]) -> str:
        """A regular expression for one opener; white space at its ends may be missing, or more."""
        text, _ = self._read(ids)
        pieces = re.findall(rf"{_SIGN}|(?:(?!{_SIGN})\S)+", text)
        if not pieces:
            return ""
        own_line = "\n" in text[: len(text) - len(text.lstrip())]
        begin = rf"(?:^|(?<=\n)|(?<=\n )|(?<={_SIGN}))" if own_line else r"(?<!\w)" if pieces[0][0].isalnum() else ""
        return begin + r"\s*".join(map(re.escape, pieces))

    def _read(self, ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """The text of ids with a sign for each added token, and where each stretch of it starts: (text, token)."""
        text, runs, at = "", [], 0
        for sign, group in groupby(ids, self._signs.get):
            run = list(group)
            for piece in [run] if sign is None else [[token] for token in run]:
                runs.append((len(text), at))
                text += self._decoded(piece) if sign is None else sign
                at += len(piece)
        return text, [*runs, (len(text), at)]

    def _decoded(self, ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return re.sub(_SIGN, "\ufffd", text)

    def _place(self, ids: Sequence[int], end: int, text: str, runs: Sequence[tuple[int, int]]) -> int:
        """The place behind the token that completes `text[:end]`."""
        run = bisect_right(runs, end - 1, key=lambda run: run[0]) - 1
        (begin, low), (_, high) = runs[run], runs[run + 1]
        if high == low + 1:
            return high
        wanted, first = text[begin:end], low
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._decoded(ids[first:middle]).startswith(wanted) else (middle, high)
        return high


def answer_start(
    ids: Sequence[int], end_of_turn: int | None, openers: Openers | None = None, trie: TitleTrie | None = None
) -> int:
    """Where the current answer begins in a conversation: behind the last end of turn, or what opens an answer.

    tree: the catalog's titles, which may spell an opener: that is not one.
    """
    ids = list(ids)
    start = len(ids) - ids[::-1].index(end_of_turn) if end_of_turn in ids else 0
    for end in openers.ends(ids) if openers else ():
        if end <= start:
            break
        if trie is None or not _in_title(ids[:end], trie):
            return end
    return start


def _in_title(ids: Sequence[int], trie: TitleTrie) -> bool:
    """Whether the ids end inside an item whose title is of the catalog."""
    backwards = ids[::-1]
    if trie.soi not in backwards:
        return False
    inside = backwards[: backwards.index(trie.soi)][::-1]
    return trie.eoi not in inside and trie.begins_title(inside)


class AnswerPlaces:
    """Where the answers begin that a model is writing, by the ids of each step alone.

    It is found in the prompt, and kept while that is continued token by token: what the model itself writes opens no
    other answer, unless it ends its turn.
    """

    def __init__(self, end_of_turn: int | None, openers: Openers | None, trie: TitleTrie):
        self._about = end_of_turn, openers, trie
        self._rows: dict[int, dict[tuple[int, ...], int]] = {}  # of each prompt: rows of the last two steps

    def of(self, prompt: int, ids: Sequence[int]) -> int:
        """The place in a row of a prompt."""
        row, before = tuple(ids), self._rows.get(prompt, {})
        start = before.get(row, before.get(row[:-1]) if row else None)
        if start is None:
            start = answer_start(row, *self._about)
        elif row[-1:] == (self._about[0],):
            start = len(row)
        kept = {one: place for one, place in before.items() if len(one) in (len(row) - 1, len(row))}
        self._rows[prompt] = kept | {row: start}
        return start
