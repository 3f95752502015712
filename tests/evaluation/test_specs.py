"""Options that contradict each other are refused where they become records, before anything is loaded."""

from dataclasses import replace

import pytest

from train_utils.evaluation.specs import DecodingSpec, EvalPlan, ModelPlan, PriorSpec, SplitSpec
from train_utils.param.evaluation import EvalOptions

MODEL = EvalOptions(data_path="no/such", model_name="no/such", use_CBS=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"use_CBS": False, "decoding": "best"}, "needs `use_CBS`"),
        ({"use_CBS": False, "engine": "hf"}, "oracle of greedy lists"),
        ({"engine": "hf", "decoding": "rank"}, "oracle of greedy lists"),
        ({"engine": "hf", "force_items": True}, "oracle of greedy lists"),
        ({"use_CBS": False, "prior": "popularity"}, "scores the titles of the catalog"),
        ({"prior": "popularity", "split": "valid"}, "give a number to score that split"),
        ({"use_CBS": False, "enforce_request": True}, "makes rules of requests"),
        ({"SFT_test_task": "SFTTestItemCount", "force_items": True}, "asks whether the model counts"),
        ({"SFT_test_task": "SFTTestEmbedding"}, "looks into RecLM-ret"),
        ({"SFT_test_task": "SFTTestSeqRanking", "candidate_num": 3}, "wanted `topk` .10. or more"),
        ({"model_name": ""}, "expected exactly one .* got 0"),
        ({"ranker": "ease"}, "expected exactly one .* got 2"),
        ({"model_name": "", "ranker": "teacher", "hide_seen": "none"}, "hides what it is shown"),
    ],
)
def test_a_contradiction_is_found_without_a_model(changed, message):
    with pytest.raises(ValueError, match=message):
        EvalPlan.from_options(replace(MODEL, **changed))


def test_a_model_of_retrieval_is_constrained_and_needs_the_engine(tmp_path):
    (tmp_path / "retrieval").mkdir()
    (tmp_path / "retrieval/config.json").write_text("{}")
    options = replace(MODEL, model_name=str(tmp_path), use_CBS=False)
    assert ModelPlan.from_options(options).decoding.constrained
    with pytest.raises(ValueError, match="a model of RecLM-ret retrieves"):
        ModelPlan.from_options(replace(options, engine="hf"))


def test_what_concerns_a_model_is_not_asked_of_a_baseline():
    options = replace(MODEL, model_name="", ranker="popularity", use_CBS=False, enforce_request=True, decoding="best")
    plan = EvalPlan.from_options(options)
    assert type(plan) is EvalPlan and plan.split.enforce_request


def test_records_cannot_be_made_of_what_contradicts():
    with pytest.raises(ValueError, match="oracle of greedy lists"):
        replace(DecodingSpec.from_options(MODEL), engine="hf", decoding="rank")
    plan = ModelPlan.from_options(replace(MODEL, prior="popularity"))
    with pytest.raises(ValueError, match="give a number"):
        replace(plan, split=replace(SplitSpec.from_options(MODEL), split="valid"))


@pytest.mark.parametrize(
    ("decoding", "reduce", "expected"), [("greedy", "auto", "max"), ("rank", "auto", "sum"), ("greedy", "sum", "sum")]
)
def test_auto_is_resolved_in_the_record(decoding, reduce, expected):
    options = replace(MODEL, prior="teacher", decoding=decoding, prior_reduce=reduce)
    prior = PriorSpec.from_options(options)
    assert (prior.weight, prior.reduce) == (None, expected)
    assert PriorSpec.from_options(replace(options, prior_weight="0.5")).weight == 0.5
    assert PriorSpec.from_options(MODEL) is None


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize(("task", "by_task"), [("SFTTestSeqRec", False), ("SFTTestSeqRec-CS-MR", True)])
def test_the_symbols_are_named_by_the_task_or_by_the_flag(task, by_task, flag):
    plan = EvalPlan.from_options(replace(MODEL, SFT_test_task=task, use_control_symbol=flag))
    assert plan.task.names_symbols == (by_task or flag) and plan.task.name == task
