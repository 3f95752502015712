"""RecLM-ret trains what its flags say, resumes, merges, and its stages run from the command line."""

import dataclasses
import json
import shlex
import sys

import numpy as np
import pytest
import tiny_samples
import torch
from tiny import tiny_chat
from tiny_samples import CONFIG, TITLES, FixedTeacher, small_catalog

import main as entry
import task_test
from train_utils.evaluation.adapter import eval_options
from train_utils.evaluation.cases import eval_cases
from train_utils.evaluation.embeddings import compare
from train_utils.evaluation.llm import LLMRecommender, load_llm
from train_utils.evaluation.specs import ModelPlan
from train_utils.models.adapters import add_lora
from train_utils.models.co_occurrence import co_occurrence_vectors
from train_utils.models.item_vectors import item_vectors
from train_utils.models.retrieval_head import has_retrieval, load_retrieval
from train_utils.options import parse
from train_utils.param.training import TrainOptions
from train_utils.samples.batch import collate
from train_utils.samples.encode import encode_retrieval_sample
from train_utils.samples.plan import SampleConfig
from train_utils.teacher.recorded import RecordedTeacher
from train_utils.training.loop import LoopConfig, train
from train_utils.training.loss import head_logits
from train_utils.training.ret import add_retrieval, ret_loss

PLAIN = SampleConfig(max_history=4, topk=4, multi_round_ratio=0.5)


def encode(texts):
    """A vector of its own for each text."""
    return np.array([np.random.default_rng(list(text.encode())).normal(size=6) for text in texts])


def stream(chat, config=CONFIG, batch_size=3):
    return tiny_samples.stream((None, chat), config, batch_size, encode=encode_retrieval_sample, apart=True)


def ret_model(folder, dropout=0.0, **flags):
    options = TrainOptions(data_path=str(folder), embedding_model="m", **flags)
    item_vectors(small_catalog(), folder / "item_vectors.npy", "m", encoder=encode)
    model, chat = tiny_chat(TITLES)
    torch.manual_seed(0)
    return add_retrieval(add_lora(model, [chat.soi, chat.eoi], 4, 4, dropout), small_catalog(), options), chat


# -- samples and loss --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [PLAIN, CONFIG])
def test_titles_are_chosen_and_never_spelled(config):
    chat = tiny_chat(TITLES)[1]
    source = stream(chat, config)
    for number, plan in enumerate(source.source.plans(range(30))):
        (sample,) = source.samples([number])
        text = {position for position, _ in sample.text}
        answers = [choice for choice in sample.choices if choice[0] in text]  # those at a labeled `<SOI>`
        assert len(answers) == plan.spec.k
        for position, weight, items, shares in answers:
            assert sample.ids[position] == chat.soi and weight == 1 and shares.sum() == pytest.approx(1)
            title = next(
                i
                for i in range(len(TITLES))
                if sample.ids[position : position + len(chat.item_ids(i))] == chat.item_ids(i)
            )
            assert items[0] == title and (config is CONFIG or (items.tolist(), shares.tolist()) == ([title], [1]))
            assert not text & set(range(position + 1, position + len(chat.item_ids(title))))
        others = [choice for choice in sample.choices if choice[0] not in text]
        assert not others if config is PLAIN or not plan.marked else len(others) == len(plan.history) - 1
        assert all(weight == config.history_weight for _, weight, *_ in others)


def test_the_loss_is_the_mean_over_samples_of_text_and_retrieval(tmp_path):
    model, chat = ret_model(tmp_path)
    source = stream(chat, PLAIN)
    samples = source.samples(range(5))
    actual, parts = ret_loss(0.5)(model, collate(samples, 1, apart=True))
    total = 0.0
    causal = model.get_base_model()
    for sample in samples:
        hidden = causal.base_model(input_ids=torch.tensor([sample.ids])).last_hidden_state[0]
        logits = head_logits(causal.get_output_embeddings(), hidden)
        text = [-logits[position - 1].log_softmax(0)[sample.ids[position]] for position, _ in sample.text]
        items = [
            -(model.retrieval.items @ model.retrieval.queries(hidden[position - 1])).log_softmax(0)[items[0]]
            for position, _, items, _ in sample.choices
        ]
        total = total + (sum(text) / len(text) + 0.5 * sum(items) / len(items)) / len(samples)
    torch.testing.assert_close(actual, total)
    assert parts["item"][0] / parts["item"][1] == pytest.approx(np.log(20), rel=0.3)


