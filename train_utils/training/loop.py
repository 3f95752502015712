"""The training loop as a function: loss, batches and end-of-epoch hook are arguments; a killed run goes on exactly.

A step is a set of samples that does not depend on how they are computed. Its gradient is the mean over all of them,
whatever the micro-batches, the processes and the padding.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn
from tqdm import tqdm

from train_utils.samples.batch import Batch
from train_utils.training import checkpoint
from train_utils.training.checkpoint import Progress, TrainState
from train_utils.training.loss import Parts
from train_utils.training.run_log import RunLog

# Of a batch, by what the method trains: a causal model, with or without an adapter, or one with a retrieval beside it.
Loss = Callable[[Any, Batch], tuple[torch.Tensor, Parts]]


@dataclass(frozen=True)
class LoopConfig:
    """What is done, and how often it is kept.

    Attributes:
        steps: optimizer steps. epochs: into how many parts they are divided, for the end-of-epoch hook.
        warmup_ratio: share of the steps. lr_power: of the polynomial decay. clip: norm at which gradients are cut.
        save_seconds: between checkpoints. seed: of what is random inside a step (dropout).
        tensorboard: write TensorBoard's log as well.
    """

    steps: int
    lr: float
    weight_decay: float
    warmup_ratio: float
    lr_power: float
    clip: float
    save_seconds: float
    epochs: int = 1
    seed: int = 0
    tensorboard: bool = False

    def of_the_run(self) -> dict[str, object]:
        """What has to be the same for a run to go on."""
        return {k: v for k, v in asdict(self).items() if k not in ("save_seconds", "tensorboard")}


@dataclass(frozen=True)
class HookResult:
    """What the end-of-epoch hook found: numbers for the log, and whether the run ends here."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    stop: bool = False


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then polynomial decay to 0."""
    warm = math.ceil(config.steps * config.warmup_ratio)
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * (1 - (step - warm) / max(1, config.steps - warm)) ** config.lr_power


def ended_epoch(step: int, config: LoopConfig) -> int | None:
    """The epoch (from 1) that ends with this step, if one does."""
    epoch = (step + 1) * config.epochs // config.steps
    return epoch if epoch > step * config.epochs // config.steps else None


class ModelWithLoss(nn.Module):
    """A model with its loss as one module: what splits a model over processes looks at a call of the whole."""

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__()
        self.model, self.loss = model, loss
        self._no_split_modules = getattr(model, "_no_split_modules", None)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, Parts]:
        return self.loss(self.model, batch)


def train(
    model: nn.Module,
    loss: Loss,
    batches: Callable[[int], Sequence[Batch]],
    config: LoopConfig,
    run: Path,
    workers: int = 1,
    accelerator: Accelerator | None = None,
    end_of_epoch: Callable[[int], HookResult] | None = None,
) -> dict[str, torch.Tensor]:
    """Trains `model` in place for `config.steps` optimizer steps.

    Args:
        loss: (model, batch) -> (mean over the samples of the batch, sums for the log).
        batches: step -> the micro-batches of that step, a pure function, so that a resumed run sees the same data. The
            processes share them out; their number is a multiple of that of processes, and the same in every step.
        run: folder of `checkpoints` (found there, the run goes on exactly), `log.jsonl` and `tensorboard`.
        workers: micro-batches of a step that run side by side, for one process on the CPU and no dropout.
        accelerator: of several processes; by default this one process trains, on the model's device.
        end_of_epoch: called with the number of the epoch (from 1) that has ended, in every process.

    Returns:
        the trained weights by name, whole, on the CPU; on other processes than the first nothing.

    Raises:
        ValueError: the loss is not finite; the last checkpoint is kept. A checkpoint of another configuration.
        OSError: the disk is full; the last checkpoint is kept.
    """
    device = next(model.parameters()).device
    accelerator = accelerator or Accelerator(cpu=device.type == "cpu", device_placement=False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=config.lr, eps=1e-5, weight_decay=config.weight_decay)
    prepared, wrapped = accelerator.prepare(ModelWithLoss(model, loss), optimizer)
    training = TrainState(accelerator, model, prepared, optimizer)
    place = checkpoint.restore(training, config.of_the_run(), run / "checkpoints")
    if not place.ended:
        log = RunLog(run, place.step, config.tensorboard) if accelerator.is_main_process else None
        model.train()
        _steps(training, wrapped, batches, config, run, place.step, workers, end_of_epoch, log)
        model.eval()
    return checkpoint.whole_weights(training)


def _steps(
    training: TrainState,
    wrapped: torch.optim.Optimizer,
    batches,
    config: LoopConfig,
    run: Path,
    first: int,
    workers: int,
    end_of_epoch,
    log: RunLog | None,
) -> None:
    """The steps from `first` on."""
    saved_at = time.monotonic()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="step") if workers > 1 else None
    with tqdm(
        range(first, config.steps),
        initial=first,
        total=config.steps,
        desc="SFT",
        unit="step",
        mininterval=5,
        disable=log is None,
    ) as bar:
        for step in bar:
            for group in wrapped.param_groups:
                group["lr"] = learning_rate(step, config)
            numbers, samples = _step(training, wrapped, batches(step), config, step, pool, run)
            speed = samples * (bar.format_dict["rate"] or 0.0)
            if log:
                shown = {"lr": f"{numbers['lr']:.1e}"} | {
                    k: f"{v:.3f}" for k, v in numbers.items() if k not in ("lr", "norm")
                }
                bar.set_postfix(shown | {"samples/s": f"{speed:.1f}"}, refresh=False)
                log.write(step, numbers, speed)
            verdict = HookResult()
            if end_of_epoch and (epoch := ended_epoch(step, config)):
                verdict = end_of_epoch(epoch)
                if log:
                    log.write(step, {"epoch": epoch, **verdict.numbers})
            place = Progress(step + 1, verdict.stop or step + 1 == config.steps)
            if _due(training.accelerator, time.monotonic() - saved_at > config.save_seconds or place.ended):
                checkpoint.save(training, place, config.of_the_run(), run / "checkpoints")
                saved_at = time.monotonic()
            if place.ended:
                break
    if log:
        log.close()


def _due(accelerator: Accelerator, here: bool) -> bool:
    """What the first process says: clocks differ, and a checkpoint is made together."""
    return here if accelerator.num_processes == 1 else gather_object([here])[0]


def _step(
    training: TrainState,
    wrapped: torch.optim.Optimizer,
    micro: Sequence[Batch],
    config: LoopConfig,
    step: int,
    pool: Executor | None,
    run: Path,
) -> tuple[dict[str, float], int]:
    """One optimizer step; returns its numbers for the log, over all processes, and how many samples it had."""
    accelerator = training.accelerator
    samples = sum(len(batch.ids) for batch in micro)
    if pool:
        shown = _side_by_side(training, micro, samples, pool)
    else:
        shown = _one_by_one(training, micro, samples, f"{config.seed}/{step}")
    total = _means(_sums(gather_object([shown])))
    norm = accelerator.clip_grad_norm_([p for p in training.model.parameters() if p.requires_grad], config.clip)
    total["norm"] = float(norm)
    if not math.isfinite(total["loss"]) or not math.isfinite(total["norm"]):
        raise ValueError(
            f"loss {total['loss']} with gradient norm {total['norm']} at step {step} is not finite; "
            f"the last checkpoint in {run} is kept: lower --lr"
        )
    wrapped.step()
    wrapped.zero_grad()
    return {"lr": wrapped.param_groups[0]["lr"]} | total, samples


def _one_by_one(training: TrainState, micro: Sequence[Batch], samples: int, seed: str) -> Parts:
    """Gradients of this process's micro-batches, one after the other; returns their sums for the log."""
    accelerator, found = training.accelerator, []
    accelerator.gradient_accumulation_steps = len(micro) // accelerator.num_processes
    for place in range(accelerator.process_index, len(micro), accelerator.num_processes):
        # What is random depends on the place in the step alone, not on the process or on what ran before.
        torch.manual_seed(random.Random(f"{seed}/{place}").getrandbits(63))
        share = len(micro[place].ids) / samples
        with accelerator.accumulate(training.prepared):
            value, parts = training.prepared(micro[place])
            # accelerate divides by the micro-batches of a process and by the processes; the mean is over samples.
            accelerator.backward(value * (share * len(micro)))
        found.append(_with_loss(value, parts, micro[place]))
    return _sums(found)


