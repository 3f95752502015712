"""The weight of a prior is that of the highest likelihood, by the scores that lists are ranked by."""

from dataclasses import replace

import numpy as np
import pytest
from accelerate import PartialState
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import coded_chat, tiny_chat
from tiny_samples import TITLES, small_catalog

from train_utils import Recommender
from train_utils.catalog import Catalog, make_catalog
from train_utils.constraint.constraint import Prior, log_shares
from train_utils.evaluation import prior_weight
from train_utils.evaluation.cases import EvalCase, eval_cases
from train_utils.evaluation.llm import LLMRecommender
from train_utils.evaluation.prior_weight import (
    LARGEST_FITTED,
    choose_prior_weight,
    max_log_likelihood,
    maximum_likelihood_weight,
)
from train_utils.evaluation.specs import ModelPlan
from train_utils.param.evaluation import EvalOptions
from train_utils.prompts.renderer import Chat

CATALOG = small_catalog()
PROCESS = PartialState(cpu=True)


def drawn(seed: int, users: int = 40, items: int = 12, true_weight: float = 1.0):
    """Scores of a model and of a prior, and next items drawn from the product of both; some items are closed."""
    rng = np.random.default_rng(seed)
    of_model, of_prior = rng.normal(0, 2, (2, users, items)).astype(np.float32)
    of_model[rng.random((users, items)) < 0.2] = -np.inf
    of_model[:, 0] = 0.0
    drawing = of_model + true_weight * of_prior + rng.gumbel(size=(users, items))
    return of_model, of_prior, drawing.argmax(1)


def mean_log_share(scores, target) -> float:
    """In plain NumPy, one user after the other."""
    return float(np.mean([row[item] - np.logaddexp.reduce(row) for row, item in zip(scores, target, strict=True)]))


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), true_weight=st.sampled_from([0.0, 0.5, 1.0, 4.0]))
def test_no_weight_of_a_grid_has_a_higher_likelihood_at_any_factor(seed, true_weight):
    of_model, of_prior, target = drawn(seed, true_weight=true_weight)
    best = maximum_likelihood_weight(of_model, of_prior, target)
    reached = max_log_likelihood(of_model + np.float32(best) * of_prior, target)
    for weight in (0.0, 0.1, 0.3, 0.7, 1.0, 1.5, 3.0, 6.0, 20.0):
        for factor in (0.05, 0.2, 0.5, 0.8, 1.0, 1.3, 2.0):
            assert mean_log_share(factor * (of_model + weight * of_prior), target) <= reached + 1e-4


def test_the_weight_that_made_the_data_is_found():
    of_model, of_prior, target = drawn(1, users=4000, true_weight=2.0)
    assert maximum_likelihood_weight(of_model, of_prior, target) == pytest.approx(2.0, abs=0.2)


def test_a_prior_that_contradicts_gets_no_weight_and_a_model_that_does_the_largest():
    of_model, of_prior, target = drawn(2, users=500, true_weight=1.0)
    assert maximum_likelihood_weight(of_model, -of_prior, target) == 0
    closed = np.isneginf(of_model)
    against = np.where(closed, -np.inf, -np.where(closed, 0.0, of_model))
    assert maximum_likelihood_weight(against, of_prior, target) == LARGEST_FITTED


@pytest.fixture(params=["token", "token_title"])
def llm(request) -> LLMRecommender:
    model, chat = coded_chat(TITLES, request.param, 0)
    chat = Chat(chat.tokenizer, CATALOG.titles, codes=replace(chat.codes, sequences=True))
    return recommender_of(Recommender(model.double(), chat, CATALOG))


def recommender_of(recommender: Recommender, catalog: Catalog = CATALOG, **more) -> LLMRecommender:
    options = {
        "data_path": "x", "model_name": "x", "gpu": "cpu", "dtype": "float32", "topk": 6, "max_history": 3,
        "batch_size": 4, "use_CBS": True, "CBS_type": 2, "idx": True, "decoding": "rank", "share_chat_gpt": "",
        "prior": "popularity", "prior_reduce": "sum",
    }  # fmt: skip
    return LLMRecommender(catalog, recommender, ModelPlan.from_options(EvalOptions(**options | more)))


