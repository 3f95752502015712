"""Supervised fine-tuning: samples drawn on the fly, the scope-mask loss of RecLM-cgen, the adapter's folder."""

import logging
import os
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from train_utils.catalog import Catalog, dataset_files, load_catalog
from train_utils.dataset_folder import dataset_name
from train_utils.decoding.support import decoding_support
from train_utils.files import exclusively, writing_file
from train_utils.item_codes import (
    ItemCodes,
    check_item_codes,
    has_item_codes,
    load_item_codes,
    load_uni_index,
    one_token_each,
    renamed,
    uni_paths,
)
from train_utils.manifest import manifest
from train_utils.models.adapters import add_lora, enable_gradient_checkpointing, unfreeze
from train_utils.models.backbone import (
    load_backbone,
    load_tokenizer,
    model_files,
    separates_packed,
    unwrap,
    with_dtype,
)
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.item_rows import add_item_rows
from train_utils.param.training import TrainOptions
from train_utils.processes import init_accelerator, pick_device
from train_utils.prompts.control_tokens import add_control_tokens
from train_utils.prompts.renderer import Chat
from train_utils.prompts.sharegpt import load_exchanges
from train_utils.samples.plan import SampleConfig, trainable_users
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.sequences import MixedSamples, SequenceSamples
from train_utils.samples.sources import DrawnSamples, Source
from train_utils.samples.static_file import StaticSamples, export_samples
from train_utils.samples.tasks import parse_tasks
from train_utils.teacher.open import checkpoint_of, open_teacher
from train_utils.teacher.protocol import Teacher
from train_utils.teacher.recorded import RecordedTeacher
from train_utils.training.loop import LoopConfig, train
from train_utils.training.method import CGEN, CODE_SEQUENCES, CODES, Method
from train_utils.training.run_folder import claim
from train_utils.training.validation import Validator

logger = logging.getLogger(__name__)
TITLES = ("title_t", "title")  # of `--item_index`: items have no codes


def sample_config(options: TrainOptions) -> SampleConfig:
    names = SampleConfig.__dataclass_fields__.keys() - {"tasks"}
    return SampleConfig(parse_tasks(options.SFT_train_tasks), **{name: getattr(options, name) for name in names})


def open_samples(options: TrainOptions, catalog: Catalog, chat: Chat, teacher: Teacher | None) -> Source:
    """Open the training conversations: those of `--train_data_file`, or conversations drawn on the fly.

    Raises:
        ValueError: a file is missing or broken, a task lacks its data, or no chat exchange fits.
    """
    if teacher is None:
        return StaticSamples(options.train_data_file, catalog, chat, sample_config(options))
    return _drawn_samples(options, catalog, chat, teacher)


def _drawn_samples(options: TrainOptions, catalog: Catalog, chat: Chat, teacher: Teacher) -> DrawnSamples:
    config = sample_config(options)
    exchanges = load_exchanges(options.share_chat_gpt, chat, options.max_segment) if options.share_chat_gpt else []
    return DrawnSamples(catalog, chat, teacher, exchanges, config)


def training_samples(options: TrainOptions, catalog: Catalog, chat: Chat, teacher: Teacher | None) -> Source:
    """Open the samples of a run: the training conversations and, with `--sequences`, windows of the histories.

    Raises:
        ValueError: see `open_samples` and `SequenceSamples`.
    """
    samples = open_samples(options, catalog, chat, teacher)
    if not options.sequences:
        return samples
    windows = SequenceSamples(catalog, chat, teacher, samples.config, options.max_sequence)
    n = options.conversations or samples.samples(1)
    return MixedSamples(samples, n, windows, options.text_weight)


def open_stream(
    options: TrainOptions, samples: Source, chat: Chat, method: Method, model: nn.Module, device: torch.device
) -> SampleStream:
    """Return the micro-batches of a run by step.

    With `--sequences` samples are packed, unless the model reads on from one sample to the next.

    Raises:
        ValueError: a sample cannot fit `--max_token_length`.
    """
    packed = options.sequences and separates_packed(unwrap(model))
    if options.sequences and not packed:
        logger.warning("the model does not keep packed samples apart: they are padded, which takes longer")
    pad_id = chat.tokenizer.pad_token_id if chat.tokenizer.pad_token_id is not None else chat.end_of_turn
    return SampleStream(
        samples,
        chat,
        method.encode,
        options.batch_size,
        options.gradient_accumulation_steps,
        pad_id,
        device,
        options.epochs_begun,
        method.apart,
        packed=packed,
    )


def loop_config(options: TrainOptions, steps: int) -> LoopConfig:
    """Return the configuration of the training loop for a run of `steps` optimizer steps."""
    return LoopConfig(
        steps,
        options.lr,
        options.weight_decay,
        options.warmup_ratio,
        options.lr_power,
        options.clip,
        options.save_seconds,
        options.epoch,
        options.seed,
        options.tensorboard,
        **optimizer_of(options),
    )


