"""Training loop with loss, batches and end-of-epoch hook as arguments; a killed run resumes exactly.

The samples of a step do not depend on how they are computed. The gradient is the mean over all samples of the step,
independent of micro-batches, processes and padding.
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
from accelerate import Accelerator, DistributedType
from accelerate.utils import gather_object
from torch import nn
from tqdm import tqdm

from train_utils.models.item_rows import CoupledRows
from train_utils.samples.batch import Batch
from train_utils.training import checkpoint
from train_utils.training.average import AverageWeights, averaged
from train_utils.training.checkpoint import Progress, TrainState
from train_utils.training.loss import Parts
from train_utils.training.run_log import RunLog

# (model, batch) -> loss and parts. The model is a causal model, with or without an adapter or a retrieval head.
Loss = Callable[[Any, Batch], tuple[torch.Tensor, Parts]]


@dataclass(frozen=True)
class LoopConfig:
    """Configuration of the training loop.

    Attributes:
        steps: number of optimizer steps.
        lr: peak learning rate.
        weight_decay: weight decay of AdamW.
        warmup_ratio: share of the steps with linear warm-up.
        lr_power: power of the polynomial decay.
        clip: maximum gradient norm.
        save_seconds: seconds between checkpoints.
        epochs: number of epochs that the steps are divided into, for the end-of-epoch hook; the last may be a part.
        seed: seed of the randomness inside a step (dropout).
        tensorboard: whether to write a TensorBoard log too.
        item_lr: peak learning rate of parameters that `is_item_row` names; None for `lr`.
        average: decay of the average of the weights, which is what is saved; 0 saves the last weights.
        beta2: decay of AdamW's second moment.
        eps: epsilon of AdamW.
        loraplus_lr_ratio: learning rate of the second matrices of LoRA (B) relative to `lr` (LoRA+, arXiv 2402.12354).
    """

    steps: int
    lr: float
    weight_decay: float
    warmup_ratio: float
    lr_power: float
    clip: float
    save_seconds: float
    epochs: float = 1
    seed: int = 0
    tensorboard: bool = False
    item_lr: float | None = None
    average: float = 0.0
    beta2: float = 0.999
    eps: float = 1e-5
    loraplus_lr_ratio: float = 1.0

    def of_the_run(self) -> dict[str, object]:
        """Return the settings that must be equal for a run to continue."""
        return {k: v for k, v in asdict(self).items() if k not in ("save_seconds", "tensorboard")}


@dataclass(frozen=True)
class HookResult:
    """Result of the end-of-epoch hook.

    Attributes:
        numbers: numbers for the log, by name.
        stop: whether the run ends here.
    """

    numbers: Mapping[str, float] = field(default_factory=dict)
    stop: bool = False


def learning_rate(step: int, config: LoopConfig) -> float:
    """Return the learning rate of a step: linear warm-up, then polynomial decay to 0."""
    warm = math.ceil(config.steps * config.warmup_ratio)
    if step < warm:
        return config.lr * (step + 1) / warm
    return config.lr * (1 - (step - warm) / max(1, config.steps - warm)) ** config.lr_power


def ended_epoch(step: int, config: LoopConfig) -> int | None:
    """Return the epoch (from 1) that ends with this step, None if no epoch does; the run ends its last one."""
    if step + 1 == config.steps:
        return math.ceil(config.epochs)
    epoch = int((step + 1) * config.epochs / config.steps)
    return epoch if epoch > int(step * config.epochs / config.steps) else None


def is_item_row(name: str) -> bool:
    """Return whether a parameter holds rows of tokens (peft's name for rows that are trained whole)."""
    return "trainable_tokens_delta" in name


def is_lora_b(name: str) -> bool:
    """Return whether a parameter is a second matrix of LoRA, which starts at 0 (peft's name for it)."""
    return ".lora_B." in name


def check_sharding(average: float, coupled: bool, kind: DistributedType) -> None:
    """Verify that every process holds whole weights where it averages or couples them.

    Raises:
        ValueError: the weights are sharded over processes.
    """
    if kind not in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        return
    if average:
        raise ValueError(
            f"`average` is {average}, which needs whole weights in each process; give 0 under {kind.value}"
        )
    if coupled:
        raise ValueError(f"`coupled_rows` needs whole weights in each process; leave it out under {kind.value}")


def parameter_groups(model: nn.Module, config: LoopConfig) -> list[dict[str, Any]]:
    """Return the trained parameters as AdamW's groups, with `scale`: their learning rate relative to `config.lr`."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    row_scale = 1.0 if config.item_lr is None else config.item_lr / config.lr

    def scale(name: str) -> float:
        return row_scale if is_item_row(name) else config.loraplus_lr_ratio if is_lora_b(name) else 1.0

    groups: dict[float, list[nn.Parameter]] = {1.0: []}
    for name, parameter in trained:
        groups.setdefault(scale(name), []).append(parameter)
    return [{"params": of_group, "scale": at} for at, of_group in groups.items() if of_group]


class ModelWithLoss(nn.Module):
    """Model and loss as one module, because sharding over processes hooks into calls of the whole module."""

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
    coupled: CoupledRows | None = None,
) -> dict[str, torch.Tensor]:
    """Train `model` in place for `config.steps` optimizer steps.

    Args:
        model: the model to train.
        loss: (model, batch) -> (mean over the samples of the batch, sums for the log).
        batches: step -> the micro-batches of that step. A pure function, so that a resumed run sees the same data. The
            processes share the micro-batches; their number is the same in every step and a multiple of the number of
            processes.
        config: configuration of the loop.
        run: folder of `checkpoints`, `log.jsonl` and `tensorboard`. With a checkpoint, the run resumes exactly.
        workers: micro-batches of a step that run concurrently, for one process on the CPU without dropout.
        accelerator: accelerator of several processes; None for one process on the model's device.
        end_of_epoch: called in every process with the number of the epoch (from 1) that has ended.
        coupled: rows that take the steps of others; None for none.

    Returns:
        The full trained weights by name, on the CPU; empty on all processes but the first.

    Raises:
        ValueError: the loss or the gradient norm is not finite (the last checkpoint is kept), or the checkpoint has
            another configuration.
        OSError: the disk is full; the last checkpoint is kept.
    """
    device = next(model.parameters()).device
    accelerator = accelerator or Accelerator(cpu=device.type == "cpu", device_placement=False)
    optimizer = torch.optim.AdamW(
        parameter_groups(model, config),
        lr=config.lr,
        betas=(0.9, config.beta2),
        eps=config.eps,
        weight_decay=config.weight_decay,
    )
    if coupled is not None:
        optimizer.register_step_pre_hook(lambda *_: coupled.before_step())
        optimizer.register_step_post_hook(lambda *_: coupled.after_step())
    prepared, wrapped = accelerator.prepare(ModelWithLoss(model, loss), optimizer)
    check_sharding(config.average, coupled is not None, accelerator.distributed_type)
    average = AverageWeights(model, config.average) if config.average else None
    training = TrainState(accelerator, model, prepared, optimizer, average)
    progress = checkpoint.restore(training, config.of_the_run(), run / "checkpoints")
    if not progress.ended:
        log = RunLog(run, progress.step, config.tensorboard) if accelerator.is_main_process else None
        model.train()
        _steps(training, wrapped, batches, config, run, progress.step, workers, end_of_epoch, log)
        model.eval()
    if average is not None:
        average.swap()
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
    """Run the steps from `first` on."""
    saved_at = begun = time.monotonic()
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
                group["lr"] = learning_rate(step, config) * group["scale"]
            numbers, samples = _step(training, wrapped, batches(step), config, step, pool, run)
            speed = samples * (bar.format_dict["rate"] or 0.0)
            if log:
                # What a narrow terminal cuts off are the losses by task.
                shown = {"samples/s": f"{speed:.1f}", "lr": f"{numbers['lr']:.1e}"} | {
                    k: f"{v:.3f}" for k, v in numbers.items() if k not in ("lr", "norm")
                }
                bar.set_postfix(shown, refresh=False)
                log.write(step, numbers, speed)
                now = time.monotonic()
                log.write_time(step, now - begun)
                begun = now
            verdict = HookResult()
            if end_of_epoch and (epoch := ended_epoch(step, config)):
                with averaged(training.average):
                    verdict = end_of_epoch(epoch)
                if log:
                    log.write(step, {"epoch": epoch, **verdict.numbers})
            progress = Progress(step + 1, verdict.stop or step + 1 == config.steps)
            if _due(training.accelerator, time.monotonic() - saved_at > config.save_seconds or progress.ended):
                checkpoint.save(training, progress, config.of_the_run(), run / "checkpoints")
                saved_at = time.monotonic()
            if verdict.stop:
                break
    if log:
        log.close()


def _due(accelerator: Accelerator, here: bool) -> bool:
    """Return the decision of the first process: clocks differ, and all processes write a checkpoint together."""
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
    """Run one optimizer step.

    Returns:
        The numbers for the log, over all processes, and the number of samples.
    """
    accelerator = training.accelerator
    samples = sum(len(batch.tasks) for batch in micro)
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
            f"the last checkpoint in {run} is kept: lower `lr`"
        )
    wrapped.step()
    wrapped.zero_grad()
    if training.average is not None:
        training.average.update(step)
    return {"lr": wrapped.param_groups[0]["lr"]} | total, samples


def _one_by_one(training: TrainState, micro: Sequence[Batch], samples: int, seed: str) -> Parts:
    """Accumulate the gradients of this process's micro-batches in order; return the sums for the log."""
    accelerator, results = training.accelerator, []
    accelerator.gradient_accumulation_steps = len(micro) // accelerator.num_processes
    for index in range(accelerator.process_index, len(micro), accelerator.num_processes):
        # Randomness depends only on the position in the step, not on the process or on earlier micro-batches.
        torch.manual_seed(random.Random(f"{seed}/{index}").getrandbits(63))
        share = len(micro[index].tasks) / samples
        with accelerator.accumulate(training.prepared):
            value, parts = training.prepared(micro[index])
            # accelerate divides by the micro-batches per process and by the processes; the mean must be over samples.
            accelerator.backward(value * (share * len(micro)))
        results.append(_with_loss(value, parts, micro[index]))
    return _sums(results)


def _side_by_side(training: TrainState, micro: Sequence[Batch], samples: int, pool: Executor) -> Parts:
    """Accumulate the gradients of several micro-batches concurrently, each on one core.

    A layer of a small model is too little work to split: threads that wait for each other at every layer lose most of
    a busy machine. Gradients are added in the order of the micro-batches, so the result does not depend on which thread
    finishes first.
    """
    trained = [p for p in training.model.parameters() if p.requires_grad]

    def gradients(batch: Batch) -> tuple[Parts, Sequence[torch.Tensor]]:
        torch.set_num_threads(1)
        share = len(batch.tasks) / samples
        value, parts = training.prepared(batch)
        return _with_loss(value, parts, batch), torch.autograd.grad(value * share, trained, allow_unused=True)

    results = []
    for shown, per_parameter in pool.map(gradients, micro):
        results.append(shown)
        for parameter, gradient in zip(trained, per_parameter, strict=True):
            if gradient is not None:
                parameter.grad = gradient.contiguous() if parameter.grad is None else parameter.grad.add_(gradient)
    return _sums(results)


def _with_loss(value: torch.Tensor, parts: Parts, batch: Batch) -> Parts:
    return {"loss": (value.item() * len(batch.tasks), float(len(batch.tasks))), **parts}


def _sums(results: Sequence[Parts]) -> Parts:
    """Add sums and counts by name, in the given order."""
    total: Parts = {}
    for parts in results:
        for name, (part, count) in parts.items():
            before, counted = total.get(name, (0.0, 0.0))
            total[name] = (before + part, counted + count)
    return total


def _means(total: Parts) -> dict[str, float]:
    return {name: part / count for name, (part, count) in total.items() if count}
