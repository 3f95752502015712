"""Gold requests are scored by slot against the state after each message."""

import json

import pytest
from tiny_samples import write_small_catalog

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.reader import RequestReader
from train_utils.evaluation.conversation import GOLD, SLOTS, f1, gold_fills, load_conversations, main, score
from train_utils.param.conversations import SPLITS
from train_utils.prompts.named_titles import NamedTitles

ITEMS = [
    Item(str(i), title, (category,), attributes={"year": 1990 + i})
    for i, (title, category) in enumerate((("Heat", "Crime"), ("Alien", "Horror")))
]
CATALOG = make_catalog("films", ITEMS, {"u": ["0", "1", "0"]})
READER = RequestReader(CATALOG, NamedTitles(CATALOG.titles))


def test_the_gold_requests_are_well_formed_and_split():
    names = {json.loads(line)["split"] for line in GOLD.read_text().splitlines()}
    assert names <= set(SPLITS) and "dev" in names
    splits = [list(load_conversations(GOLD, split)) for split in sorted(names)]
    assert min(map(len, splits)) >= 100 and len(list(load_conversations(GOLD, ""))) == sum(map(len, splits))
    filled = {fill[0] for conversation in sum(splits, []) for turn in conversation for fill in gold_fills(turn.gold)}
    assert filled == set(SLOTS)


def test_each_slot_is_scored_by_hand(tmp_path):
    turns = [
        {"text": "3 crime films like Alien", "gold": {"asks": True, "count": 3, "only": ["Crime"], "liked": ["Alien"]}},
        {"text": "no horror", "gold": {"asks": True, "only": ["Crime"], "liked": ["Alien"], "disliked": ["Heat"]}},
    ]
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps({"id": "1", "split": "test", "turns": turns}) + "\n")
    scores = score(READER, load_conversations(file, "test"), CATALOG)
    assert scores["turns"] == 2 and scores["exact"] == 0.5
    assert scores["slot_f1_numbers"] == scores["slot_f1_categories"] == scores["slot_f1_asks"] == 1
    assert scores["slot_f1_titles"] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert scores["slot_f1_exclusions"] == f1(0, 1, 0) == 0


@pytest.mark.parametrize(
    "turns",
    [
        3,
        [{"text": 5, "gold": {}}],
        [{"text": "hi", "gold": []}],
        [{"text": "hi", "gold": {"count": "x"}}],
        [{"text": "hi", "gold": {"cuont": 3}}],
        [{"text": "hi", "gold": {"only": "Comedy"}}],
        [{"text": "hi", "gold": {"ranges": {"year": 1990}}}],
        [{"text": "hi", "gold": {"asks": 1}}],
    ],
)
def test_a_broken_line_is_told_in_one_line(tmp_path, turns):
    (tmp_path / "requests.jsonl").write_text(json.dumps({"split": "test", "turns": turns}) + "\n")
    with pytest.raises(ValueError, match="line 1 is no conversation"):
        list(load_conversations(tmp_path / "requests.jsonl", ""))


def test_a_split_without_conversations_is_refused_and_not_scored(tmp_path):
    line = {"id": "1", "split": "test", "turns": [{"text": "hi", "gold": {}}]}
    (tmp_path / "requests.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match="no conversation of `split` held_out; give one of test"):
        list(load_conversations(tmp_path / "requests.jsonl", "held_out"))


def test_unknown_titles_are_scored_where_the_gold_state_names_them(tmp_path):
    turns = [
        {"text": "films like Foobar Returns", "gold": {"asks": True, "unknown": ["Foobar Returns"]}},
        {"text": "films like Foobar Returns", "gold": {"asks": True}},
    ]
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps({"id": "1", "split": "test", "turns": turns}) + "\n")
    scores = score(READER, load_conversations(file, ""), CATALOG)
    assert scores["slot_f1_unknown"] == scores["exact"] == 1


def test_a_reader_that_needs_a_model_names_the_flag_that_gives_one(tmp_path):
    write_small_catalog(tmp_path / "small")
    with pytest.raises(
        ValueError, match="`reader` is both, and no model is named; give `model_name`, or `reader` rules"
    ):
        main(["--data_path", str(tmp_path / "small"), "--reader", "both", "--embedding_model", ""])