def _side_by_side(training: TrainState, micro: Sequence[Batch], samples: int, pool: Executor) -> Parts:
    """The same with several micro-batches at a time, each on one core.

    A layer of a small model is too little work to be split, and threads that wait for each other at every layer lose
    most of a busy machine. Gradients are added in the order of the micro-batches, so the step does not depend on who
    finishes first.
    """
    trained = [p for p in training.model.parameters() if p.requires_grad]

    def gradients(batch: Batch) -> tuple[Parts, Sequence[torch.Tensor]]:
        torch.set_num_threads(1)
        share = len(batch.ids) / samples
        value, parts = training.prepared(batch)
        return _with_loss(value, parts, batch), torch.autograd.grad(value * share, trained, allow_unused=True)

    found = []
    for shown, per_parameter in pool.map(gradients, micro):
        found.append(shown)
        for parameter, gradient in zip(trained, per_parameter, strict=True):
            if gradient is not None:
                parameter.grad = gradient.contiguous() if parameter.grad is None else parameter.grad.add_(gradient)
    return _sums(found)


def _with_loss(value: torch.Tensor, parts: Parts, batch: Batch) -> Parts:
    return {"loss": (value.item() * len(batch.ids), float(len(batch.ids))), **parts}


def _sums(found: Sequence[Parts]) -> Parts:
    """Sums and counts by name, in the order given."""
    total: Parts = {}
    for one in found:
        for name, (part, count) in one.items():
            before, counted = total.get(name, (0.0, 0.0))
            total[name] = (before + part, counted + count)
    return total


def _means(total: Parts) -> dict[str, float]:
    return {name: part / count for name, (part, count) in total.items() if count}
