"""Promises of the tests of a model: what is asked, how a wish is judged, that nothing is lost or counted twice."""

import dataclasses
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator, PartialState
from tiny import tiny_chat
from tiny_samples import EXCHANGE, TITLES, small_catalog, write_small_catalog

from train_utils.decoding.request import Completion
from train_utils.evaluation.cases import Prediction, eval_cases, messages_of
from train_utils.evaluation.llm import LLMRecommender, load_llm
from train_utils.evaluation.multi_round import run_multi_round, said
from train_utils.evaluation.partial_results import delete_partials, run_resumable
from train_utils.evaluation.prior_weight import PRIOR_WEIGHTS, best_weight
from train_utils.evaluation.run import run_test
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import EvalPlan, ModelPlan
from train_utils.param.evaluation import EvalOptions
from train_utils.param.training import TrainOptions
from train_utils.prompts.messages import ControlPart, ItemPart
from train_utils.prompts.templates import in_words
from train_utils.training.validation import Validator

CATALOG = small_catalog()
ROOT = Path(__file__).resolve().parents[2]
TASKS = ("SFTTestSeqRec", "SFTTestSeqRanking", "SFTTestCategory", "SFTTestItemCount")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A dataset folder, an untrained chat model, conversations and questions."""
    folder = tmp_path_factory.mktemp("world")
    write_small_catalog(folder / "data")
    model, chat = tiny_chat(TITLES)
    model.save_pretrained(folder / "model")
    chat.tokenizer.save_pretrained(folder / "model")
    (folder / "chat.json").write_text(
        json.dumps([{"conversations": [{"from": "human", "value": "the end?"}, {"from": "gpt", "value": "a night."}]}])
    )
    (folder / "gsm8k.jsonl").write_text(
        "".join(json.dumps({"question": f"What is {n} + 1?", "answer": f"#### {n + 1}"}) + "\n" for n in range(5))
    )
    return folder


def options_of(world, **more):
    common = {
        "data_path": str(world / "data"),
        "model_name": str(world / "model"),
        "gpu": "cpu",
        "dtype": "float32",
        "share_chat_gpt": str(world / "chat.json"),
        "topk": 3,
        "candidate_num": 5,
        "max_history": 3,
        "batch_size": 4,
        "use_CBS": True,
        "idx": True,
        "gen_max_length": 40,
    }
    return EvalOptions(**common | more)


def cases_of(world, **more):
    plan = EvalPlan.from_options(options_of(world, **more))
    return eval_cases(CATALOG, plan.task, plan.split)


def asked_of(options):
    plan = EvalPlan.from_options(options)
    for row in eval_cases(CATALOG, plan.task, plan.split):
        (system, *before, request) = messages_of(row, EXCHANGE, plan.task, plan.split)
        assert system.role == "system" and tuple(before) == EXCHANGE
        yield row, "".join(part for part in request.parts if isinstance(part, str)), request.parts


@pytest.mark.parametrize("task", TASKS)
def test_requests_show_the_history_and_the_wish_and_no_target(world, task):
    for row, text, parts in asked_of(options_of(world, SFT_test_task=task)):
        shown = [part.item for part in parts if isinstance(part, ItemPart)]
        assert tuple(shown[: len(row.shown)]) == row.shown == row.consumed[-3:]
        assert tuple(shown[len(row.shown) :]) == row.spec.candidates
        assert (row.target in shown) == (task == "SFTTestSeqRanking")
        assert row.spec.category in text
        assert (in_words(row.spec.k) if task == "SFTTestItemCount" else str(row.spec.k)) in text
        assert not any(isinstance(part, ControlPart) for part in parts)


@pytest.mark.parametrize("task", TASKS)
def test_control_symbols_are_named_where_asked_for(world, task):
    for *_, parts in asked_of(options_of(world, SFT_test_task=task, use_control_symbol=True)):
        assert [part.which for part in parts if isinstance(part, ControlPart)] == ["soi", "eoi"]


def test_wishes_are_of_the_user_whatever_others_are_tested(world):
    for task in TASKS:
        everyone = {row.user: row for row in cases_of(world, SFT_test_task=task)}
        some = cases_of(world, SFT_test_task=task, users=4)
        assert len(some) == 4 and all(everyone[row.user] == row for row in some)
        other = cases_of(world, SFT_test_task=task, seed=1)
        assert task == "SFTTestSeqRec" or [row.spec for row in other] != [row.spec for row in everyone.values()]


def test_wishes_can_be_met_by_the_target(world):
    wishes = [row.spec for row in cases_of(world, SFT_test_task="SFTTestCategory")]
    assert {spec.inside for spec in wishes} == {True, False}
    for task in ("SFTTestCategory", "SFTTestSeqRanking"):
        for row in cases_of(world, SFT_test_task=task):
            assert row.target in row.spec.admitted(CATALOG)
            assert row.spec.admitted(CATALOG) == {i for i in range(20) if row.spec.admits(i, CATALOG)}
            if task == "SFTTestSeqRanking":
                assert len(set(row.spec.candidates)) == 5
                assert not set(row.spec.candidates) - {row.target} & set(row.consumed)


def test_the_wish_is_judged_by_catalog_ids(world):
    scorer = Scorer(CATALOG)
    for row in cases_of(world, SFT_test_task="SFTTestCategory"):
        good = sorted(row.spec.admitted(CATALOG))[:2]
        bad = next(i for i in range(20) if i not in row.spec.admitted(CATALOG))
        record = scorer.record(row, Prediction([*CATALOG.ids(good), CATALOG.items[bad].id, None]))
        assert record["metrics"]["target_category"] == 0.5
        assert record["asked"].get("only", record["asked"].get("without")) == row.spec.category
        assert record["history"] == CATALOG.ids(row.shown)
    for row in cases_of(world, SFT_test_task="SFTTestSeqRanking"):
        outside = next(i for i in range(20) if i not in row.spec.candidates)
        record = scorer.record(row, Prediction(CATALOG.ids([row.target, outside])))
        assert record["metrics"]["not_in_candidate"] == 0.5 and record["metrics"]["hr@1"] == 1


@pytest.mark.parametrize("task", ["SFTTestSeqRanking", "SFTTestCategory"])
@pytest.mark.parametrize(
    "how", [{"decoding": "rank"}, {"force_items": True}, {"ranker": "popularity"}, {"ranker": "ease"}]
)
def test_an_enforced_request_is_obeyed_by_models_and_baselines(world, tmp_path, task, how):
    who = {} if "decoding" in how or "force_items" in how else {"model_name": ""}
    options = options_of(world, SFT_test_task=task, enforce_request=True, output=str(tmp_path / "r.json"), **how, **who)
    result = run_test(options)[1]
    metric, wanted = ("target_category", 1) if task == "SFTTestCategory" else ("not_in_candidate", 0)
    assert all(record["metrics"][metric] == wanted for record in result["users"] if record["items"])
    assert all(record["items"] for record in result["users"]) and result["metrics"]["in_history@10"]["mean"] == 0


def test_a_counting_test_asks_for_and_scores_each_number(world, tmp_path):
    result = run_test(options_of(world, SFT_test_task="SFTTestItemCount", output=str(tmp_path / "r.json")))[1]
    assert {record["asked"]["k"] for record in result["users"]} == {1, 2, 3}
    for record in result["users"]:
        assert record["metrics"]["correct_count"] == (len(record["items"]) == record["asked"]["k"])


def scored_as(world, tmp_path, **more):
    return run_test(options_of(world, model_name="", output=str(tmp_path / "r.json"), **more))[1]


def test_a_tuned_baseline_tells_what_was_tried_and_takes_the_best_for_validation_users(world, tmp_path):
    result = scored_as(world, tmp_path, ranker="item-knn")
    tried = {tuple(one["settings"].values()): one["ndcg@10"] for one in result["tuning"]}
    assert len(tried) == len(result["tuning"]) > 20
    assert "tuning" not in scored_as(world, tmp_path, ranker="item-knn", tune=False)
    assert "tuning" not in scored_as(world, tmp_path, ranker="item-knn", split="valid")


def test_the_lists_of_another_system_are_scored_as_they_are(world, tmp_path):
    users = list(CATALOG.sequences)
    target = CATALOG.items[CATALOG.sequences[users[0]][-1]].id
    lines = [f"{users[0]} Q0 {target} 1 0.9 peer", f"{users[0]} Q0 unknown 2 0.8 peer", f"{users[1]} Q0 3 1 0.9 peer"]
    (tmp_path / "peer.run").write_text("\n".join([*lines, "stranger Q0 3 1 0.5 peer"]))
    result = scored_as(world, tmp_path, run_file=str(tmp_path / "peer.run"))
    first, *_, last = result["users"]
    assert first["items"] == [target, None] and first["metrics"]["hr@1"] == 1 and first["metrics"]["ood@10"] == 0.5
    assert last["items"] == [] and last["metrics"]["short"] == 1 and result["n_users"] == 9
    assert result["run"] == {"users_without_a_list": 7, "lists_not_asked_for": 1}


def test_a_free_model_is_scored_to_the_letter_and_near_titles_are_told_beside(world):
    options = options_of(world, use_CBS=False)
    llm = LLMRecommender(CATALOG, load_llm(CATALOG, options), ModelPlan.from_options(options))
    chat, scorer = llm.chat, Scorer(CATALOG)
    row = next(row for row in cases_of(world) if len(CATALOG.titles[row.target]) > 6)
    request, target = llm.request(row), CATALOG.titles[row.target]
    in_symbols = [chat.soi, *chat.encode(target + "x"), chat.eoi, chat.soi, *chat.encode("no such thing"), chat.eoi]
    for ids, plain in ((chat.encode(f"Surely:\n1. {target}x\n2. no such thing\n"), 1.0), (in_symbols, 0.0)):
        record = scorer.record(row, llm.answer(request, Completion(ids)))
        assert record["items"] == [None, None]
        expected = {"hr@10": 0.0, "ood@10": 1.0, "near_hr@10": 1.0, "near_ood@10": 0.5, "plain_list": plain}
        assert {name: record["metrics"][name] for name in expected} == expected
        assert record["titles"] == [
            {"text": f"{target}x", "edits": 1, "near": record["target"]},
            {"text": "no such thing", "edits": None, "near": None},
        ]
    exact = scorer.record(row, llm.answer(request, Completion(chat.encode(f"1. {target}"))))
    assert exact["metrics"]["hr@1"] == exact["metrics"]["near_hr@10"] == 1
    assert scorer.record(row, llm.answer(request, Completion(chat.encode("Hello."))))["metrics"]["short"] == 1


def test_a_free_model_s_result_has_the_near_rates_and_a_constrained_one_s_has_not(world, tmp_path):
    free = run_test(options_of(world, use_CBS=False, output=str(tmp_path / "free.json")))[1]
    held = run_test(options_of(world, output=str(tmp_path / "held.json")))[1]
    near = {"near_hr@10", "near_ndcg@10", "near_ood@10", "plain_list"}
    assert free["metrics"].keys() - held["metrics"].keys() == near


@pytest.mark.parametrize(
    "more,match",
    [
        ({"SFT_test_task": "SFTTestItemCount", "decoding": "rank"}, "asks whether the model counts"),
        ({"SFT_test_task": "SFTTestEmbedding"}, "SFT_Embedding_Test"),
        ({"SFT_test_task": "SFTTestSeqRanking", "candidate_num": 2}, "wanted `topk`"),
        ({"enforce_request": True, "use_CBS": False}, "needs `use_CBS`"),
        ({"users": 10}, "the split has 9 users"),
    ],
)
def test_a_test_that_would_say_nothing_is_refused(world, tmp_path, more, match):
    with pytest.raises(ValueError, match=match):
        run_test(options_of(world, output=str(tmp_path / "r.json"), **more))


# -- nothing lost ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Row:
    user: str


BATCHES = [[Row(f"u{batch}{place}") for place in range(3)] for batch in range(4)]


def work_until(stop):
    """Work that is interrupted in batch number `stop`, and what it has seen."""
    seen = []

    def work(rows):
        if len(seen) == stop:
            raise KeyboardInterrupt
        seen.append([row.user for row in rows])
        return [{"user": row.user, "value": row.user.upper()} for row in rows]

    return work, seen


def test_an_interrupted_test_goes_on_with_the_batch_it_was_in(tmp_path):
    output, processes = tmp_path / "r.json", PartialState(cpu=True)
    for stop, wanted in ((1, 1), (2, 2)):
        work, seen = work_until(stop)
        with pytest.raises(KeyboardInterrupt):
            run_resumable(BATCHES, work, output, {"a": 1}, processes, "test")
        assert len(seen) == wanted
        with (tmp_path / "r.json.partial.0").open("a") as file:
            file.write('{"user": "u3')  # killed in the middle of a line
    work, seen = work_until(None)
    records, seconds = run_resumable(BATCHES, work, output, {"a": 1}, processes, "test")
    assert [users[0] for users in seen] == ["u30"] and seconds > 0
    assert records == {row.user: {"user": row.user, "value": row.user.upper()} for batch in BATCHES for row in batch}
    delete_partials(output, processes)
    assert not list(tmp_path.iterdir())


def test_records_of_another_origin_are_not_gone_on_with(tmp_path):
    output, processes = tmp_path / "r.json", PartialState(cpu=True)
    run_resumable(BATCHES, work_until(None)[0], output, {"a": 1}, processes, "test")
    work, seen = work_until(None)
    run_resumable(BATCHES, work, output, {"a": 2}, processes, "test")
    assert len(seen) == 4


def test_two_processes_write_the_file_of_one(world, tmp_path):
    shared = shlex.split(
        f"--data_path {world}/data --model_name {world}/model --gpu cpu --dtype float32 --topk 3 --batch_size 2 "
        f"--use_CBS --SFT_test_task SFTTestSeqRec-MR --gen_max_length 30 --share_chat_gpt {world}/chat.json "
        "--prior popularity --prior_users 5"
    )
    launch = [
        sys.executable,
        *shlex.split("-m accelerate.commands.launch --config_file scripts/accelerate/cpu_two_processes.yaml"),
    ]
    for start, name in (([sys.executable], "one"), (launch, "two")):
        subprocess.run(
            [*start, "task_test.py", *shared, "--output", f"{tmp_path}/{name}.json"],
            cwd=ROOT,
            check=True,
            env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
            timeout=240,
        )
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    names = {"one.json", "two.json", "one.timing.json", "two.timing.json"}
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == names


# -- multi-round -------------------------------------------------------------------------------------------------------


def test_multi_round_scores_both_answers_on_token_ids(world, tmp_path):
    options = options_of(world, GSM8K_data_path=str(world / "gsm8k.jsonl"), output=str(tmp_path / "mr.json"))
    output, result = run_multi_round(options)
    assert result["n_users"] == 9 and len({record["question"] for record in result["users"]}) == 5
    for record in result["users"]:
        assert record["metrics"]["gsm8k"] == (record["answer"] == record["gold"])
        assert record["metrics"]["csn_none"] == (record["control_symbols"] == 0)
        written = record["completion"].count("<SOI>")
        assert record["metrics"]["csn_items"] == (written == record["completion"].count("<EOI>") == 3)
    again = run_multi_round(dataclasses.replace(options, output=str(tmp_path / "again.json")))[0]
    assert again.read_bytes() == output.read_bytes()


def test_what_was_said_is_the_same_tokens_in_the_next_turn():
    _, chat = tiny_chat(TITLES)
    by_title = {title: i for i, title in enumerate(TITLES)}
    ids = [*chat.encode("1. "), *chat.item_ids(2), *chat.encode("\n2. "), *chat.item_ids(5), *chat.encode(" the end")]
    assert chat.render([said(ids, chat, by_title.get)], prompt=False).ids[-len(ids) - 2 : -2] == ids
    unknown = [*chat.encode("the "), chat.soi, *chat.encode(" nothing like it"), chat.eoi]
    assert [part for part in said(unknown, chat, by_title.get).parts] == ["the ", " nothing like it"]


@pytest.mark.parametrize(
    "more,match",
    [
        ({}, "`GSM8K_data_path` is missing"),
        ({"GSM8K_data_path": "x", "decoding": "rank"}, "when a model opens"),
        ({"GSM8K_data_path": "x", "ranker": "popularity"}, "a model alone"),
        ({"GSM8K_data_path": "x", "run_file": "x"}, "a model alone"),
        ({"GSM8K_data_path": "/none"}, "does not exist"),
    ],
)
def test_a_multi_round_test_that_would_say_nothing_is_refused(world, more, match):
    with pytest.raises(ValueError, match=match):
        run_multi_round(options_of(world, **more))


@pytest.mark.parametrize("peak,tried", [(0, 64), (16, 64), (64, 256), (500, 1024), (1e9, 2**20)])
def test_larger_prior_weights_are_tried_until_the_best_is_not_the_last(peak, tried, caplog):
    best, means = best_weight(lambda weights: {weight: -abs(weight - peak) for weight in weights})
    assert set(PRIOR_WEIGHTS) <= set(means) and max(means) == tried
    assert abs(best - peak) == min(abs(weight - peak) for weight in means)
    assert best < max(means) or max(means) == 2**20
    assert any("the last one that is tried" in said for said in caplog.messages) == (best == 2**20)


def test_of_prior_weights_that_are_equally_good_the_smallest_is_taken():
    best, means = best_weight(lambda weights: {weight: min(weight, 4.0) for weight in weights})
    assert best == 4 and max(means) == 64


def test_the_prior_weight_of_a_result_lies_inside_what_was_tried(world):
    prior = run_test(
        options_of(world, prior="popularity", decoding="rank", prior_users=4, output=str(world / "prior.json"))
    )[1]["prior"]
    means = {float(weight): mean for weight, mean in prior["ndcg@10"].items()}
    assert means[prior["weight"]] == max(means.values()) and prior["weight"] < max(means)


def test_a_validation_prompt_that_does_not_fit_is_found_before_the_first_step(tmp_path):
    """Not at the end of the first epoch, where the run could only be thrown away."""
    model, chat = tiny_chat(TITLES)
    options = TrainOptions(val_users=4, max_history=3, topk=3, max_token_length=120, share_chat_gpt="")
    with pytest.raises(
        ValueError,
        match="`val_users`: the prompt of user .* has 1.. tokens, `max_token_length` allows "
        "120; raise it or lower `max_history`, or give `val_users` 0",
    ):
        Validator(CATALOG, chat, model, options, tmp_path, None, Accelerator(cpu=True))
    fitting = dataclasses.replace(options, max_token_length=400)
    assert len(Validator(CATALOG, chat, model, fitting, tmp_path, None, Accelerator(cpu=True)).users) == 4


def test_a_prompt_that_does_not_fit_is_found_before_a_prior_is_tuned(world, tmp_path):
    """A test user shows a title that validation does not: the teacher, which is not there, is never asked."""
    ids = [str(n) for n in range(8)]
    titles = [f"{n} moon" if n != 3 else "red moon " * 90 for n in range(8)]
    for name, content in (
        ("metas", {i: {"title": t, "title_t": t} for i, t in zip(ids, titles, strict=True)}),
        ("category", {"all": ids}),
        ("sequential", {"u": ["1", "2", "3", "5"]}),
    ):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(content))
    options = options_of(
        world,
        data_path=str(tmp_path),
        prior="teacher",
        prior_weight="auto",
        prior_users=1,
        teacher="http://127.0.0.1:9",
        max_token_length=230,
        output=str(tmp_path / "late.json"),
    )
    with pytest.raises(ValueError, match="the prompt of user 'u' has .* tokens, `max_token_length` allows 230"):
        run_test(options)