@pytest.mark.parametrize(
    "flags,reached",
    [
        ({}, {"language", "retrieval.projection", "retrieval.items"}),
        ({"item_emb": False}, {"language", "retrieval.projection"}),
        ({"only_item_emb_proj": True}, {"retrieval.projection", "retrieval.items"}),
        ({"only_item_emb_proj": True, "item_emb": False}, {"retrieval.projection"}),
    ],
)
def test_gradients_reach_what_the_flags_say(tmp_path, flags, reached):
    model, chat = ret_model(tmp_path, **flags)
    loss, _ = ret_loss(1.0)(model, stream(chat)(0)[0])
    loss.backward()
    actual = {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }
    assert {
        next(part for part in ("language", "retrieval.projection", "retrieval.items") if name.startswith(part))
        for name in actual
    } == reached
    assert not any("lora" not in name and "trainable_tokens" not in name for name in actual if name[0] == "l")


def test_retrieval_alone_trains_a_bf16_model_whose_adapter_is_left_alone(tmp_path):
    options = TrainOptions(data_path=str(tmp_path), embedding_model="m", only_item_emb_proj=True)
    item_vectors(small_catalog(), tmp_path / "item_vectors.npy", "m", encoder=encode)
    model, chat = tiny_chat(TITLES)
    wrapped = add_lora(model.to(torch.bfloat16), [chat.soi, chat.eoi], 4, 4, 0.0)
    ret = add_retrieval(wrapped, small_catalog(), options)
    loss, _ = ret_loss(1.0)(ret, stream(chat)(0)[0])
    loss.backward()
    assert torch.isfinite(loss) and ret.retrieval.items.grad.abs().sum() > 0


def test_vectors_that_start_from_co_occurrence_are_half_of_the_texts_cosine_and_half_of_its_own(tmp_path):
    text = ret_model(tmp_path)[0].retrieval.items.detach()
    both = ret_model(tmp_path, item_vectors="text+co-occurrence")[0]
    items = both.retrieval.items.detach()
    together = co_occurrence_vectors(small_catalog().training_sequences(), len(text))
    expected = text @ text.T / 2 + torch.from_numpy(together @ together.T) / 2
    torch.testing.assert_close(items @ items.T, expected)
    assert both.vectors_from["starts_from"] == "text+co-occurrence"


# -- the loop ----------------------------------------------------------------------------------------------------------

LOOP = LoopConfig(steps=6, lr=1e-2, weight_decay=0.01, warmup_ratio=0.2, lr_power=2.0, clip=1.0, save_seconds=1e9)


def trained_weights(folder, run, stop_after=None):
    model, chat = ret_model(folder, dropout=0.1)
    source = stream(chat)

    def batches(step):
        if step == stop_after:
            raise KeyboardInterrupt
        return source(step)

    return train(model, ret_loss(1.0), batches, dataclasses.replace(LOOP, save_seconds=0.0 if stop_after else 1e9), run)


