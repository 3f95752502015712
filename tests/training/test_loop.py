"""The loop trains the same whatever the micro-batches, resumes exactly, and stops cleanly."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_chat
from tiny_samples import CONFIG, TITLES, stream

from train_utils.models.adapters import add_lora, enable_gradient_checkpointing
from train_utils.samples.batch import collate
from train_utils.training.loop import HookResult, LoopConfig, ended_epoch, learning_rate, train
from train_utils.training.method import cgen_loss
from train_utils.training.run_log import RunLog

LOOP = LoopConfig(steps=6, lr=1e-2, weight_decay=0.01, warmup_ratio=0.2, lr_power=2.0, clip=1.0, save_seconds=1e9)
ROOT = Path(__file__).resolve().parents[2]


def lora(dropout: float = 0.0):
    model, chat = tiny_chat(TITLES)
    torch.manual_seed(0)
    return add_lora(model, [chat.soi, chat.eoi], 4, 4, dropout), chat


def trained(run, cut, config=LOOP, dropout=0.0, workers=1, prepare=lambda model: None, **how):
    """Weights after training on the same 4 samples a step, `cut` into micro-batches of these sizes."""
    wrapped, chat = lora(dropout)
    prepare(wrapped)
    source = stream((None, chat), dataclasses.replace(CONFIG, multi_round_ratio=0.9))

    def batches(step):
        samples = source.samples(range(4 * step, 4 * step + 4))
        ends = [sum(cut[: i + 1]) for i in range(len(cut))]
        return [collate(samples[end - size : end], 1) for size, end in zip(cut, ends, strict=True)]

    train(wrapped, cgen_loss, batches, config, run, workers, **how)
    return {n: p.detach().clone() for n, p in wrapped.named_parameters() if p.requires_grad}


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


def near(a, b):
    """Sums of float32 in another order: Adam divides by the root of a square, so some rounding shows."""
    for name, weight in a.items():
        torch.testing.assert_close(weight, b[name], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("cut", [(1, 1, 1, 1), (2, 2), (1, 3), (3, 1)])
def test_a_step_is_the_mean_over_its_samples_however_they_are_cut(tmp_path, cut):
    whole = trained(tmp_path / "a", (4,))
    near(whole, trained(tmp_path / "b", cut))
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "b"), rel=1e-5)


def test_micro_batches_side_by_side_train_what_they_train_one_by_one(tmp_path):
    near(trained(tmp_path / "a", (2, 2), workers=2), trained(tmp_path / "b", (2, 2)))


def test_gradient_checkpointing_changes_nothing(tmp_path):
    plain = trained(tmp_path / "a", (2, 2), dropout=0.1)
    near(plain, trained(tmp_path / "b", (2, 2), dropout=0.1, prepare=enable_gradient_checkpointing))


class Interrupted(Exception):
    pass


def interrupted(run, at, config=LOOP, **how):
    """The weights of a run that stopped at step `at`, with a checkpoint a step, and went on."""
    wrapped, chat = lora(0.1)
    source = stream((None, chat), batch_size=2, accumulation=2)

    def batches(step):
        if step == at:
            raise Interrupted
        return source(step)

    train(wrapped, cgen_loss, batches, dataclasses.replace(config, save_seconds=0.0 if at else 1e9), run, **how)
    source.close()
    return {n: p.detach().clone() for n, p in wrapped.named_parameters() if p.requires_grad}


def test_a_resumed_run_ends_with_the_weights_and_logs_of_an_unbroken_one(tmp_path):
    config = dataclasses.replace(LOOP, tensorboard=True)
    unbroken = interrupted(tmp_path / "a", None, config)
    with pytest.raises(Interrupted):
        interrupted(tmp_path / "b", 4, config)
    with (tmp_path / "b/log.jsonl").open("a") as log:
        log.write('{"step": 4, "lr": 0.01}\n{"step"')  # a step after the checkpoint, and one that was being written
    resumed = interrupted(tmp_path / "b", None, config)
    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(weight, resumed[name]) for name, weight in unbroken.items())
    assert (tmp_path / "a/log.jsonl").read_text() == (tmp_path / "b/log.jsonl").read_text()
    # File by file: TensorBoard orders the files of one second by name, and number 10 of a process before its number 9.
    boards = [EventAccumulator(str(file)).Reload() for file in (tmp_path / "b/tensorboard").iterdir()]
    assert sorted(event.step for board in boards for event in board.Scalars("loss")) == list(range(6))
    assert all({"loss", "text", "item", "lr", "norm"} <= set(board.Tags()["scalars"]) for board in boards)


def test_what_is_random_in_a_step_does_not_depend_on_what_ran_before(tmp_path):
    torch.manual_seed(5)
    first = interrupted(tmp_path / "a", None)
    torch.rand(100)
    second = interrupted(tmp_path / "b", None)
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())


def test_other_settings_do_not_resume_a_run(tmp_path):
    with pytest.raises(Interrupted):
        interrupted(tmp_path, 2)
    with pytest.raises(ValueError, match="other settings"):
        interrupted(tmp_path, 4, dataclasses.replace(LOOP, lr=0.5))


def test_the_newest_two_checkpoints_are_kept(tmp_path):
    with pytest.raises(Interrupted):
        interrupted(tmp_path, 5)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000004", "step-00000005"]
    manifest = json.loads((tmp_path / "checkpoints/step-00000005/manifest.json").read_text())
    assert manifest["step"] == 5 and set(manifest["files"]) == {"state.pt"}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: flip(folder / "state.pt"),
        lambda folder: (folder / "state.pt").write_bytes((folder / "state.pt").read_bytes()[:-100]),
        lambda folder: (folder / "state.pt").unlink(),
        lambda folder: (folder / "manifest.json").write_text('{"step": 5, "fi'),
        lambda folder: (folder / "manifest.json").unlink(),
    ],
    ids=["flipped", "truncated", "missing", "half a manifest", "no manifest"],
)
def test_a_spoilt_checkpoint_is_skipped_with_a_warning(tmp_path, spoil, capsys):
    unbroken = interrupted(tmp_path / "a", None)
    with pytest.raises(Interrupted):
        interrupted(tmp_path / "b", 5)
    spoil(tmp_path / "b/checkpoints/step-00000005")
    capsys.readouterr()
    resumed = interrupted(tmp_path / "b", None)
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert len(warnings) == 1 and "step-00000005" in warnings[0]
    assert all(torch.equal(weight, resumed[name]) for name, weight in unbroken.items())


def test_a_loss_that_is_not_finite_stops_with_the_checkpoint_kept(tmp_path):
    def broken_at_4(model, batch):
        value, parts = cgen_loss(model, batch)
        calls.append(1)
        return value * (torch.nan if len(calls) == 4 else 1.0), parts

    calls: list[int] = []
    wrapped, chat = lora()
    config = dataclasses.replace(LOOP, save_seconds=0.0)
    with pytest.raises(ValueError, match="loss nan .* step 3 is not finite"):
        train(wrapped, broken_at_4, stream((None, chat)), config, tmp_path)
    assert (tmp_path / "checkpoints/step-00000003/manifest.json").exists()
    assert all(p.isfinite().all() for p in wrapped.parameters())


def test_a_full_disk_stops_with_one_line_and_the_checkpoint_kept(tmp_path):
    """A file of the run may not grow beyond a limit that the first checkpoint is too large for, from step 3 on."""
    program = f"""
