"""Sequences of items per user, with integers inside: a list for each of millions of users would take a gigabyte."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_PART = 50_000  # users that are written at once


@dataclass(frozen=True, eq=False)
class Sequences(Mapping[str, list[str]]):
    """User id -> item ids, oldest first.

    Attributes:
        users: the user ids.
        item_ids: item ids.
        lengths: int64 [n_users], length of each sequence.
        numbers: int [n_events], the sequences as indices into `item_ids`, user by user.
    """

    users: Sequence[str]
    item_ids: Sequence[str]
    lengths: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, sequences: Mapping[str, Sequence[str]]) -> "Sequences":
        """Return the same sequences with integers inside."""
        if isinstance(sequences, cls):
            return sequences
        number_of: dict[str, int] = {}
        lengths = np.fromiter(map(len, sequences.values()), np.int64, len(sequences))
        items = (item for sequence in sequences.values() for item in sequence)
        numbers = np.fromiter((number_of.setdefault(item, len(number_of)) for item in items), np.int32, lengths.sum())
        return cls(list(sequences), list(number_of), lengths, numbers)

    def __len__(self) -> int:
        return len(self.users)

    def __iter__(self) -> Iterator[str]:
        return iter(self.users)

    def __getitem__(self, user: str) -> list[str]:
        row = self._rows[user]
        end = int(self.ends[row])
        return [self.item_ids[number] for number in self.numbers[end - int(self.lengths[row]) : end].tolist()]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {user: row for row, user in enumerate(self.users)}

    @cached_property
    def ends(self) -> np.ndarray:
        """int64 [n_users], where the sequence of each user ends in `numbers`."""
        return np.cumsum(self.lengths)

    def parts(self) -> Iterator[tuple[int, Sequence[str], np.ndarray, np.ndarray]]:
        """Yield the number of the first of some users, and their `users`, `lengths` and `numbers`."""
        end = 0
        for begin in range(0, len(self.users), _PART):
            lengths = self.lengths[begin : begin + _PART]
            first, end = end, end + int(lengths.sum())
            yield begin, self.users[begin : begin + _PART], lengths, self.numbers[first:end]
