"""Promises of a training run towards its teacher: what it asks, when, and that a recording replaces the teacher."""

import json
import random
import shutil
from dataclasses import replace

import pytest
import torch
from teacher_running import ALL, trained
from tiny import tiny_chat, tiny_model, tiny_tokenizer

from train_utils.catalog import load_catalog
from train_utils.files.atomic import digest
from train_utils.param.training import TrainOptions
from train_utils.samples.encode import encode_sample
from train_utils.samples.plan import SampleConfig
from train_utils.samples.prefetch import WINDOW_STEPS, SampleStream
from train_utils.samples.sources import DrawnSamples
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import TeacherError
from train_utils.training.run_samples import teacher_of
from train_utils.training.sft import run_sft

WORDS = ["red", "blue", "green", "moon", "river", "night"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a trained teacher, a dataset of its items, and a tiny chat model."""
    folder = trained(tmp_path_factory.mktemp("world"))
    rng = random.Random(0)
    metas = {item: {"title_t": f"{WORDS[n % 6]} {WORDS[n // 6]}", "title": item} for n, item in enumerate(ALL)}
    files = {
        "metas": metas,
        "sequential": {f"u{user}": rng.sample(ALL, 8) for user in range(30)},
        "category": {"all": ALL},
    }
    (folder / "dataset").mkdir()
    for name, content in files.items():
        (folder / "dataset" / f"{name}.jsonl").write_text(json.dumps(content))
    tokenizer = tiny_tokenizer()
    tiny_model(len(tokenizer)).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    return folder


def train_with(world, output, teacher, record=""):
    """The adapter's weights as bytes."""
    options = TrainOptions(
        data_path=str(world / "dataset"), backbone=str(world / "base"), output=str(output), gpu="cpu",
        dtype="float32", epoch=2, batch_size=2, gradient_accumulation_steps=2, topk=4, share_chat_gpt="",
        soft_labels=0.7, history_weight=1.0, teacher_depth=10, SFT_actor_lora_r=2, teacher=teacher,
        teacher_record=str(record),
    )  # fmt: skip
    return (run_sft(options) / "adapter_model.safetensors").read_bytes()


def test_a_recording_trains_the_same_model_without_the_teacher(world, tmp_path):
    teacher = f"local:{world / 'output'}"
    plain = train_with(world, tmp_path / "plain", teacher)
    recorded = train_with(world, tmp_path / "recorded", teacher, tmp_path / "answers")
    replayed = train_with(world, tmp_path / "replayed", f"file:{tmp_path / 'answers'}")
    assert plain == recorded == replayed


def test_a_run_that_goes_on_sees_the_lists_that_it_saw_before(world, tmp_path):
    """Its recording alone trains the same model again: every answer is in it."""
    plain = train_with(world, tmp_path / "plain", f"local:{world / 'output'}")
    kept = tmp_path / "plain" / "teacher-0.sqlite"
    assert train_with(world, tmp_path / "again", f"file:{kept}") == plain


def test_answers_of_another_checkpoint_are_not_mixed_with_those_that_are_kept(world, tmp_path):
    options = TrainOptions(
        data_path=str(world / "dataset"), backbone=str(world / "base"), teacher="file:x", output=str(tmp_path / "run")
    )
    first, *_ = sorted((world / "output").rglob("SASRec.pth"))
    other = shutil.copytree(first.parent, tmp_path / "other") / first.name
    torch.save(torch.load(other, weights_only=False), other)  # other bytes
    assert digest(first) != digest(other)
    for more in ({}, {"teacher_record": str(tmp_path / "answers")}):
        for _ in range(2):
            with teacher_of(replace(options, teacher=f"local:{first}", **more), 0) as teacher:
                teacher.top_k([ALL[:3]], 2)
        with pytest.raises(TeacherError, match="records the answers of another teacher"):
            teacher_of(replace(options, teacher=f"local:{other}", **more), 0)


def test_a_recording_of_a_recording_is_refused(world, tmp_path):
    with pytest.raises(ValueError, match="`teacher_record` .* leave it out"):
        train_with(world, tmp_path / "run", "file:answers", tmp_path / "copy")


class Counting:
    """The teacher of a checkpoint, out of order from question number `broken_at` on."""

    def __init__(self, path, broken_at=1000):
        self.inner = open_teacher(f"local:{path}")
        self.broken_at = broken_at
        self.sizes = []

    def top_k(self, histories, k, scores=False):
        if len(self.sizes) == self.broken_at:
            raise TeacherError("out of order")
        self.sizes.append(len(histories))
        return self.inner.top_k(histories, k, scores)


def stream_of(world, teacher, epochs):
    catalog = load_catalog(world / "dataset")
    _, chat = tiny_chat(list(catalog.titles))
    config = SampleConfig(topk=4, teacher_depth=10)
    samples = DrawnSamples(catalog, chat, teacher, [], config)
    return SampleStream(samples, chat, encode_sample, 2, 1, 1, torch.device("cpu"), epochs)


def test_the_teacher_is_asked_once_a_window_and_not_behind_the_last_step(world):
    teacher = Counting(world / "output")
    stream = stream_of(world, teacher, epochs=2)
    steps = stream.steps(2)
    for step in range(steps):
        stream(step)
    stream.close()
    assert len(teacher.sizes) == -(-steps // WINDOW_STEPS)
    assert max(teacher.sizes) == 2 * WINDOW_STEPS


def test_a_failing_teacher_ends_the_run_at_the_window_it_failed_for(world):
    stream = stream_of(world, Counting(world / "output", broken_at=1), epochs=2)
    for step in range(WINDOW_STEPS):
        stream(step)
    with pytest.raises(TeacherError, match="out of order"):
        stream(WINDOW_STEPS)
    stream.close()
