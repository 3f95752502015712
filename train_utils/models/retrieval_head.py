"""Retrieval head of RecLM-ret: projects the state that predicts `<SOI>` to a query for items (arXiv 2505.03336)."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from train_utils.catalog import Catalog
from train_utils.files.atomic import write_json
from train_utils.model_folder import as_value_error, check_model_folder, json_object

INNER = 2048  # width of the projection
# A separate folder, because loaders of a merged model read every .safetensors file next to the weights as weights.
FOLDER = "retrieval"
_CONFIG, _VECTORS, _PROJECTION = FILES = ("config.json", "item_vectors.safetensors", "projection.safetensors")


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
    save_file({"items": tensors.pop("items")}, folder / FOLDER / _VECTORS)
    save_file(tensors, folder / FOLDER / _PROJECTION)
    write_json(folder / FOLDER / _CONFIG, {"items": len(catalog.items), "ids_sha256": _ids_digest(catalog)})


def has_retrieval(folder: str | Path) -> bool:
    """Return whether the folder of an adapter or a model is of RecLM-ret."""
    return (Path(folder) / FOLDER / _CONFIG).is_file()


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
    check_model_folder(folder)  # no pipe in the place of a file
    config = json_object(path / _CONFIG)
    if config.get("ids_sha256") != _ids_digest(catalog):
        raise ValueError(
            f"{path} has vectors of the {str(config.get('items'))[:80]} items of another catalog than "
            f"{catalog.name!r} with its {len(catalog.items)}; RecLM-ret knows only what it learned"
        )
    with as_value_error(f"{path} is damaged; train or merge again"):
        items = load_file(path / _VECTORS)["items"]
        weights = load_file(path / _PROJECTION)
        first, last = (weights[f"projection.{layer}.weight"] for layer in (0, 2))
        # A matrix without values has no data, whatever it says of its size.
        sizes = (items.dim(), len(items), first.dim(), len(first), last.shape)
        if sizes != (2, len(catalog.items), 2, INNER, (items.shape[-1], INNER)) or not items.numel():
            raise ValueError(f"its tensors have the shapes {[tuple(part.shape) for part in (items, first, last)]}")
        retrieval = Retrieval(first.shape[1], items)
        retrieval.load_state_dict({"items": items, **weights})
    return retrieval.to(device).eval().requires_grad_(False)


def _ids_digest(catalog: Catalog) -> str:
    return hashlib.sha256("\0".join(item.id for item in catalog.items).encode()).hexdigest()
