"""Synthetic catalog of any size, with the lengths, frequencies and shared prefixes of real titles."""

from dataclasses import dataclass

import numpy as np

SHORTEST, LONGEST, MEAN = 3, 20, 8.1
ZIPF, SHARED_PREFIX = 1.15, 0.3


@dataclass(frozen=True)
class World:
    """Catalog and its control tokens.

    Attributes:
        titles: token ids of each title; none of them contains one of the last three ids of the vocabulary.
        vocabulary: number of tokens.
    """

    titles: list[list[int]]
    vocabulary: int

    @property
    def end_of_turn(self) -> int:
        return self.vocabulary - 3

    @property
    def soi(self) -> int:
        return self.vocabulary - 2

    @property
    def eoi(self) -> int:
        return self.vocabulary - 1


def synthetic_titles(n: int, vocabulary: int, seed: int = 0) -> list[list[int]]:
    """Return `n` distinct titles of 3 to 20 tokens: Zipf frequencies, and 3 of 10 share a prefix with another title.

    On catalogs of 10k to 1M titles about 0.7 of the tokens are the only choice at their node, as in real catalogs.
    """
    rng = np.random.default_rng(seed)
    words = rng.permutation(vocabulary - 3).astype(np.int32)
    frequency = np.cumsum(np.arange(1, len(words) + 1) ** -ZIPF)
    columns = np.arange(LONGEST)
    table = np.zeros((0, LONGEST), dtype=np.int32)
    while len(table) < n:
        more = int(1.1 * (n - len(table))) + 16
        lengths = np.clip(SHORTEST + rng.poisson(MEAN - SHORTEST, more), SHORTEST, LONGEST)
        ranks = np.searchsorted(frequency, rng.random((more, LONGEST)) * frequency[-1])
        drawn = np.where(columns < lengths[:, None], words[ranks], -1)
        other = rng.integers(0, more, more)
        shared = np.minimum(np.minimum(lengths, lengths[other]), rng.integers(1, 9, more))
        shared *= rng.random(more) < SHARED_PREFIX
        table = np.concatenate([table, np.where(columns < shared[:, None], drawn[other], drawn)])
        whole_rows = table.view(np.dtype((np.void, table.itemsize * LONGEST))).ravel()
        table = table[np.sort(np.unique(whole_rows, return_index=True)[1])]
    return [row[row >= 0].tolist() for row in table[:n]]
