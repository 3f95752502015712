"""The teacher as one function, rows -> lists or ranks: joins checkpoint, catalog and decisions."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from sasrec_model import load_checkpoint
from unirec_files import read_category, read_unirec_data

from train_utils.teacher.inference import NextItemModel, checked_vectors, newest_checkpoint
from train_utils.teacher.ranking import Catalog, Row, admissible, best_items, candidate_ranks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Query:
    """Rows of one request: k items for each, or (k None) the ranks of each row's candidates."""

    dataset: str
    rows: tuple[Row, ...]
    k: int | None


@dataclass(frozen=True)
class TeacherAnswer:
    """Per row: raw ids with their probabilities (float32), or ranks of the candidates."""

    items: list[list[str]]
    probabilities: list[np.ndarray]
    ranks: list[list[int]]


@dataclass(frozen=True)
class TeacherModel(NextItemModel):
    """A loaded teacher that answers requests. Call it from one thread at a time."""

    path: Path  # of its checkpoint

    def answer(self, queries: Sequence[Query]) -> list[TeacherAnswer]:
        """Answer several requests with one pass of the model."""
        rows = [row for query in queries for row in query.rows]
        # 0 requests a ranking
        k = np.repeat([query.k or 0 for query in queries], [len(query.rows) for query in queries])
        scores = self.scores(rows)
        lists, ranks = self._lists(scores, rows, k), self._ranks(scores, rows, k)
        answers = []
        for query in queries:
            if query.k is None:
                answers.append(TeacherAnswer([], [], list(islice(ranks, len(query.rows)))))
            else:
                items, probabilities = zip(*islice(lists, len(query.rows)), strict=True)
                answers.append(TeacherAnswer(list(items), list(probabilities), []))
        return answers

    def _lists(
        self, scores: torch.Tensor, rows: Sequence[Row], k: np.ndarray
    ) -> Iterator[tuple[list[str], np.ndarray]]:
        """Items and probabilities of the rows whose k is not 0, in order."""
        numbers = np.flatnonzero(k)
        if not len(numbers):
            return iter(())
        selected = [rows[number] for number in numbers]
        return best_items(scores[torch.from_numpy(numbers)], selected, self.catalog, k[numbers])

    def _ranks(self, scores: torch.Tensor, rows: Sequence[Row], k: np.ndarray) -> Iterator[list[int]]:
        """Ranks of the candidates of the rows whose k is 0, in order."""
        numbers = np.flatnonzero(k == 0)
        selected = [rows[number] for number in numbers]
        allowed = admissible([Row(row.history) for row in selected], self.catalog)
        return iter(candidate_ranks(scores[torch.from_numpy(numbers)], allowed, selected))


def by_dataset(queries: Sequence[Query]) -> dict[str, list[int]]:
    """Dataset -> positions of its queries."""
    positions: dict[str, list[int]] = {}
    for number, query in enumerate(queries):
        positions.setdefault(query.dataset, []).append(number)
    return positions


def find_checkpoint(dataset: str, paths: Mapping[str, str | None], output: Path) -> Path:
    """Return the checkpoint that `paths` names for the dataset, else the newest finished run under `output`."""
    named = paths.get(dataset)
    path = Path(named) if named else newest_checkpoint(output)
    if path is None or not path.is_file():
        raise ValueError(
            f"no checkpoint of {dataset} at {path or output}; train one with scripts/unirec_train.sh {dataset}"
        )
    return path


def load_teacher(checkpoint: Path, data_path: Path, device: str) -> TeacherModel:
    """Return a teacher from its checkpoint and the UniRec files it was trained on."""
    data = read_unirec_data(data_path)
    loaded = load_checkpoint(checkpoint, device)
    if loaded.model.n_items != data.n_items:
        raise ValueError(
            f"{checkpoint} knows {loaded.model.n_items - 1} items, {data_path} holds {data.n_items - 1}; train again"
        )
    if loaded.raw_ids not in (None, data.raw_ids):
        raise ValueError(
            f"{checkpoint} was trained on other item ids than {data_path} holds; "
            "train again with scripts/unirec_train.sh"
        )
    category = read_category(data_path / "category.jsonl")
    known = frozenset(data.raw_ids)
    if unknown := {item: name for name, items in category.items() for item in items if item not in known}:
        item, name = next(iter(unknown.items()))
        logger.warning(
            "category.jsonl of %s: %d items are not in map.pkl and are left out, such as %r of category %r",
            data_path, len(unknown), item, name
        )  # fmt: skip
    catalog = Catalog.build(data.raw_ids, category, data.popularity())
    return TeacherModel(loaded.model, checked_vectors(loaded), loaded.config["max_seq_len"], catalog, loaded.path)
