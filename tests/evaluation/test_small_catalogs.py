"""Catalogs hardly larger than a history: a user who has had every item gets an empty list, others what is left."""

import pytest
from tiny import tiny_chat

from train_utils.catalog import Item, make_catalog
from train_utils.evaluation.cases import eval_cases
from train_utils.evaluation.llm import LLMRecommender
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import ModelPlan
from train_utils.param.evaluation import EvalOptions
from train_utils.recommender import Recommender

TITLES = ["red moon", "blue river", "green night"]
MODEL, CHAT = tiny_chat(TITLES)
CATALOG = make_catalog(
    "small",
    [Item(f"i{n}", title) for n, title in enumerate(TITLES)],
    {"all": ["i0", "i1", "i2", "i0"], "some": ["i0", "i0", "i1"], "v": ["i2", "i1", "i0", "i2"]},
)


@pytest.mark.parametrize("decoding", ["greedy", "best", "rank"])
@pytest.mark.parametrize("prior", ["", "popularity"])
def test_a_user_who_has_had_everything_is_a_miss_and_takes_no_other_user_along(decoding, prior):
    options = EvalOptions(
        data_path="x",
        model_name="x",
        use_CBS=True,
        decoding=decoding,
        topk=10,
        hide_seen="visible",
        gen_max_length=40,
        force_items=True,
        prior=prior,
    )
    plan = ModelPlan.from_options(options)
    users = eval_cases(CATALOG, plan.task, plan.split)
    llm = LLMRecommender(CATALOG, Recommender(MODEL, CHAT, CATALOG), plan)
    (answers,) = llm.answers(users)
    listed = {row.user: answer.items for row, answer in zip(users, answers, strict=True)}
    assert listed["all"] == listed["v"] == [] and sorted(listed["some"]) == ["i1", "i2"]
    records = [Scorer(CATALOG).record(row, answer) for row, answer in zip(users, answers, strict=True)]
    assert [record["metrics"]["hr@10"] for record in records] == [0, 1, 0]
    assert llm.answers([users[0]])[0][0].items == []


class WholeTeacher:
    """Ranks all that the history does not hold, as those of the project do: a list may be shorter than asked."""

    def top_k(self, histories, k, scores=False):
        assert 1 <= k <= len(TITLES) - 1
        lists = [[one for one in ("i0", "i1", "i2") if one not in history][:k] for history in histories]
        return (lists, [[0.5, 0.25][: len(row)] for row in lists]) if scores else lists


def test_a_user_who_has_had_everything_takes_no_teachers_score_from_the_others():
    catalog = make_catalog("small", CATALOG.items, {"all": ["i0", "i1", "i2", "i0"], "some": ["i2", "i2", "i2", "i1"]})
    options = EvalOptions(data_path="x", model_name="x", use_CBS=True, topk=10, hide_seen="visible", prior="teacher")
    plan = ModelPlan.from_options(options)
    llm = LLMRecommender(catalog, Recommender(MODEL, CHAT, CATALOG), plan)
    llm.teacher = WholeTeacher()
    users = eval_cases(catalog, plan.task, plan.split)
    together, alone = llm.prior_scores(plan.prior, users)[1], llm.prior_scores(plan.prior, users[1:])[0]
    assert together.tolist() == alone.tolist() == [0.5, 0.25, 0]
