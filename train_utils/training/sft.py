"""Supervised fine-tuning: samples made on the fly, the scope-mask loss of RecLM-cgen, the adapter's folder."""

import logging
import os
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from peft import PeftModel
from transformers import PreTrainedModel

from train_utils.catalog import Catalog, dataset_files, load_catalog
from train_utils.decoding.support import decoding_support
from train_utils.files import exclusively, writing_file
from train_utils.manifest import manifest
from train_utils.models.adapters import add_lora, enable_gradient_checkpointing, unfreeze
from train_utils.models.backbone import load_backbone, load_tokenizer, model_files, with_dtype
from train_utils.models.control_rows import add_item_tokens
from train_utils.param import TrainOptions
from train_utils.processes import init_accelerator, pick_device
from train_utils.prompts.control_tokens import add_control_tokens
from train_utils.prompts.renderer import Chat
from train_utils.prompts.sharegpt import load_exchanges
from train_utils.samples.plan import SampleConfig
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.sources import DrawnSamples, Source
from train_utils.samples.static_file import StaticSamples, export_samples
from train_utils.samples.tasks import parse_tasks
from train_utils.teacher.open import checkpoint_of, open_teacher
from train_utils.teacher.protocol import Teacher
from train_utils.teacher.recorded import RecordedTeacher
from train_utils.training.loop import LoopConfig, train
from train_utils.training.method import CGEN, Method
from train_utils.training.run_folder import claim
from train_utils.training.validation import Validator

logger = logging.getLogger(__name__)


def sample_config(options: TrainOptions) -> SampleConfig:
    names = SampleConfig.__dataclass_fields__.keys() - {"tasks"}
    return SampleConfig(parse_tasks(options.SFT_train_tasks), **{name: getattr(options, name) for name in names})


def open_samples(options: TrainOptions, catalog: Catalog, chat: Chat, teacher: Teacher | None) -> Source:
    """The conversations to train on: those of `--train_data_file`, or such as are made on the fly.

    Raises:
        ValueError: a missing or broken file, a task that cannot be fed, conversations that hold nothing that fits.
    """
    if teacher is None:
        return StaticSamples(options.train_data_file, catalog, chat, sample_config(options))
    return _drawn_samples(options, catalog, chat, teacher)


def _drawn_samples(options: TrainOptions, catalog: Catalog, chat: Chat, teacher: Teacher) -> DrawnSamples:
    config = sample_config(options)
    exchanges = load_exchanges(options.share_chat_gpt, chat, options.max_segment) if options.share_chat_gpt else []
    return DrawnSamples(catalog, chat, teacher, exchanges, config)


def run_sft(options: TrainOptions, method: Method = CGEN) -> Path:
    """Trains an adapter and returns its folder `<output>/Epoch<n>_SFT`; goes on where an interrupted run was.

    Under `accelerate launch` every process calls it; the first one writes.

    Raises:
        ValueError: a missing dataset, backbone or teacher, a run of other settings in the folder, or a launch whose
            configuration is not what runs.
    """
    sample_config(options)  # a wrong task is found before anything is loaded
    options = with_dtype(options)
    run = Path(options.output)
    adapter = run / f"Epoch{options.epoch:02d}_SFT"
    accelerator = init_accelerator(options.gpu, options.dtype, options.batch_size, options.gradient_accumulation_steps)
    made_from = manifest(asdict(options), _inputs(options))
    catalog = load_catalog(options.data_path)
    with exclusively(run) if accelerator.is_main_process else nullcontext():
        if accelerator.is_main_process:
            claim(run, made_from, options.overwrite)
        accelerator.wait_for_everyone()
        if (adapter / "manifest.json").exists():
            return adapter
        with teacher_of(options, accelerator.process_index) as teacher:
            _train_adapter(method, options, catalog, teacher, run, adapter, made_from, accelerator)
    return adapter


def _inputs(options: TrainOptions) -> list[Path]:
    """The files that a run is made of: of the dataset, the backbone, what is mixed in, and what it starts from."""
    named = dataset_files(options.data_path) + model_files(options.backbone)
    named += [Path(path) for path in (options.train_data_file or options.share_chat_gpt,) if path]
    if options.SFT_load:
        named += model_files(options.SFT_load)
    return [path for path in named if path.is_file()]


def run_export(options: TrainOptions) -> Path:
    """Writes the samples that a run with these options would train on to `--train_data_file`; returns it.

    Raises:
        ValueError: no file named, a missing dataset, backbone or teacher, a task that cannot be fed.
    """
    if not options.train_data_file:
        raise ValueError("--train_data_file is missing: the file to write, such as data/dataset/ml-100k/sft.json")
    sample_config(options)
    path, catalog = Path(options.train_data_file), load_catalog(options.data_path)
    tokenizer = load_tokenizer(options.backbone)
    add_control_tokens(tokenizer)
    chat = Chat(tokenizer, catalog.titles)
    with (
        writing_file(path, "--train_data_file", lambda found: isinstance(found, list)),
        closing(open_teacher(options.teacher)) as teacher,
    ):
        samples = _drawn_samples(replace(options, train_data_file=""), catalog, chat, teacher)
        export_samples(samples, options.epoch, path)
    return path


