"""Catalogues hardly larger than a history: a user who has had every item gets an empty list, others what is left."""

import pytest
from tiny import tiny_chat

from train_utils.asking import eval_users
from train_utils.catalog import Item, make_catalog
from train_utils.evaluate import Scorer
from train_utils.param import EvalOptions
from train_utils.under_test import ModelUnderTest

TITLES = ["red moon", "blue river", "green night"]
MODEL, CHAT = tiny_chat(TITLES)
CATALOG = make_catalog("small", [Item(f"i{n}", title) for n, title in enumerate(TITLES)],
                       {"all": ["i0", "i1", "i2", "i0"], "some": ["i0", "i0", "i1"], "v": ["i2", "i1", "i0", "i2"]})


@pytest.mark.parametrize("decoding", ["greedy", "best", "rank"])
@pytest.mark.parametrize("prior", ["", "popularity"])
def test_a_user_who_has_had_everything_is_a_miss_and_takes_no_other_user_along(decoding, prior):
    options = EvalOptions(data_path="x", model_name="x", use_CBS=True, decoding=decoding, topk=10, hide_seen="visible",
                          gen_max_length=40, force_items=True, prior=prior)
    users = eval_users(CATALOG, options)
    under_test = ModelUnderTest(CATALOG, options, (MODEL, CHAT, None))
    (answers,) = under_test.answers(users)
    listed = {row.user: answer.items for row, answer in zip(users, answers, strict=True)}
    assert listed["all"] == listed["v"] == [] and sorted(listed["some"]) == ["i1", "i2"]
    records = [Scorer(CATALOG).record(row, answer) for row, answer in zip(users, answers, strict=True)]
    assert [record["metrics"]["hr@10"] for record in records] == [0, 1, 0]
    assert under_test.answers([users[0]])[0][0].items == []
