"""The rivals of the benchmarks allow what ours allows, so that their timings compare the same work."""

import pytest
import torch
from baselines import PublishedProcessor, PublishedTrie, masked_fill_floor, nested_dict_fn
from bench_constraint import parse, run
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_model, tiny_tokenizer
from transformers import LogitsProcessorList, PrefixConstrainedLogitsProcessor

from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.constraint.trie import build_trie
from train_utils.processor import Trie_link
from train_utils.prompts.control_tokens import add_control_tokens

TOKENIZER = tiny_tokenizer()
add_control_tokens(TOKENIZER)
VOCABULARY = len(TOKENIZER)
SOI, EOI = VOCABULARY - 2, VOCABULARY - 1
END_OF_TURN = TOKENIZER.eos_token_id
WORDS, CHATTER = st.integers(10, 13), st.lists(st.integers(10, 15), max_size=3)

catalogs = st.lists(st.lists(WORDS, min_size=1, max_size=4).map(tuple), min_size=1, max_size=12, unique=True)


@st.composite
def contexts(draw, catalog):
    """Earlier turns with any items, then a turn of different items that ends in text or inside an open item."""
    ids = []
    for _ in range(draw(st.integers(0, 2))):
        for title in draw(st.lists(st.sampled_from(catalog), max_size=2, unique=True)):
            ids += [*draw(CHATTER), SOI, *title, EOI]
        ids += [*draw(CHATTER), END_OF_TURN]
    *listed, last = draw(st.permutations(catalog))
    listed = listed[: draw(st.integers(0, 5))]
    for title in listed:
        ids += [*draw(CHATTER), SOI, *title, EOI]
    ids += draw(CHATTER)
    if draw(st.booleans()):
        ids += [SOI, *last[: draw(st.integers(0, len(last)))]]
    return ids


def oracle(catalog, ids, distinct=True):
    """Slow and obvious: (allowed next tokens, whether the row is in free text) from sets of whole titles."""
    turn = ids[len(ids) - ids[::-1].index(END_OF_TURN) :] if END_OF_TURN in ids else ids
    used, opened = set(), None
    for token in turn:
        if token == SOI:
            opened = ()
        elif token == EOI:
            used.add(opened)
            opened = None
        elif opened is not None:
            opened += (token,)
    if opened is None:
        return set(range(VOCABULARY)), True
    left = [(*title, EOI) for title in catalog if not distinct or title not in used]
    return {title[len(opened)] for title in left if title[: len(opened)] == opened}, False


def used_up(catalog, ids):
    return not oracle(catalog, [*ids, SOI])[0]


def finite(processor, ids):
    """For each row of ids (int64 [rows, T]): the tokens whose scores are left."""
    scores = processor(ids, torch.zeros(len(ids), VOCABULARY))
    return [set(torch.nonzero(torch.isfinite(row)).flatten().tolist()) for row in scores]


@settings(max_examples=150)
@given(catalogs, st.data())
def test_published_ours_and_a_set_of_titles_allow_the_same(catalog, data):
    ids = data.draw(contexts(catalog)) or [10]
    expected, is_free = oracle(catalog, ids)
    published = PublishedTrie(catalog, SOI, EOI, END_OF_TURN).allowed(torch.tensor(ids))
    ours = Trie_link([list(title) for title in catalog], TOKENIZER).constrain_search_list(0, torch.tensor(ids))
    if is_free:
        assert published is None and ours is None
    else:
        assert set(published) == set(ours) == expected
        assert len(published) == len(ours) == len(expected)


