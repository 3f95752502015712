"""Position at which an answer begins in the token ids of a conversation. Plain data."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from train_utils.constraint.trie import TitleTrie

# First of the private-use characters that replace the added tokens: it stands for those in no opener, such as item
# codes, which may be more than there are characters; each other one for a token of an opener.
_SIGNS = 0xF0000
_SIGN = "[\U000f0000-\U0010ffff]"


class Openers:
    """Texts that a chat template writes before an answer, matched in token ids under any tokenization.

    Texts are compared, not ids, because a tokenizer may merge a line break of the user or the first one of the answer
    into a token of the template. An added token is compared as a token: words that spell it are no opener.

    Args:
        tokenizer: decodes the ids.
        markups: token ids of each text that the template writes before an answer.
    """

    def __init__(self, tokenizer, markups: Iterable[Sequence[int]]):
        self._tokenizer = tokenizer
        markups = [tuple(ids) for ids in markups]
        added = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
        own = sorted(added & {token for ids in markups for token in ids})
        self._signs = dict.fromkeys(added, chr(_SIGNS)) | {token: chr(_SIGNS + n) for n, token in enumerate(own, 1)}
        patterns = {self._pattern(ids) for ids in markups}
        self._openers_pattern = re.compile("|".join(sorted(patterns - {""}, key=len, reverse=True)))

    def __bool__(self) -> bool:
        return bool(self._openers_pattern.pattern)

    def ends(self, ids: Sequence[int]) -> Iterator[int]:
        """Yield the position after each opener in `ids`, the last opener first."""
        if not self:
            return
        text, runs = self._read(ids)
        for match in reversed(list(self._openers_pattern.finditer(text))):
            yield self._position_after(ids, match.end(), text, runs)

    def _pattern(self, ids: Sequence[int]) -> str:
        """Return a regular expression for one opener that ignores the amount of white space at its ends."""
        text, _ = self._read(ids)
        pieces = re.findall(rf"{_SIGN}|(?:(?!{_SIGN})\S)+", text)
        if not pieces:
            return ""
        own_line = "\n" in text[: len(text) - len(text.lstrip())]
        begin = rf"(?:^|(?<=\n)|(?<=\n )|(?<={_SIGN}))" if own_line else r"(?<!\w)" if pieces[0][0].isalnum() else ""
        return begin + r"\s*".join(map(re.escape, pieces))

    def _read(self, ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """Return the text of `ids`, a sign for each added token, and the start of each run in it: (text, token)."""
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

    def _position_after(self, ids: Sequence[int], end: int, text: str, runs: Sequence[tuple[int, int]]) -> int:
        """Return the position after the token that completes `text[:end]`."""
        run = bisect_right(runs, end - 1, key=lambda run: run[0]) - 1
        (begin, low), (_, high) = runs[run], runs[run + 1]
        if high == low + 1:
            return high
        prefix, first = text[begin:end], low
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._decoded(ids[first:middle]).startswith(prefix) else (middle, high)
        return high


def answer_start(
    ids: Sequence[int], end_of_turn: int | None, openers: Openers | None = None, trie: TitleTrie | None = None
) -> int:
    """Return the position at which the current answer begins: after the last end of turn or the last opener.

    Args:
        ids: token ids of the conversation.
        end_of_turn: id of the token that ends a turn; None if there is none.
        openers: texts before an answer; None if the template writes none.
        trie: the catalog's titles; an opener that a title spells does not count.
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
    """Return whether the ids end inside an item of the catalog."""
    backwards = ids[::-1]
    if trie.soi not in backwards:
        return False
    inside = backwards[: backwards.index(trie.soi)][::-1]
    return trie.eoi not in inside and trie.begins_title(inside)


class AnswerStarts:
    """Positions at which the answers of a running generation begin, from the token ids of each step.

    The position is computed from the prompt and kept while the prompt is continued token by token: text that the model
    writes does not open another answer, unless the model ends its turn.

    Args:
        end_of_turn: id of the token that ends a turn; None if there is none.
        openers: texts before an answer; None if the template writes none.
        trie: the catalog's titles.
    """

    def __init__(self, end_of_turn: int | None, openers: Openers | None, trie: TitleTrie):
        self._about = end_of_turn, openers, trie
        self._rows: dict[int, dict[tuple[int, ...], int]] = {}  # prompt -> rows of the last two steps

    def of(self, prompt: int, ids: Sequence[int]) -> int:
        """Return the position at which the answer begins in a row.

        Args:
            prompt: number of the prompt that the row belongs to.
            ids: token ids of the row.
        """
        row, before = tuple(ids), self._rows.get(prompt, {})
        start = before.get(row, before.get(row[:-1]) if row else None)
        if start is None:
            start = answer_start(row, *self._about)
        elif row[-1:] == (self._about[0],):
            start = len(row)
        kept = {earlier: at for earlier, at in before.items() if len(earlier) in (len(row) - 1, len(row))}
        self._rows[prompt] = kept | {row: start}
        return start
