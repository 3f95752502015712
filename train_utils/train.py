"""The training loop as a function, and the supervised fine-tuning of RecLM-cgen that calls it."""

import json
import math
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from train_utils.catalog import Catalog, load_catalog
from train_utils.chat import Chat, Message
from train_utils.dataset import (
    Choices,
    Plan,
    Sample,
    SampleConfig,
    ask_teacher,
    collate,
    encode_sample,
    plan_sample,
    teacher_queries,
    trainable_users,
)
from train_utils.files import manifest, write_text
from train_utils.loss import Batch, batch_loss
from train_utils.model import add_item_tokens, add_lora, load_backbone, pick_device, save_adapter
from train_utils.param import TrainOptions
from train_utils.sharegpt import load_exchanges
from train_utils.teacher import Teacher, open_teacher

WINDOW_STEPS = 8


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


class SampleStream:
    """step -> micro-batches. Samples are made a window of steps at a time, one window ahead, in a thread.

    Within a window samples are sorted by length before they are cut into batches, so little is padding; the teacher
    is asked once a window.
    """

    def __init__(self, catalog: Catalog, chat: Chat, teacher: Teacher, exchanges: Sequence[Sequence[Message]],
                 config: SampleConfig, batch_size: int, accumulation: int, pad_id: int, device: torch.device):
        self.catalog, self.chat, self.teacher, self.exchanges = catalog, chat, teacher, exchanges
        self.config, self.batch_size, self.accumulation = config, batch_size, accumulation
        self.pad_id, self.device = pad_id, device
        self.users = trainable_users(catalog)
        self.choices = Choices(chat.tree)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="samples")
        self._windows: dict[int, Future[list[list[Batch]]]] = {}

    def steps(self, epochs: int) -> int:
        return math.ceil(len(self.users) * epochs / (self.batch_size * self.accumulation))

    def __call__(self, step: int) -> list[Batch]:
        window, offset = divmod(step, WINDOW_STEPS)
        for wanted in (window, window + 1):
            if wanted not in self._windows:
                self._windows[wanted] = self._pool.submit(self._make_window, wanted)
        self._windows = {w: f for w, f in self._windows.items() if w >= window}
        return [_to(batch, self.device) for batch in self._windows[window].result()[offset]]

    def plans(self, numbers: Sequence[int]) -> list[Plan]:
        """Plans of the samples with these numbers in the stream; every epoch has its own order of users."""
        found = []
        for number in numbers:
            epoch, place = divmod(number, len(self.users))
            order = random.Random(f"{self.config.seed}/{epoch}").sample(range(len(self.users)), len(self.users))
            found.append(plan_sample(self.catalog, self.users, self.config, len(self.exchanges), epoch, order[place]))
        return found

    def samples(self, plans: Sequence[Plan]) -> list[Sample]:
        queries = [teacher_queries(plan, self.config) for plan in plans]
        unique = list(dict.fromkeys(query for group in queries for query in group))
        answers = dict(zip(unique, ask_teacher(self.teacher, self.catalog, unique, self.config), strict=True))
        return [
            encode_sample(self.chat, self.choices, plan, [answers[q] for q in group], self.config,
                          () if plan.exchange is None else self.exchanges[plan.exchange])
            for plan, group in zip(plans, queries, strict=True)
        ]

    def _make_window(self, window: int) -> list[list[Batch]]:
        size = WINDOW_STEPS * self.batch_size * self.accumulation
        samples = self.samples(self.plans(range(window * size, (window + 1) * size)))
        samples.sort(key=lambda sample: len(sample.ids))
        batches = [collate(samples[at:at + self.batch_size], self.pad_id) for at in range(0, size, self.batch_size)]
        random.Random(f"{self.config.seed}/window/{window}").shuffle(batches)
        return [batches[at:at + self.accumulation] for at in range(0, len(batches), self.accumulation)]


