"""The processor leaves the tokens that the state after a row's ids allows, whatever came in the step before."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.constraint.logits_processor import CatalogLogitsProcessor
from train_utils.constraint.matcher import Matcher
from train_utils.constraint.trie import build_trie

SOI, EOI, EOT, VOCABULARY = 10, 11, 12, 40
titles = st.lists(st.lists(st.integers(2, 6), min_size=1, max_size=4), min_size=1, max_size=20)


def expected(rules, ids, scores):
    """The scores of one row, by a walk from its last end of turn."""
    matcher = Matcher.from_tokens(rules, ids, EOT)
    allowed = matcher.allowed()
    if allowed is None:
        allowed = np.setdiff1d(np.arange(len(scores)), matcher.barred())
    masked = torch.full_like(scores, -torch.inf)
    masked[allowed] = scores[allowed]
    if (prior := matcher.prior()) is not None:
        masked[allowed] += torch.from_numpy(prior[0]).to(scores)
    return masked


def step(rules, ids, rng):
    """A token that may follow."""
    matcher = Matcher.from_tokens(rules, ids, EOT)
    allowed = matcher.allowed()
    if allowed is None:
        allowed = [token for token in (7, 8, 9, EOT, SOI, SOI, SOI) if token not in matcher.barred()]
    return int(rng.choice(list(allowed)))


@settings(max_examples=80)
@given(titles, st.integers(0, 9999), st.sampled_from([1, 2, 3]), st.sampled_from([torch.float32, torch.bfloat16]))
def test_scores_are_those_of_a_walk_through_the_ids(catalog, seed, num_beams, dtype):
    rng = random.Random(seed)
    trie = build_trie(catalog, SOI, EOI, item_tokens=rng.choice([(), (5, 6, 25)]))
    prior = Prior(np.array([rng.random() for _ in catalog]), 1.0)
    rules = [Constraint(trie, distinct=rng.random() < 0.8, prior=rng.choice([None, prior])) for _ in range(2)]
    processor = CatalogLogitsProcessor(rules, EOT, num_beams)
    for _ in range(2):  # the object is used again for other prompts
        rows = [[rng.choice([3, 7, EOT]) for _ in range(3)] + [EOT] for _ in rules for _ in range(num_beams)]
        for _ in range(12):
            scores = torch.randn(len(rows), VOCABULARY).to(dtype)
            masked = torch.stack([expected(rules[i // num_beams], row, scores[i]) for i, row in enumerate(rows)])
            actual = processor(torch.tensor(rows), scores)
            assert actual is scores
            torch.testing.assert_close(actual, masked)
            # Beams go on from any row of their prompt.
            kept = [rows[i // num_beams * num_beams + rng.randrange(num_beams)] for i in range(len(rows))]
            rows = [[*row, step(rules[i // num_beams], row, rng)] for i, row in enumerate(kept)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_token_that_only_items_contain_is_masked_in_free_text_at_every_step(dtype):
    rules = Constraint(build_trie([[25], [26]], SOI, EOI, item_tokens=[25, 26]))
    processor = CatalogLogitsProcessor(rules, EOT)
    row = [EOT, 7]
    for token in (8, 9, SOI, 25, EOI, 7, 8, 7):
        scores = processor(torch.tensor([row]), torch.zeros(1, VOCABULARY, dtype=dtype))[0]
        masked = scores.isneginf().nonzero().flatten().tolist()
        assert row[-1] in (SOI, 25) or masked == [EOI, 25, 26]
        row = [*row, token]
    with pytest.raises(ConstraintError, match="token 26 is barred"):
        processor(torch.tensor([[*row[:-1], 26]]), torch.zeros(1, VOCABULARY, dtype=dtype))


def test_a_wide_branch_is_masked_like_a_narrow_one():
    trie = build_trie([[token, 2] for token in range(20, 6000)] + [[6001]], SOI, EOI)
    rules = Constraint(trie, deny=[5, 70])
    rows = torch.tensor([[EOT, SOI, 30, 2, EOI, 7, SOI], [EOT, 7, 7, 7, 7, 7, SOI], [EOT, 7, 7, 7, 7, SOI, 40]])
    scores = torch.randn(3, 7000)
    masked = torch.stack([expected(rules, row.tolist(), scores[i]) for i, row in enumerate(rows)])
    torch.testing.assert_close(CatalogLogitsProcessor(rules, EOT)(rows, scores), masked)
    assert masked[0].isfinite().sum() == 5981 - 3


def test_a_row_that_leaves_the_trie_raises_at_once_and_at_the_next_step_again():
    processor = CatalogLogitsProcessor(Constraint(build_trie([[2, 3], [4]], SOI, EOI)), EOT)
    processor(torch.tensor([[EOT, SOI, 2]]), torch.zeros(1, VOCABULARY))
    for ids in ([[EOT, SOI, 2, 5]], [[EOT, SOI, 2, 5, 6]]):
        with pytest.raises(ConstraintError):
            processor(torch.tensor(ids), torch.zeros(1, VOCABULARY))
