"""The sequential models of the installed UniRec library: settings, checkpoint file, states and scores."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from train_utils.files.atomic import write_bytes
from train_utils.teacher import checkpoint
from train_utils.teacher.checkpoint import MODELS, Checkpoint, check_settings, library_class
from train_utils.teacher.inference import item_scores, last_state

try:
    from unirec.model.sequential.gru4rec import GRU4Rec
    from unirec.model.sequential.sasrec import SASRec
    from unirec.model.sequential.seqrec_base import SeqRecBase as SequentialModel
except ImportError as error:  # without the library, `import unirec` finds this folder and fails one level down
    print(
        f"error: the UniRec library is missing or incomplete ({error}); "
        "install it with: pip install --no-deps -r requirements-unirec.txt",
        file=sys.stderr,
    )
    raise SystemExit(2) from error

CONFIG_FOLDER = Path(__file__).resolve().parent / "config"
LOSSES = ("fullsoftmax", "softmax")


def default_config(model: str = "SASRec") -> dict[str, Any]:
    """config/base.yaml, then config/model/MODEL.yaml over it."""
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, got {model}")
    config: dict[str, Any] = {}
    for path in (CONFIG_FOLDER / "base.yaml", CONFIG_FOLDER / "model" / f"{model}.yaml"):
        config |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return config | {"model": model}


def build_model(config: dict[str, Any]) -> SequentialModel:
    """Return a model with fresh weights; `config` in UniRec's keys, with n_users and n_items."""
    check_settings(config)
    model = library_class(config["model"])(config).to(config["device"])
    model.max_seq_len = config["max_seq_len"]  # some of the library's classes do not keep it
    return model


def predicts_everywhere(model: SequentialModel) -> bool:
    """Whether one pass gives a state after every item of a window, not only after the last."""
    return isinstance(model, SASRec | GRU4Rec)


def user_states(model: SequentialModel, inputs: torch.Tensor) -> torch.Tensor:
    """User state after the last items of a window: int64 [batch, length] -> float [batch, positions, hidden].

    positions is `length` where `predicts_everywhere`, else 1. The library's forward_user_emb returns the last
    position only; for SASRec and GRU4Rec, which never look ahead, this is the same sum of its layers without
    that cut, so that every position is a prediction of its own.
    """
    if isinstance(model, SASRec):
        embedded = model.item_embedding_for_user(inputs)
        if model.position_embedding is not None:
            embedded = embedded + model.position_embedding.weight[: inputs.size(1)]
        embedded = model.dropout(model.LayerNorm(embedded))
        mask = model._get_attention_mask(inputs)
        return model.trm_encoder(embedded, mask, output_all_encoded_layers=True)[-1]
    if isinstance(model, GRU4Rec):
        embedded = model.emb_dropout(model.item_embedding_for_user(inputs))
        return model.dense(model.gru_layers(embedded)[0])
    return last_state(model, inputs)[:, None]


def item_logits(
    model: SequentialModel, states: torch.Tensor, items: torch.Tensor | None = None, paired: bool = False
) -> torch.Tensor:
    """Scores of items for user states [n, hidden], with their gradients: float [n, m].

    items: int64 [m], all of the catalog where None. paired: item i for state i only, float [n].
    """
    table = model.item_embedding.weight if items is None else model.item_embedding(items)
    scores = (states * table).sum(1) if paired else states @ table.T
    if model.has_item_bias:
        scores = scores + (model.item_bias if items is None else model.item_bias[items])
    return scores / model.tau


def catalog_scores(model: SequentialModel, vectors: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Score of every item int as the next one: int64 [batch, length] -> float32 [batch, n_items].

    By the library's own forward pass, as training evaluates; `next_item_scores` serves, and differs by rounding.
    """
    with torch.inference_mode():
        return item_scores(model, last_state(model, inputs), vectors)


def save_torch(path: Path, content: dict[str, Any]) -> None:
    """torch.save, atomically."""
    # Through memory: into a file torch writes the file's name, and equal runs would give unequal files.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def checkpoint_content(
    config: dict[str, Any],
    state: dict[str, torch.Tensor],
    epoch: int,
    score: float,
    raw_ids: tuple[str, ...],
    popularity: np.ndarray,
) -> dict[str, Any]:
    """Return what UniRec's trainer puts into its .pth file; optimizer and scheduler may be None there as well.

    raw_ids (raw id of each item int) and popularity (training events, int64 [n_items]) are ours: with them the
    file is a teacher by itself.
    """
    return {
        "config": config,
        "cur_epoch": epoch,
        "cur_step": epoch,
        "best_valid_score": score,
        "state_dict": state,
        "optimizer": None,
        "scheduler": None,
        "raw_ids": list(raw_ids),
        "popularity": torch.from_numpy(popularity),
    }


def load_checkpoint(path: Path, device: str = "cpu") -> Checkpoint:
    """Return a model from a file in UniRec's layout, ours or UniRec's own; UniRec's may lack some of our settings."""
    return checkpoint.load_checkpoint(path, device, default_config)


def checkpoint_path(run: Path, model: str) -> Path:
    """Where a run keeps its best weights: MODEL.pth, as UniRec names it after the experiment."""
    return run / f"{model}.pth"
