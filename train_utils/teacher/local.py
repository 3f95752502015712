"""The teacher inside this process: a checkpoint of unirec/train.py, with the arithmetic of the server."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Literal, overload

import numpy as np
import orjson
import torch

from train_utils.dataset_folder import PAD
from train_utils.teacher.inference import (
    DONE_NAME,
    NextItemModel,
    check_settings,
    checkpoint_errors,
    item_vectors,
    library_class,
    load_checkpoint_content,
    newest_checkpoint,
)
from train_utils.teacher.protocol import History, ScoredLists, TeacherError
from train_utils.teacher.ranking import Catalog, Row, best_items, check_k, to_ints

_BATCH_ROWS = 64  # bounds the memory of the scores of one pass; the server's batches are as large
_LONGEST_INPUT = 10_000


class LocalTeacher:
    """`Teacher` without a server, on the CPU; its answers equal those of the server on the same machine.

    path: a SASRec.pth (or the .pth of another of MODELS), or the folder of its run, or the folder of several runs;
    then the newest finished one.
    TeacherError for a missing, broken or hostile file, and for one that does not carry its catalog.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = find_checkpoint(Path(path))
        self._model = load_model(self.path)
        self._lock = Lock()

    def close(self) -> None:
        """Nothing is held open."""

    def item_vectors(self, ids: Sequence[str]) -> np.ndarray:
        """Return the vectors of items, float32 [items, d].

        Args:
            ids: item ids.

        Raises:
            TeacherError: the teacher does not know an item.
        """
        (rows,) = to_ints(self._model.catalog, [ids], "the dataset")
        return self._model.vectors[list(rows)].detach().float().numpy().copy()

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[False] = False) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(self, histories: Sequence[History], k: int, scores: bool = False) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`."""
        catalog = self._model.catalog
        check_k(catalog, k)
        rows = [Row(history) for history in to_ints(catalog, histories, "a history")]
        lists: list[list[str]] = []
        probabilities: list[list[float]] = []
        for start in range(0, len(rows), _BATCH_ROWS):
            batch = rows[start : start + _BATCH_ROWS]
            with self._lock:
                batch_scores = _finite_scores(self._model, batch)
            for items, shares in best_items(batch_scores, batch, catalog, np.full(len(batch), k)):
                lists.append(items)
                if scores:
                    probabilities.append(as_sent(shares))
        return (lists, probabilities) if scores else lists


def as_sent(probabilities: np.ndarray) -> list[float]:
    """Return the numbers that a client of the server reads: float32 sent as its shortest decimal, read as float64."""
    return orjson.loads(orjson.dumps(probabilities, option=orjson.OPT_SERIALIZE_NUMPY))


def _finite_scores(model: NextItemModel, rows: Sequence[Row]) -> torch.Tensor:
    """`NextItemModel.scores`; TeacherError where a damaged weight makes one infinite or NaN."""
    scores = model.scores(rows)
    if not torch.isfinite(scores).all():
        raise TeacherError("the teacher's scores are not finite; train it again with scripts/unirec_train.sh NAME")
    return scores


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint that `path` is, or the one of the newest finished run in that folder."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise TeacherError(f"{path} does not exist; a local teacher is a SASRec.pth or the folder of its runs")
    newest = newest_checkpoint(path)
    if newest is None:
        raise TeacherError(
            f"{path} holds no finished run (SASRec.pth next to {DONE_NAME}); "
            "train one with scripts/unirec_train.sh NAME"
        )
    return newest


def load_model(path: Path) -> NextItemModel:
    """Load and check a checkpoint that carries its catalog; nothing in the file is run."""
    config, state, raw_ids, popularity = _checked(load_checkpoint_content(path), path)
    try:
        model_class = library_class(config["model"])
    except ImportError as error:
        raise TeacherError(
            f"{path} needs the UniRec library, which is missing or incomplete ({error}); "
            "install it with: pip install --no-deps -r requirements-unirec.txt"
        ) from None
    with checkpoint_errors(path):
        # On the meta device a model costs neither memory nor random numbers; the file's tensors become its weights.
        with torch.device("meta"):
            model = model_class(config)
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
        model.eval()
        catalog = Catalog.build(raw_ids, {}, popularity.numpy())
        loaded = NextItemModel(model, item_vectors(model), config["max_seq_len"], catalog)
        _finite_scores(loaded, [Row((1,))])
    return loaded


def _checked(
    content: dict[str, Any], path: Path
) -> tuple[dict[str, Any], dict[str, torch.Tensor], list[str], torch.Tensor]:
    """config, state_dict, raw_ids and popularity of a checkpoint's content, each of the form the library needs."""
    config, state = content["config"], content["state_dict"]
    if "raw_ids" not in content or "popularity" not in content:
        raise TeacherError(
            f"{path} does not carry its items' ids and popularity, as UniRec's own files do not; serve it with "
            "scripts/unirec_serve.sh NAME PORT and use `teacher` http://127.0.0.1:PORT, or train again"
        )
    raw_ids, popularity = content["raw_ids"], content["popularity"]
    if not _are_ids(raw_ids):
        raise TeacherError(f"{path}: raw_ids must be two or more distinct texts, the first of them {PAD!r}")
    if not _are_counts(popularity, len(raw_ids)):
        raise TeacherError(f"{path}: popularity must be int64 counts, one for each of {len(raw_ids)} raw_ids")
    if not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise TeacherError(f"{path}: state_dict must hold tensors only")
    if not all(isinstance(value, str | int | float | None) for value in config.values()):
        raise TeacherError(f"{path}: config must hold texts and numbers only")
    return _checked_config(config, len(raw_ids), len(state), path), state, raw_ids, popularity


def _are_ids(value: object) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(raw, str) for raw in value)
        and value[:1] == [PAD]
        and 2 <= len(value) == len(set(value))
    )


def _are_counts(value: object, size: int) -> bool:
    if not isinstance(value, torch.Tensor) or value.dtype != torch.int64 or value.shape != (size,):
        return False
    return bool((value >= 0).all())


def _checked_config(config: dict[str, Any], n_items: int, n_tensors: int, path: Path) -> dict[str, Any]:
    """Return the settings the library's constructor gets."""

    def refuse(name: str, wanted: str) -> None:
        raise TeacherError(f"{path}: {name} is {config.get(name)!r}, wanted is {wanted}; serve it with UniRec instead")

    with checkpoint_errors(path):
        check_settings(config)
    if config.get("n_items") != n_items:
        refuse("n_items", f"{n_items}, the number of raw_ids")
    # Sizes that no tensor of the file bounds.
    for name, most in (("max_seq_len", _LONGEST_INPUT), ("n_layers", n_tensors)):
        value = config.get(name, 1 if name == "n_layers" else None)  # not every model has layers
        if type(value) is not int or not 1 <= value <= most:
            refuse(name, f"a whole number in 1..{most}")
    tau = config.get("tau", 1.0)
    if type(tau) not in (int, float) or not 0 < tau < float("inf"):
        refuse("tau", "a positive number")
    return config | {"device": "cpu"}
