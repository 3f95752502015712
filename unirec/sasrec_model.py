"""The SASRec of the installed UniRec library: settings, checkpoint file, scores over the catalogue."""

import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import yaml
from unirec_files import write_atomic

try:
    from unirec.model.sequential.sasrec import SASRec
except (
    ImportError
) as error:  # without the library, `import unirec` finds this folder and fails one level down
    print(
        f"error: the UniRec library is missing or incomplete ({error}); "
        "install it with: pip install --no-deps -r requirements-unirec.txt",
        file=sys.stderr,
    )
    raise SystemExit(2) from error

CONFIG_FOLDER = Path(__file__).resolve().parent / "config"
CHECKPOINT_NAME = "SASRec.pth"
DONE_NAME = "done.json"


def default_config() -> dict[str, Any]:
    """config/base.yaml, then config/model/SASRec.yaml over it."""
    config: dict[str, Any] = {}
    for path in (CONFIG_FOLDER / "base.yaml", CONFIG_FOLDER / "model" / "SASRec.yaml"):
        config |= yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def build_model(config: dict[str, Any]) -> SASRec:
    """A SASRec with fresh weights; `config` in UniRec's keys, with n_users and n_items."""
    if config["model"] != "SASRec" or config["loss_type"] != "fullsoftmax":
        raise ValueError(
            f"this program runs model SASRec with loss_type fullsoftmax, got {config['model']} with "
            f"{config['loss_type']}; change the YAML"
        )
    return SASRec(config).to(config["device"])


def all_position_states(model: SASRec, inputs: torch.Tensor) -> torch.Tensor:
    """User state after each item of a window: int64 [batch, length] -> float [batch, length, hidden].

    The library's forward_user_emb returns the last position only; this is the same sum of its layers without
    that cut. The attention is causal, so every position is a prediction of its own.
    """
    embedded = model.item_embedding_for_user(inputs)
    if model.position_embedding is not None:
        embedded = embedded + model.position_embedding.weight[: inputs.size(1)]
    embedded = model.dropout(model.LayerNorm(embedded))
    mask = model._get_attention_mask(inputs)
    return model.trm_encoder(embedded, mask, output_all_encoded_layers=True)[-1]


def item_vectors(model: SASRec) -> torch.Tensor:
    """The vector of every item int: float32 [n_items, hidden]; a copy of the table, so ask once."""
    with torch.inference_mode():
        return model.forward_item_emb(torch.arange(model.n_items, device=model.item_embedding.weight.device))


def catalogue_scores(model: SASRec, vectors: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Score of every item int as the next one: int64 [batch, length] -> float32 [batch, n_items].

    `vectors` are the model's `item_vectors`; column 0 is the padding. The product is spelled out because the
    library's scorer reads equal numbers of users and items as pairs.
    """
    with torch.inference_mode():
        scores = model.forward_user_emb(item_seq=inputs) @ vectors.T
        if model.has_item_bias:
            scores = scores + model.item_bias
        return scores / model.tau


def save_torch(path: Path, content: dict[str, Any]) -> None:
    """torch.save, atomically."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomic(path, buffer.getvalue())


def load_torch(path: Path, device: str) -> dict[str, Any]:
    """torch.load of tensors and plain values only; ValueError for any other file."""
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is not a checkpoint of tensors and plain values: {str(error)[:200]}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a dictionary, got {type(content).__name__}")
    return content


def checkpoint_content(
    config: dict[str, Any], state: dict[str, torch.Tensor], epoch: int, score: float
) -> dict[str, Any]:
    """What UniRec's trainer puts into its .pth file; optimizer and scheduler may be None there as well."""
    return {
        "config": config,
        "cur_epoch": epoch,
        "cur_step": epoch,
        "best_valid_score": score,
        "state_dict": state,
        "optimizer": None,
        "scheduler": None,
    }


@dataclass(frozen=True)
class Checkpoint:
    model: SASRec
    config: dict[str, Any]
    path: Path


def load_checkpoint(path: Path, device: str = "cpu") -> Checkpoint:
    """A SASRec from a file in UniRec's layout, ready to score."""
    content = load_torch(path, device)
    if not isinstance(content.get("config"), dict) or not isinstance(content.get("state_dict"), dict):
        raise ValueError(
            f"{path} lacks UniRec's keys config and state_dict; train again with scripts/unirec_train.sh"
        )
    config = default_config() | content["config"] | {"device": device}
    try:
        model = build_model(config)
        model.load_state_dict(content["state_dict"])
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: weights and config do not fit together: {str(error)[:300]}") from error
    return Checkpoint(model.eval(), config, path)


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the newest finished run under `folder` (unirec/output/NAME), or None."""
    finished = sorted(folder.glob(f"*/{DONE_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    complete = [
        path.with_name(CHECKPOINT_NAME) for path in finished if path.with_name(CHECKPOINT_NAME).is_file()
    ]
    return complete[-1] if complete else None
