"""Weights of what is expected of a user in a conversation, and their file in the model's folder."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from train_utils.files.atomic import write_json
from train_utils.files.json_files import read_bounded_json

FILE_NAME = "conversation_weights.json"
_MAX_FILE = 1 << 16  # bytes
_LARGEST = 1000.0


@dataclass(frozen=True)
class Weights:
    """Weights of the log-shares that are added to the model's choice in the conversation.

    The defaults are those at which validation users of the quickstart's dataset find most.

    Attributes:
        sequence: of what the model expects after the bare history, where it was trained on such histories.
        teacher: of a teacher's probabilities.
        similarity: of the similarity to liked items that the conversation names.
        popularity: of the numbers of events, where nothing is known of the user.
    """

    sequence: float = 8.0
    teacher: float = 8.0
    similarity: float = 4.0
    popularity: float = 1.0

    def __post_init__(self):
        for name, weight in asdict(self).items():
            number = isinstance(weight, (int, float)) and not isinstance(weight, bool) and math.isfinite(weight)
            if not number or not 0 <= weight <= _LARGEST:
                raise ValueError(f"weight {name} is {str(weight)[:80]}, wanted a number from 0 to {_LARGEST:g}")


def read_weights(model: str | Path, dataset: str) -> Weights:
    """Return the weights that were chosen for a model and a dataset; the defaults where none were.

    Args:
        model: the model's folder; another name has no file.
        dataset: name of the dataset.

    Raises:
        ValueError: the file is no file of weights.
    """
    path = Path(model) / FILE_NAME
    if not path.is_file():
        return Weights()
    known = [entry.name for entry in fields(Weights)]
    record = read_bounded_json(path, _MAX_FILE)
    chosen = record.get(dataset, {}) if isinstance(record, Mapping) else None
    if not isinstance(chosen, Mapping) or set(chosen) - {*known}:
        raise ValueError(
            f"{path} holds no weights {', '.join(known)} for a dataset; choose them by python -m "
            "train_utils.evaluation.conversation --choose_weights, or delete it"
        )
    try:
        return Weights(**chosen)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write_weights(model: str | Path, dataset: str, weights: Weights) -> Path:
    """Write the weights for a dataset into a model's folder; those for other datasets stay."""
    path = Path(model) / FILE_NAME
    record = read_bounded_json(path, _MAX_FILE) if path.is_file() else {}
    write_json(path, {**(record if isinstance(record, Mapping) else {}), dataset: asdict(weights)})
    return path
