"""The checkpoint file of a UniRec model: its contents are checked before a model is built from them.

The server and `LocalTeacher` load by this module, so that they accept the same files. Importing it does not import the
UniRec library.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from train_utils.dataset_folder import PAD
from train_utils.files.torch_file import load_torch
from train_utils.teacher.protocol import TeacherError

if TYPE_CHECKING:
    from unirec.model.sequential.seqrec_base import SeqRecBase as SequentialModel

MODELS = ("SASRec", "GRU4Rec", "AvgHist", "AttHist", "ConvFormer", "FASTConvFormer")
# What a history alone cannot give, what reads further files, or what evaluates text of a checkpoint as Python.
REFUSED_SETTINGS = ("has_user_emb", "has_user_bias", "use_features", "use_text_emb", "use_pre_item_emb", "time_seq")
# Setting -> its least and its largest value. The library makes as many layers, and scores of as many pairs of
# positions, as a file says; published models stay far below.
WHOLE_NUMBERS = {
    "n_users": (0, 1 << 40), "n_items": (2, 1 << 31), "max_seq_len": (1, 1000), "n_layers": (1, 100),
    "n_heads": (1, 1024), "embedding_size": (1, 1 << 16), "hidden_size": (1, 1 << 16), "inner_size": (1, 1 << 18),
    "conv_size": (1, 1000), "group_size": (-1, 1 << 31),
}  # fmt: skip
NUMBERS = {
    "tau": (1e-9, 1e9), "dropout_prob": (0, 1), "hidden_dropout_prob": (0, 1), "attn_dropout_prob": (0, 1),
    "layer_norm_eps": (0, 1), "user_sequence_alpha": (-100, 100), "seq_decay": (-100, 100), "init_ratio": (0, 100),
    "init_mean": (-100, 100), "init_std": (0, 100), "score_clip_value": (-1e9, 1e9),
}  # fmt: skip
SWITCHES = ("has_item_bias", "use_position_emb", "asymmetric", "seq_merge", *REFUSED_SETTINGS)
TEXTS = (
    "model", "exp_name", "loss_type", "init_method", "train_file_format", "distance_type", "hidden_act", "padding_mode",
)  # fmt: skip
MAX_TEXT = 200
MAX_TENSORS = 10_000  # SASRec has 16 in each layer
# The library's constructors fail in many ways where settings and weights do not fit together.
_BROKEN = (
    RuntimeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    MemoryError,
)


@dataclass(frozen=True)
class Checkpoint:
    """A model that is ready to score, and what its file holds about it.

    Attributes:
        model: in eval mode.
        config: the settings that the library reads.
        path: the file.
        raw_ids: raw id of each item int that was trained on, the first is `[PAD]`; None in a file of UniRec.
        popularity: training events of each item, int64 [n_items]; None in a file of UniRec.
    """

    model: "SequentialModel"
    config: dict[str, Any]
    path: Path
    raw_ids: tuple[str, ...] | None = None
    popularity: np.ndarray | None = None


@cache
def library_class(name: str) -> "type[SequentialModel]":
    """Return the class of the UniRec library for one of MODELS; ImportError where the library is not installed."""
    return getattr(import_module(f"unirec.model.sequential.{name.lower()}"), name)


def check_settings(config: Mapping[str, Any]) -> None:
    """Raise TeacherError unless `config`, in UniRec's keys, is of a model that scores from item ids alone.

    Every setting that the library reads must lie in its range.
    """
    for name, value in config.items():
        if not _fits(name, value):
            raise TeacherError(f"{name} is {_shown(value)}, wanted {_wanted(name)}")
    if config.get("model") not in MODELS:
        raise TeacherError(f"model is {_shown(config.get('model'))}, wanted one of {', '.join(MODELS)}")
    if config.get("distance_type") != "dot":
        raise TeacherError(f"distance_type is {_shown(config.get('distance_type'))}, wanted dot")
    for name in REFUSED_SETTINGS:
        if config.get(name):
            raise TeacherError(f"{name} is {_shown(config[name])}, wanted off: a teacher sees item ids only")


def _fits(name: str, value: object) -> bool:
    """Return whether a setting has a value that the library can use; those that it does not read may have any."""
    if name in WHOLE_NUMBERS:
        least, most = WHOLE_NUMBERS[name]
        return type(value) is int and least <= value <= most
    if name in NUMBERS:
        lowest, highest = NUMBERS[name]
        number = _number(value)
        return number is not None and lowest <= number <= highest
    if name in SWITCHES:
        return type(value) in (bool, int, float, type(None))
    return name not in TEXTS or (type(value) is str and len(value) <= MAX_TEXT)


def _number(value: Any) -> float | None:
    """Return a number; YAML reads 1e-10 as text."""
    if type(value) not in (int, float, str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _wanted(name: str) -> str:
    if name in WHOLE_NUMBERS or name in NUMBERS:
        least, most = (WHOLE_NUMBERS if name in WHOLE_NUMBERS else NUMBERS)[name]
        return f"a {'whole ' if name in WHOLE_NUMBERS else ''}number in {least:g}..{most:g}"
    return f"a text of at most {MAX_TEXT} characters" if name in TEXTS else "true or false"


def _shown(value: object) -> str:
    return repr(value)[:80] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"


def load_values(path: Path) -> dict[str, Any]:
    """Load a file of tensors and plain values; nothing in the file is run.

    Raises:
        TeacherError: the file is damaged, or holds anything else.
        OSError: the file cannot be opened.
    """
    try:
        content = load_torch(path)
    except ValueError as error:
        raise TeacherError(str(error)) from None
    if not isinstance(content, dict):
        raise TeacherError(f"{path} must hold a dictionary, got {type(content).__name__}")
    return content


def load_checkpoint(
    path: Path, device: str = "cpu", defaults: Callable[[str], Mapping[str, Any]] = lambda model: {}
) -> Checkpoint:
    """Load a model from a file in UniRec's layout, ours or UniRec's own, ready to score.

    Args:
        path: the file.
        device: device of the model.
        defaults: name of a model -> settings that the file may lack.

    Raises:
        TeacherError: the file is damaged or hostile, or its parts do not fit together.
        OSError: the file cannot be opened.
        ImportError: the UniRec library is not installed.
    """
    content = load_values(path)
    given, state = content.get("config"), content.get("state_dict")
    if not isinstance(given, dict) or not isinstance(state, dict):
        raise TeacherError(
            f"{path} lacks UniRec's keys config and state_dict; train again with scripts/unirec_train.sh"
        )
    if len(state) > MAX_TENSORS or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise TeacherError(f"{path}: state_dict must hold tensors only, at most {MAX_TENSORS}")
    raw_ids, popularity = _catalog(content, path)
    with as_teacher_error(path):
        read = {*WHOLE_NUMBERS, *NUMBERS, *SWITCHES, *TEXTS}
        config = {name: value for name, value in given.items() if name in read}
        check_settings({"model": "SASRec", "distance_type": "dot"} | config)
        config = {**defaults(config.get("model", "SASRec")), **config}
        check_settings(config)
        if raw_ids is not None and config.get("n_items") != len(raw_ids):
            raise TeacherError(f"n_items is {_shown(config.get('n_items'))}, wanted {len(raw_ids)}, as many as raw_ids")
        config["device"] = device
        model_class = library_class(config["model"])
        # On the meta device a model costs neither memory nor random numbers; the file's tensors become its weights.
        with torch.device("meta"):
            model = model_class(config)
        model.max_seq_len = config["max_seq_len"]  # some of the library's classes do not keep it
        model.load_state_dict({name: tensor.float().to(device) for name, tensor in state.items()}, assign=True)
    return Checkpoint(model.eval(), config, path, raw_ids, popularity)


def _catalog(content: Mapping[str, Any], path: Path) -> tuple[tuple[str, ...] | None, np.ndarray | None]:
    """Return raw_ids and popularity of a checkpoint; None for those that it lacks."""
    raw_ids, popularity = content.get("raw_ids"), content.get("popularity")
    if raw_ids is not None and not _are_ids(raw_ids):
        raise TeacherError(f"{path}: raw_ids must be two or more distinct texts, the first of them {PAD!r}")
    if raw_ids is None:
        return None, None
    if popularity is not None and not _are_counts(popularity, len(raw_ids)):
        raise TeacherError(f"{path}: popularity must be int64 counts, one for each of raw_ids, together below 2^63")
    return tuple(raw_ids), None if popularity is None else popularity.numpy()


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
    return bool((value >= 0).all()) and float(value.double().sum()) < 2**62


@contextmanager
def as_teacher_error(path: Path) -> Iterator[None]:
    """Turn whatever building a model from the file raises into a TeacherError of one line that names the file."""
    try:
        yield
    except TeacherError as error:
        raise TeacherError(f"{path}: {error}") from None
    except _BROKEN as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise TeacherError(f"{path}: weights and config do not fit together: {reason}") from None