def _to(batch: Batch, device: torch.device) -> Batch:
    return batch if device.type == "cpu" else Batch(**{n: v.to(device) for n, v in vars(batch).items()})


def cgen_loss(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """Scope-mask loss of RecLM-cgen for a peft-wrapped causal model."""
    causal = model.get_base_model()
    low = causal.dtype != torch.float32
    with torch.autocast(batch.ids.device.type, causal.dtype if low else None, enabled=low, cache_enabled=False):
        hidden = causal.base_model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
    return batch_loss(hidden, causal.get_output_embeddings(), batch)


def sample_config(options: TrainOptions) -> SampleConfig:
    names = SampleConfig.__dataclass_fields__
    return SampleConfig(**{name: getattr(options, name) for name in names})


def run_sft(options: TrainOptions) -> Path:
    """Trains an adapter and returns its folder `<output>/Epoch<n>_SFT`; goes on where an interrupted run was.

    Raises:
        ValueError: a missing dataset, backbone or teacher, or a run of other settings in the folder.
    """
    run = Path(options.output)
    adapter = run / f"Epoch{options.epoch:02d}_SFT"
    made_from = manifest(asdict(options), [Path(options.data_path) / "metas.jsonl",
                                           Path(options.data_path) / "sequential.jsonl"])
    catalog = load_catalog(options.data_path)
    _claim(run, made_from, options.overwrite)
    if (adapter / "manifest.json").exists():
        return adapter
    teacher = open_teacher(options.teacher)
    device = pick_device(options.gpu)
    tokenizer, model = load_backbone(options.backbone, device, options.dtype, options.FA2)
    if device.type == "cpu":
        # On short sequences the backward pass of PyTorch's fused attention costs a CPU more than the sums written out.
        model.set_attn_implementation("eager")
    torch.manual_seed(options.seed)
    add_item_tokens(tokenizer, model)
    chat = Chat(tokenizer, catalog.titles)
    wrapped = add_lora(model, [chat.soi, chat.eoi], options.SFT_actor_lora_r, options.SFT_actor_lora_a,
                       options.lora_dropout, options.lora_layers)
    exchanges = load_exchanges(options.share_chat_gpt, chat, options.max_segment) if options.share_chat_gpt else []
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else chat.end_of_turn
    stream = SampleStream(catalog, chat, teacher, exchanges, sample_config(options), options.batch_size,
                          options.gradient_accumulation_steps, pad_id, device)
    loop = LoopConfig(stream.steps(options.epoch), options.lr, options.weight_decay, options.warmup_ratio,
                      options.lr_power, options.clip, options.save_seconds)
    train(wrapped, cgen_loss, stream, loop, run, _workers(options, device))
    save_adapter(wrapped, tokenizer, adapter, made_from)
    return adapter


def _workers(options: TrainOptions, device: torch.device) -> int:
    """Micro-batches side by side: as many as there are cores, but one where the order of random draws matters."""
    alone = device.type != "cpu" or options.lora_dropout > 0
    return 1 if alone else min(options.gradient_accumulation_steps, len(os.sched_getaffinity(0)))


_NOT_OF_THE_RUN = ("save_seconds", "overwrite", "gpu", "teacher", "merge_output", "SFT_load")


def _claim(run: Path, made_from: dict, overwrite: bool) -> None:
    """Makes `run` the folder of this configuration, so that a checkpoint found there is one to go on with."""

    def identity(made: dict) -> dict:
        return {k: v for k, v in made["config"].items() if k not in _NOT_OF_THE_RUN} | made["inputs"]

    kept = run / "config.json"
    if kept.exists():
        before, now = identity(json.loads(kept.read_text())), identity(made_from)
        if before == now:
            return
        different = ", ".join(sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k)))
        if not overwrite:
            raise ValueError(f"{run} holds a run with other {different}; give another --output, or --overwrite")
        shutil.rmtree(run)
    write_text(kept, json.dumps(made_from, indent=1))
