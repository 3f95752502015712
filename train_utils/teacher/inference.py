"""A UniRec model in use: which models and settings are supported, checkpoint files, scores of the next item.

The server and `LocalTeacher` both score by this module, so that they give the same answers. Importing it does not
import the UniRec library.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F

from train_utils.teacher.protocol import TeacherError
from train_utils.teacher.ranking import Catalog, Row, with_popularity

if TYPE_CHECKING:
    from unirec.model.sequential.sasrec import SASRec
    from unirec.model.sequential.seqrec_base import SeqRecBase as SequentialModel

DONE_NAME = "done.json"  # a run folder holds it once its training is finished
MODELS = ("SASRec", "GRU4Rec", "AvgHist", "AttHist", "ConvFormer", "FASTConvFormer")
# What a history alone cannot give, what reads further files, or what evaluates text of a checkpoint as Python.
REFUSED_SETTINGS = ("has_user_emb", "has_user_bias", "use_features", "use_text_emb", "use_pre_item_emb", "time_seq")
# A damaged or hostile file fails in many ways, in torch and in the library's constructors.
_BROKEN = (
    UnpicklingError,
    BadZipFile,
    EOFError,
    RuntimeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    MemoryError,
    struct.error,
)

# The model always runs on this many rows, the rest padding: equal shapes take equal arithmetic, so a
# history gets the same scores, bit for bit, alone and in any batch. 16 rows are quick for one history and
# not much slower a row than 256; on a GPU a call costs the same for either.
CPU_BLOCK_ROWS, GPU_BLOCK_ROWS = 16, 256


@cache
def library_class(name: str) -> "type[SequentialModel]":
    """Return the class of the UniRec library for one of MODELS; ImportError where the library is not installed."""
    return getattr(import_module(f"unirec.model.sequential.{name.lower()}"), name)


def check_settings(config: Mapping[str, Any]) -> None:
    """Raise TeacherError unless `config`, in UniRec's keys, is of a model that scores from item ids alone."""
    if config.get("model") not in MODELS:
        raise TeacherError(f"model is {config.get('model')!r}, wanted one of {', '.join(MODELS)}")
    if config.get("distance_type") != "dot":
        raise TeacherError(f"distance_type is {config.get('distance_type')!r}, wanted dot")
    for name in REFUSED_SETTINGS:
        if config.get(name):
            raise TeacherError(f"{name} is {config[name]!r}, wanted off: a teacher sees item ids only")


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of the newest finished run: `folder` itself or one below it; None if no run is finished."""
    finished = [done for done in (folder / DONE_NAME, *folder.glob(f"*/{DONE_NAME}")) if done.is_file()]
    finished.sort(key=lambda done: (done.stat().st_mtime_ns, done))
    complete = [path for done in finished for path in sorted(done.parent.glob("*.pth"))]
    return complete[-1] if complete else None


def load_torch(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Load a file of tensors and plain values; nothing in the file is run.

    Raises:
        TeacherError: the file is damaged, or holds anything else.
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        try:
            content = torch.load(file, map_location=device, weights_only=True)
        except (*_BROKEN, OSError) as error:  # a damaged file makes torch seek to positions before its start
            raise TeacherError(f"{path} is not a checkpoint of tensors and plain values: {_one_line(error)}") from None
    if not isinstance(content, dict):
        raise TeacherError(f"{path} must hold a dictionary, got {type(content).__name__}")
    return content


def load_checkpoint_content(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Load a file in UniRec's layout; as `load_torch`, and TeacherError unless it has config and state_dict."""
    content = load_torch(path, device)
    if not isinstance(content.get("config"), dict) or not isinstance(content.get("state_dict"), dict):
        raise TeacherError(
            f"{path} lacks UniRec's keys config and state_dict; train again with scripts/unirec_train.sh"
        )
    return content