def cgen_method(options: TrainOptions) -> Method:
    """Return the method that trains RecLM-cgen with the item form of the options."""
    if options.item_index in TITLES:
        return CGEN
    return CODE_SEQUENCES if options.item_index == "rq_token_seq" else CODES


def run_sft(options: TrainOptions, method: Method = CGEN) -> Path:
    """Train an adapter, resuming an interrupted run.

    Under `accelerate launch` every process must call this function; the first process writes.

    Args:
        options: options of the run.
        method: RecLM-cgen or RecLM-ret.

    Returns:
        The adapter's folder, `<output>/Epoch<n>_SFT`.

    Raises:
        ValueError: the dataset, backbone or teacher is missing, the folder holds a run with other settings, or the
            launched processes differ from the launch configuration.
    """
    sample_config(options)  # reject a wrong task before loading anything
    if options.sequences and options.item_index in TITLES:
        raise ValueError("`sequences` trains on item tokens; give `item_index` token, or leave `sequences` out")
    if options.own_labels and options.item_index not in ("token", "token_title"):
        raise ValueError("`own_labels` needs one token per item; give `item_index` token, or leave `own_labels` out")
    if "SFTAlignment" in options.SFT_train_tasks and options.item_index in TITLES:
        raise ValueError(
            "`SFT_train_tasks` has SFTAlignment, which says what item tokens mean; give `item_index` token, or leave "
            "the task out"
        )
    if options.own_labels and not options.sequences and not options.history_weight:
        raise ValueError(
            "`own_labels` are predictions after the history, and nothing trains those; give `sequences`, or "
            "`history_weight` above 0"
        )
    if method is CGEN:
        method = cgen_method(options)
    elif options.item_index not in TITLES:
        raise ValueError(
            f"`item_index` is {options.item_index!r}, and RecLM-ret finds items by vectors, not by tokens; leave it out"
        )
    elif "SFTReading" in options.SFT_train_tasks:
        raise ValueError(
            "`SFT_train_tasks` has SFTReading, and RecLM-ret finds items by vectors: it cannot write them into a line; "
            "leave the task out"
        )
    options = with_dtype(options)
    run = Path(options.output)
    adapter = run / f"Epoch{options.epochs_begun:02d}_SFT"
    accelerator = init_accelerator(options.gpu, options.dtype, options.batch_size, options.gradient_accumulation_steps)
    made_from = manifest(asdict(options), _inputs(options))
    catalog = load_catalog(options.data_path)
    if not options.train_data_file:
        trainable_users(catalog)  # raises where there is none, before the model is loaded
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
    """Return the input files of a run: dataset, backbone, training file or chat exchanges, and the initial adapter."""
    named = dataset_files(options.data_path) + model_files(options.backbone)
    named += [Path(path) for path in (options.train_data_file or options.share_chat_gpt,) if path]
    if options.item_index == "rq_token_seq":
        named += uni_paths(options.data_path, dataset_name(options.data_path))
    if options.SFT_load:
        named += model_files(options.SFT_load)
    return [path for path in named if path.is_file()]


def run_export(options: TrainOptions) -> Path:
    """Write the samples that a run with these options would train on to `--train_data_file`, and return its path.

    Raises:
        ValueError: `--train_data_file` is empty, the dataset, backbone or teacher is missing, or a task lacks its data.
    """
    if not options.train_data_file:
        raise ValueError("`train_data_file` is missing: the file to write, such as data/dataset/ml-100k/sft.json")
    if options.epoch != options.epochs_begun:
        raise ValueError(f"`epoch` is {options.epoch}, and a file has whole epochs; give {options.epochs_begun}")
    sample_config(options)
    path, catalog = Path(options.train_data_file), load_catalog(options.data_path)
    tokenizer = load_tokenizer(options.backbone, options.trust_remote_code)
    add_control_tokens(tokenizer)
    chat = Chat(tokenizer, catalog.titles)
    with (
        writing_file(path, "train_data_file", lambda contents: isinstance(contents, list)),
        closing(open_teacher(options.teacher)) as teacher,
    ):
        samples = _drawn_samples(replace(options, train_data_file=""), catalog, chat, teacher)
        export_samples(samples, options.epochs_begun, path)
    return path


