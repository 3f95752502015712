"""The teacher inside this process: a checkpoint of unirec/train.py, scored by the UniRec library's own classes."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from pickle import UnpicklingError
from threading import Lock
from typing import Any, Literal, overload
from zipfile import BadZipFile

import numpy as np
import torch

from train_utils.teacher.protocol import History, ScoredLists, TeacherError

DONE_NAME = "done.json"
PAD = "[PAD]"
MODELS = {
    name: f"unirec.model.sequential.{name.lower()}"
    for name in ("SASRec", "GRU4Rec", "AvgHist", "AttHist", "ConvFormer", "FASTConvFormer")
}
# The model always runs on this many rows, the rest padding: equal shapes take equal arithmetic, so a history gets
# the same scores, bit for bit, alone and in any batch.
BLOCK_ROWS = 32
_LONGEST_INPUT = 10_000
# Settings that want more than a history, open further files, or evaluate text of the checkpoint as Python.
_REFUSED_SETTINGS = ("has_user_emb", "has_user_bias", "use_features", "use_text_emb", "use_pre_item_emb", "time_seq")
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


@dataclass(frozen=True)
class LoadedModel:
    """A model of the UniRec library ready to score. Item ints are rows of its tables; 0 is the padding.

    vectors: float32 [n_items, width]. log_popularity: float32 [n_items], the scores after an empty history.
    """

    model: Any  # a torch.nn.Module of the library, which has no types
    max_seq_len: int
    raw_ids: tuple[str, ...]
    vectors: torch.Tensor
    log_popularity: torch.Tensor


class LocalTeacher:
    """`Teacher` without a server, on the CPU.

    path: a SASRec.pth (or the .pth of another of MODELS), or the folder of its run, or the folder of several runs;
    then the newest finished one.
    TeacherError for a missing, broken or hostile file, and for one that does not carry its catalog.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = find_checkpoint(Path(path))
        self._loaded = load_model(self.path)
        self._index = {raw: number for number, raw in enumerate(self._loaded.raw_ids) if number}
        self._lock = Lock()

    def close(self) -> None:
        """Nothing is held open."""

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[False] = False) -> list[list[str]]: ...

    @overload
    def top_k(self, histories: Sequence[History], k: int, scores: Literal[True]) -> ScoredLists: ...

    def top_k(self, histories: Sequence[History], k: int, scores: bool = False) -> list[list[str]] | ScoredLists:
        """See `Teacher.top_k`."""
        n_items = len(self._loaded.raw_ids)
        if not 1 <= k <= n_items - 1:
            raise TeacherError(f"k must lie in 1..{n_items - 1}, the size of the catalog, got {k}")
        rows = to_ints(self._index, histories)
        lists: list[list[str]] = []
        probabilities: list[list[float]] = []
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            with self._lock:
                found = open_scores(self._loaded, block)
            for items, shares in best_items(found, k):
                lists.append([self._loaded.raw_ids[item] for item in items])
                probabilities.append(shares.tolist())
        return (lists, probabilities) if scores else lists


def to_ints(index: Mapping[str, int], histories: Sequence[History]) -> list[list[int]]:
    """Raw ids -> item ints. TeacherError names up to 20 of the unknown ids."""
    try:
        return [[index[item] for item in history] for history in histories]
    except KeyError:
        unknown = sorted({item for item in chain.from_iterable(histories) if item not in index})
    named = ", ".join(map(repr, unknown[:20]))
    more = f" and {len(unknown) - 20} more" if len(unknown) > 20 else ""
    raise TeacherError(f"the histories hold item ids that are not in the teacher's catalog: {named}{more}")


