"""Retrieval head of RecLM-ret: projects the state that predicts `<SOI>` to a query for items (arXiv 2505.03336)."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from train_utils.catalog import Catalog
from train_utils.files import write_json

INNER = 2048  # width of the projection
# A separate folder, because loaders of a merged model read every .safetensors file next to the weights as weights.
FOLDER = "retrieval"


class Retrieval(nn.Module):
    """Projection of the model's states and table of the item vectors, in float32.

    Args:
        d_model: width of the model's states.
        vectors: float32 [items, d], initial item vectors.
        trains_items: whether the item vectors are trained.
    """

    def __init__(self, d_model: int, vectors: np.ndarray | torch.Tensor, trains_items: bool = True):
        super().__init__()
        self.items = nn.Parameter(torch.as_tensor(vectors, dtype=torch.float32).clone(), requires_grad=trains_items)
        self.projection = nn.Sequential(nn.Linear(d_model, INNER), nn.GELU(), nn.Linear(INNER, self.items.shape[1]))

    def queries(self, states: torch.Tensor) -> torch.Tensor:
        """Return the queries, float32 [n, d], of states [n, d_model]."""
        return self.projection(states.float())


# -- files -------------------------------------------------------------------------------------------------------------
def save_retrieval(weights: Mapping[str, torch.Tensor], catalog: Catalog, folder: Path) -> None:
    """Write `retrieval/` into the folder of an adapter or a model that is being written.

    Args:
        weights: weights of a `Retrieval` by name.
        catalog: catalog of the item vectors.
        folder: folder of the adapter or the model.
    """
    (folder / FOLDER).mkdir()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    save_file({"items": tensors.pop("items")}, folder / FOLDER / "item_vectors.safetensors")
    save_file(tensors, folder / FOLDER / "projection.safetensors")
    write_json(folder / FOLDER / "config.json", {"items": len(catalog.items), "ids_sha256": _ids_digest(catalog)})


def has_retrieval(folder: str | Path) -> bool:
    """Return whether the folder of an adapter or a model is of RecLM-ret."""
    return (Path(folder) / FOLDER / "config.json").is_file()


def load_retrieval(folder: str | Path, catalog: Catalog, device: torch.device | str = "cpu") -> Retrieval:
    """Load a retrieval head that `save_retrieval` wrote.

    Args:
        folder: folder of the adapter or the model.
        catalog: catalog of the item vectors.
        device: device of the result.

    Raises:
        ValueError: the item vectors are of another catalog, or the folder is damaged.
    """
    path = Path(folder) / FOLDER
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        if config["ids_sha256"] != _ids_digest(catalog):
            raise ValueError(
                f"{path} has vectors of the {config['items']} items of another catalog than "
                f"{catalog.name!r} with its {len(catalog.items)}; RecLM-ret knows only what it learned"
            )
        items = load_file(path / "item_vectors.safetensors")["items"]
        weights = load_file(path / "projection.safetensors")
        retrieval = Retrieval(weights["projection.0.weight"].shape[1], items)
        retrieval.load_state_dict({"items": items, **weights})
    except (SafetensorError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({str(error).splitlines()[0]}); train or merge again") from None
    return retrieval.to(device).eval().requires_grad_(False)


def _ids_digest(catalog: Catalog) -> str:
    return hashlib.sha256("\0".join(item.id for item in catalog.items).encode()).hexdigest()