def test_a_killed_and_resumed_run_ends_with_the_weights_of_an_unbroken_one(tmp_path):
    unbroken = trained_weights(tmp_path, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        trained_weights(tmp_path, tmp_path / "b", stop_after=4)
    resumed = trained_weights(tmp_path, tmp_path / "b")
    assert unbroken.keys() == resumed.keys() and "retrieval.items" in unbroken
    assert all(torch.equal(weight, resumed[name]) for name, weight in unbroken.items())


# -- the analysis ------------------------------------------------------------------------------------------------------


def test_numbers_of_the_analysis_by_hand():
    vectors = np.eye(4, dtype=np.float32)
    queries = 3 * vectors[[0, 1, 3]]  # the third item, number 2, is taken for number 3
    actual = compare(queries, vectors, [0, 1, 2], [["a"], ["a", "b"], ["b"]])
    assert actual["recall@1"] == pytest.approx(2 / 3) and actual["recall@10"] == 1
    assert actual["mrr"] == pytest.approx((1 + 1 + 1 / 4) / 3)  # equal scores count against it
    # Less the mean vector an axis is (3, -1, -1, -1) / 4: a query along it has cosine 3 / sqrt 12, others -1 / sqrt 12.
    assert actual["cosine_own"] == pytest.approx((3 + 3 - 1) / 3 / 12**0.5)
    assert actual["cosine_other"] == pytest.approx(-1 / 12**0.5)
    assert actual["vectors_other"] == pytest.approx(-1 / 3)


# -- stages ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A dataset, a base model and a recorded teacher on disk, and a finished run of RecLM-ret."""
    folder, catalog = tmp_path_factory.mktemp("ret"), small_catalog()
    data = folder / "data"
    data.mkdir()
    (data / "metas.jsonl").write_text(json.dumps({item.id: {"title_t": item.title} for item in catalog.items}))
    (data / "category.jsonl").write_text(
        json.dumps({"odd": [i.id for i in catalog.items[1::2]], "even": [i.id for i in catalog.items[::2]]})
    )
    (data / "sequential.jsonl").write_text(json.dumps({u: catalog.ids(s) for u, s in catalog.sequences.items()}))
    model, chat = tiny_chat(TITLES)
    model.save_pretrained(folder / "base")
    chat.tokenizer.save_pretrained(folder / "base")
    recording = RecordedTeacher(folder / "teacher", FixedTeacher())
    sequences = [catalog.ids(s) for s in catalog.sequences.values()]
    recording.top_k([s[a:b] for s in sequences for b in range(1, 8) for a in range(b)], 16, scores=True)
    run(folder, "SFT_Embedding", TRAIN)
    return folder


TRAIN = (
    "--epoch 6 --batch_size 3 --gradient_accumulation_steps 1 --lr 1e-2 --dtype float32 --SFT_actor_lora_r 4 "
    "--no-tensorboard --val_users 0"
)


def run(folder, stage, flags=""):
    """main.py, in this process."""
    call(entry, [*arguments(folder, stage), *shlex.split(flags)])


def arguments(folder, stage):
    return shlex.split(
        f"--train_stage {stage} --data_path {folder}/data --backbone {folder}/base --output {folder}/run "
        f"--embedding_model {folder}/base --teacher file:{folder}/teacher --gpu cpu --topk 4 --max_history 4 "
        "--share_chat_gpt '' --idx"
    )


def scored(folder, capsys, flags):
    """task_test.py, in this process."""
    call(
        task_test,
        shlex.split(f"--data_path {folder}/data --gpu cpu --dtype float32 --topk 4 --max_history 4 --idx {flags}"),
    )
    return capsys.readouterr().out


def call(script, arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script.__file__, *arguments])
        script.main()


def test_training_lowers_both_losses_and_tells_what_its_vectors_were(world):
    log = [json.loads(line) for line in (world / "run/log.jsonl").read_text().splitlines()]
    for part in ("text", "item"):
        assert np.mean([row[part] for row in log[-3:]]) < np.mean([row[part] for row in log[:3]])
    made = json.loads((world / "run/Epoch06_SFT/manifest.json").read_text())
    assert made["item_vectors"]["model"] == f"{world}/base" and (world / "data/item_vectors.npy").exists()
    assert has_retrieval(world / "run/Epoch06_SFT")


def test_the_merged_folder_decodes_like_the_adapter(world, capsys):
    run(world, "SFT_Merge")
    actual = []
    for name in ("Epoch06_SFT", "SFT_Epoch6"):
        scored(world, capsys, f"--model_name {world}/run/{name} --output {world}/{name}.json --force_items")
        actual.append(json.loads((world / f"{name}.json").read_text()))
    assert [user["items"] for user in actual[0]["users"]] == [user["items"] for user in actual[1]["users"]]
    assert all(len(user["items"]) == 4 for user in actual[0]["users"])
    assert actual[0]["metrics"]["ood@10"]["mean"] == actual[0]["metrics"]["repeat@10"]["mean"] == 0
    # Loaders of the model take every weight file at the top for its own.
    assert [path.name for path in (world / "run/SFT_Epoch6").glob("*.safetensors")] == ["model.safetensors"]


