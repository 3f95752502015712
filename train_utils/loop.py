"""The training loop as a function: loss and batches are arguments; a killed run goes on exactly."""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from train_utils.files import write_text
from train_utils.loss import Batch


@dataclass(frozen=True)
class LoopConfig:
    steps: int
    lr: float
    weight_decay: float
    warmup_ratio: float
    lr_power: float
    clip: float
    save_seconds: float


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then polynomial decay to 0."""
    warm = math.ceil(config.steps * config.warmup_ratio)
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * (1 - (step - warm) / max(1, config.steps - warm)) ** config.lr_power


def train(
    model: nn.Module,
    loss: Callable[[nn.Module, Batch], tuple[torch.Tensor, dict[str, float]]],
    batches: Callable[[int], Sequence[Batch]],
    config: LoopConfig,
    run: Path,
    workers: int = 1,
) -> None:
    """Trains `model` in place for `config.steps` optimiser steps.

    Args:
        loss: (model, batch) -> (scalar, parts for the log).
        batches: step -> the micro-batches of that step, a pure function, so that a resumed run sees the same data.
        run: folder of `checkpoint.pt` (found there, the run goes on exactly) and of `log.jsonl`.
        workers: micro-batches of a step that run side by side, for a model on the CPU without dropout.

    Raises:
        ValueError: the loss is not finite; the last checkpoint is kept. A checkpoint of another configuration.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=config.lr, eps=1e-5, weight_decay=config.weight_decay)
    first = _resume(model, optimiser, config, run)
    _cut_log(run, first)
    saved_at = time.monotonic()
    model.train()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="step") if workers > 1 else None
    bar = tqdm(range(first, config.steps), initial=first, total=config.steps, desc="SFT", unit="step", mininterval=5)
    for step in bar:
        rate = learning_rate(step, config)
        for group in optimiser.param_groups:
            group["lr"] = rate
        shown = _step(model, loss, batches(step), pool)
        norm = nn.utils.clip_grad_norm_(trained, config.clip)
        if not math.isfinite(shown["loss"]) or not torch.isfinite(norm):
            raise ValueError(
                f"loss {shown['loss']} at step {step} is not finite; the last checkpoint in {run} is kept: lower --lr"
            )
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        bar.set_postfix({k: f"{v:.3f}" for k, v in shown.items()} | {"lr": f"{rate:.1e}"}, refresh=False)
        _log(run, {"step": step, "lr": rate, "norm": norm.item()} | shown)
        if time.monotonic() - saved_at > config.save_seconds or step + 1 == config.steps:
            save_checkpoint(model, optimiser, step + 1, config, run)
            saved_at = time.monotonic()
    model.eval()


def _step(model: nn.Module, loss, micro: Sequence[Batch], pool: Executor | None) -> dict[str, float]:
    """Gradients of one optimiser step; returns the means for the log.

    With a pool the micro-batches run side by side, each on one core: a layer of a small model is too little work to
    be split, and threads that wait for each other at every layer lose most of a busy machine. Gradients are added
    in the order of the micro-batches, so the step does not depend on who finishes first.
    """
    samples = sum(len(batch.ids) for batch in micro)
    trained = [p for p in model.parameters() if p.requires_grad]

    def gradients(batch: Batch) -> tuple[dict[str, float], Sequence[torch.Tensor]]:
        if pool is not None:
            torch.set_num_threads(1)
        share = len(batch.ids) / samples
        value, parts = loss(model, batch)
        shown = {name: part * share for name, part in {"loss": value.item(), **parts}.items()}
        return shown, torch.autograd.grad(value * share, trained, allow_unused=True)

    total: dict[str, float] = {}
    for shown, found in (pool.map if pool else map)(gradients, micro):
        for name, part in shown.items():
            total[name] = total.get(name, 0.0) + part
        for parameter, gradient in zip(trained, found, strict=True):
            if gradient is not None:
                parameter.grad = gradient.contiguous() if parameter.grad is None else parameter.grad.add_(gradient)
    return total


def _log(run: Path, record: dict) -> None:
    with (run / "log.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


def _cut_log(run: Path, steps: int) -> None:
    """Leaves the first `steps` lines of the log: what a killed run did behind its last checkpoint is done again."""
    path = run / "log.jsonl"
    if path.exists():
        write_text(path, "".join(path.read_text().splitlines(keepends=True)[:steps]))


def save_checkpoint(model: nn.Module, optimiser, step: int, config: LoopConfig, run: Path) -> None:
    """Writes weights, optimiser, random state and place as one file, by one rename."""
    state = {
        "step": step,
        "config": asdict(config),
        "weights": {n: p.detach() for n, p in model.named_parameters() if p.requires_grad},
        "optimiser": optimiser.state_dict(),
        "random": torch.get_rng_state(),
    }
    temporary = run / ".checkpoint.pt.tmp"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, run / "checkpoint.pt")


def _resume(model: nn.Module, optimiser, config: LoopConfig, run: Path) -> int:
    """Restores the run's checkpoint, if there is one; returns the step to go on with."""
    path = run / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    different = {k: (state["config"].get(k), v) for k, v in asdict(config).items()
                 if k != "save_seconds" and state["config"].get(k) != v}
    if different:
        raise ValueError(f"{path} was made with other settings {different}; give another --output or delete it")
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in state["weights"].items():
            parameters[name].copy_(weight)
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["random"])
    return state["step"]
