"""Scores of conversations. `python -m train_utils.evaluation.conversation --data_path ... [--model_name ...]`.

A file of conversations says what a careful reader understands after each message. The reader's state after each message
is compared with it, by slot. With a model, simulated users talk with the chat and its rivals. The last line of the
output is JSON.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train_utils.catalog import Catalog, load_catalog
from train_utils.command import run_cli
from train_utils.conversation.preferences import Change, Preferences
from train_utils.conversation.reader import Reader, RequestReader
from train_utils.dialogue.readers import make_reader
from train_utils.evaluation.dialogues import (
    CHAT,
    FREE,
    POPULARITY,
    TEACHER,
    chosen_weights,
    dialogue_table,
    run_dialogues,
)
from train_utils.files.json_files import json_value
from train_utils.files.text_files import text_lines
from train_utils.models.item_vectors import sentence_encoder
from train_utils.options import parse
from train_utils.param.conversations import ConversationOptions
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.title_forms import unnumbered
from train_utils.recommender import Recommender

GOLD = Path(__file__).parent / "requests-ml-100k.jsonl"
SLOTS = ("numbers", "titles", "categories", "exclusions", "ranges", "unknown", "asks", "more", "forget")
_TITLES = ("liked", "disliked", "known")
_FLAGS = ("asks", "more", "forget")
_LISTS = (*_TITLES, "only", "all", "without", "unknown")

# a slot's name and what fills it
Fill = tuple[object, ...]


@dataclass(frozen=True)
class Turn:
    """Message of a gold conversation.

    Attributes:
        text: the message.
        gold: the state after it: `asks`, `count`, `liked`, `disliked`, `known`, `only`, `all`, `without`, `ranges`,
            `more` and `forget`, each where it is set; and `unknown`, the titles of this message that the catalog lacks,
            which are scored only where it is set.
    """

    text: str
    gold: Mapping[str, object]


def load_conversations(path: str | Path, split: str) -> Iterator[list[Turn]]:
    """Yield the conversations of a split ("" for all) from a file of JSON lines.

    Raises:
        ValueError: a line is no conversation, or none is of the split.
    """
    names: set[str] = set()
    empty = True
    for number, line in enumerate(text_lines(path), 1):
        try:
            record: Any = json_value(line)
            turns = [_turn(turn) for turn in record["turns"]]
            chosen = split in ("", str(record["split"]))
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} line {number} is no conversation ({error}); see docs/evaluation.md") from None
        names.add(str(record["split"]))
        if chosen:
            empty = False
            yield turns
    if empty:
        others = f"give one of {', '.join(sorted(names))}" if names else "the file is empty"
        raise ValueError(f"{path} has no conversation of `split` {split}; {others}")


def _turn(record: Mapping[str, Any]) -> Turn:
    """Return a turn of a file.

    Raises:
        ValueError: its text or its gold state is none.
        TypeError: the same.
        KeyError: it lacks one of both.
    """
    text, gold = record["text"], record["gold"]
    if not isinstance(text, str) or not isinstance(gold, Mapping):
        raise ValueError("wanted a text and an object as `gold`")
    for key, value in gold.items():
        match key:
            case "count":
                fits = isinstance(value, int) and not isinstance(value, bool)
            case "ranges":
                fits = isinstance(value, Mapping) and all(
                    isinstance(ends, list) and len(ends) == 2 for ends in value.values()
                )
            case _ if key in _LISTS:
                fits = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
            case _:
                fits = key in _FLAGS and isinstance(value, bool)
        if not fits:
            raise ValueError(f"`{key[:40]}` of `gold` is {str(value)[:40]!r}")
    return Turn(text, gold)


def gold_fills(gold: Mapping[str, object]) -> set[Fill]:
    """Return the slots that a gold state fills."""

    def of(key: str) -> Sequence[object]:
        value = gold.get(key, ())
        return value if isinstance(value, list) else ()

    ranges = gold.get("ranges")
    fills: set[Fill] = {("numbers", gold["count"])} if "count" in gold else set()
    fills |= {("titles", kind, unnumbered(str(title))) for kind in _TITLES for title in of(kind)}
    fills |= {("categories", key, name) for key in ("only", "all") for name in of(key)}
    fills |= {("exclusions", name) for name in of("without")}
    fills |= {("unknown", title) for title in of("unknown")}
    fills |= {("ranges", name, *bounds) for name, bounds in ranges.items()} if isinstance(ranges, Mapping) else set()
    return fills | {(flag,) for flag in _FLAGS if gold.get(flag)}


def read_fills(preferences: Preferences, change: Change, catalog: Catalog) -> set[Fill]:
    """Return the slots that the reader filled. Items that share a title are one title."""

    def title(items: Sequence[int]) -> str:
        return unnumbered(catalog.items[max(items, key=lambda item: catalog.popularity[item])].title)

    fills: set[Fill] = {("numbers", preferences.count)} if preferences.count else set()
    fills |= {("titles", kind, title(items)) for kind in _TITLES for items in getattr(preferences, kind)}
    fills |= {("categories", "all" if preferences.together else "only", name) for name in preferences.only}
    fills |= {("exclusions", name) for name in preferences.without}
    fills |= {("unknown", title) for title in change.unknown}
    fills |= {("ranges", entry.attribute, entry.low, entry.high) for entry in preferences.ranges.values()}
    return fills | {(flag,) for flag in _FLAGS if getattr(change, flag)}


def score(reader: Reader, conversations: Iterator[list[Turn]], catalog: Catalog) -> dict[str, float]:
    """Return the F1 score of each slot, the number of turns, and the share of turns with all slots right."""
    right, extra, missing = Counter[object](), Counter[object](), Counter[object]()
    turns = exact = 0
    for conversation in conversations:
        preferences = Preferences()
        for turn in conversation:
            change = reader.read(turn.text)
            preferences = preferences.after(change)
            gold, read = gold_fills(turn.gold), read_fills(preferences, change, catalog)
            if "unknown" not in turn.gold:
                read = {fill for fill in read if fill[0] != "unknown"}
            turns, exact = turns + 1, exact + (gold == read)
            for counter, fills in ((right, gold & read), (extra, read - gold), (missing, gold - read)):
                counter.update(fill[0] for fill in fills)
    scores = {f"slot_f1_{slot}": f1(right[slot], extra[slot], missing[slot]) for slot in SLOTS}
    return {"turns": turns, "exact": exact / turns if turns else 0.0, **scores}


def f1(right: int, extra: int, missing: int) -> float:
    """Return the F1 score; 1 where nothing was to be found and nothing was."""
    return 2 * right / (2 * right + extra + missing) if right + extra + missing else 1.0


def of_dialogues(measures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the measures of the chat and the hits of its rivals, for the last line of the output."""
    chat = measures[CHAT]
    names = (
        "users",
        "hit_turns",
        "adherence",
        "exact_count",
        "repeats",
        "named_back",
        "off_catalogue",
        "titles_outside",
    )
    rivals = {"hit_turns_before": FREE, "hit_turns_filtered_teacher": TEACHER, "hit_turns_popularity": POPULARITY}
    return {name: chat[name] for name in names} | {
        key: measures[name].get("hit_turns") for key, name in rivals.items() if name in measures
    }


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(ConversationOptions, argv)
    catalog = load_catalog(options.data_path)
    encoder = sentence_encoder(options.embedding_model, "cpu") if options.embedding_model else None
    if options.reader != "rules" and not options.model_name:
        raise ValueError(f"`reader` is {options.reader}, and no model is named; give `model_name`, or `reader` rules")
    recommender: Recommender | None = None
    reader: Reader = RequestReader(catalog, NamedTitles(catalog.titles), encoder)
    if options.model_name:
        recommender = Recommender.load(options.model_name, catalog, device=options.gpu, dtype=options.dtype)
        reader = make_reader(options.reader, recommender, encoder)
    begun = time.perf_counter()
    scores = score(reader, load_conversations(options.requests or GOLD, options.split), catalog)
    seconds = time.perf_counter() - begun
    print(f"{'seconds per message':22}{seconds / max(1, scores['turns']):9.3f}")
    for name, value in scores.items():
        print(f"{name:22}{value:9.3f}" if isinstance(value, float) else f"{name:22}{value:9}")
    line: dict[str, Any] = {"split": options.split or "all", "reader": options.reader, **scores}
    if recommender is not None and options.dialogues:
        if options.choose_weights:
            print(f"weights: {chosen_weights(options, recommender, reader)}")
        measures = run_dialogues(options, recommender, reader)
        print(dialogue_table(measures))
        line |= of_dialogues(measures)
    print(json.dumps(line))


if __name__ == "__main__":
    run_cli(main)
