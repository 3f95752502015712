"""Item vectors: encoded once by sentence-transformers and saved as `.npy`, next to a JSON file with their recipe."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from train_utils.catalog import Catalog, Item
from train_utils.files.array_files import load_npy
from train_utils.files.atomic import digest, replacing, write_json
from train_utils.files.json_files import read_json
from train_utils.model_folder import as_value_error
from train_utils.models.encoder_folder import check_encoder
from train_utils.models.size_limit import limited_by

FILE_NAME = "item_vectors.npy"
TEMPLATE = "{title}\ncategory: {categories}\n{attribute}: {value}\n{description}"
_BATCH = 64
_PLAIN = (str, int, float)

Encoder = Callable[[Sequence[str]], np.ndarray]


def item_text(item: Item) -> str:
    """Return the text of an item by `TEMPLATE`.

    Each attribute that is a text or a number gets a line; empty values get none.
    """
    attributes = [
        (name, value)
        for name, value in item.attributes.items()
        if isinstance(value, _PLAIN) and not isinstance(value, bool)
    ]
    named = [("category", ", ".join(item.categories)), *attributes]
    lines = [item.title, *(f"{name}: {value}" for name, value in named if str(value).strip()), item.description]
    return "\n".join(line for line in lines if line.strip())


def item_vectors(
    catalog: Catalog,
    path: str | Path,
    model: str,
    device: str = "cpu",
    overwrite: bool = False,
    encoder: Encoder | None = None,
    trust_remote_code: bool = False,
) -> np.ndarray:
    """Load the item vectors of a catalog from `path`, or compute and save them.

    Args:
        catalog: the catalog.
        path: the `.npy` file. The JSON file next to it holds the model, the recipe and the digests.
        model: encoder of sentence-transformers, a hub name or a folder.
        device: device of the encoder.
        overwrite: recompute vectors at `path` that do not fit, instead of raising.
        encoder: function from texts to float [texts, d], instead of sentence-transformers.
        trust_remote_code: whether code in the encoder's folder may run.

    Returns:
        float32 [items, d], of length 1, in catalog order.

    Raises:
        ValueError: the saved vectors are of another catalog, model or recipe, or damaged, or there is no encoder.
    """
    path = Path(path)
    texts = [item_text(item) for item in catalog.items]
    recipe = {
        "model": model,
        "template": TEMPLATE,
        "normalized": True,
        "items": len(texts),
        "texts_sha256": hashlib.sha256("\0".join(texts).encode()).hexdigest(),
    }
    if path.exists():
        complaint = _misfit(path, recipe)
        if not complaint:
            vectors = load_npy(path)
            if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(texts):
                raise ValueError(
                    f"{path} holds {vectors.dtype} {vectors.shape}, wanted float32 [{len(texts)}, d]; give `overwrite`"
                )
            return vectors
        if not overwrite:
            raise ValueError(f"{path} {complaint}; give another `embedding_path`, or `overwrite` to make it again")
    vectors = np.asarray((encoder or sentence_encoder(model, device, trust_remote_code))(texts), dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all() or not (lengths > 0).all():
        raise ValueError(
            f"`embedding_model` {model!r} gave an array of shape {vectors.shape}, or rows without a "
            f"direction, for {len(texts)} texts; take another"
        )
    vectors /= lengths
    _keep(path, vectors, recipe)
    return vectors


def _keep(path: Path, vectors: np.ndarray, recipe: dict) -> None:
    """Save vectors and their recipe.

    The JSON file is written before the vectors: a kill in between leaves no vectors, so they are recomputed.
    """
    path.unlink(missing_ok=True)
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
        write_json(path.with_suffix(".json"), recipe | {"vectors_sha256": digest(temporary)})


def _misfit(path: Path, recipe: dict) -> str:
    """Return why the saved vectors do not fit the recipe; "" if they fit."""
    description = path.with_suffix(".json")
    try:
        value = read_json(description)
    except FileNotFoundError:
        return f"has no {description.name} next to it that says what it was made from"
    except ValueError:
        return f"has a broken {description.name} next to it"
    kept = value if isinstance(value, dict) else {}
    different = [name for name, wanted in recipe.items() if kept.get(name) != wanted]
    if different:
        return f"was made from other {', '.join(different)} than this catalog and `embedding_model`"
    return "" if digest(path) == kept.get("vectors_sha256") else f"is not the file that {description.name} describes"


def sentence_encoder(model: str, device: str, trust_remote_code: bool = False) -> Encoder:
    """Load an encoder of sentence-transformers.

    Args:
        model: hub name or folder.
        device: device of the encoder.
        trust_remote_code: whether code in the encoder's folder may run.

    Raises:
        ValueError: the encoder cannot be loaded.
    """
    if not Path(model).is_dir() and (model.count("/") > 1 or Path(model).parent.is_dir() and "/" in model):
        raise ValueError(
            f"`embedding_model` {model!r}: no such folder; scripts/fetch_defaults.py --with_minilm brings "
            "the default one, a hub name has the form owner/name"
        )
    with as_value_error(f"`embedding_model` {model!r} cannot be loaded"):
        folder = Path(model) if Path(model).is_dir() else None
        size = check_encoder(folder, trust_remote_code) if folder else None
        from sentence_transformers import SentenceTransformer

        with limited_by(size) if size else nullcontext():
            encoder = SentenceTransformer(
                model,
                device=device,
                trust_remote_code=trust_remote_code,
                model_kwargs={"dtype": "float32", "use_safetensors": True},
            )

    def encode(texts: Sequence[str]) -> np.ndarray:
        with as_value_error(f"`embedding_model` {model!r} cannot encode the texts"):
            return encoder.encode(
                list(texts),
                batch_size=_BATCH,
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=len(texts) > _BATCH,
            )

    return encode