@pytest.mark.parametrize("weight", [0.0, 0.7, 5.0])
def test_lists_are_ranked_by_the_scores_that_choose_the_weight(llm, weight):
    users = eval_cases(CATALOG, llm.plan.task, llm.plan.split)[:9]
    scores = llm.item_scores(users)
    priors = llm.prior_scores(llm.plan.prior, users)
    (answers,) = llm.answers(users, [weight])
    for row, of_model, of_prior, answer in zip(users, scores, priors, answers, strict=True):
        hidden = row.hidden(llm.plan.split.hide_seen)
        assert set(np.flatnonzero(np.isneginf(of_model)).tolist()) == set(hidden)
        both = of_model + weight * log_shares(Prior(of_prior))
        listed = CATALOG.indices(answer.items)
        best = np.sort(both)[::-1][: len(listed)]
        assert both[listed] == pytest.approx(best, abs=1e-4)


def test_the_result_names_the_weight_its_likelihood_and_that_of_the_model_alone(llm):
    chosen = choose_prior_weight(CATALOG, llm.plan.prior, llm, PROCESS)
    means = {float(weight): mean for weight, mean in chosen["log_likelihood"].items()}
    assert set(means) == {0.0, chosen["weight"]} and means[chosen["weight"]] >= means[0.0]
    assert chosen["validation_users"] == len(CATALOG.split("valid"))
    assert choose_prior_weight(CATALOG, llm.plan.prior, llm, PROCESS) == chosen
    assert choose_prior_weight(CATALOG, replace(llm.plan.prior, weight=3.0), llm, PROCESS) == {"weight": 3.0}


def test_users_whose_next_item_may_not_be_listed_do_not_count(llm):
    repeats, consumes = ["1", "2", "3", "2", "4"], ["1", "2", "4", "3", "5"]
    catalog = make_catalog(CATALOG.name, CATALOG.items, {"u": repeats, "v": consumes})
    of_both = recommender_of(Recommender(llm.recommender.model, llm.chat, catalog), catalog)
    (counted,) = [row for row in validation_users(of_both) if row.user == "v"]
    added = np.array([log_shares(Prior(scores)) for scores in of_both.prior_scores(of_both.plan.prior, [counted])])
    expected = maximum_likelihood_weight(of_both.item_scores([counted]), added, np.array([counted.target]))
    assert choose_prior_weight(catalog, of_both.plan.prior, of_both, PROCESS)["weight"] == pytest.approx(expected)
    none = make_catalog(CATALOG.name, CATALOG.items, {"u": repeats})
    of_none = recommender_of(Recommender(llm.recommender.model, llm.chat, none), none)
    with pytest.raises(ValueError, match="no validation user of 1 has a next item that may be listed"):
        choose_prior_weight(none, of_none.plan.prior, of_none, PROCESS)


def validation_users(llm: LLMRecommender) -> list[EvalCase]:
    return eval_cases(llm.catalog, llm.plan.task, replace(llm.plan.split, split="valid"))


def test_a_large_catalog_chooses_by_as_many_users_as_memory_holds(llm, monkeypatch):
    monkeypatch.setattr(prior_weight, "_MOST_SCORES", 3 * len(CATALOG.items))
    assert choose_prior_weight(CATALOG, llm.plan.prior, llm, PROCESS)["validation_users"] == 3


@pytest.mark.parametrize(
    ("form", "more"), [("title_t", {}), ("rq_token_seq", {}), ("token", {"engine": "hf", "decoding": "greedy"})]
)
def test_what_is_spelled_or_decoded_without_the_engine_is_chosen_by_lists(form, more):
    model, chat = tiny_chat(TITLES) if form == "title_t" else coded_chat(TITLES, form, 0)
    spelled = recommender_of(Recommender(model, chat, CATALOG, sequence_weight=0.0), **more)
    assert not spelled.scores_items
    assert "ndcg@10" in choose_prior_weight(CATALOG, replace(spelled.plan.prior, users=2), spelled, PROCESS)