@pytest.mark.parametrize("decoding", ["greedy", "best", "rank"])
def test_every_decoding_gives_items_that_are_not_of_the_history(world, capsys, decoding):
    model = f"{world}/run/Epoch06_SFT"
    scored(world, capsys, f"--model_name {model} --decoding {decoding} --force_items --output {world}/{decoding}.json")
    result = json.loads((world / f"{decoding}.json").read_text())
    assert result["n_users"] == 9 and result["metrics"]["in_history@10"]["mean"] == 0
    assert result["metrics"]["correct_count"]["mean"] == 1 and result["metrics"]["repeat@10"]["mean"] == 0


def test_a_prior_enters_retrieval(world):
    options = dataclasses.replace(
        eval_options(parse(TrainOptions, arguments(world, "SFT_Embedding_Test")), world / "run/Epoch06_SFT"),
        prior="popularity",
        force_items=True,
        dtype="float32",
    )
    plan = ModelPlan.from_options(options)
    llm = LLMRecommender(small_catalog(), load_llm(small_catalog(), options), plan)
    users = eval_cases(small_catalog(), plan.task, plan.split)
    plain, strong = llm.answers(users, [0.0, 1e6])
    counts = np.bincount([i for s in small_catalog().training_sequences() for i in s], minlength=20)
    assert plain != strong
    for user, answer in zip(users, strong, strict=True):
        left = sorted(set(range(20)) - set(user.shown), key=lambda item: -counts[item])
        assert sorted(counts[int(i)] for i in answer.items) == sorted(counts[left[:4]])


def test_test_stages_score_the_newest_adapter(world, capsys):
    for stage, task in (("SFT_Embedding_Test", "SFTTestSeqRec"), ("SFT_Test", "SFTTestSeqRec")):
        run(world, stage, f"--SFT_test_task {task} --dtype float32")
        assert "9 users" in capsys.readouterr().out
    (path,) = (world / "run/Epoch06_SFT").glob("SFTTestSeqRec_data_top4*[!g].json")
    result = json.loads(path.read_text())
    assert result["metrics"]["ood@10"]["mean"] == 0
    run(world, "SFT_Embedding_Test", "--SFT_test_task SFTTestEmbedding")
    assert "recall@10" in capsys.readouterr().out
    (output,) = (world / "run/Epoch06_SFT").glob("SFTTestEmbedding_data_top4*[!g].json")
    assert json.loads(output.read_text())["numbers"]["recall@10"] <= 1
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_validation_retrieves_and_keeps_the_best_adapter(world):
    run(world, "SFT_Embedding", f"{TRAIN} --output {world}/validated --epoch 2 --val_users 4")
    actual = json.loads((world / "validated/validation.json").read_text())
    assert [row["epoch"] for row in actual] == [1, 2] and all(row["ood@10"] == row["short"] == 0 for row in actual)
    assert has_retrieval(world / "validated/best")


def test_an_adapter_can_be_the_start_of_another_run(world):
    start = world / "run/Epoch06_SFT"
    flags = f"--output {world}/second --SFT_load {start} --only_item_emb_proj --epoch 1"
    run(world, "SFT_Embedding", f"{TRAIN} {flags}")
    second = world / "second/Epoch01_SFT"
    before, after = (load_retrieval(folder, small_catalog()) for folder in (start, second))
    assert not torch.equal(before.items, after.items)
    weights = [(folder / "adapter_model.safetensors").read_bytes() for folder in (start, second)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "stage,flags,complaint",
    [
        ("SFT_Embedding", f"{TRAIN} --lr 0.7", "run with other lr"),
        ("SFT_Embedding", TRAIN + " --output {world}/new --embedding_model {world}/run", "made from other model"),
        ("SFT_Embedding", TRAIN + " --output {world}/newer --SFT_load {world}/base", "is no adapter"),
        (
            "SFT_Embedding",
            TRAIN + " --output {world}/newest --SFT_load {world}/run/Epoch06_SFT --SFT_actor_lora_r 8",
            "another shape",
        ),
        ("SFT_Embedding_Test", "--SFT_load {world}/base", "retrieves no items"),
        ("SFT_Test", "--output {world}/none", "no finished adapter"),
    ],
)
def test_a_users_error_is_one_sentence(world, stage, flags, complaint):
    with pytest.raises(ValueError, match=complaint) as raised:
        run(world, stage, flags.format(world=world))
    assert "\n" not in str(raised.value)
