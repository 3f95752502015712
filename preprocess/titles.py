"""Titles that a model can spell: clean, unique in the catalog, unchanged by the tokenizer's encode -> decode."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from light_tokenizers import plain_tokenizer
from readers.records import MAX_TITLE

from train_utils.characters import few_marks, without_entities
from train_utils.model_folder import as_value_error, check_model_folder

CONTROL_TOKENS = ("<SOI>", "<EOI>")
ELLIPSIS = "\u2026"
LEAST_TOKENS = 16
_MAX_ROUNDS = 8
_BATCH = 10_000  # titles that the tokenizer gets at once
_MAX_NESTED = 16  # rounds of cleaning; markup is hardly ever nested, and each round takes time
# "I <3 NY" stays: a tag starts with a letter or a slash right after the bracket. As in browsers, a comment or a script
# that is not closed ends with the text; a search for its end would read the text again at each of its starts.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|$)|<(script|style)\b.*?(?:</\1\s*>|$)|</?[a-zA-Z][^<>]*>", re.DOTALL | re.IGNORECASE
)
# Page code in place of a title in Amazon's 2018 crawl: JavaScript or a style-sheet rule. Repetitions end at a count, or
# at a character that starts a match, so that no text is read again and again.
_SCRAPED = re.compile(
    r"\bgetTime\(|\bvar\s{1,9}\w{1,99}\s{0,9}=|\bfunction\b[\s\w]{0,99}\([^)]{0,200}\)\s{0,9}\{"
    r"|\{[^{}:;]*:[^{};]*;[^{}]*\}"
)
_JOINERS = "\u200c\u200d"
_SKIN_TONES = "".join(map(chr, range(0x1F3FB, 0x1F400)))
_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))  # two of them are a flag
_JAMO_ENDS = "".join(map(chr, range(0x1160, 0x1200)))  # vowels and final consonants of a Korean syllable
_VIRAMA = 9  # the combining class of the sign that joins two consonants of an Indic script


@dataclass(frozen=True)
class TitleRules:
    """Requirements of the tokenizer on titles.

    Attributes:
        special_tokens: texts that a title must not contain.
        round_trip: text -> text after encode and decode.
        max_tokens: a longer title is cut after a word; 0 cuts none.
        count_tokens: title -> number of its tokens.
        batch: `round_trip` and `count_tokens` of many titles at once; None where the tokenizer takes one at a time.
        settled: raw title -> what `title_or_reason` returns, see `settle_ahead`.
        counts: title -> number of its tokens, of titles that were counted already.
    """

    special_tokens: tuple[str, ...]
    round_trip: Callable[[str], str]
    max_tokens: int = 0
    count_tokens: Callable[[str], int] = len
    batch: tuple[Callable[[Sequence[str]], list[str]], Callable[[Sequence[str]], list[int]]] | None = None
    settled: dict[str, tuple[str | None, str]] = field(default_factory=dict, repr=False)
    counts: dict[str, int] = field(default_factory=dict, repr=False)


def rules_of(tokenizer: Any, max_tokens: int = 0) -> TitleRules:
    """Return the title rules of a transformers tokenizer.

    `<SOI>` and `<EOI>` always count as special tokens.
    """
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    specials = _longest_first([*tokenizer.all_special_tokens, *added])

    def round_trip(text: str) -> str:
        ids = tokenizer.encode(text, add_special_tokens=False)
        return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def count_tokens(text: str) -> int:
        # After a space, as titles are spelled.
        return len(tokenizer.encode(f" {text}", add_special_tokens=False))

    if (backend := getattr(tokenizer, "backend_tokenizer", None)) is None:
        return TitleRules(specials, round_trip, max_tokens, count_tokens)
    round_trip("x")  # the tokenizer lifts limits of length that its file sets
    return TitleRules(specials, round_trip, max_tokens, count_tokens, rules_of_backend(backend).batch)


def rules_of_backend(backend: Any, max_tokens: int = 0) -> TitleRules:
    """Return the title rules of a tokenizer of the tokenizers library, without limits of length."""

    def round_trip(text: str) -> str:
        ids = backend.encode(text, add_special_tokens=False).ids
        return backend.decode(ids, skip_special_tokens=False)

    def count_tokens(text: str) -> int:
        return len(backend.encode(f" {text}", add_special_tokens=False).ids)

    def ids_of(texts: Sequence[str]) -> list[list[int]]:
        # As the calls above, without the masks and positions that they make for models.
        return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]

    def round_trips(texts: Sequence[str]) -> list[str]:
        return backend.decode_batch(ids_of(texts), skip_special_tokens=False)

    def counts(texts: Sequence[str]) -> list[int]:
        return list(map(len, ids_of([f" {text}" for text in texts])))

    added = [token.content for token in backend.get_added_tokens_decoder().values() if token.special]
    return TitleRules(_longest_first(added), round_trip, max_tokens, count_tokens, (round_trips, counts))


def _longest_first(specials: Iterable[str]) -> tuple[str, ...]:
    """Return special tokens, with the control tokens, longest first.

    Where one token's text contains another's, the longer one must be removed as a whole.
    """
    distinct = {text for text in (*CONTROL_TOKENS, *specials) if text.strip()}
    return tuple(sorted(distinct, key=lambda text: (-len(text), text)))


def load_rules(tokenizer_path: str, max_tokens: int = 0, trust_remote_code: bool = False) -> TitleRules:
    """Load the title rules of a tokenizer.

    Args:
        tokenizer_path: a local folder, or a name on the hub.
        max_tokens: length limit of titles, in tokens; 0 for none.
        trust_remote_code: whether code in the folder may run.

    Raises:
        ValueError: there is no tokenizer, or the limit leaves no room for a word and a number.
    """
    if max_tokens and max_tokens < LEAST_TOKENS:
        raise ValueError(f"--max_title_tokens is {max_tokens}, wanted {LEAST_TOKENS} or more, or 0 for no bound")
    try:
        with as_value_error(f"tokenizer {tokenizer_path!r} cannot be loaded"):
            is_folder = Path(tokenizer_path).is_dir()
            if tokenizer_path.count("/") > 1 and not is_folder:  # the hub would say which names it allows
                raise FileNotFoundError("no such folder")
            if is_folder:
                check_model_folder(tokenizer_path)
                if (backend := plain_tokenizer(Path(tokenizer_path))) is not None:
                    return rules_of_backend(backend, max_tokens)
            from transformers import AutoTokenizer  # here: it takes seconds, and most folders do without

            tokenizer = AutoTokenizer.from_pretrained(tokenizer_path, trust_remote_code=trust_remote_code)
            return rules_of(tokenizer, max_tokens)
    except ValueError as error:
        remedy = (
            "give the base model as --tokenizer_path, or run scripts/fetch_defaults.py, which downloads the default"
        )
        raise ValueError(f"{error}; {remedy}") from None


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    return "" if kind == "Cs" or (kind == "Cf" and character not in _JOINERS) else character


@lru_cache(maxsize=8)
def _first_characters(special_tokens: tuple[str, ...]) -> tuple[str, ...]:
    return tuple({token[0] for token in special_tokens if token})


def _clean_once(text: str, special_tokens: tuple[str, ...]) -> str:
    text = without_entities(text)
    if "<" in text:
        text = _MARKUP.sub(" ", text)
    if any(map(text.__contains__, _first_characters(special_tokens))):
        for token in special_tokens:
            text = text.replace(token, " ")
    if text.isascii() and text.isprintable():  # such text is in NFC and visible, and its only white space are spaces
        if "  " not in text and text.strip(" ") == text:
            return text
    else:
        text = "".join(map(_visible, unicodedata.normalize("NFC", few_marks(text))))
    return " ".join(text.split())


def clean_text(text: str, special_tokens: Iterable[str] = CONTROL_TOKENS) -> str:
    """Return the text in NFC, with entities decoded and without markup, control characters and special tokens.

    White space is folded. Cleaning is idempotent: it repeats until the text is stable, because a removal can create a
    new match ("<S<b>OI>"). Of a text that is not stable after many rounds nothing is left. The time is linear in the
    length of the text.
    """
    return _stable(text, tuple(special_tokens)) or ""


def _stable(text: str, special_tokens: tuple[str, ...]) -> str | None:
    """Return the cleaned text; None where markup is nested too deeply."""
    for _ in range(_MAX_NESTED):
        cleaner = _clean_once(text, special_tokens)
        if cleaner == text:
            return text
        text = cleaner
    return None


def settle(text: str, rules: TitleRules) -> str | None:
    """Return the form of `text` that cleaning and the tokenizer leave unchanged; None when there is none."""
    for _ in range(_MAX_ROUNDS):
        cleaned = clean_text(text, rules.special_tokens)
        text = rules.round_trip(cleaned)
        if text == cleaned:
            return text
    return None


def settle_within(text: str, suffix: str, rules: TitleRules) -> str | None:
    """Return the settled form of a text with a suffix; None when there is none.

    A text that is too long is cut at a word and gets an ellipsis.
    """
    whole = settle(text + suffix, rules)
    if whole is None or not rules.max_tokens or rules.count_tokens(whole) <= rules.max_tokens:
        return whole
    if " " in text:
        # Where no cut after a word is short enough, the first word itself is cut.
        return _longest_cut(
            text, [at for at, character in enumerate(text) if character == " "], suffix, rules
        ) or settle_within(text.split(" ", 1)[0], suffix, rules)
    return _longest_cut(text, character_ends(text), suffix, rules) or _longest_cut(
        text, range(1, len(text)), suffix, rules
    )  # a single character with very many marks


def character_ends(text: str) -> list[int]:
    """Return the positions inside `text` at which a visible character ends.

    A position before a combining mark, or inside an emoji or a flag, is not such an end.
    """
    ends, flag_open = [], False
    for at in range(1, len(text)):
        before, after = text[at - 1], text[at]
        flag_open = before in _FLAG_LETTERS and not flag_open
        inside = (
            unicodedata.category(after)[0] == "M"
            or after in _JOINERS
            or after in _SKIN_TONES
            or before == _JOINERS[1]
            or unicodedata.combining(before) == _VIRAMA
            or (flag_open and after in _FLAG_LETTERS)
            or after in _JAMO_ENDS
        )
        if not inside:
            ends.append(at)
    return ends


def _longest_cut(text: str, ends: Sequence[int], suffix: str, rules: TitleRules) -> str | None:
    """Return the settled text, cut at the last of `ends` at which it fits with ellipsis and suffix; None for none."""

    def cut(n: int) -> str | None:
        head = text[: ends[n]]
        # A text that consists of such signs keeps them: an ellipsis is no title.
        return settle((head.rstrip(" ,;:-([") or head) + ELLIPSIS + suffix, rules)

    def fits(n: int) -> bool:
        title = cut(n)
        return title is not None and rules.count_tokens(title) <= rules.max_tokens

    # More words are more tokens, so bisection yields the last cut that fits.
    low = bisect_left(range(len(ends)), True, key=lambda n: not fits(n)) - 1
    return cut(low) if low >= 0 else None


def is_cut(title: str, whole: str) -> bool:
    """Return whether a settled title is a cut form of the whole title."""
    return ELLIPSIS in title and not title.startswith(whole)


def title_or_reason(raw: str, rules: TitleRules) -> tuple[str | None, str]:
    """Return (title, "") or (None, the reason why the item has no usable title)."""
    cleaned, reason = _clean_or_reason(raw, rules)
    return (None, reason) if cleaned is None else _settled_or_reason(cleaned, rules)


def titles_or_reasons(raws: Iterable[str], rules: TitleRules) -> Iterator[tuple[str | None, str]]:
    """Yield what `title_or_reason` returns for each title. The tokenizer gets many at once."""
    remaining = iter(raws)
    while batch := list(islice(remaining, _BATCH)):
        titles = [title for title in batch if title not in rules.settled]
        new = dict(zip(titles, _settled_at_once(titles, rules), strict=True))
        yield from (new[title] if title in new else rules.settled[title] for title in batch)


def settle_ahead(raws: Sequence[str], rules: TitleRules) -> None:
    """Keep what `titles_or_reasons` will yield for some titles."""
    rules.settled.update(zip(raws, titles_or_reasons(raws, rules), strict=True))


def _settled_at_once(raws: Sequence[str], rules: TitleRules) -> Iterator[tuple[str | None, str]]:
    cleaned = [_clean_or_reason(title, rules) for title in raws]
    plain = _plain([title for title, _ in cleaned if title is not None], rules)
    for title, reason in cleaned:
        if title is None:
            yield None, reason
        else:
            yield (plain[title], "") if title in plain else _settled_or_reason(title, rules)


def _plain(cleaned: Sequence[str], rules: TitleRules) -> dict[str, str]:
    """Return the titles that are short enough and that the tokenizer leaves as they are, title -> its round trip."""
    if rules.batch is None or not cleaned:
        return {}
    trips, counts = (function(cleaned) for function in rules.batch)
    rules.counts.update(zip(cleaned, counts, strict=True))
    most = rules.max_tokens or max(counts)
    return {title: trip for title, trip, n in zip(cleaned, trips, counts, strict=True) if title == trip and n <= most}


def token_counts(titles: Sequence[str], rules: TitleRules) -> list[int]:
    """Return the number of tokens of each title."""
    if rules.batch is None:
        return [rules.count_tokens(title) for title in titles]
    new = [title for title in titles if title not in rules.counts]
    for begin in range(0, len(new), _BATCH):
        part = new[begin : begin + _BATCH]
        rules.counts.update(zip(part, rules.batch[1](part), strict=True))
    return [rules.counts[title] for title in titles]


def _clean_or_reason(raw: str, rules: TitleRules) -> tuple[str | None, str]:
    raw = raw[:MAX_TITLE]  # tokenizers abort the process on a text of hundreds of megabytes
    if _SCRAPED.search(raw):
        return None, "title is scraped page code"
    cleaned = _stable(raw, rules.special_tokens)
    if cleaned is None:
        return None, "title of markup in markup"
    if not any(unicodedata.category(character)[0] in "LNPS" for character in cleaned):
        return None, "title empty"
    return cleaned, ""


def _settled_or_reason(cleaned: str, rules: TitleRules) -> tuple[str | None, str]:
    title = settle_within(cleaned, "", rules)
    if title is None:
        return None, "title does not survive the tokenizer"
    return (title, "") if title else (None, "title empty")


def unique_titles(settled: Mapping[str, str], rules: TitleRules) -> dict[str, str | None]:
    """Return item id -> unique title.

    From the second item of a title on, ` (1)`, ` (2)`, ... is appended, in catalog order. A suffixed title never equals
    the own title of another item. None marks an item for which the tokenizer turns every suffixed title into a taken
    one.
    """
    taken = set(settled.values())
    seen: set[str] = set()
    numbers: dict[str, int] = {}
    unique: dict[str, str | None] = {}
    for item_id, title in settled.items():
        unique[item_id] = _suffixed(title, taken, numbers, rules) if title in seen else title
        seen.add(title)
    return unique


def _suffixed(title: str, taken: set[str], numbers: dict[str, int], rules: TitleRules) -> str | None:
    """Return the first free ` (n)` form of `title`; add it to `taken` and store n in `numbers`."""
    number = numbers.get(title, 0) + 1
    # Among this many distinct forms one is free, unless the tokenizer maps several to one.
    for _ in range(len(taken) + 1):
        candidate = settle_within(title, f" ({number})", rules)
        if candidate is None or candidate == title:
            return None
        # Long titles that differ at their ends are cut to one form, and continue its numbers.
        stem = candidate.removesuffix(f"({number})")
        if candidate not in taken:
            taken.add(candidate)
            numbers[title] = numbers[stem] = number
            return candidate
        number = max(number, numbers.get(stem, 0)) + 1
        numbers[stem] = number - 1
    return None
