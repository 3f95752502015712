"""The teacher inside this process: a checkpoint of unirec/train.py, with the arithmetic of the server."""

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Literal, overload

import numpy as np
import orjson

from train_utils.teacher.checkpoint import load_checkpoint
from train_utils.teacher.inference import DONE_NAME, NextItemModel, checked_vectors, newest_checkpoint
from train_utils.teacher.protocol import History, ScoredLists, TeacherError
from train_utils.teacher.ranking import Catalog, Row, best_items, check_k, to_ints

_BATCH_ROWS = 64  # bounds the memory of the scores of one pass; the server's batches are as large


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
                batch_scores = self._model.finite_scores(batch)
            for items, shares in best_items(batch_scores, batch, catalog, np.full(len(batch), k)):
                lists.append(items)
                if scores:
                    probabilities.append(as_sent(shares))
        return (lists, probabilities) if scores else lists


def as_sent(probabilities: np.ndarray) -> list[float]:
    """Return the numbers that a client of the server reads: float32 sent as its shortest decimal, read as float64."""
    return orjson.loads(orjson.dumps(probabilities, option=orjson.OPT_SERIALIZE_NUMPY))


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
    try:
        loaded = load_checkpoint(path)
    except ImportError as error:
        raise TeacherError(
            f"{path} needs the UniRec library, which is missing or incomplete ({error}); "
            "install it with: pip install --no-deps -r requirements-unirec.txt"
        ) from None
    if loaded.raw_ids is None or loaded.popularity is None:
        raise TeacherError(
            f"{path} does not carry its items' ids and popularity, as UniRec's own files do not; serve it with "
            "scripts/unirec_serve.sh NAME PORT and use `teacher` http://127.0.0.1:PORT, or train again"
        )
    catalog = Catalog.build(loaded.raw_ids, {}, loaded.popularity)
    return NextItemModel(loaded.model, checked_vectors(loaded), loaded.config["max_seq_len"], catalog)
