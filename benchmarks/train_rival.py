"""One rival of the training benchmark, in its own process, so that its peak memory is its own.

The parent, bench_train.py, writes {"kind", "warm_up", "steps", "attention", "train"} to standard input; `train` holds
fields of TrainOptions. The last line of the output is JSON.
"""

import json
import math
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from dense_mask import UNLABELLED, DenseBatch, DenseScope, dense_batch, dense_mask_loss
from torch import nn

from train_utils.catalog import load_catalog
from train_utils.command import run_cli
from train_utils.models.adapters import add_lora, untie_head
from train_utils.models.backbone import load_backbone
from train_utils.models.control_rows import add_item_tokens
from train_utils.param.training import TrainOptions
from train_utils.prompts.renderer import Chat
from train_utils.samples.batch import Batch, collate
from train_utils.samples.conversation import Conversation
from train_utils.samples.encode import encode_sample
from train_utils.samples.prefetch import WINDOW_STEPS, SampleStream
from train_utils.samples.sources import Source
from train_utils.teacher.open import open_teacher
from train_utils.training.loop import HookResult, LoopConfig, Loss, train
from train_utils.training.method import cgen_loss
from train_utils.training.run_samples import open_samples

CPU = torch.device("cpu")
GAP_BATCHES = 2


@dataclass(frozen=True, kw_only=True)
class Job:
    """Request of the parent.

    Attributes:
        kind: "ours", "trl", "dense_mask" or "gap".
        warm_up: optimizer steps before the clock starts.
        steps: timed optimizer steps.
        attention: attention implementation of the model.
        train: fields of TrainOptions.
    """

    kind: str
    warm_up: int
    steps: int
    attention: str
    train: dict[str, object]


@dataclass(frozen=True)
class Figures:
    """Measurements of the timed steps.

    Attributes:
        seconds: wall-clock seconds.
        cpu_seconds: CPU seconds of all threads.
        samples: trained samples.
        tokens: trained tokens, without padding.
        peak_mb: peak memory of the process, in MB.
    """

    seconds: float
    cpu_seconds: float
    samples: int
    tokens: int
    peak_mb: float


@dataclass(frozen=True)
class World:
    """Model and samples of a run.

    Attributes:
        job: request of the parent.
        options: training options.
        model: a backbone with the control tokens and an untied head.
        chat: renderer with the catalog's titles.
        source: the conversations.
        first: first timed step.
    """

    job: Job
    options: TrainOptions
    model: nn.Module
    chat: Chat
    source: Source
    first: int

    @property
    def pad_id(self) -> int:
        return self.chat.tokenizer.pad_token_id

    @property
    def vocabulary(self) -> int:
        return self.model.get_output_embeddings().out_features

    def steps(self) -> range:
        """Return the steps of the stream that are trained, warm-up first."""
        return range(self.first - self.job.warm_up, self.first + self.job.steps)

    def scope(self) -> DenseScope:
        return DenseScope(self.chat.title_ids, self.chat.eoi)

    def adapted(self) -> nn.Module:
        options = self.options
        return add_lora(
            self.model,
            [self.chat.soi, self.chat.eoi],
            options.SFT_actor_lora_r,
            options.SFT_actor_lora_a,
            options.lora_dropout,
        )

    def stream(self, micro: int = 1) -> SampleStream:
        """Return a stream of steps of `batch_size` samples in `micro` micro-batches."""
        return SampleStream(
            self.source, self.chat, encode_sample, self.options.batch_size // micro, micro, self.pad_id, CPU
        )

    def talks(self, step: int) -> list[Conversation]:
        """Return the conversations of a step in the drawn order."""
        size = self.options.batch_size
        return self.source.talks(range(step * size, (step + 1) * size))


def make_world(job: Job) -> World:
    """Load dataset, backbone and teacher.

    Raises:
        ValueError: one of them is missing.
    """
    options = TrainOptions(**job.train)
    catalog = load_catalog(options.data_path)
    tokenizer, model = load_backbone(options.backbone, CPU, options.dtype)
    model.set_attn_implementation(job.attention)
    torch.manual_seed(options.seed)
    add_item_tokens(tokenizer, model)
    untie_head(model)
    chat = Chat(tokenizer, catalog.titles)
    source = open_samples(options, catalog, chat, open_teacher(options.teacher))
    return World(job, options, model, chat, source, math.ceil(job.warm_up / WINDOW_STEPS) * WINDOW_STEPS)