def open_scores(loaded: LoadedModel, rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Score of every item int after each of at most BLOCK_ROWS histories: float32 [rows, n_items].

    The padding and a row's own items are -inf; an empty history has log(1 + popularity).
    """
    model = loaded.model
    inputs = np.zeros((BLOCK_ROWS, loaded.max_seq_len), np.int64)
    for number, row in enumerate(rows):
        recent = row[-loaded.max_seq_len :]
        inputs[number, loaded.max_seq_len - len(recent) :] = recent
    item_seq = torch.from_numpy(inputs)
    with torch.inference_mode():
        user = model.forward_user_emb(item_seq=item_seq, item_seq_len=(item_seq > 0).sum(1))
        scores = user @ loaded.vectors.T
        if model.has_item_bias:
            scores = scores + model.item_bias
        scores = scores / model.tau
        if not torch.isfinite(scores).all():
            raise TeacherError("the teacher's scores are not finite; train it again with scripts/unirec_train.sh NAME")
        for number, row in enumerate(rows):
            if not row:
                scores[number] = loaded.log_popularity
            scores[number, [0, *row]] = -torch.inf
    return scores[: len(rows)].numpy()


def best_items(scores: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Item ints (best first, equal scores: lower int first) and softmax probabilities (float64) of each row.

    scores: float32 [rows, n_items]; -inf is never listed, so a row may have fewer than k.
    """
    worst_listed = np.partition(scores, -k, axis=1)[:, -k]
    found = []
    for row, least in zip(scores, worst_listed, strict=True):
        candidates = np.flatnonzero((row >= least) & (row > -np.inf))
        items = candidates[np.argsort(-row[candidates], kind="stable")[:k]]
        if not len(items):
            found.append((items, np.empty(0)))
            continue
        weights = np.exp(row.astype(np.float64) - row[items[0]])
        found.append((items, weights[items] / weights.sum()))
    return found


def find_checkpoint(path: Path) -> Path:
    """The checkpoint that `path` is, or the one of the newest finished run in that folder."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise TeacherError(f"{path} does not exist; a local teacher is a SASRec.pth or the folder of its runs")
    ends = [done for done in (path / DONE_NAME, *path.glob(f"*/{DONE_NAME}")) if done.is_file()]
    ends.sort(key=lambda done: (done.stat().st_mtime_ns, done))
    finished = [file for done in ends for name in MODELS if (file := done.with_name(f"{name}.pth")).is_file()]
    if not finished:
        raise TeacherError(
            f"{path} holds no finished run (SASRec.pth beside {DONE_NAME}); train one with scripts/unirec_train.sh NAME"
        )
    return finished[-1]


def load_model(path: Path) -> LoadedModel:
    """Reads and checks a checkpoint; nothing in the file is run."""
    with path.open("rb") as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except (*_BROKEN, OSError) as error:  # a damaged file makes torch seek to places before its start
            raise TeacherError(f"{path} is not a checkpoint of tensors and plain values: {_short(error)}") from None
    config, state, raw_ids, popularity = _checked(content, path)
    library_class = _library_class(config["model"], path)
    try:
        # On the meta device a model costs neither memory nor random numbers; the file's tensors become its weights.
        with torch.device("meta"):
            model = library_class(config)
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
        model.eval().requires_grad_(False)
        vectors = model.forward_item_emb(torch.arange(len(raw_ids)))
        loaded = LoadedModel(model, config["max_seq_len"], tuple(raw_ids), vectors, popularity.double().log1p().float())
        open_scores(loaded, [[1]])
    except _BROKEN as error:
        raise TeacherError(f"{path}: weights and config do not fit together: {_short(error)}") from None
    return loaded


def _checked(content: object, path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor], list[str], torch.Tensor]:
    """config, state_dict, raw_ids and popularity of a checkpoint's content, each of the form the library needs."""
    if not isinstance(content, dict):
        raise TeacherError(f"{path} must hold a dictionary, got {type(content).__name__}")
    config, state = content.get("config"), content.get("state_dict")
    if not isinstance(config, dict) or not isinstance(state, dict):
        raise TeacherError(f"{path} lacks UniRec's keys config and state_dict; train again with unirec/train.py")
    if "raw_ids" not in content or "popularity" not in content:
        raise TeacherError(
            f"{path} does not carry its items' ids and popularity, as UniRec's own files do not; serve it with "
            "scripts/unirec_serve.sh NAME PORT and use --teacher http://127.0.0.1:PORT, or train again"
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
    """The settings the library's constructor gets."""

    def refuse(name: str, wanted: str) -> None:
        raise TeacherError(f"{path}: {name} is {config.get(name)!r}, wanted is {wanted}; serve it with UniRec instead")

    if config.get("model") not in MODELS:
        refuse("model", f"one of {', '.join(MODELS)}")
    for name in _REFUSED_SETTINGS:
        if config.get(name):
            refuse(name, "off")
    if config.get("distance_type") != "dot":
        refuse("distance_type", "dot")
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


def _library_class(name: str, path: Path) -> Any:
    try:
        return getattr(import_module(MODELS[name]), name)
    except ImportError as error:
        raise TeacherError(
            f"{path} needs the UniRec library, which is missing or incomplete ({error}); "
            "install it with: pip install --no-deps -r requirements-unirec.txt"
        ) from None


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
