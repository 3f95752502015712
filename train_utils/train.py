"""Supervised fine-tuning: samples made on the fly, the scope-mask loss of RecLM-cgen, the adapter's folder."""

import json
import math
import os
import random
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from train_utils.catalog import Catalog, load_catalog
from train_utils.chat import Chat, Message
from train_utils.dataset import (
    Choices,
    Plan,
    Sample,
    SampleConfig,
    TeacherList,
    ask_teacher,
    collate,
    encode_sample,
    plan_sample,
    teacher_queries,
    trainable_users,
)
from train_utils.files import manifest, write_text
from train_utils.launch import open_accelerator
from train_utils.loop import LoopConfig, Loss, train
from train_utils.loss import Batch, batch_loss
from train_utils.model import (
    add_item_tokens,
    add_lora,
    causal_of,
    load_backbone,
    mixed_precision,
    pick_device,
    save_adapter,
    save_memory,
    train_all,
)
from train_utils.param import TrainOptions
from train_utils.sharegpt import load_exchanges
from train_utils.teacher import RecordingTeacher, Teacher, open_teacher
from train_utils.validation import Validator

WINDOW_STEPS = 8


class SampleStream:
    """step -> micro-batches. Samples are made a window of steps at a time, one window ahead, in a thread.

    Within a window samples are sorted by length before they are cut into batches, so little is padding; the teacher
    is asked once a window. With `epochs` nothing is made behind the window of the last step.
    """

    def __init__(self, catalog: Catalog, chat: Chat, teacher: Teacher, exchanges: Sequence[Sequence[Message]],
                 config: SampleConfig, batch_size: int, accumulation: int, pad_id: int, device: torch.device,
                 epochs: int | None = None):
        self.catalog, self.chat, self.teacher, self.exchanges = catalog, chat, teacher, exchanges
        self.config, self.batch_size, self.accumulation = config, batch_size, accumulation
        self.pad_id, self.device = pad_id, device
        self.users = trainable_users(catalog)
        self.choices = Choices(chat.tree)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="samples")
        self._windows: dict[int, Future[list[list[Batch]]]] = {}
        self._n_windows = math.inf if epochs is None else math.ceil(self.steps(epochs) / WINDOW_STEPS)

    def close(self) -> None:
        """Begins no further window."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def steps(self, epochs: int) -> int:
        return math.ceil(len(self.users) * epochs / (self.batch_size * self.accumulation))

    def __call__(self, step: int) -> list[Batch]:
        window, offset = divmod(step, WINDOW_STEPS)
        for wanted in (window, window + 1):
            if wanted not in self._windows and wanted < self._n_windows:
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

    def ask_ahead(self) -> None:
        """Asks the teacher all that the `epochs` will ask it, a window at a time."""
        for window in tqdm(range(int(self._n_windows)), desc="teacher", unit="window", mininterval=5):
            self._answers([teacher_queries(plan, self.config) for plan in self.plans(self._numbers(window))])

    def samples(self, plans: Sequence[Plan]) -> list[Sample]:
        queries = [teacher_queries(plan, self.config) for plan in plans]
        answers = self._answers(queries)
        return [
            self.encode(plan, [answers[q] for q in group],
                        () if plan.exchange is None else self.exchanges[plan.exchange])
            for plan, group in zip(plans, queries, strict=True)
        ]

    def encode(self, plan: Plan, lists: Sequence[TeacherList], exchange: Sequence[Message]) -> Sample:
        return encode_sample(self.chat, self.choices, plan, lists, self.config, exchange)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        return collate(samples, self.pad_id)

    def _answers(self, queries: Sequence[Sequence[tuple[int, ...]]]) -> dict[tuple[int, ...], TeacherList]:
        """The teacher's answer to each history of the groups, from one bulk question."""
        unique = list(dict.fromkeys(query for group in queries for query in group))
        return dict(zip(unique, ask_teacher(self.teacher, self.catalog, unique, self.config), strict=True))

    def _numbers(self, window: int) -> range:
        """Numbers of the samples of a window."""
        size = WINDOW_STEPS * self.batch_size * self.accumulation
        return range(window * size, (window + 1) * size)

    def _make_window(self, window: int) -> list[list[Batch]]:
        samples = self.samples(self.plans(self._numbers(window)))
        samples.sort(key=lambda sample: len(sample.ids))
        starts = range(0, len(samples), self.batch_size)
        batches = [self.collate(samples[at:at + self.batch_size]) for at in starts]
        random.Random(f"{self.config.seed}/window/{window}").shuffle(batches)
        return [batches[at:at + self.accumulation] for at in range(0, len(batches), self.accumulation)]


def _to(batch: Batch, device: torch.device) -> Batch:
    return batch if device.type == "cpu" else Batch(**{n: v.to(device) for n, v in vars(batch).items()})


def cgen_loss(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """Scope-mask loss of RecLM-cgen for a causal model, with or without an adapter."""
    causal = causal_of(model)
    with mixed_precision(model):
        hidden = causal.base_model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).last_hidden_state
    return batch_loss(hidden, causal.get_output_embeddings(), batch)


def sample_config(options: TrainOptions) -> SampleConfig:
    names = SampleConfig.__dataclass_fields__
    return SampleConfig(**{name: getattr(options, name) for name in names})