@settings(max_examples=60)
@given(catalogs, st.data())
def test_processors_leave_the_same_scores_at_every_step(catalog, data):
    rows = data.draw(st.lists(contexts(catalog), min_size=1, max_size=3))
    width = max(map(len, rows)) + 1
    ids = torch.tensor([[14] * (width - len(row)) + row for row in rows])
    published = PublishedProcessor(PublishedTrie(catalog, SOI, EOI, END_OF_TURN))
    ours = CatalogLogitsProcessor(Constraint(build_trie(catalog, SOI, EOI)), END_OF_TURN)
    hf = PrefixConstrainedLogitsProcessor(nested_dict_fn(catalog, SOI, EOI, VOCABULARY), num_beams=1)
    for step in range(1, width + 1):
        seen = ids[:, :step]
        results = zip(seen.tolist(), finite(published, seen), finite(ours, seen), finite(hf, seen), strict=True)
        for row, by_published, by_ours, by_hf in results:
            expected, is_free = oracle(catalog, row)
            assert by_published == expected
            # Free text: ours bars the closing token as well, and the opening one when every title was used.
            barred = {EOI, SOI} if used_up(catalog, row) else {EOI}
            assert by_ours == (expected - barred if is_free else expected)
            assert by_hf == oracle(catalog, row, distinct=False)[0]


def test_a_title_listed_twice_may_be_published_twice_but_once_with_ours():
    catalog = [(10,), (11,), (10,)]
    once = torch.tensor([SOI, 10, EOI, SOI])
    assert PublishedTrie(catalog, SOI, EOI, END_OF_TURN).allowed(once) == [10, 11]
    assert Trie_link([list(title) for title in catalog], TOKENIZER).constrain_search_list(0, once) == [11]


def test_off_the_trie_published_frees_the_row_and_ours_stops():
    lost = torch.tensor([SOI, 15])
    assert PublishedTrie([(10,)], SOI, EOI, END_OF_TURN).allowed(lost) is None
    with pytest.raises(ConstraintError):
        Trie_link([[10]], TOKENIZER).constrain_search_list(0, lost)


def test_a_used_up_catalog_stops_the_published_processor():
    processor = PublishedProcessor(PublishedTrie([(10,)], SOI, EOI, END_OF_TURN))
    with pytest.raises(ValueError, match="every title of the catalog was used"):
        processor(torch.tensor([[SOI, 10, EOI, SOI]]), torch.zeros(1, VOCABULARY))


@pytest.mark.parametrize("num_beams", [1, 2])
def test_published_processor_spells_titles_inside_generate(num_beams):
    catalog = [(10, 11, 12), (10, 11, 13), (11,), (11, 12)]
    model = tiny_model(VOCABULARY)
    trie = build_trie(catalog, SOI, EOI)
    prompts = torch.tensor([[14, SOI], [SOI, 10]])
    for processor in (
        PublishedProcessor(PublishedTrie(catalog, SOI, EOI, END_OF_TURN), num_beams),
        CatalogLogitsProcessor(Constraint(trie), END_OF_TURN, num_beams),
    ):
        written = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            logits_processor=LogitsProcessorList([processor]),
            max_new_tokens=5,
            num_beams=num_beams,
            do_sample=False,
            eos_token_id=EOI,
        )
        titles = [row[row.index(SOI) + 1 : row.index(EOI)] for row in written.tolist()]
        assert {tuple(title) for title in titles} <= set(catalog)


def test_the_floor_masks_in_place():
    scores, mask = torch.zeros(2, 3), torch.tensor([[True, False, False], [False, False, True]])
    assert masked_fill_floor(scores, mask) is scores
    assert torch.equal(torch.isfinite(scores), ~mask)


def test_the_benchmark_measures_every_rival_and_checks_it():
    options = ["--items", "40", "--rows", "2", "--vocab", "300", "--listed", "2", "--context", "80", "--repeats", "2"]
    records = run(parse(options))
    assert [record["where"] for record in records] == ["title", "root", "free"]
    assert all(record[f"{name}_ms"] > 0 for record in records for name in ("ours", "published", "hf", "floor"))
    (record,) = run(parse([*options, "--no_hf", "--where", "root"]))
    assert record["hf_ms"] is None and record["published_ms"] > 0
    with pytest.raises(ValueError, match="raise it or lower --listed"):
        run(parse([*options, "--context", "20"]))