@contextmanager
def checkpoint_errors(path: Path) -> Iterator[None]:
    """Turn whatever building a model from the file raises into a TeacherError of one line that names the file."""
    try:
        yield
    except TeacherError as error:
        raise TeacherError(f"{path}: {error}") from None
    except _BROKEN as error:
        raise TeacherError(f"{path}: weights and config do not fit together: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    """Type and text of an error, the text cut to 200 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def item_vectors(model: "SequentialModel") -> torch.Tensor:
    """Return the vector of every item int: float32 [n_items, hidden]; a copy of the table, so ask once."""
    with torch.inference_mode():
        return model.forward_item_emb(torch.arange(model.n_items, device=model.item_embedding.weight.device))


def last_state(model: "SequentialModel", inputs: torch.Tensor) -> torch.Tensor:
    """User state after the last item of each window: int64 [batch, length] -> float [batch, hidden]."""
    return model.forward_user_emb(item_seq=inputs, item_seq_len=(inputs > 0).sum(1))


def sasrec_last_state(model: "SASRec", inputs: torch.Tensor) -> torch.Tensor:
    """User state after the last item of each window: int64 [batch, length] -> float [batch, hidden].

    What the library's forward_user_emb returns, up to rounding, in two thirds of the time: the last layer
    works on the last position alone, and attention is one fused call. The model must be in eval mode.
    """
    states = model.item_embedding_for_user(inputs)
    if model.position_embedding is not None:
        states = states + model.position_embedding.weight[: inputs.size(1)]
    states = model.LayerNorm(states)
    mask = model._get_attention_mask(inputs)
    layers = model.trm_encoder.layer
    for number, layer in enumerate(layers, 1):
        attention = layer.multi_head_attention
        asking = states if number < len(layers) else states[:, -1:]
        query, key, value = (
            attention.transpose_for_scores(part)
            for part in (attention.query(asking), attention.key(states), attention.value(states))
        )
        context = F.scaled_dot_product_attention(query, key, value, mask[..., -asking.size(1) :, :])
        states = attention.LayerNorm(attention.dense(context.transpose(1, 2).flatten(2)) + asking)
        states = layer.feed_forward(states)
    return states[:, -1]


def item_scores(model: "SequentialModel", states: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Score of every item int for user states: float [batch, hidden] -> float [batch, n_items].

    `vectors` are the model's `item_vectors`; column 0 is the padding. The product is spelled out because the
    library's scorer reads equal numbers of users and items as pairs.
    """
    scores = states @ vectors.T
    if model.has_item_bias:
        scores = scores + model.item_bias
    return scores / model.tau


def next_item_scores(model: "SequentialModel", vectors: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Score of every item int as the next one: int64 [batch, length] -> float32 [batch, n_items]."""
    with torch.inference_mode():
        state = sasrec_last_state if isinstance(model, library_class("SASRec")) else last_state
        return item_scores(model, state(model, inputs), vectors)


def input_block(rows: Sequence[Row], length: int) -> np.ndarray:
    """Return the last `length` items of each row's history, left-padded with 0: int64 [rows, length]."""
    block = np.zeros((len(rows), length), np.int64)
    for padded, row in zip(block, rows, strict=True):
        recent = row.history[-length:]
        if recent:
            padded[-len(recent) :] = recent
    return block


@dataclass(frozen=True)
class NextItemModel:
    """A UniRec model with its catalog, ready to rank. Its methods only read, but call them from one thread at a time.

    Attributes:
        model: in eval mode; item ints are rows of its tables, 0 is the padding.
        vectors: the model's `item_vectors`.
        max_seq_len: how many of a history's last items the model reads.
        catalog: raw ids, categories and popularity of the items.
    """

    model: "SequentialModel"
    vectors: torch.Tensor
    max_seq_len: int
    catalog: Catalog

    def __post_init__(self) -> None:
        # torch.matmul takes another kernel, which rounds otherwise, where no operand requires a gradient.
        self.model.requires_grad_(True)

    def scores(self, rows: Sequence[Row]) -> torch.Tensor:
        """Score of every item int: float32 [rows, n_items]; log popularity where the history is empty."""
        inputs = input_block(rows, self.max_seq_len)
        device = self.vectors.device
        block_rows = CPU_BLOCK_ROWS if device.type == "cpu" else GPU_BLOCK_ROWS
        padding = np.zeros((-len(inputs) % block_rows, inputs.shape[1]), np.int64)
        blocks = torch.from_numpy(np.concatenate([inputs, padding])).to(device).split(block_rows)
        scored = torch.cat([next_item_scores(self.model, self.vectors, block) for block in blocks])
        return with_popularity(scored[: len(rows)], rows, self.catalog)
