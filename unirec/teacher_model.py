"""The teacher as one function, rows -> lists or ranks: joins checkpoint, catalogue and decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sasrec_model import Checkpoint, catalogue_scores, item_vectors, load_checkpoint, newest_checkpoint
from teacher_ranking import (
    Catalogue,
    Row,
    admissible,
    candidate_ranks,
    input_block,
    top_k,
    with_popularity,
)
from unirec_files import read_category, read_unirec_data

# The model always runs on this many rows, the rest padding: equal shapes take equal arithmetic, so a
# history gets the same scores, bit for bit, alone and in any batch.
BLOCK_ROWS = 32


@dataclass(frozen=True)
class Query:
    """Rows of one request: k items for each, or (k None) the ranks of each row's candidates."""

    rows: tuple[Row, ...]
    k: int | None


@dataclass(frozen=True)
class Answer:
    """Per row: raw ids with their probabilities (lists), or ranks of the candidates."""

    items: list[list[str]]
    probabilities: list[list[float]]
    ranks: list[list[int]]


@dataclass(frozen=True)
class TeacherModel:
    """A loaded teacher. Its methods only read, but torch runs them: call them from one thread."""

    checkpoint: Checkpoint
    vectors: torch.Tensor
    catalogue: Catalogue

    def scores(self, rows: Sequence[Row]) -> torch.Tensor:
        """Score of every item int: float32 [rows, n_items]; log popularity where the history is empty."""
        model = self.checkpoint.model
        inputs = input_block(rows, model.max_seq_len)
        padding = np.zeros((-len(inputs) % BLOCK_ROWS, inputs.shape[1]), np.int64)
        blocks = torch.from_numpy(np.concatenate([inputs, padding])).to(model.item_embedding.weight.device)
        scored = torch.cat(
            [catalogue_scores(model, self.vectors, block) for block in blocks.split(BLOCK_ROWS)]
        )
        return with_popularity(scored[: len(rows)], rows, self.catalogue)

    def answer(self, queries: Sequence[Query]) -> list[Answer]:
        """Answer several requests with one pass of the model."""
        scores = self.scores([row for query in queries for row in query.rows])
        parts = scores.split([len(query.rows) for query in queries])
        return [
            self._ranks(part, query.rows) if query.k is None else self._lists(part, query.rows, query.k)
            for part, query in zip(parts, queries, strict=True)
        ]

    def _lists(self, scores: torch.Tensor, rows: Sequence[Row], k: int) -> Answer:
        ints, probabilities = top_k(scores, admissible(rows, self.catalogue), k)
        raw = self.catalogue.raw_ids
        return Answer([[raw[item] for item in row] for row in ints], probabilities, [])

    def _ranks(self, scores: torch.Tensor, rows: Sequence[Row]) -> Answer:
        allowed = admissible([Row(row.history) for row in rows], self.catalogue)
        return Answer([], [], candidate_ranks(scores, allowed, rows))


def find_checkpoint(dataset: str, paths: Mapping[str, str | None], output: Path) -> Path:
    """The checkpoint that `paths` names for the dataset, else the newest finished run under `output`."""
    named = paths.get(dataset)
    path = Path(named) if named else newest_checkpoint(output)
    if path is None or not path.is_file():
        raise ValueError(
            f"no checkpoint of {dataset} at {path or output}; "
            f"train one with scripts/unirec_train.sh {dataset}"
        )
    return path


def load_teacher(checkpoint: Path, data_path: Path, device: str) -> TeacherModel:
    """A teacher from its checkpoint and the UniRec files it was trained on."""
    data = read_unirec_data(data_path)
    loaded = load_checkpoint(checkpoint, device)
    if loaded.model.n_items != data.n_items:
        raise ValueError(
            f"{checkpoint} knows {loaded.model.n_items - 1} items, {data_path} holds {data.n_items - 1}; "
            "train again"
        )
    category = read_category(data_path / "category.jsonl")
    return TeacherModel(
        loaded, item_vectors(loaded.model), Catalogue.build(data.raw_ids, category, data.popularity())
    )