import resource, sys
sys.path[:0] = {[str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/training")]!r}
from pathlib import Path
from test_loop import *
from train_utils.command import run_cli
wrapped, chat = lora()
source = stream((None, chat))
def batches(step):
    if step == 3:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
    return source(step)
run_cli(lambda: train(wrapped, cgen_loss, batches, dataclasses.replace(LOOP, save_seconds=0.0), Path(sys.argv[1])))
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "File too large" in line and "Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-00000002", "step-00000003"]
    resumed, unbroken = trained_on(tmp_path), trained_on(tmp_path / "unbroken")
    assert all(torch.equal(weight, resumed[name]) for name, weight in unbroken.items())


def trained_on(run):
    wrapped, chat = lora()
    train(wrapped, cgen_loss, stream((None, chat)), dataclasses.replace(LOOP, save_seconds=0.0), run)
    return {n: p.detach() for n, p in wrapped.named_parameters() if p.requires_grad}


def test_the_hook_is_called_at_the_end_of_each_epoch_and_its_numbers_are_logged(tmp_path):
    seen = []

    def hook(epoch):
        seen.append(epoch)
        return HookResult({"ndcg@10": epoch / 10})

    trained(tmp_path, (2, 2), dataclasses.replace(LOOP, epochs=3), end_of_epoch=hook)
    assert seen == [1, 2, 3]
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(r["step"], r["ndcg@10"]) for r in records if "epoch" in r] == [(1, 0.1), (3, 0.2), (5, 0.3)]


def test_a_run_that_the_hook_stopped_stays_stopped(tmp_path):
    def stop_at_2(epoch):
        return HookResult(stop=epoch == 2)

    config = dataclasses.replace(LOOP, epochs=3)
    first = trained(tmp_path, (2, 2), config, end_of_epoch=stop_at_2)
    log = (tmp_path / "log.jsonl").read_text()
    again = trained(tmp_path, (2, 2), config, end_of_epoch=stop_at_2)
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    assert (tmp_path / "log.jsonl").read_text() == log and json.loads(log.splitlines()[-1])["step"] == 3


def test_the_whole_weights_come_back(tmp_path):
    wrapped, chat = lora()
    weights = train(wrapped, cgen_loss, stream((None, chat)), LOOP, tmp_path)
    own = {n: p for n, p in wrapped.named_parameters() if p.requires_grad}
    assert weights.keys() == own.keys() and all(torch.equal(weights[name], own[name]) for name in own)


@given(st.integers(1, 60), st.integers(1, 60) | st.floats(0.01, 60))
def test_every_epoch_ends_once_and_the_last_with_the_run(steps, epochs):
    ends = [ended_epoch(step, dataclasses.replace(LOOP, steps=steps, epochs=epochs)) for step in range(steps)]
    actual, last = [epoch for epoch in ends if epoch], math.ceil(epochs)
    assert actual == sorted(set(actual)) and ends[-1] == last
    unended = set(range(1, last + 1)) - set(actual)
    # A last part that is shorter than a step ends in the same step as the epoch before.
    assert last > steps or unended <= ({last - 1} if last > epochs else set())


def test_learning_rate_warms_up_and_decays_to_zero():
    rates = [learning_rate(step, dataclasses.replace(LOOP, steps=100, warmup_ratio=0.1)) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3) and max(rates) == rates[10] == 1e-2 and rates[100] == 0
    assert rates[55] == pytest.approx(1e-2 * 0.25)


def test_a_log_for_tensorboard_without_its_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        ValueError, match=r"package tensorboard is missing; pip install '\.\[train\]' in the project's folder"
    ):
        RunLog(tmp_path, 0, tensorboard=True)
    RunLog(tmp_path, 0, tensorboard=False).close()