def teacher_of(options: TrainOptions, process: int) -> AbstractContextManager[Teacher | None]:
    """The teacher that completes the samples, its answers kept beside the run, so that one which goes on sees the
    lists that it saw before; none where the samples are complete."""
    if options.teacher_record and (options.train_data_file or options.teacher.startswith("file:")):
        raise ValueError("--teacher_record records what a teacher is asked, and this run asks none; leave it out")
    if options.train_data_file:
        return nullcontext()
    teacher = open_teacher(options.teacher)
    if isinstance(teacher, RecordedTeacher):
        return closing(teacher)
    path = Path(options.output) / f"teacher-{process}.sqlite"
    if options.teacher_record and process == 0:
        path = Path(options.teacher_record)
    try:
        return closing(RecordedTeacher(path, teacher, whose=checkpoint_of(teacher)))
    except BaseException:
        teacher.close()
        raise


def _train_adapter(
    method: Method,
    options: TrainOptions,
    catalog: Catalog,
    teacher: Teacher | None,
    run: Path,
    adapter: Path,
    made_from: dict,
    accelerator: Accelerator,
) -> None:
    """Backbone, samples, loop, and the adapter's folder."""
    device = accelerator.device if accelerator.num_processes > 1 else pick_device(options.gpu)
    backbone, chat = _model(options, catalog, device, method)
    model = method.wrap(backbone, catalog, options)
    pad_id = chat.tokenizer.pad_token_id if chat.tokenizer.pad_token_id is not None else chat.end_of_turn
    samples = open_samples(options, catalog, chat, teacher)
    validator = (
        Validator(
            catalog,
            chat,
            model,
            options,
            run,
            lambda folder: method.save(model, chat.tokenizer, catalog, folder, made_from),
            accelerator,
            getattr(model, "retrieval", None),
        )
        if options.val_users
        else None
    )
    with closing(
        SampleStream(
            samples,
            chat,
            method.encode,
            options.batch_size,
            options.gradient_accumulation_steps,
            pad_id,
            device,
            options.epoch,
            method.apart,
        )
    ) as stream:
        if options.teacher_record and accelerator.is_main_process:
            stream.ask_ahead()
        loop = LoopConfig(
            stream.steps(options.epoch),
            options.lr,
            options.weight_decay,
            options.warmup_ratio,
            options.lr_power,
            options.clip,
            options.save_seconds,
            options.epoch,
            options.seed,
            options.tensorboard,
        )
        workers = 1 if accelerator.num_processes > 1 else _workers(options, device)
        weights = train(model, method.loss(options), stream, loop, run, workers, accelerator, validator)
    if cut := getattr(samples, "cut", 0):
        logger.warning(
            "in %d samples the list, the candidates or the chat exchange were shortened to fit --max_token_length %d",
            cut,
            options.max_token_length,
        )
    if accelerator.is_main_process:
        method.save(model, chat.tokenizer, catalog, adapter, made_from, weights)
    accelerator.wait_for_everyone()


def _model(
    options: TrainOptions, catalog: Catalog, device: torch.device, method: Method
) -> tuple[PreTrainedModel | PeftModel, Chat]:
    """The backbone with what is to be trained, the same in every process, and its chat."""
    tokenizer, model = load_backbone(options.backbone, device, options.dtype, options.FA2, options.peft == "qlora")
    _check_decodable(model, options, method)
    if device.type == "cpu":
        # On short sequences the backward pass of PyTorch's fused attention costs a CPU more than the sums written out.
        model.set_attn_implementation("eager")
    torch.manual_seed(options.seed)
    add_item_tokens(tokenizer, model)
    chat = Chat(tokenizer, catalog.titles)
    trained: PreTrainedModel | PeftModel
    if options.peft == "full":
        trained = unfreeze(model)
    else:
        trained = add_lora(
            model,
            [chat.soi, chat.eoi],
            options.SFT_actor_lora_r,
            options.SFT_actor_lora_a,
            options.lora_dropout,
            options.lora_layers,
            options.peft == "dora",
        )
    if options.gradient_checkpointing:
        enable_gradient_checkpointing(trained)
    return trained, chat


def _check_decodable(model: PreTrainedModel, options: TrainOptions, method: Method) -> None:
    """Tells before the first step what would be in the way of testing and serving the model.

    Raises:
        ValueError: nothing decodes the model, or what is trained, or the validation, needs the engine, and that cannot
            read it.
    """
    support = decoding_support(model)
    problem = support.problem
    if support.undecodable:
        raise ValueError(f"{support.undecodable}; take another --backbone")
    if problem and method.needs_engine:
        raise ValueError(f"{problem}; RecLM-ret needs the engine: take another --backbone")
    if problem and options.val_users:
        raise ValueError(f"{problem}; validation during training needs the engine: give --val_users 0")
    if problem:
        logger.warning(
            "%s: it will be decoded by transformers' generate (task_test.py --engine hf), one token a pass, "
            "without --decoding best and rank",
            problem,
        )


def _workers(options: TrainOptions, device: torch.device) -> int:
    """Micro-batches side by side: as many as there are cores, but one where the order of random draws matters."""
    alone = device.type != "cpu" or options.lora_dropout > 0
    return 1 if alone else min(options.gradient_accumulation_steps, len(os.sched_getaffinity(0)))