class Clock:
    """Clock that records the ends of steps: wall-clock seconds, and CPU seconds of all threads."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def __call__(self, *_: object) -> HookResult:
        self.ends.append((time.perf_counter(), time.process_time()))
        return HookResult()

    def seconds(self, steps: int) -> tuple[float, float]:
        """Return (wall, CPU) seconds of the last `steps` steps."""
        (wall, cpu), (wall_before, cpu_before) = self.ends[-1], self.ends[-1 - steps]
        return wall - wall_before, cpu - cpu_before


def train_by_loop(
    world: World, loss: Loss, batches: Callable[[int], Sequence[Batch | DenseBatch]], workers: int = 1
) -> tuple[float, float]:
    """Train with the project's own loop and return (wall, CPU) seconds of the timed steps.

    Args:
        world: model and samples.
        loss: the loss.
        batches: step -> micro-batches.
        workers: number of micro-batches that are computed concurrently.
    """
    job, options, clock = world.job, world.options, Clock()
    steps = world.steps()
    loop = LoopConfig(
        len(steps),
        options.lr,
        options.weight_decay,
        options.warmup_ratio,
        options.lr_power,
        options.clip,
        save_seconds=math.inf,
        epochs=len(steps),
    )
    with tempfile.TemporaryDirectory(prefix="bench-train-") as run:
        train(world.adapted(), loss, lambda step: batches(steps[step]), loop, Path(run), workers, end_of_epoch=clock)
    return clock.seconds(job.steps)


def ours(world: World) -> tuple[float, float]:
    """Time this project's training.

    Samples are made while the clock runs, as in training; without dropout, micro-batches run concurrently.
    """
    micro = 2 if world.options.lora_dropout == 0 and world.options.batch_size % 2 == 0 else 1
    with closing(world.stream(micro)) as stream:
        return train_by_loop(world, cgen_loss, stream, micro)


def dense_mask(world: World) -> tuple[float, float]:
    """Time training with the published dense mask.

    Conversations are made before the clock starts; their masks are made while it runs.
    """
    talks = {step: world.talks(step) for step in world.steps()}
    scope, vocabulary = world.scope(), world.vocabulary
    return train_by_loop(
        world, dense_mask_loss, lambda step: [dense_batch(talks[step], world.chat, scope, world.pad_id, vocabulary)]
    )


def rows_of(world: World) -> list[dict[str, list[int]]]:
    """Return TRL's samples.

    They are the samples of our batches, in our order, which is sorted by length within windows of steps.
    """
    numbers = range((world.first + world.job.steps) * world.options.batch_size)
    rendered = [talk.rendered for talk in world.source.talks(numbers)]
    labeled = {tuple(sample.ids): sample.labeled for sample in rendered}
    rows = []
    with closing(world.stream()) as stream:
        for step in world.steps():
            (batch,) = stream(step)
            for padded, real in zip(batch.ids, batch.mask.bool(), strict=True):
                ids = padded[real].tolist()
                labels = [token if on else UNLABELLED for token, on in zip(ids, labeled[tuple(ids)], strict=True)]
                rows.append({"input_ids": ids, "labels": labels})
    return rows


def trl(world: World) -> tuple[float, float]:
    from trl_feed import train_with_trl  # the tests of the other rivals do without TRL

    clock = Clock()
    control_ids = [world.chat.soi, world.chat.eoi]
    with tempfile.TemporaryDirectory(prefix="bench-train-") as run:
        train_with_trl(
            world.model,
            world.chat.tokenizer,
            rows_of(world),
            world.options,
            control_ids,
            len(world.steps()),
            Path(run),
            clock,
        )
    return clock.seconds(world.job.steps)


def gradient(model: nn.Module, loss: torch.Tensor) -> torch.Tensor:
    """Return all gradients of the trained weights as one vector."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, trained)])


def gap(world: World) -> dict[str, float]:
    """Return the largest |difference| of the losses, and of the gradients relative to their norm, on the same batches.

    The adapter is random, as it would be after some steps.
    """
    model, scope, vocabulary = world.adapted().train(), world.scope(), world.vocabulary
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.02)
    loss_gap = grad_gap = 0.0
    with closing(world.stream()) as stream:
        for step in range(GAP_BATCHES):
            talks = world.talks(step)
            samples = [encode_sample(world.chat, stream.choices, talk, world.source.config) for talk in talks]
            sparse, _ = cgen_loss(model, collate(samples, world.pad_id))
            own = gradient(model, sparse)
            dense, _ = dense_mask_loss(model, dense_batch(talks, world.chat, scope, world.pad_id, vocabulary))
            theirs = gradient(model, dense)
            loss_gap = max(loss_gap, abs(sparse.item() - dense.item()))
            grad_gap = max(grad_gap, ((own - theirs).norm() / theirs.norm()).item())
    return {"loss_gap": loss_gap, "grad_gap": grad_gap}


RIVALS = {"ours": ours, "trl": trl, "dense_mask": dense_mask}


def figures(world: World) -> Figures:
    """Train, and return the measurements."""
    seconds, cpu_seconds = RIVALS[world.job.kind](world)
    numbers = range(world.first * world.options.batch_size, (world.first + world.job.steps) * world.options.batch_size)
    tokens = sum(len(talk.rendered.ids) for talk in world.source.talks(numbers))
    # In kB on Linux. The parent must stay small, because a child's peak includes the parent's.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Figures(seconds, cpu_seconds, len(numbers), tokens, peak_mb)


def main() -> None:
    warnings.filterwarnings("ignore")  # of libraries; the parent shows standard error to the user
    world = make_world(Job(**json.loads(sys.stdin.read())))
    print(json.dumps(gap(world) if world.job.kind == "gap" else asdict(figures(world))))


if __name__ == "__main__":
    run_cli(main)