def teacher_of(options: TrainOptions, process: int) -> AbstractContextManager[Teacher | None]:
    """Open the teacher that completes the samples; None if a file holds complete samples.

    The answers are recorded in the run's folder, so that a resumed run sees the same lists again.

    Raises:
        ValueError: `--teacher_record` is given, but the run queries no teacher.
    """
    if options.teacher_record and (options.train_data_file or options.teacher.startswith("file:")):
        raise ValueError("`teacher_record` records what a teacher is asked, and this run asks none; leave it out")
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
    """Load the backbone, open the samples, run the loop and write the adapter's folder."""
    device = accelerator.device if accelerator.num_processes > 1 else pick_device(options.gpu)
    backbone, chat = load_trainable(options, catalog, device, method)
    model = method.wrap(backbone, catalog, options)
    samples = training_samples(options, catalog, chat, teacher)
    made_from = {**made_from, "tasks": samples.tasks()}
    if "SFTReading" in made_from["tasks"]:
        unwrap(model).config.reads_messages = True  # saved with a whole model; an adapter has its manifest
    validator = (
        Validator(
            catalog,
            chat,
            model,
            options,
            run,
            lambda folder: method.save(model, chat, catalog, folder, made_from),
            accelerator,
            getattr(model, "retrieval", None),
        )
        if options.val_users
        else None
    )
    with closing(open_stream(options, samples, chat, method, model, device)) as stream:
        if options.teacher_record and accelerator.is_main_process:
            stream.ask_ahead()
        loop = loop_config(options, stream.steps(options.epoch))
        workers = 1 if accelerator.num_processes > 1 else _workers(options, device)
        weights = train(model, method.loss(options, chat), stream, loop, run, workers, accelerator, validator)
    if cut := getattr(samples, "cut", 0):
        logger.warning(
            "in %d samples the list, the candidates or the chat exchanges were shortened to fit `max_token_length` %d",
            cut,
            options.max_token_length,
        )
    if accelerator.is_main_process:
        method.save(model, chat, catalog, adapter, made_from, weights)
    accelerator.wait_for_everyone()


def load_trainable(
    options: TrainOptions, catalog: Catalog, device: torch.device, method: Method
) -> tuple[PreTrainedModel | PeftModel, Chat]:
    """Load the backbone with its trainable weights, equal in every process, and its chat renderer.

    Raises:
        ValueError: the backbone cannot be loaded, decoded or adapted.
    """
    tokenizer, model = load_backbone(
        options.backbone,
        device,
        options.dtype,
        options.FA2,
        options.peft == "qlora",
        options.trust_remote_code,
    )
    _check_decodable(model, options, method)
    if device.type == "cpu":
        # On a CPU and short sequences, the backward pass of PyTorch's fused attention is slower than eager attention.
        model.set_attn_implementation("eager")
    torch.manual_seed(options.seed)
    add_item_tokens(tokenizer, model)
    check_item_codes(getattr(model.config, "item_form", None), options.backbone)
    codes = item_codes_of(options, catalog, tokenizer)
    if codes is not None and options.sequences:
        codes = replace(codes, sequences=True)
    if codes is not None and not has_item_codes(options.backbone):
        add_item_rows(tokenizer, model, codes, catalog.titles, catalog.training_sequences())
    chat = Chat(tokenizer, catalog.titles, codes=codes)
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
            chat.item_tokens,
        )
    if options.gradient_checkpointing:
        enable_gradient_checkpointing(trained)
    return trained, chat


def item_codes_of(options: TrainOptions, catalog: Catalog, tokenizer) -> ItemCodes | None:
    """Return the item codes of `--item_index`; None where items are spelled by their titles.

    A backbone that was trained with item codes keeps them, so that its training can continue.

    Raises:
        ValueError: the dataset has no codes of this form, or the backbone has codes of another form or catalog.
    """
    if has_item_codes(options.backbone):
        codes = load_item_codes(options.backbone, catalog)
        if codes is None or codes.form != options.item_index:
            raise ValueError(
                f"`backbone` {options.backbone!r} has items of the form {codes and codes.form!r}, and `item_index` is "
                f"{options.item_index!r}; give that form, or another backbone"
            )
        return codes
    if options.item_index in TITLES:
        return None
    if options.item_index == "rq_token_seq":
        return renamed(load_uni_index(options.data_path, catalog), tokenizer.get_vocab())
    return one_token_each((item.id for item in catalog.items), tokenizer.get_vocab(), options.item_index)


def optimizer_of(options: TrainOptions) -> dict[str, Any]:
    """Return the settings of the loop that depend on the item form: rows of codes are sparse and learn faster."""
    if options.item_index in TITLES:
        return {"average": options.average}
    return {"average": options.average, "item_lr": options.item_lr, "beta2": 0.98, "eps": 1e-8}


def _check_decodable(model: PreTrainedModel, options: TrainOptions, method: Method) -> None:
    """Verify before the first step that the trained model can be tested and served.

    Raises:
        ValueError: the model cannot be decoded, or the engine does not support it and the method or the validation
            needs the engine.
    """
    support = decoding_support(model)
    problem = support.problem
    if support.undecodable:
        raise ValueError(f"{support.undecodable}; take another `backbone`")
    if problem and method.needs_engine:
        raise ValueError(f"{problem}; RecLM-ret needs the engine: take another `backbone`")
    if problem and options.val_users:
        raise ValueError(f"{problem}; validation during training needs the engine: give `val_users` 0")
    if problem:
        logger.warning(
            "%s: it will be decoded by transformers' generate (task_test.py --engine hf), one token per pass, "
            "without --decoding best and rank",
            problem,
        )


def _workers(options: TrainOptions, device: torch.device) -> int:
    """Return the number of concurrent micro-batches: one per core, or 1 if the order of random draws matters."""
    sequential = device.type != "cpu" or options.lora_dropout > 0
    return 1 if sequential else min(options.gradient_accumulation_steps, len(os.sched_getaffinity(0)))