@dataclass(frozen=True)
class Method:
    """What differs between the methods that one stage of fine-tuning trains.

    Attributes:
        stream: of the samples. loss: as the loop wants it.
        wrap: (model with an adapter, catalogue, options) -> what is trained.
        save: (what is trained, tokenizer, catalogue, folder, manifest, weights or None) -> writes an adapter's folder.
    """

    stream: type[SampleStream]
    loss: Callable[[TrainOptions], Loss]
    wrap: Callable[[nn.Module, Catalog, TrainOptions], nn.Module]
    save: Callable[..., None]


CGEN = Method(
    stream=SampleStream,
    loss=lambda options: cgen_loss,
    wrap=lambda model, catalog, options: model,
    save=lambda model, tokenizer, catalog, *rest: save_adapter(model, tokenizer, *rest),
)


def run_sft(options: TrainOptions, method: Method = CGEN) -> Path:
    """Trains an adapter and returns its folder `<output>/Epoch<n>_SFT`; goes on where an interrupted run was.

    Under `accelerate launch` every process calls it; the first one writes.

    Raises:
        ValueError: a missing dataset, backbone or teacher, a run of other settings in the folder, or a launch whose
            configuration is not what runs.
    """
    run = Path(options.output)
    adapter = run / f"Epoch{options.epoch:02d}_SFT"
    accelerator = open_accelerator(options.gpu, options.dtype, options.batch_size,
                                   options.gradient_accumulation_steps)
    made_from = manifest(asdict(options), [Path(options.data_path) / "metas.jsonl",
                                           Path(options.data_path) / "sequential.jsonl"])
    catalog = load_catalog(options.data_path)
    if accelerator.is_main_process:
        _claim(run, made_from, options.overwrite)
    accelerator.wait_for_everyone()
    if (adapter / "manifest.json").exists():
        return adapter
    with closing(open_teacher(options.teacher)) as teacher:
        _train_adapter(method, options, catalog, teacher, run, adapter, made_from, accelerator)
    return adapter


def _train_adapter(method: Method, options: TrainOptions, catalog: Catalog, teacher: Teacher, run: Path, adapter: Path,
                   made_from: dict, accelerator: Accelerator) -> None:
    """Backbone, samples, loop, and the adapter's folder."""
    device = accelerator.device if accelerator.num_processes > 1 else pick_device(options.gpu)
    model, chat = _model(options, catalog, device)
    model = method.wrap(model, catalog, options)
    exchanges = load_exchanges(options.share_chat_gpt, chat, options.max_segment) if options.share_chat_gpt else []
    pad_id = chat.tokenizer.pad_token_id if chat.tokenizer.pad_token_id is not None else chat.end_of_turn
    records = options.teacher_record and accelerator.is_main_process
    recording = RecordingTeacher(teacher, options.teacher_record) if records else None
    validator = Validator(catalog, chat, model, options, run, lambda folder: method.save(
        model, chat.tokenizer, catalog, folder, made_from), accelerator,
        getattr(model, "retrieval", None)) if options.val_users else None
    with closing(method.stream(catalog, chat, recording or teacher, exchanges, sample_config(options),
                               options.batch_size, options.gradient_accumulation_steps, pad_id, device,
                               options.epoch)) as stream:
        if recording:
            stream.ask_ahead()
            recording.save()
        loop = LoopConfig(stream.steps(options.epoch), options.lr, options.weight_decay, options.warmup_ratio,
                          options.lr_power, options.clip, options.save_seconds, options.epoch, options.seed,
                          options.tensorboard)
        workers = 1 if accelerator.num_processes > 1 else _workers(options, device)
        weights = train(model, method.loss(options), stream, loop, run, workers, accelerator, validator)
    if accelerator.is_main_process:
        method.save(model, chat.tokenizer, catalog, adapter, made_from, weights)
    accelerator.wait_for_everyone()


def _model(options: TrainOptions, catalog: Catalog, device: torch.device) -> tuple[nn.Module, Chat]:
    """The backbone with what is to be trained, the same in every process, and its chat."""
    tokenizer, model = load_backbone(options.backbone, device, options.dtype, options.FA2, options.peft == "qlora")
    if device.type == "cpu":
        # On short sequences the backward pass of PyTorch's fused attention costs a CPU more than the sums written out.
        model.set_attn_implementation("eager")
    torch.manual_seed(options.seed)
    add_item_tokens(tokenizer, model)
    chat = Chat(tokenizer, catalog.titles)
    if options.peft == "full":
        model = train_all(model)
    else:
        model = add_lora(model, [chat.soi, chat.eoi], options.SFT_actor_lora_r, options.SFT_actor_lora_a,
                         options.lora_dropout, options.lora_layers, options.peft == "dora")
    if options.gradient_checkpointing:
        save_memory(model)
    return model, chat


def _workers(options: TrainOptions, device: torch.device) -> int:
    """Micro-batches side by side: as many as there are cores, but one where the order of random draws matters."""
    alone = device.type != "cpu" or options.lora_dropout > 0
    return 1 if alone else min(options.gradient_accumulation_steps, len(os.sched_getaffinity(0)))


_NOT_OF_THE_RUN = ("save_seconds", "overwrite", "gpu", "teacher", "teacher_record", "merge_output", "tensorboard")


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
        # A run that ended before its first step, for a wrong flag, has nothing to lose.
        if not overwrite and any(run.glob("*/*")):
            raise ValueError(f"{run} holds a run with other {different}; give another --output, or --overwrite")
        shutil.rmtree(run)
    write_text(kept, json.dumps(made_from, indent=1))
