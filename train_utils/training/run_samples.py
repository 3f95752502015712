"""Samples of a training run: drawn on the fly with a teacher, read from a file, or exported to one."""

import logging
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from train_utils.catalog import Catalog, load_catalog
from train_utils.files.atomic import writing_file
from train_utils.models.backbone import load_tokenizer, separates_packed, unwrap
from train_utils.param.training import TrainOptions
from train_utils.prompts.control_tokens import add_control_tokens
from train_utils.prompts.renderer import Chat
from train_utils.prompts.sharegpt import load_exchanges
from train_utils.samples.plan import SampleConfig
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.sequences import MixedSamples, SequenceSamples
from train_utils.samples.sources import DrawnSamples, Source
from train_utils.samples.static_file import StaticSamples, export_samples
from train_utils.samples.tasks import parse_tasks
from train_utils.teacher.open import checkpoint_of, open_teacher
from train_utils.teacher.protocol import Teacher
from train_utils.teacher.recorded import RecordedTeacher
from train_utils.training.method import Method

logger = logging.getLogger(__name__)


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
