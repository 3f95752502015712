"""Supervised fine-tuning: from the options of a run to the folder of its adapter."""

import logging
import os
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from train_utils.catalog import Catalog, dataset_files, load_catalog
from train_utils.dataset_folder import dataset_name
from train_utils.files.atomic import exclusively
from train_utils.item_codes import uni_paths
from train_utils.manifest import manifest
from train_utils.models.backbone import model_files, unwrap, with_dtype
from train_utils.models.item_rows import CoupledRows
from train_utils.param.training import TrainOptions
from train_utils.processes import init_accelerator, pick_device
from train_utils.samples.plan import trainable_users
from train_utils.teacher.protocol import Teacher
from train_utils.training.loop import LoopConfig, train
from train_utils.training.method import CGEN, CODE_SEQUENCES, CODES, Method
from train_utils.training.run_folder import claim
from train_utils.training.run_samples import open_stream, sample_config, teacher_of, training_samples
from train_utils.training.trainable import load_trainable
from train_utils.training.validation import Validator

logger = logging.getLogger(__name__)


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
        loraplus_lr_ratio=options.loraplus_lr_ratio,
        **optimizer_of(options),
    )


def cgen_method(options: TrainOptions) -> Method:
    """Return the method that trains RecLM-cgen with the item form of the options."""
    if not options.has_codes:
        return CGEN
    return CODE_SEQUENCES if options.item_index == "rq_token_seq" else CODES


def check_options(options: TrainOptions, method: Method) -> None:
    """Reject what cannot be trained before anything is loaded.

    Raises:
        ValueError: a task is unknown, or options exclude each other.
    """
    sample_config(options)  # raises for a wrong task
    if options.sequences and not options.has_codes:
        raise ValueError("`sequences` trains on item tokens; give `item_index` token, or leave `sequences` out")
    if options.own_labels and options.item_index not in ("token", "token_title"):
        raise ValueError("`own_labels` needs one token per item; give `item_index` token, or leave `own_labels` out")
    if options.coupled_rows and (not options.has_codes or options.peft == "full"):
        raise ValueError(
            f"`coupled_rows` couples rows of item tokens that an adapter trains; `item_index` is "
            f"{options.item_index!r} and `peft` {options.peft!r}: give token and lora, or leave `coupled_rows` out"
        )
    if options.loraplus_lr_ratio != 1 and options.peft == "full":
        raise ValueError(
            f"`loraplus_lr_ratio` is {options.loraplus_lr_ratio}, and `peft` full trains no LoRA; give 1, or another "
            "`peft`"
        )
    if "SFTAlignment" in options.SFT_train_tasks and not options.has_codes:
        raise ValueError(
            "`SFT_train_tasks` has SFTAlignment, which says what item tokens mean; give `item_index` token, or leave "
            "the task out"
        )
    if options.own_labels and not options.sequences and not options.history_weight:
        raise ValueError(
            "`own_labels` are predictions after the history, and nothing trains those; give `sequences`, or "
            "`history_weight` above 0"
        )
    if method is not CGEN and options.has_codes:
        raise ValueError(
            f"`item_index` is {options.item_index!r}, and RecLM-ret finds items by vectors, not by tokens; leave it out"
        )
    if method is not CGEN and "SFTReading" in options.SFT_train_tasks:
        raise ValueError(
            "`SFT_train_tasks` has SFTReading, and RecLM-ret finds items by vectors: it cannot write them into a line; "
            "leave the task out"
        )


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
    check_options(options, method)
    if method is CGEN:
        method = cgen_method(options)
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
        coupled = CoupledRows(unwrap(model)) if options.coupled_rows else None
        weights = train(model, method.loss(options, chat), stream, loop, run, workers, accelerator, validator, coupled)
    if cut := getattr(samples, "cut", 0):
        logger.warning(
            "in %d samples the list, the candidates or the chat exchanges were shortened to fit `max_token_length` %d",
            cut,
            options.max_token_length,
        )
    if accelerator.is_main_process:
        method.save(model, chat, catalog, adapter, made_from, weights)
    accelerator.wait_for_everyone()


def optimizer_of(options: TrainOptions) -> dict[str, Any]:
    """Return the settings of the loop that depend on the item form: rows of codes are sparse and learn faster."""
    if not options.has_codes:
        return {"average": options.average}
    return {"average": options.average, "item_lr": options.item_lr, "beta2": 0.98, "eps": 1e-8}


def _workers(options: TrainOptions, device: torch.device) -> int:
    """Return the number of concurrent micro-batches: one per core, or 1 if the order of random draws matters."""
    sequential = device.type != "cpu" or options.lora_dropout > 0
    return 1 if sequential else min(options.gradient_accumulation_steps, len(os.sched_getaffinity(0)))
