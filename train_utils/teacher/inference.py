"""A UniRec model in use: the newest run of a folder, scores of the next item.

The server and `LocalTeacher` both score by this module, so that they give the same answers. Importing it does not
import the UniRec library.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from train_utils.teacher.checkpoint import Checkpoint, as_teacher_error, library_class
from train_utils.teacher.protocol import TeacherError
from train_utils.teacher.ranking import Catalog, Row, with_popularity

if TYPE_CHECKING:
    from unirec.model.sequential.sasrec import SASRec
    from unirec.model.sequential.seqrec_base import SeqRecBase as SequentialModel

DONE_NAME = "done.json"  # a run folder holds it once its training is finished
# The model always runs on this many rows, the rest padding: equal shapes take equal arithmetic, so a
# history gets the same scores, bit for bit, alone and in any batch. 16 rows are quick for one history and
# not much slower a row than 256; on a GPU a call costs the same for either.
CPU_BLOCK_ROWS, GPU_BLOCK_ROWS = 16, 256


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint of the newest finished run: `folder` itself or one below it; None if no run is finished."""
    finished = [done for done in (folder / DONE_NAME, *folder.glob(f"*/{DONE_NAME}")) if done.is_file()]
    finished.sort(key=lambda done: (done.stat().st_mtime_ns, done))
    complete = [path for done in finished for path in sorted(done.parent.glob("*.pth"))]
    return complete[-1] if complete else None


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


def checked_vectors(loaded: Checkpoint) -> torch.Tensor:
    """Return the `item_vectors` of a loaded model, after a pass that shows that it can score.

    Raises:
        TeacherError: weights and settings do not fit together, or a score is infinite or NaN.
    """
    with as_teacher_error(loaded.path):
        vectors = item_vectors(loaded.model)
        inputs = torch.from_numpy(input_block([Row((1,))], loaded.config["max_seq_len"])).to(vectors.device)
        _check_finite(next_item_scores(loaded.model, vectors, inputs))
    return vectors


def _check_finite(scores: torch.Tensor) -> torch.Tensor:
    if not torch.isfinite(scores).all():
        raise TeacherError("the teacher's scores are not finite; train it again with scripts/unirec_train.sh NAME")
    return scores


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

    def finite_scores(self, rows: Sequence[Row]) -> torch.Tensor:
        """`scores`; TeacherError where a damaged weight makes one infinite or NaN."""
        return _check_finite(self.scores(rows))
